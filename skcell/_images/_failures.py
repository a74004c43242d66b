"""Explain in plain words why an image file cannot be used."""

import os
import struct
import warnings
from typing import Literal

from PIL import Image, UnidentifiedImageError

from skcell.exceptions import ImageReadError, ImageReadWarning, MissingExtraError

#: What to do about files that cannot be read, in Python; the command line has its own advice.
_REMEDY = (
    "Repair or remove them (the error's `failures` lists all of them), or pass on_error='warn' to "
    "skip them."
)


class UnusableError(Exception):
    """Raised with a reason in plain words if a file is not a usable image."""


def read_error(path: str | os.PathLike[str], error: Exception) -> ImageReadError:
    """Convert the error that a decoder raised for a file to an `ImageReadError`."""
    if isinstance(error, (UnusableError, MissingExtraError)):
        reason = str(error)
    elif isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        reason = _too_large()
    elif isinstance(error, UnidentifiedImageError):
        reason = "not a JPEG, PNG, BMP, WebP or TIFF image, or its header is damaged"
    elif isinstance(error, MemoryError):
        reason = "damaged, or too large: it needs more memory than is available"
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
        f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, counting each channel, so it may be "
        "a decompression bomb; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS"
    )


def check_size(n_values: int) -> None:
    """Raise an error if a header, which may be damaged, declares a very large image."""
    if Image.MAX_IMAGE_PIXELS is not None and n_values > Image.MAX_IMAGE_PIXELS:
        raise UnusableError(_too_large())


def report_failures(
    failures: dict[str, str],
    *,
    n_files: int,
    on_error: Literal["raise", "warn"],
    stacklevel: int = 3,
) -> None:
    """Raise one error, or issue one warning, that counts and names the files not read."""
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
    problem = f"{len(failures)} of {n_files} files cannot be used:\n{listing}\n"
    if not some_left:
        raise ImageReadError(
            f"{problem}No file is left; check that these are your images.", failures
        )
    raise ImageReadError(problem.rstrip("\n"), failures, _REMEDY)
