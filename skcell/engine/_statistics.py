"""Statistics of batch normalisation, estimated anew with the weights as they are.

The moving averages that training leaves behind lag behind the weights: each was taken with the
weights of many steps ago, and a network predicts with them. What they should be is what the
network's layers see now, so that is measured: some batches of training images go through the
network as in training, and the mean and variance over all of them replace the moving averages
(Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, 2021).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell._keras import find_layers, to_numpy
from skcell.engine._devices import Devices

#: Images that statistics are estimated from, at most.
N_IMAGES = 2048

#: Takes the images of a batch and the number of batches before it.
Estimate = Callable[[NDArray[Any], int], None]


def find_normalisers(model: keras.Model) -> list[Any]:
    """List the layers of a model that normalise batches in training; frozen ones do not."""
    normalises = keras.layers.BatchNormalization
    return [x for x in find_layers(model) if isinstance(x, normalises) and x.trainable]


def make_estimate(model: keras.Model, devices: Devices) -> Estimate:
    """Compile the estimation of statistics from one batch after the other.

    It is traced when first used. The averages run over batches of one size: after a batch they are
    those over all batches so far.

    Parameters
    ----------
    model : keras.Model
        A model with layers that normalise batches.
    devices : Devices
        Of the model.

    Returns
    -------
    callable
        Takes images and the number of batches before them; changes the layers' statistics, and the
        states of random layers, which the caller may want to set back.
    """
    normalisers = find_normalisers(model)

    def estimate(images: Any, before: Any) -> None:
        def so_far(variable: Any) -> Any:  # nothing, to the bit, before the first batch
            return ops.where(before > 0, variable.value, 0.0)

        kept = [(so_far(n.moving_mean), so_far(n.moving_variance)) for n in normalisers]
        for layer in normalisers:
            for variable in (layer.moving_mean, layer.moving_variance):
                variable.assign(ops.zeros_like(variable.value))
        model(images, training=True)
        for layer, (mean, variance) in zip(normalisers, kept, strict=True):
            # From zero, one step of the moving average is the batch's share of it.
            new = 1.0 - layer.momentum
            shift = layer.moving_mean.value / new - mean
            spread = layer.moving_variance.value / new - variance
            part = 1.0 / (before + 1.0)
            # Mean and variance of all batches together, by Chan, Golub and LeVeque's formula.
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
    compiled._omit_frequent_tracing_warning = True  # as of training steps
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
    """The moving statistics of a model's layers that normalise batches.

    Parameters
    ----------
    model : keras.Model
        The model.
    devices : Devices
        Of the model.
    """

    def __init__(self, model: keras.Model, devices: Devices):
        self._model, self._devices = model, devices
        self._estimate: Estimate | None = None
        self._exist = bool(find_normalisers(model))

    def estimate(self, batches: Any) -> None:
        """Replace the statistics by those of training images, with the weights of the moment.

        Random layers draw from seeds of their own for this, so that training goes on as if
        nothing had been looked at.

        Parameters
        ----------
        batches : EpochBatches
            What is trained on; it chooses the images.
        """
        if not self._exist:
            return
        if self._estimate is None:
            self._estimate = make_estimate(self._model, self._devices)
        states = [v for v in self._model.variables if v.name == "seed_generator_state"]
        kept = [to_numpy(state) for state in states]
        for i, state in enumerate(states):
            state.assign(np.array([i, 0], np.uint32))
        try:
            for before, images in enumerate(batches.sample(N_IMAGES)):
                self._estimate(images, before)
        finally:
            for state, value in zip(states, kept, strict=True):
                state.assign(value)
