"""Dtype and range of pixels."""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell.exceptions import PixelRangeWarning

#: The dtypes that a network reads pixels in.
PixelDtype = Literal["uint8", "uint16", "float32"]

#: Those of them that image files have.
FileDtype = Literal["uint8", "uint16"]

#: Least and largest pixel value.
PixelRange = tuple[float, float]

_BLOCK = 1 << 22  # elements looked at together, so that checks need no second copy of the data


def native(X: NDArray[Any]) -> NDArray[Any]:
    """Bring numbers into this machine's byte order; TIFF readers return either."""
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def pixel_dtype(X: NDArray[Any]) -> PixelDtype:
    """Name the dtype that a network reads the pixels of `X` in."""
    if X.dtype == np.uint8:
        return "uint8"
    return "uint16" if X.dtype == np.uint16 else "float32"


def find_range(X: NDArray[Any]) -> PixelRange:
    """Find the range of pixels in one pass, in which NaN and infinity are found as well.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Images, or rows of pixels.

    Returns
    -------
    low, high : float
        Least and largest value. Unsigned integers begin at 0, whatever their least value.

    Raises
    ------
    ValueError
        If a pixel is not finite.
    """
    if not X.size:
        return 0.0, 0.0
    if X.dtype.kind == "u":
        return 0.0, float(X.max())
    n_images = max(1, _BLOCK // int(np.prod(X.shape[1:])))
    lows, highs = [], []
    for start in range(0, len(X), n_images):
        block = X[start : start + n_images]
        low, high = float(block.min()), float(block.max())  # either is NaN if any pixel is
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
    """Warn of floats that look like raw intensities."""
    low, high = seen
    if dtype.kind == "f" and low >= 0 and high > 32:
        warnings.warn(
            f"Float pixels lie between {low:g} and {high:g} and are taken as they are. If they "
            "are raw intensities, pass them as uint8 or uint16, or divide by their maximum.",
            PixelRangeWarning,
            stacklevel=4,
        )


def warn_unused_bits(dtype: np.dtype[Any], seen: PixelRange) -> None:
    """Warn of integers that leave the upper bits of their dtype unused, as cameras of 12 bits do.

    Parameters
    ----------
    dtype : dtype
        Of the images; only unsigned integers are looked at.
    seen : tuple of float
        Range of the pixels.
    """
    bits, high = 8 * dtype.itemsize, int(seen[1])
    if dtype.kind == "u" and 0 < high < 1 << (bits - 2):
        factor = 1 << (bits - high.bit_length())
        warnings.warn(
            f"Pixels of {dtype} reach {high:,} of {(1 << bits) - 1:,}, and are scaled by the "
            f"latter: the images are dark to a network. If they have {high.bit_length()} bits, as "
            f"many cameras give, use the whole range: X * {factor}.",
            PixelRangeWarning,
            stacklevel=4,
        )


def check_unit_range(dtype: np.dtype[Any], seen: PixelRange, what: str) -> None:
    """Refuse float pixels that are not in 0..1, for networks that were trained on such.

    Parameters
    ----------
    dtype : dtype
        Of the images; integers are scaled by the network, and let pass.
    seen : tuple of float
        Range of the pixels.
    what : str
        What takes them.

    Raises
    ------
    ValueError
        If floats lie outside 0..1, by more than interpolation brings.
    """
    low, high = seen
    if dtype.kind == "f" and (low < -0.1 or high > 1.1):
        raise ValueError(
            f"{what} takes float pixels in 0..1 and scales them as it was trained; these lie "
            f"between {low:g} and {high:g}. Undo your own scaling (such as preprocess_input, "
            "-1..1, or standardisation), or pass uint8 or uint16 images."
        )
