"""A plain convolutional network."""

import math
from collections.abc import Sequence
from typing import Any

from keras import layers

from skcell.networks._blocks import LAST, centre, convolution, dense, standardize_images
from skcell.networks._seeds import draw_seed


def cnn(
    x: Any,
    *,
    filters: Sequence[int] = (32, 64, 128),
    kernel_size: int = 3,
    convolutions: int = 1,
    stem_strides: int | None = 1,
    extra_filters: Sequence[int] = (),
    dense_units: int = 128,
    standardize: bool = False,
    batch_norm: bool = False,
    dropout: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """Build a network of convolutions and max pooling, followed by one dense layer.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images with pixels in 0..1.
    filters : sequence of int
        Numbers of filters; each adds convolutions followed by 2x2 max pooling.
    kernel_size : int
        Side of the square kernels.
    convolutions : int
        Number of convolutions before each pooling.
    stem_strides : int or None
        Step of the first convolution, in pixels. With None, it is 1 for images of less than 64
        pixels in height or width, 2 for less than 128 pixels, then 4, and so on.
    extra_filters : sequence of int
        Numbers of filters of further convolutions after the last pooling, without pooling.
    dense_units : int
        Number of units of the dense layer.
    standardize : bool
        Whether to subtract its mean from each channel of an image and divide it by its standard
        deviation.
    batch_norm : bool
        Whether to apply batch normalisation between each linear layer and its activation.
    dropout : float
        Fraction of the dense layer's outputs that is dropped in training.
    l2 : float
        L2 penalty on the weights of the convolutions and the dense layer.

    Returns
    -------
    KerasTensor of shape (n, dense_units)
        Features.
    """
    if stem_strides is None:
        stem_strides = 2 ** max(0, int(math.log2(min(x.shape[1:3]) / 32)))
    x = standardize_images(x) if standardize else centre(x)
    for stage, n_filters in enumerate(filters):
        for i in range(convolutions):
            # The maximum of ReLUs is the ReLU of the maximum, which has a quarter of the values.
            last, first = i == convolutions - 1, stage == i == 0
            x = convolution(
                x,
                n_filters,
                kernel_size,
                strides=stem_strides if first else 1,
                batch_norm=batch_norm,
                activation=not last,
                l2=l2,
            )
        x = layers.ReLU()(layers.MaxPooling2D(2, padding="same", **LAST)(x))
    for n_filters in extra_filters:
        x = convolution(x, n_filters, kernel_size, batch_norm=batch_norm, l2=l2)
    x = dense(layers.Flatten(**LAST)(x), dense_units, batch_norm=batch_norm, l2=l2)
    return layers.Dropout(dropout, seed=draw_seed())(x) if dropout else x
