"""Building blocks of convolutional networks; each is a function from tensor to tensor."""

from typing import Any

import keras
import numpy as np
from keras import layers, regularizers

from skcell.networks._seeds import draw_seed

#: Channels are always the last axis, whatever the user's configuration of Keras says.
LAST = {"data_format": "channels_last"}

#: With Keras' default of 0.99, initial values would affect the statistics for about 500 steps.
BN_MOMENTUM = 0.9


def centre(x: Any) -> Any:
    """Shift pixels from 0..1 to -0.5..0.5.

    If the mean of the pixels is far from zero, a small network with batch normalisation needs many
    epochs until its statistics have settled.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images with pixels in 0..1.

    Returns
    -------
    KerasTensor of shape (n, H, W, C)
        Images with pixels in -0.5..0.5.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks
       of the Trade, 1998.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import centre
    >>> centre(keras.Input((32, 32, 3))).shape
    (None, 32, 32, 3)
    """
    # In half precision, values near zero are finer than values near one.
    return layers.Rescaling(1.0, offset=-0.5, dtype="float32")(x)


def standardize_images(x: Any) -> Any:
    """Subtract its mean from each channel of an image and divide it by its standard deviation.

    The result does not depend on the brightness, contrast and colour of the light.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images.

    Returns
    -------
    KerasTensor of shape (n, H, W, C)
        Images whose channels have mean 0 and variance 1. A variance far below 1e-4 stays below 1.

    References
    ----------
    .. [1] D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance Normalization: The Missing Ingredient for
       Fast Stylization", arXiv:1607.08022, 2016.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import standardize_images
    >>> standardize_images(keras.Input((32, 32, 3))).shape
    (None, 32, 32, 3)
    """
    # Statistics of a whole image need single precision. Each channel is a group of its own; under
    # torch, Keras' LayerNormalization cannot leave the channels out.
    return layers.GroupNormalization(
        groups=-1, center=False, scale=False, epsilon=1e-4, dtype="float32"
    )(x)


def convolution(
    x: Any,
    filters: int,
    kernel_size: int = 3,
    *,
    strides: int = 1,
    batch_norm: bool = True,
    activation: bool = True,
    l2: float = 0.0,
) -> Any:
    """Apply a convolution, batch normalisation and ReLU, in this order.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Features.
    filters : int
        Number of output channels.
    kernel_size : int
        Side of the square kernels, in pixels.
    strides : int
        Step of the kernels, in pixels.
    batch_norm : bool
        Whether to apply batch normalisation [2]_; the convolution then has no bias.
    activation : bool
        Whether to apply ReLU.
    l2 : float
        L2 penalty on the weights.

    Returns
    -------
    KerasTensor of shape (n, H / strides, W / strides, filters)
        Features; height and width are rounded up.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015.
    .. [2] S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import convolution
    >>> convolution(keras.Input((32, 32, 3)), 8, strides=2).shape
    (None, 16, 16, 8)
    """
    linear = layers.Conv2D(
        filters, kernel_size, strides=strides, padding="same", **LAST, **_linear(batch_norm, l2)
    )
    return _activate(linear(x), batch_norm, activation)


def dense(
    x: Any, units: int, *, batch_norm: bool = True, activation: bool = True, l2: float = 0.0
) -> Any:
    """Apply a dense layer, batch normalisation and ReLU, in this order.

    Parameters
    ----------
    x : KerasTensor of shape (n, C)
        Features.
    units : int
        Number of outputs.
    batch_norm : bool
        Whether to apply batch normalisation; the dense layer then has no bias.
    activation : bool
        Whether to apply ReLU.
    l2 : float
        L2 penalty on the weights.

    Returns
    -------
    KerasTensor of shape (n, units)
        Features.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import dense
    >>> dense(keras.Input((128,)), 16).shape
    (None, 16)
    """
    return _activate(layers.Dense(units, **_linear(batch_norm, l2))(x), batch_norm, activation)


def _linear(batch_norm: bool, l2: float) -> dict[str, Any]:
    return {
        "use_bias": not batch_norm,  # batch normalisation adds an offset itself
        "kernel_initializer": "he_normal",
        "kernel_regularizer": regularizers.L2(l2) if l2 else None,
    }


def _activate(x: Any, batch_norm: bool, activation: bool) -> Any:
    if batch_norm:
        x = layers.BatchNormalization(momentum=BN_MOMENTUM)(x)
    return layers.ReLU()(x) if activation else x


