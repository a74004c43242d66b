"""Networks that share all weights with another one, and differ in how layers are connected."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from skcell._keras import find_layers


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Make a model for prediction in which convolutions include their batch normalisation.

    In prediction, batch normalisation multiplies each channel by a number and adds another one.
    The convolution before it can do both with other weights (Jacob et al., CVPR 2018). The two
    models share all variables, so that later changes of the weights change both.
    """
    convolutions: dict[int, tuple[Any, Any, Any]] = {}  # by the id of the output

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if args and id(args[0]) in convolutions:
            convolution, inputs, outputs = convolutions[id(args[0])]
            if _can_be_folded(convolution, outputs.shape[1:], layer):
                return _FoldedConvolution(convolution, layer)(inputs)
        outputs = layer(*args, **kwargs)
        if args and type(layer) in (layers.Conv2D, layers.DepthwiseConv2D):
            convolutions[id(outputs)] = layer, args[0], outputs
        return outputs

    if not any(isinstance(layer, layers.BatchNormalization) for layer in find_layers(model)):
        return model
    return _rewire(model, call)


def skip_layers(model: keras.Model, kind: type[keras.Layer]) -> keras.Model:
    """Make a model without the layers of one kind; it shares all others with `model`."""
    return _rewire(
        model,
        lambda layer, *args, **kwargs: (
            args[0] if isinstance(layer, kind) else layer(*args, **kwargs)
        ),
    )


def _rewire(model: keras.Model, call: Callable[..., Any]) -> keras.Model:
    """Connect the layers of a model again, each by `call(layer, *inputs)`."""
    bare = keras.Model(model.inputs, model.outputs)  # without the loss and the optimizer
    return keras.models.clone_model(
        bare, clone_function=lambda layer: layer, call_function=call, recursive=True
    )


def _can_be_folded(convolution: Any, shape: tuple[int | None, ...], layer: Any) -> bool:
    """Return whether `layer` is a batch normalisation that is worth folding.

    The weights are folded in each call, so that is only worth it if there are fewer of them than
    values that one image would be multiplied by. A model for images of any size does not say.
    """
    return (
        isinstance(layer, layers.BatchNormalization)
        and convolution.activation is keras.activations.linear
        and convolution.data_format == "channels_last"
        and layer.axis in (-1, 3)
        and None not in shape
        and math.prod(convolution.kernel.shape) <= math.prod(size for size in shape if size)
    )


class _FoldedConvolution(keras.layers.Layer):
    """A convolution and the batch normalisation after it, in inference mode."""

    def __init__(self, convolution: Any, batch_norm: Any):
        # Without autocast, the weights are folded in single precision.
        super().__init__(dtype=convolution.dtype_policy, autocast=False)
        self.convolution, self.batch_norm = convolution, batch_norm
        self.built = True

    def call(self, inputs: Any) -> Any:
        convolution, norm = self.convolution, self.batch_norm
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        scale = scale * norm.gamma if norm.scale else scale
        offset = -norm.moving_mean * scale
        offset = offset + norm.beta if norm.center else offset
        if convolution.use_bias:
            offset = offset + convolution.bias * scale
        shape = convolution.kernel.shape
        depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        kernel = convolution.kernel * (ops.reshape(scale, shape[2:]) if depthwise else scale)
        convolve = ops.depthwise_conv if depthwise else ops.conv
        outputs = convolve(
            ops.cast(inputs, self.compute_dtype),
            ops.cast(kernel, self.compute_dtype),
            strides=convolution.strides,
            padding=convolution.padding,
            dilation_rate=convolution.dilation_rate,
            data_format=convolution.data_format,
        )
        return outputs + ops.cast(offset, self.compute_dtype)
