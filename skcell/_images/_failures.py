"""Why an image file cannot be used, in plain words."""

import os
import struct
import warnings
from typing import Literal

from PIL import Image, UnidentifiedImageError

from skcell.exceptions import ImageReadError, ImageReadWarning, MissingExtraError


class UnusableError(Exception):
    """The reason, in plain words, why a file is no usable image."""


def read_error(path: str | os.PathLike[str], error: Exception) -> ImageReadError:
    """Put into words what a decoder raised about one file."""
    if isinstance(error, (UnusableError, MissingExtraError)):
        reason = str(error)
    elif isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        reason = _too_large()
    elif isinstance(error, UnidentifiedImageError):
        reason = "not a JPEG, PNG, BMP or TIFF image (nor WebP), or its header is damaged"
    elif isinstance(error, MemoryError):
        reason = "damaged, or too large: it asks for more memory than there is"
    elif isinstance(error, OSError) and error.errno:
        reason = f"cannot be opened: {os.strerror(error.errno).lower()}"
    elif isinstance(error, (EOFError, struct.error)) or any(
        word in str(error) for word in ("truncated", "failed to read")
    ):
        reason = "truncated: the end of the file is missing"
    else:
        reason = f"damaged: {error or type(error).__name__}"
    return ImageReadError(f"{os.fspath(path)}: {reason}", {os.fspath(path): reason})


def _too_large() -> str:
    return (
        f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, those of each channel counted, which "
        "may be a decompression bomb; for a file you trust, raise PIL.Image.MAX_IMAGE_PIXELS"
    )


def check_size(n_values: int) -> None:
    """Refuse to decode what a header, perhaps a damaged one, says is very large."""
    if Image.MAX_IMAGE_PIXELS is not None and n_values > Image.MAX_IMAGE_PIXELS:
        raise UnusableError(_too_large())


def report_failures(
    failures: dict[str, str],
    *,
    n_files: int,
    on_error: Literal["raise", "warn"],
    stacklevel: int = 3,
) -> None:
    """Raise one error, or give one warning, that counts and names files not read.

    Parameters
    ----------
    failures : dict of str to str
        The reason for each file, keyed by path.
    n_files : int
        How many files there were.
    on_error : {"raise", "warn"}
        What to do. If no file could be read, it is an error either way.
    stacklevel : int, default=3
        Stack level of the warning, as in `warnings.warn`.

    Raises
    ------
    ImageReadError
        With all `failures`.
    """
    shown = [f"  {path}: {reason}" for path, reason in list(failures.items())[:5]]
    if len(failures) > len(shown):
        shown.append(f"  ... and {len(failures) - len(shown)} more")
    listing = "\n".join(shown)
    some_left = len(failures) < n_files
    if on_error == "warn" and some_left:
        warnings.warn(
            f"{len(failures)} of {n_files} files were skipped:\n{listing}",
            ImageReadWarning,
            stacklevel=stacklevel,
        )
        return
    remedy = (
        "Repair or remove them (the error's `failures` has them all), or pass on_error='warn' "
        "to skip them."
        if some_left
        else "No file is left; check that these are your images."
    )
    raise ImageReadError(
        f"{len(failures)} of {n_files} files cannot be used:\n{listing}\n{remedy}", failures
    )
