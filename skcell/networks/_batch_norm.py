"""Batch normalisation by TensorFlow's fused operation."""

from typing import Any

import keras

from skcell._keras import find_layers

#: The fused operation silently raises any smaller epsilon to this value.
LEAST_EPSILON = 1.001e-5


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer, computed by one operation of TensorFlow instead of a chain of them.

    The variables, their names and the configuration are those of Keras' layer, and the results
    are equal up to rounding. In half precision, the pixels stay in half precision, while
    parameters and statistics have single precision.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise `inputs`, and update the moving statistics in training."""
        if not (training and self.trainable) or mask is not None or inputs.dtype == "float64":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        # The operation takes feature maps only; for a dense layer, each is a single pixel.
        x = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, (-1, 1, 1, channels))
        y, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
            x,
            self.gamma.value if self.scale else tf.ones(channels),
            self.beta.value if self.center else tf.zeros(channels),
            epsilon=self.epsilon,
        )
        n = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)
        variance = unbiased * ((n - 1.0) / n)  # Keras averages the biased variance
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value * self.momentum + value * (1.0 - self.momentum))
        return tf.reshape(y, tf.shape(inputs))


def fuse_batch_norm(model: keras.Model) -> None:
    """Let the batch-normalisation layers of a model be computed by fused operations.

    Only TensorFlow needs this; on other backends nothing is changed. Layers with settings that the
    fused operation does not have are not changed either.

    Parameters
    ----------
    model : keras.Model
        Model that was just built; its layers are changed in place.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in find_layers(model):
        if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer):
            layer.__class__ = FusedBatchNormalization


def _can_be_fused(layer: Any) -> bool:
    return bool(
        layer.axis in (-1, layer.input_spec.ndim - 1)
        and layer.epsilon >= LEAST_EPSILON
        and not layer.synchronized
        and not getattr(layer, "renorm", False)  # since Keras 3.14
    )
