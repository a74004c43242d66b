"""Loss of a JPEG file: quantised frequencies of blocks of pixels, colour at half resolution."""

import math
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Steps of brightness and colour at quality 50 (ISO/IEC 10918-1, annex K), in bytes.
_BRIGHTNESS = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_COLOUR = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)

#: From red, green and blue to brightness and two differences of colour (ITU-T T.871).
_TO_YCC = np.array(
    [[0.299, -0.168736, 0.5], [0.587, -0.331264, -0.418688], [0.114, 0.5, -0.081312]]
)


def compress(images: Any, strength: Any) -> Any:
    """Lose what a JPEG file loses.

    Parameters
    ----------
    images : tensor of shape (n, H, W, C)
        Images with pixels in 0..1. The first of three channels is red; others have no colour.
    strength : tensor of shape (n, 1, 1)
        Steps of the quantisation as a multiple of those at quality 50; 0 is no file.

    Returns
    -------
    tensor of shape (n, H, W, C)
        The images as they are read from the file, but not rounded to bytes.
    """
    height, width, channels = images.shape[1:]
    has_colour = channels == 3
    planes = ops.matmul(images, _TO_YCC.astype(np.float32)) if has_colour else images
    lost = []
    for channel in range(channels):
        is_colour = has_colour and channel > 0
        to_rows, from_rows = _transform(height, is_colour)
        to_columns, from_columns = _transform(width, is_colour)
        shape = len(to_rows) // 8, len(to_columns) // 8
        table = np.tile(np.reshape(_COLOUR if is_colour else _BRIGHTNESS, (8, 8)), shape)
        step = ops.multiply(strength, (table / 255.0).astype(np.float32))
        step = ops.maximum(step, 1.0 / 255.0)
        values = ops.matmul(ops.matmul(to_rows, planes[..., channel]), to_columns.T)
        values = ops.round(values / step) * step
        lost.append(ops.matmul(ops.matmul(from_rows, values), from_columns.T))
    read = ops.stack(lost, axis=-1)
    if has_colour:
        read = ops.matmul(read, np.linalg.inv(_TO_YCC).astype(np.float32))
    return ops.where(strength[..., None] > 0, read, images)


def _transform(size: int, is_colour: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the matrices from a line of pixels to the frequencies of its blocks, and back.

    The line is filled up with its last pixel to whole blocks. Colour has a value for two pixels.
    """
    k, i = np.arange(8)[:, None], np.arange(8)
    cosines = np.sqrt(0.25) * np.cos(math.pi * (2 * i + 1) * k / 16)
    cosines[0] /= math.sqrt(2.0)
    pixels_per_value = 2 if is_colour else 1
    n_blocks = -(-size // (8 * pixels_per_value))
    n_values = 8 * n_blocks
    pixel = np.minimum(np.arange(n_values * pixels_per_value), size - 1)
    gather = np.zeros((n_values, size))
    np.add.at(gather, (np.arange(len(pixel)) // pixels_per_value, pixel), 1 / pixels_per_value)
    spread = np.zeros((size, n_values))
    spread[np.arange(size), np.arange(size) // pixels_per_value] = 1.0
    blocks = np.kron(np.eye(n_blocks), cosines)
    return (blocks @ gather).astype(np.float32), (spread @ blocks.T).astype(np.float32)
