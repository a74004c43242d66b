"""Random changes of light and stain, as one map of the optical density.

The optical density of a pixel is ``-log(pixel)``, where 1 is white. By Beer and Lambert's law, the
densities of dyes add up, and a factor of the light is a constant that is added to all densities. So
gamma, exposure, white balance, the strength and colour of dyes, saturation and uneven light are
together one affine map of the densities of a pixel's channels.
"""

import math
from typing import Any

import numpy as np
from keras import ops

from skcell.networks._position import Draw

#: Optical densities in red, green and blue of a blue dye (haematoxylin, close to azure B) and of
#: eosin (A. C. Ruifrok, D. A. Johnston, "Quantification of histochemical staining by color
#: deconvolution", Analytical and Quantitative Cytology and Histology 23, 2001).
_DYES = ((0.650, 0.704, 0.286), (0.092, 0.954, 0.283))

#: Pixels that are darker than this fraction of white have its density.
_DARKEST = 1.0 / 255.0


def change_density(
    draw: Draw,
    images: Any,
    *,
    exposure: float,
    white_balance: float,
    gamma: float,
    stain: float,
    stain_hue: float,
    saturation: float,
    shading: float,
) -> Any:
    """Change light and stain of each image.

    What a pixel lacks to `_DARKEST`, which is its whole value if it is negative, is left unchanged.
    """
    height, width, channels = images.shape[1:]
    lit = ops.maximum(images, _DARKEST)
    density = -ops.log(lit)
    mixture = _draw_mixture(draw, channels, gamma, stain, stain_hue, saturation)
    if mixture is not None:
        density = ops.matmul(ops.reshape(density, (-1, height * width, channels)), mixture)
    # Rows of pixels: a number for each channel of each column is added much faster to them.
    density = ops.reshape(density, (-1, height, width * channels))
    if exposure:
        density = density - _log_factor(draw, exposure, (1, 1))
    if white_balance:
        density = density - ops.tile(_log_factor(draw, white_balance, (1, channels)), (1, 1, width))
    if shading:
        across = ops.repeat(ops.linspace(-1.0, 1.0, width, dtype=images.dtype), channels)
        down = ops.linspace(-1.0, 1.0, height, dtype=images.dtype)[:, None]
        vignette = _log_factor(draw, shading, (1, 1))
        slopes = [_log_factor(draw, shading, (1, 1)) for _ in range(2)]
        density = density - (slopes[0] * across + vignette * across**2)
        density = density - (slopes[1] * down + vignette * down**2)
    changed = ops.reshape(ops.exp(-density), (-1, height, width, channels))
    return changed + (images - lit)


def _log_factor(draw: Draw, limit: float, shape: tuple[int, ...]) -> Any:
    return draw(-1.0, 1.0, shape) * math.log1p(limit)


def _factor(draw: Draw, limit: float, shape: tuple[int, ...]) -> Any:
    return ops.exp(_log_factor(draw, limit, shape))


def _draw_mixture(
    draw: Draw, channels: int, gamma: float, stain: float, stain_hue: float, saturation: float
) -> Any:
    """Draw the matrix that maps the densities of the channels to new ones; None if it is fixed.

    With the dyes' colours D, one per row, a density is decomposed into amounts of dyes by D^-1.
    The amounts are multiplied by random factors, and recomposed with colours that are a little
    different. Saturation then multiplies the distances from the mean of the channels, and gamma
    multiplies everything.
    """
    if not (gamma or stain or stain_hue or saturation):
        return None
    mixture = ops.convert_to_tensor(np.eye(channels, dtype=np.float32)[None])
    if stain or stain_hue:
        colours = _dyes(channels)
        error = draw(-1.0, 1.0, (channels, channels)) * (stain_hue / math.sqrt(channels))
        amounts = ops.multiply(np.linalg.inv(colours), _factor(draw, stain, (1, channels)))
        mixture = ops.matmul(amounts, ops.add(colours, error))
    if saturation and channels > 1:
        factor = _factor(draw, saturation, (1, 1))
        mixture = factor * mixture + (1.0 - factor) * ops.mean(mixture, axis=-1, keepdims=True)
    return _factor(draw, gamma, (1, 1)) * mixture


def _dyes(channels: int) -> Any:
    """Colours of dyes as rows of length 1; without three channels, each channel is one dye."""
    if channels != 3:
        return np.eye(channels, dtype=np.float32)
    rest = np.cross(*_DYES)
    dyes = np.array([*_DYES, rest])
    return (dyes / np.linalg.norm(dyes, axis=1, keepdims=True)).astype(np.float32)
