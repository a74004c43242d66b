"""A network of inception blocks with squeeze-and-excitation and residual connections."""

from typing import Any

from keras import layers

from skcell.networks._blocks import (
    LAST,
    centre,
    convolution,
    inception,
    residual,
    squeeze_excitation,
    standardize_images,
)
from skcell.networks._seeds import draw_seed


def se_inception_resnet(
    x: Any,
    *,
    n_blocks: int = 1,
    stem_filters: int = 32,
    filters: int = 64,
    se_ratio: int = 16,
    pooling: str = "avg",
    standardize: bool = False,
    batch_norm: bool = True,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """Build a network of residual inception blocks with squeeze-and-excitation.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images with pixels in 0..1.
    n_blocks : int
        Number of blocks; 2x2 max pooling before each block halves height and width.
    stem_filters : int
        Number of filters of the 3x3 convolution before the blocks.
    filters : int
        Number of output channels of the first block; each later block has twice as many.
    se_ratio : int
        Reduction ratio of squeeze-and-excitation.
    pooling : {"avg", "max"}
        How the features of the last block are pooled over the image.
    standardize : bool
        Whether to subtract its mean from each channel of an image and divide it by its standard
        deviation.
    batch_norm : bool
        Whether to apply batch normalisation between each convolution and its activation.
    dropout : float
        Fraction of the pooled features that is dropped in training.
    stochastic_depth : float
        Probability that the last block is dropped for an image in training. The probability
        rises linearly over the blocks to this value.
    l2 : float
        L2 penalty on the weights of the convolutions.

    Returns
    -------
    KerasTensor of shape (n, filters * 2 ** (n_blocks - 1))
        Features.
    """
    common: dict[str, Any] = {"batch_norm": batch_norm, "l2": l2}
    x = standardize_images(x) if standardize else centre(x)
    x = convolution(x, stem_filters, 3, **common)
    for i in range(n_blocks):
        x = layers.MaxPooling2D(2, padding="same", **LAST)(x)
        branch = squeeze_excitation(
            inception(x, filters * 2**i, activation=False, **common), se_ratio
        )
        x = residual(x, branch, drop=stochastic_depth * (i + 1) / n_blocks, **common)
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    x = pool(dtype="float32", **LAST)(x)  # as the class probabilities, which come next
    return layers.Dropout(dropout, seed=draw_seed())(x) if dropout else x
