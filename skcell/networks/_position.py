"""Where the pixels of a randomly transformed image come from: symmetries, affine maps, focus."""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

#: Draws one number or array of the given shape per image, uniformly between two limits.
Draw = Callable[..., Any]

#: Standard deviation of a triangle of width 1 on either side.
_TRIANGLE_STD = 1.0 / math.sqrt(6.0)


def draw_symmetry(
    draw: Draw, *, horizontal_flip: bool, vertical_flip: bool, quarter_turns: bool, square: bool
) -> tuple[Any, Any, Any]:
    """Draw whether each image is transposed, mirrored in x and mirrored in y.

    Each of the three is an array of booleans, or None if it never happens. Together they make
    the eight symmetries of a square: a quarter turn is a transposition and one mirroring, a
    half turn is a mirroring in x and in y.
    """
    transposed = flip_x = flip_y = None
    if quarter_turns:
        quarter = ops.floor(draw(0.0, 4.0))  # number of quarter turns, 0..3
        if not square:
            quarter = 2.0 * ops.floor(quarter / 2.0)  # 0 or 2: quarter turns change the shape
        transposed = ops.equal(quarter - 2.0 * ops.floor(quarter / 2.0), 1.0)
        transposed = transposed if square else None
        # Turns 1 and 3 are transposed (odd); 1 and 2 are mirrored in y, 2 and 3 in x.
        flip_y = ops.logical_or(ops.equal(quarter, 1.0), ops.equal(quarter, 2.0))
        flip_x = ops.greater(quarter, 1.5)
    if horizontal_flip:
        mirrored = draw(0.0, 1.0) < 0.5
        flip_x = mirrored if flip_x is None else ops.logical_xor(flip_x, mirrored)
    if vertical_flip:
        mirrored = draw(0.0, 1.0) < 0.5
        flip_y = mirrored if flip_y is None else ops.logical_xor(flip_y, mirrored)
    return transposed, flip_x, flip_y


def exact_symmetry(images: Any, transposed: Any, flip_x: Any, flip_y: Any) -> Any:
    """Move pixels without interpolation; each output pixel is one look-up in the input."""
    if transposed is None and flip_x is None and flip_y is None:
        return images
    height, width, channels = images.shape[1:]
    # All pixels of the batch form one long list, in which pixel (row, column) of image i has the
    # position i * height * width + row * width + column. For each output pixel, `down` and
    # `across` are the two parts of the position that its input pixel has in this list. In a
    # transposed image (always a square one), the output row gives the input column and vice versa.
    down, across = ops.arange(height)[None], ops.arange(width)[None]
    if flip_y is not None:
        down = ops.where(flip_y[:, None], height - 1 - down, down)
    if flip_x is not None:
        across = ops.where(flip_x[:, None], width - 1 - across, across)
    if transposed is None:
        down = down * width
    else:
        down = down * ops.where(transposed, 1, width)[:, None]
        across = across * ops.where(transposed, width, 1)[:, None]
    first = ops.arange(ops.shape(images)[0])[:, None, None] * (height * width)
    pixels = ops.reshape(images, (-1, channels))
    return ops.take(pixels, first + down[:, :, None] + across[:, None, :], axis=0)