def inception(
    x: Any, filters: int, *, batch_norm: bool = True, activation: bool = True, l2: float = 0.0
) -> Any:
    """Apply 1x1, 3x3 and 5x5 convolutions and 3x3 max pooling in parallel branches.

    The 5x5 convolution is implemented as two 3x3 convolutions [2]_. A 1x1 convolution before each
    larger kernel and after the pooling reduces the number of channels. A quarter of the output
    channels come from the 1x1 convolution, half from 3x3, and an eighth each from 5x5 and pooling,
    approximately as in GoogLeNet's first module [1]_.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Features.
    filters : int
        Number of output channels, at least 8.
    batch_norm : bool
        Whether to apply batch normalisation after each convolution.
    activation : bool
        Whether ReLU follows the last convolution of each branch.
    l2 : float
        L2 penalty on the weights.

    Returns
    -------
    KerasTensor of shape (n, H, W, filters)
        Features.

    Raises
    ------
    ValueError
        If `filters` is less than 8.

    References
    ----------
    .. [1] C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.
    .. [2] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
       Architecture for Computer Vision", CVPR 2016.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import inception
    >>> inception(keras.Input((24, 24, 32)), 64).shape
    (None, 24, 24, 64)
    """
    if filters < 8:
        raise ValueError(f"An inception block needs at least 8 filters; got {filters}.")
    eighth, quarter = filters // 8, filters // 4
    common: dict[str, Any] = {"batch_norm": batch_norm, "l2": l2}
    last = {**common, "activation": activation}
    one = convolution(x, quarter, 1, **last)
    three = convolution(x, quarter, 1, **common)
    three = convolution(three, filters - quarter - 2 * eighth, 3, **last)
    five = convolution(x, eighth, 1, **common)
    five = convolution(convolution(five, eighth, 3, **common), eighth, 3, **last)
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", **LAST)(x)
    pooled = convolution(pooled, eighth, 1, **last)
    return layers.Concatenate()([one, three, five, pooled])


def squeeze_excitation(x: Any, ratio: int = 16) -> Any:
    """Reweight channels by their global context.

    Each channel is averaged over the image; from these means, two dense layers compute a weight
    between 0 and 1 for each channel.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Features.
    ratio : int
        Ratio of the number of channels to the number of units of the first dense layer, which has
        at least one unit.

    Returns
    -------
    KerasTensor of shape (n, H, W, C)
        Features multiplied by the weights of their channels.

    References
    ----------
    .. [1] J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import squeeze_excitation
    >>> squeeze_excitation(keras.Input((24, 24, 64)), ratio=8).shape
    (None, 24, 24, 64)
    """
    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, **LAST)(x)
    weights = layers.Dense(
        max(1, channels // ratio), activation="relu", kernel_initializer="he_normal"
    )(weights)
    weights = layers.Dense(channels, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])


def residual(
    x: Any, branch: Any, *, batch_norm: bool = True, drop: float = 0.0, l2: float = 0.0
) -> Any:
    """Add a branch to its input, then apply ReLU.

    If the shapes differ, `x` is projected by a 1x1 convolution, with strides if height and width
    differ.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Input of the branch.
    branch : KerasTensor of shape (n, H', W', C')
        Output of the branch, without a final activation.
    batch_norm : bool
        Whether to apply batch normalisation after the projection.
    drop : float
        Probability of stochastic depth [2]_: in each training step, the branch of an image is
        dropped with this probability. Branches that are kept are scaled up, so that prediction
        needs no correction.
    l2 : float
        L2 penalty on the weights of the projection.

    Returns
    -------
    KerasTensor of shape (n, H', W', C')
        Features.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition",
       CVPR 2016.
    .. [2] G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Q. Weinberger, "Deep Networks with Stochastic
       Depth", ECCV 2016.

    Examples
    --------
    >>> import keras
    >>> from skcell.networks import inception, residual, squeeze_excitation
    >>> x = keras.Input((24, 24, 32))
    >>> residual(x, squeeze_excitation(inception(x, 64, activation=False))).shape
    (None, 24, 24, 64)
    """
    if drop:
        branch = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), seed=draw_seed())(branch)
    if x.shape[1:] != branch.shape[1:]:
        strides = -(-x.shape[1] // branch.shape[1])
        x = convolution(
            x,
            branch.shape[-1],
            1,
            strides=strides,
            batch_norm=batch_norm,
            activation=False,
            l2=l2,
        )
    return layers.ReLU()(layers.Add()([x, branch]))


def rescale_to_unit(inputs: Any) -> Any:
    """Scale integer pixels to 0..1 by the maximum of their dtype; floats are not changed."""
    if inputs.dtype == "float32":
        return inputs
    scale = 1.0 / np.iinfo(inputs.dtype).max
    return keras.layers.Rescaling(scale, dtype="float32", name="pixels")(inputs)
