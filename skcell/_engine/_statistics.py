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

#: A function that takes the images of a batch and the number of earlier batches.
Estimate = Callable[[NDArray[Any], int], None]


def find_normalisers(model: keras.Model) -> list[Any]:
    """List the batch-normalisation layers of a model, except frozen ones."""
    normalises = keras.layers.BatchNormalization
    return [x for x in find_layers(model) if isinstance(x, normalises) and x.trainable]


def make_estimate(model: keras.Model, devices: Devices) -> Estimate:
    """Compile a function that updates the statistics with one batch at a time.

    The function is traced when it is first used. All batches must have the same size; after each
    batch, the statistics are those over all batches so far.
    """
    normalisers = find_normalisers(model)

    def estimate(images: Any, before: Any) -> None:
        def so_far(variable: Any) -> Any:  # exactly zero before the first batch
            return ops.where(before > 0, variable.value, 0.0)

        kept = [(so_far(n.moving_mean), so_far(n.moving_variance)) for n in normalisers]
        for layer in normalisers:
            for variable in (layer.moving_mean, layer.moving_variance):
                variable.assign(ops.zeros_like(variable.value))
        with single_precision(model):  # as in prediction
            model(images, training=True)
        for layer, (mean, variance) in zip(normalisers, kept, strict=True):
            # The moving averages were set to zero, so the layer's update
            #     moving = momentum * 0 + (1 - momentum) * batch_value
            # leaves (1 - momentum) * batch_value; dividing by 1 - momentum gives batch_value.
            new = 1.0 - layer.momentum
            shift = layer.moving_mean.value / new - mean
            spread = layer.moving_variance.value / new - variance
            part = 1.0 / (before + 1.0)
            # Merge n = `before` batches (mean m, variance v) with one more batch of the same size
            # (m_b, v_b) by the formula of Chan, Golub and LeVeque. With p = 1 / (n + 1):
            #     mean = m + p * (m_b - m)
            #     variance = v + p * (v_b - v) + p * (1 - p) * (m_b - m) ** 2
            layer.moving_mean.assign(mean + part * shift)
            layer.moving_variance.assign(
                variance + part * spread + part * (1.0 - part) * ops.square(shift)
            )

    backends: dict[str, Callable[..., Estimate]] = {
        "tensorflow": _compile_tensorflow,
        "jax": _compile_jax,
        "torch": _compile_torch,
    }
    return backends[keras.backend.backend()](estimate, model, devices)


def _compile_tensorflow(estimate: Callable[..., None], model: keras.Model, _: Devices) -> Estimate:
    import tensorflow as tf

    compiled = tf.function(estimate, reduce_retracing=True)
    compiled._omit_frequent_tracing_warning = True  # as for the training steps
    return lambda images, before: compiled(images, tf.constant(before, tf.float32))


def _compile_jax(estimate: Callable[..., None], model: keras.Model, devices: Devices) -> Estimate:
    import jax

    variables = model.variables

    @jax.jit
    def stateless(values: Any, images: Any, before: Any) -> Any:
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs) as scope:
            estimate(images, before)
        new = [scope.get_current_value(variable) for variable in variables]
        return [old if value is None else value for old, value in zip(values, new, strict=True)]

    def run(images: NDArray[Any], before: int) -> None:
        values = stateless([v.value for v in variables], devices.place(images), float(before))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    return run


def _compile_torch(estimate: Callable[..., None], model: keras.Model, _: Devices) -> Estimate:
    import torch

    def run(images: NDArray[Any], before: int) -> None:
        with torch.no_grad():
            estimate(ops.convert_to_tensor(images), float(before))

    return run


class Statistics:
    """The moving statistics of a model's batch-normalisation layers."""

    def __init__(self, model: keras.Model, devices: Devices):
        self._model, self._devices = model, devices
        self._estimates: dict[bool, Estimate] = {}
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
        if augment not in self._estimates:
            model = self._model if augment else skip_layers(self._model, RandomTransform)
            self._estimates[augment] = make_estimate(model, self._devices)
        states = [v for v in self._model.variables if v.name == "seed_generator_state"]
        kept = [to_numpy(state) for state in states]
        for i, state in enumerate(states):
            state.assign(np.array([i, 0], np.uint32))
        try:
            for before, images in enumerate(batches):
                self._estimates[augment](images, before)
        finally:
            for state, value in zip(states, kept, strict=True):
                state.assign(value)
