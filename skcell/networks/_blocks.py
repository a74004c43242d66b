"""Blocks of convolutional networks, each a function from a tensor to a tensor."""

from typing import Any

import keras
import numpy as np
from keras import layers, regularizers

from skcell.networks._seeds import draw_seed

#: The order of axes, whatever the user's configuration of Keras says.
LAST = {"data_format": "channels_last"}

#: Keras' 0.99 needs some 500 steps to forget its start; short fits would predict with it.
BN_MOMENTUM = 0.9


def centre(x: Any) -> Any:
    """Move pixels of 0..1 to -0.5..0.5.

    Behind pixels whose mean is far from zero, a small network with batch normalisation needs many
    epochs until its statistics have settled.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images, pixels in 0..1.

    Returns
    -------
    KerasTensor of shape (n, H, W, C)
        Images, pixels in -0.5..0.5.

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
    return layers.Rescaling(1.0, offset=-0.5)(x)


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
    """Convolve, normalise the batch, and apply ReLU, in this order.

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
        Whether to normalise batches [2]_; the convolution then has no bias of its own.
    activation : bool
        Whether to apply ReLU.
    l2 : float
        Penalty on the squared weights.

    Returns
    -------
    KerasTensor of shape (n, H / strides, W / strides, filters)
        Features; sides are rounded up.

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
    """Apply a dense layer, normalise the batch, and apply ReLU, in this order.

    Parameters
    ----------
    x : KerasTensor of shape (n, C)
        Features.
    units : int
        Number of outputs.
    batch_norm : bool
        Whether to normalise batches; the dense layer then has no bias of its own.
    activation : bool
        Whether to apply ReLU.
    l2 : float
        Penalty on the squared weights.

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
        "use_bias": not batch_norm,  # batch normalisation has its own offset
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
    """Look at four scales at once: 1x1, 3x3 and 5x5 convolutions and 3x3 max pooling, side by side.

    The 5x5 convolution is two of 3x3 [2]_. Larger kernels and the pooling have 1x1 convolutions
    before or behind them that keep the number of channels down. Of the output channels, a quarter
    come from 1x1, half from 3x3, and an eighth each from 5x5 and pooling, about as in GoogLeNet's
    first module [1]_.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Features.
    filters : int
        Number of output channels, at least 8.
    batch_norm : bool
        Whether to normalise batches behind each convolution.
    activation : bool
        Whether ReLU follows the last convolution of each branch.
    l2 : float
        Penalty on the squared weights.

    Returns
    -------
    KerasTensor of shape (n, H, W, filters)
        Features.

    Raises
    ------
    ValueError
        If there are fewer than 8 filters.

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
        raise ValueError(f"An inception block shares at least 8 filters out; got {filters}.")
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
    """Weigh channels by what all of the image shows in them.

    Channels are averaged over the image; two dense layers make a weight between 0 and 1 of each.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Features.
    ratio : int
        How many times fewer units than channels the first dense layer has (at least one unit).

    Returns
    -------
    KerasTensor of shape (n, H, W, C)
        Features times their channels' weights.

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
    """Add a branch to what it came from, then apply ReLU.

    Where channels differ, `x` is projected by a 1x1 convolution; where sides differ, with strides.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        What the branch was made of.
    branch : KerasTensor of shape (n, H', W', C')
        The branch, without an activation at its end.
    batch_norm : bool
        Whether to normalise batches behind the projection.
    drop : float
        Stochastic depth [2]_: chance that the branch of an image is left out in a training step;
        those kept are scaled up, so that nothing changes in prediction.
    l2 : float
        Penalty on the squared weights of the projection.

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
    """Scale whole numbers to 0..1 by their dtype's maximum; floats are taken as they are."""
    if inputs.dtype == "float32":
        return inputs
    scale = 1.0 / np.iinfo(inputs.dtype).max
    return keras.layers.Rescaling(scale, dtype="float32", name="pixels")(inputs)
