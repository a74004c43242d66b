"""The plain convolutional network."""

from collections.abc import Sequence
from typing import Any

from keras import layers

from skcell.networks._blocks import LAST, centre, convolution, dense
from skcell.networks._seeds import draw_seed


def cnn(
    x: Any,
    *,
    filters: Sequence[int] = (32, 64, 128),
    kernel_size: int = 3,
    extra_filters: Sequence[int] = (),
    dense_units: int = 128,
    batch_norm: bool = False,
    dropout: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """Stack convolutions and max pooling, flatten, and end in one dense layer.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images, pixels in 0..1.
    filters : sequence of int
        One convolution, followed by 2x2 max pooling, for each number of filters.
    kernel_size : int
        Side of the square kernels.
    extra_filters : sequence of int
        Further convolutions without pooling, after the last pooling.
    dense_units : int
        Width of the dense layer.
    batch_norm : bool
        Whether to normalise batches between each linear map and its activation.
    dropout : float
        Fraction of the dense layer's outputs dropped in training.
    l2 : float
        Penalty on the squared weights of convolutions and dense layer.

    Returns
    -------
    KerasTensor of shape (n, dense_units)
        Features.
    """
    x = centre(x)
    for n_filters in filters:
        x = convolution(x, n_filters, kernel_size, batch_norm=batch_norm, l2=l2)
        x = layers.MaxPooling2D(2, padding="same", **LAST)(x)
    for n_filters in extra_filters:
        x = convolution(x, n_filters, kernel_size, batch_norm=batch_norm, l2=l2)
    x = dense(layers.Flatten(**LAST)(x), dense_units, batch_norm=batch_norm, l2=l2)
    return layers.Dropout(dropout, seed=draw_seed())(x) if dropout else x