def draw_matrix(
    draw: Draw,
    symmetry: tuple[Any, Any, Any],
    *,
    height: int,
    width: int,
    rotation: float,
    zoom: float,
    translation: float,
) -> Any:
    """Draw the affine map from output to input positions, as a row of 8 numbers per image.

    With the image centre (cx, cy), the shift (tx, ty), the rotation by `angle` and the zoom
    factor z, an output position (x, y) is read from the input position

        (x', y') = F T R (x - cx, y - cy) / z + (cx + tx, cy + ty),

    where R = [[cos, -sin], [sin, cos]], T swaps the two coordinates if the image is
    transposed, and F = diag(+-1, +-1) mirrors them. With F T R / z = [[a, b], [c, d]] the row
    is [a, b, x0, c, d, y0, 0, 0], and

        x0 = cx + tx - a cx - b cy,    y0 = cy + ty - c cx - d cy.
    """
    transposed, flip_x, flip_y = symmetry
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    zero = ops.zeros_like(draw(0.0, 1.0))
    angle = draw(-1.0, 1.0) * (2.0 * math.pi * rotation)
    # The map goes from output to input, so enlarging by z divides the distances by z.
    scale = 1.0 / (1.0 + draw(-1.0, 1.0) * zoom)
    cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
    a, b, c, d = cos, -sin, sin, cos
    if transposed is not None:  # swap the two rows of the matrix
        a, b, c, d = (
            ops.where(transposed, c, a),
            ops.where(transposed, d, b),
            ops.where(transposed, a, c),
            ops.where(transposed, b, d),
        )
    if flip_x is not None:  # mirroring changes the sign of a row
        sign = ops.where(flip_x, -1.0, 1.0)
        a, b = a * sign, b * sign
    if flip_y is not None:
        sign = ops.where(flip_y, -1.0, 1.0)
        c, d = c * sign, d * sign
    x = centre_x + draw(-1.0, 1.0) * (translation * width) - a * centre_x - b * centre_y
    y = centre_y + draw(-1.0, 1.0) * (translation * height) - c * centre_x - d * centre_y
    return ops.stack([a, b, x, c, d, y, zero, zero], axis=1)


def resample(
    draw: Draw, images: Any, *, zoom: float, translation: float, blur: float, fill_mode: str
) -> Any:
    """Zoom, shift and blur each image in one pass.

    Rows and columns are resampled separately, by one matrix product each. An output pixel is the
    weighted mean of the input pixels around its position, with weights that fall linearly to zero.
    Their reach is one pixel for linear interpolation, more for an image that shrinks, so that all
    of its pixels count, and more for one that is blurred.
    """
    height, width, channels = images.shape[1:]
    scale = 1.0 / (1.0 + draw(-1.0, 1.0, (1, 1)) * zoom)  # input pixels per output pixel
    reach = ops.maximum(scale, 1.0)
    if blur:
        std = draw(0.0, 1.0, (1, 1)) * (blur * height)
        reach = ops.sqrt(ops.square(reach) + ops.square(std / _TRIANGLE_STD))

    def weights(size: int) -> Any:
        centre = (size - 1) / 2.0
        shift = draw(-1.0, 1.0, (1, 1)) * (translation * size)
        at = centre + shift + scale * (ops.arange(size, dtype=images.dtype)[:, None] - centre)
        distance = ops.abs(
            ops.arange(size, dtype=images.dtype) - _bring_inside(at, size, fill_mode)
        )
        near = ops.maximum(1.0 - distance / reach, 0.0)
        total = ops.sum(near, axis=-1, keepdims=True)
        if fill_mode == "constant":  # what lies outside is black, and counts
            total = ops.maximum(total, reach)
        return near / total

    rows, columns = weights(height), weights(width)
    images = ops.matmul(rows, ops.reshape(images, (-1, height, width * channels)))
    images = ops.transpose(ops.reshape(images, (-1, height, width, channels)), (0, 2, 1, 3))
    images = ops.matmul(columns, ops.reshape(images, (-1, width, height * channels)))
    return ops.transpose(ops.reshape(images, (-1, width, height, channels)), (0, 2, 1, 3))


def _bring_inside(at: Any, size: int, fill_mode: str) -> Any:
    """Replace positions beyond the border by those inside that fill them."""
    if fill_mode == "reflect":  # abcd -> dcba|abcd|dcba, as in `keras.ops.image`
        at = ops.abs(ops.mod(at + 0.5, 2.0 * size) - size)
        return size - at - 0.5
    if fill_mode == "wrap":
        return ops.mod(at + 0.5, float(size)) - 0.5
    if fill_mode == "nearest":
        return ops.clip(at, 0.0, size - 1.0)
    return at
