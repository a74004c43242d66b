"""A plain convolutional network."""

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
    """Build a network of convolutions and max pooling, followed by one dense layer.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images with pixels in 0..1.
    filters : sequence of int
        Numbers of filters; each adds one convolution followed by 2x2 max pooling.
    kernel_size : int
        Side of the square kernels.
    extra_filters : sequence of int
        Numbers of filters of further convolutions after the last pooling, without pooling.
    dense_units : int
        Number of units of the dense layer.
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
    x = centre(x)
    for n_filters in filters:
        x = convolution(x, n_filters, kernel_size, batch_norm=batch_norm, activation=False, l2=l2)
        # The maximum of ReLUs is the ReLU of the maximum, which has a quarter of the values.
        x = layers.ReLU()(layers.MaxPooling2D(2, padding="same", **LAST)(x))
    for n_filters in extra_filters:
        x = convolution(x, n_filters, kernel_size, batch_norm=batch_norm, l2=l2)
    x = dense(layers.Flatten(**LAST)(x), dense_units, batch_norm=batch_norm, l2=l2)
    return layers.Dropout(dropout, seed=draw_seed())(x) if dropout else x
