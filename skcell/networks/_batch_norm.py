"""Batch normalisation by TensorFlow's fused operation."""

import functools
from typing import Any

import keras

from skcell._keras import find_layers

#: The fused operation silently raises any smaller epsilon to this value.
LEAST_EPSILON = 1.001e-5


def fuse_batch_norm(model: keras.Model) -> None:
    """Let the batch-normalisation layers of a model use one operation of TensorFlow in training.

    Keras' own chain of operations takes several times as long, and computes in single precision
    under every dtype policy. Results are equal up to rounding. In half precision, feature maps stay
    in half precision, while parameters and statistics have single precision.

    On other backends nothing is changed; neither are layers with settings that the operation does
    not have.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in find_layers(model):
        if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer):
            # The layer keeps its class, so it is saved to a file as a layer of Keras.
            layer.call = functools.partial(_call, layer, layer.call)


def _call(
    layer: Any, keras_call: Any, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """Normalise `inputs`, and update the moving statistics in training."""
    if not (training and layer.trainable) or mask is not None or inputs.dtype == "float64":
        return keras_call(inputs, training=training, mask=mask)
    import tensorflow as tf

    channels = inputs.shape[-1]
    # The operation takes feature maps only; for a dense layer, each is a single pixel.
    x = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, (-1, 1, 1, channels))
    y, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
        x,
        layer.gamma.value if layer.scale else tf.ones(channels),
        layer.beta.value if layer.center else tf.zeros(channels),
        epsilon=layer.epsilon,
    )
    n = tf.cast(tf.size(x, tf.int64) // channels, tf.float32)
    variance = unbiased * ((n - 1.0) / n)  # Keras averages the biased variance
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving.value * layer.momentum + value * (1.0 - layer.momentum))
    return y if x is inputs else tf.reshape(y, (-1, *inputs.shape[1:]))


def _can_be_fused(layer: Any) -> bool:
    return bool(
        layer.axis in (-1, layer.input_spec.ndim - 1)
        and layer.epsilon >= LEAST_EPSILON
        and not layer.synchronized
        and not getattr(layer, "renorm", False)  # since Keras 3.14
    )
