"""Statistics of batch normalisation, estimated again with the current weights.

A network predicts with the moving averages of mean and variance. After training these lag behind
the weights, because they contain the statistics of many earlier steps. Here they are measured
instead: some batches of training images pass through the network in training mode, and the mean
and variance over all these batches replace the moving averages
(Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, 2021).
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell._engine._devices import Devices
from skcell._keras import find_layers, single_precision, to_numpy
from skcell.networks import RandomTransform, skip_layers

#: Maximum number of images that statistics are estimated from.
N_IMAGES = 2048

#: A function that passes the images of a batch through a network, as in training.
Pass = Callable[[NDArray[Any]], None]


def find_normalisers(model: keras.Model) -> list[Any]:
    """List the batch-normalisation layers of a model, except frozen ones."""
    normalises = keras.layers.BatchNormalization
    return [x for x in find_layers(model) if isinstance(x, normalises) and x.trainable]


def make_pass(model: keras.Model, devices: Devices) -> Pass:
    """Compile a pass of a batch through a model in training mode; its layers keep the statistics.

    The function is traced when it is first used. All batches must have the same size.
    """

    def run(images: Any) -> None:
        with single_precision(model):  # as in prediction
            model(images, training=True)

    backends: dict[str, Callable[..., Pass]] = {
        "tensorflow": _compile_tensorflow,
        "jax": _compile_jax,
        "torch": _compile_torch,
    }
    return backends[keras.backend.backend()](run, model, devices)


def _compile_tensorflow(run: Pass, model: keras.Model, _: Devices) -> Pass:
    import tensorflow as tf

    compiled = tf.function(run, reduce_retracing=True)
    compiled._omit_frequent_tracing_warning = True  # as for the training steps
    return compiled


def _compile_jax(run: Pass, model: keras.Model, devices: Devices) -> Pass:
    import jax

    variables = model.variables

    @jax.jit
    def stateless(values: Any, images: Any) -> Any:
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs) as scope:
            run(images)
        new = [scope.get_current_value(variable) for variable in variables]
        return [old if value is None else value for old, value in zip(values, new, strict=True)]

    def run_on_device(images: NDArray[Any]) -> None:
        values = stateless([v.value for v in variables], devices.place(images))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    return run_on_device


def _compile_torch(run: Pass, model: keras.Model, _: Devices) -> Pass:
    import torch

    def run_on_device(images: NDArray[Any]) -> None:
        with torch.no_grad():
            run(ops.convert_to_tensor(images))

    return run_on_device


class Statistics:
    """The moving statistics of a model's batch-normalisation layers."""

    def __init__(self, model: keras.Model, devices: Devices):
        self._model, self._devices = model, devices
        self._passes: dict[bool, Pass] = {}
        self.exist = bool(find_normalisers(model))

    def estimate(self, batches: Any) -> None:
        """Replace the statistics by those of augmented training images under the current weights.

        Random layers use separate seeds for this, and their states are restored afterwards, so
        that the estimate does not affect further training.
        """
        if self.exist:
            self._run(batches.sample(N_IMAGES), augment=True)

    def measure(self, batches: Iterable[NDArray[Any]]) -> None:
        """Replace the statistics by those of other images, which are not augmented."""
        self._run(batches, augment=False)

    def get(self) -> list[NDArray[Any]]:
        """Copy the statistics, two arrays per layer."""
        return [to_numpy(variable) for variable in self._moving()]

    def set(self, values: Iterable[NDArray[Any]]) -> None:
        """Set the statistics."""
        for variable, value in zip(self._moving(), values, strict=True):
            variable.assign(value)

    def _moving(self) -> list[Any]:
        layers = find_normalisers(self._model)
        return [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]

    def _run(self, batches: Iterable[NDArray[Any]], *, augment: bool) -> None:
        if augment not in self._passes:
            model = self._model if augment else skip_layers(self._model, RandomTransform)
            self._passes[augment] = make_pass(model, self._devices)
        states = [v for v in self._model.variables if v.name == "seed_generator_state"]
        kept = [to_numpy(state) for state in states]
        for i, state in enumerate(states):
            state.assign(np.array([i, 0], np.uint32))
        merged = zeros = [np.zeros_like(value) for value in self.get()]
        # A layer's update is moving = momentum * moving + (1 - momentum) * batch_value. From zero,
        # it leaves (1 - momentum) * batch_value.
        new = [np.float32(1.0 - layer.momentum) for layer in find_normalisers(self._model)]
        try:
            for before, images in enumerate(batches):
                self.set(zeros)
                self._passes[augment](images)
                of_batch = [value / new[i // 2] for i, value in enumerate(self.get())]
                merged = _merge(merged, of_batch, before)
        finally:
            self.set(merged)
            for state, value in zip(states, kept, strict=True):
                state.assign(value)


def _merge(
    merged: list[NDArray[Any]], of_batch: list[NDArray[Any]], before: int
) -> list[NDArray[Any]]:
    """Merge means and variances of `before` batches with those of one more of the same size.

    By the formula of Chan, Golub and LeVeque, with p = 1 / (before + 1), these become

        mean + p * (mean_b - mean),
        variance + p * (variance_b - variance) + p * (1 - p) * (mean_b - mean) ** 2.
    """
    part = np.float32(1.0 / (before + 1.0))
    out = []
    for i in range(0, len(merged), 2):
        shift, spread = (of_batch[i + k] - merged[i + k] for k in (0, 1))
        out.append(merged[i] + part * shift)
        out.append(merged[i + 1] + part * spread + part * (1 - part) * np.square(shift))
    return out
