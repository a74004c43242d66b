"""The plain convolutional network."""

import random
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

#: Keras' 0.99 needs some 500 steps to forget its start; short fits would predict with it.
BN_MOMENTUM = 0.9


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
        Images.
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
    linear = {
        "kernel_initializer": "he_normal",
        "kernel_regularizer": keras.regularizers.L2(l2) if l2 else None,
        "use_bias": not batch_norm,  # batch normalisation has its own offset
    }

    def activate(x: Any) -> Any:
        return layers.ReLU()(
            layers.BatchNormalization(momentum=BN_MOMENTUM)(x) if batch_norm else x
        )

    for n_filters in filters:
        x = activate(layers.Conv2D(n_filters, kernel_size, padding="same", **linear)(x))
        x = layers.MaxPooling2D(2, padding="same")(x)
    for n_filters in extra_filters:
        x = activate(layers.Conv2D(n_filters, kernel_size, padding="same", **linear)(x))
    x = activate(layers.Dense(dense_units, **linear)(layers.Flatten()(x)))
    # With a seed of its own, drawn where Keras draws its seeds: without one, dropout under torch
    # follows the global state.
    return layers.Dropout(dropout, seed=random.getrandbits(31))(x) if dropout else x
