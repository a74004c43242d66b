"""Check the dtype and range of pixels."""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell.exceptions import PixelRangeWarning

#: The dtypes in which a network reads pixels.
PixelDtype = Literal["uint8", "uint16", "float32"]

#: The dtypes of decoded image files.
FileDtype = Literal["uint8", "uint16"]

#: Smallest and largest pixel value.
PixelRange = tuple[float, float]

_BLOCK = 1 << 22  # elements checked at a time, so that no check copies all of the data


def native(X: NDArray[Any]) -> NDArray[Any]:
    """Convert `X` to this machine's byte order; TIFF readers may return either order."""
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def pixel_dtype(X: NDArray[Any]) -> PixelDtype:
    """Return the dtype in which a network reads the pixels of `X`."""
    if X.dtype == np.uint8:
        return "uint8"
    return "uint16" if X.dtype == np.uint16 else "float32"


def find_range(X: NDArray[Any]) -> PixelRange:
    """Find the range of the pixels, and check for NaN and infinity in the same pass."""
    if not X.size:
        return 0.0, 0.0
    if X.dtype.kind == "u":
        return 0.0, float(X.max())
    n_images = max(1, _BLOCK // int(np.prod(X.shape[1:])))
    lows, highs = [], []
    for start in range(0, len(X), n_images):
        block = X[start : start + n_images]
        low, high = float(block.min()), float(block.max())  # both are NaN if any pixel is
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            raise ValueError(
                f"X contains NaN or infinity: image {start + int(np.argmin(finite))} has pixels "
                "that are not finite. Remove or repair such images before fitting."
            )
        lows.append(low)
        highs.append(high)
    return min(lows), max(highs)


def warn_raw_range(dtype: np.dtype[Any], seen: PixelRange) -> None:
    """Warn about float pixels that look like raw intensities."""
    low, high = seen
    if dtype.kind == "f" and low >= 0 and high > 32:
        warnings.warn(
            f"Float pixels lie between {low:g} and {high:g} and are not scaled. If they are "
            "raw intensities, pass them as uint8 or uint16, or divide them by their maximum.",
            PixelRangeWarning,
            stacklevel=4,
        )


def warn_unused_bits(dtype: np.dtype[Any], seen: PixelRange) -> None:
    """Warn about integers that do not use the upper bits of their dtype, as from 12-bit cameras."""
    bits, high = 8 * dtype.itemsize, int(seen[1])
    if dtype.kind == "u" and 0 < high < 1 << (bits - 2):
        factor = 1 << (bits - high.bit_length())
        warnings.warn(
            f"Pixels of {dtype} only reach {high:,} of {(1 << bits) - 1:,} and are scaled by the "
            f"latter, so the images look dark to a network. If they have {high.bit_length()} bits, "
            f"as from many cameras, use the whole range: X * {factor}.",
            PixelRangeWarning,
            stacklevel=4,
        )


def check_unit_range(dtype: np.dtype[Any], seen: PixelRange, what: str) -> None:
    """Check that float pixels lie in 0..1, as a pretrained network requires."""
    low, high = seen
    if dtype.kind == "f" and (low < -0.1 or high > 1.1):
        raise ValueError(
            f"{what} takes float pixels in 0..1 and scales them as in its training; these pixels "
            f"lie between {low:g} and {high:g}. Undo your own scaling (such as preprocess_input, "
            "-1..1, or standardisation), or pass uint8 or uint16 images."
        )
