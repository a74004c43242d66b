"""Read the pixels of one image file with their stored size, bit depth and channels."""

import os
import stat
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from skcell._images._failures import UnusableError, check_size, read_error
from skcell._images._pixels import FileDtype
from skcell._images._tiff import read_tiff

#: File name extensions of images, in lower case.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".bmp", ".webp"),
    *(".tif", ".tiff"),
)

#: The names of these formats, for messages.
FORMATS = "JPEG, PNG, BMP, WebP and TIFF"

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def probe_image(path: str | os.PathLike[str]) -> tuple[int, FileDtype]:
    """Read the number of channels and the dtype from a file's header."""
    try:
        with open_regular(path) as file:
            image = _open(file)
            if image is None:
                return read_tiff(file, header_only=True)
            deep = image.mode.startswith("I") or (image.format == "PNG" and _is_png16(file))
            bands = image.getbands() if deep else _plain_mode(image)
            return len(bands), "uint16" if deep else "uint8"
    except Exception as error:
        raise read_error(path, error) from error


def read_pixels(
    path: str | os.PathLike[str], smallest: int | None = None
) -> tuple[NDArray[Any], bool]:
    """Read the pixels of one file and apply its EXIF orientation."""
    with open_regular(path) as file:
        image = _open(file)
        if image is None:
            return read_tiff(file)
        if image.format == "PNG" and not image.mode.startswith("I") and _is_png16(file):
            return _read_png16(file, image), image.mode == "RGBA"
        if smallest is not None:
            image.draft(None, (smallest, smallest))
        if not image.mode.startswith("I"):
            mode = "".join(_plain_mode(image))
            image = image if image.mode == mode else image.convert(mode)
        return _upright(image), image.mode in ("LA", "RGBA")


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; reject a named pipe, which would block."""
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UnusableError("not a file but a pipe, socket or device")
    return open(path, "rb")


def _open(file: BinaryIO) -> Image.Image | None:
    """Open a file with Pillow; return None for a TIFF whose pixels Pillow would change."""
    signature = file.read(4)
    if not signature:
        raise UnusableError("empty: the file has 0 bytes")
    file.seek(0)
    if signature not in _TIFF_SIGNATURES:
        image = Image.open(file, formats=("JPEG", "PNG", "BMP", "WEBP"))
        check_size(image.height * image.width * len(image.getbands()))
        n_images = getattr(image, "n_frames", 1)
        if n_images > 1:
            raise UnusableError(f"{n_images} images in one file; save each in a separate file")
        return image
    try:
        image = TiffImagePlugin.TiffImageFile(file)
    except SyntaxError:  # more channels than Pillow supports
        return None
    check_size(image.height * image.width * len(image.getbands()))
    tags = image.tag_v2
    if "<OME" in str(tags.get(270, "")):  # the image may be a part of another
        return None
    exact = (
        max(tags.get(258, (1,))) <= 8  # bits per sample
        or (image.mode.startswith("I;16") and tags.get(262) != 0)  # 0: stored inverted
    ) and max(tags.get(339, (1,))) == 1  # unsigned integers
    complete = tags.get(277, 1) == len(image.getbands()) and image.n_frames == 1
    return image if exact and complete else None


def _plain_mode(image: Image.Image) -> tuple[str, ...]:
    """Return the bands of the mode (L, LA, RGB or RGBA) that can hold the image."""
    bands = ("L",) if image.mode in ("1", "L", "LA", "La") else ("R", "G", "B")
    return (*bands, "A") if image.has_transparency_data else bands


def _upright(image: Image.Image) -> NDArray[Any]:
    ImageOps.exif_transpose(image, in_place=True)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.uint16)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _is_png16(file: BinaryIO) -> bool:
    file.seek(24)  # the bit depth, in the first chunk of every PNG
    return file.read(1) == b"\x10"


def _read_png16(file: BinaryIO, high: Image.Image) -> NDArray[Any]:
    """Read 16-bit colour, although Pillow keeps only the high byte of each sample.

    If Pillow is told that the byte order is reversed, it keeps the low byte. Two passes therefore
    give both bytes.
    """
    if high.tile[0].args == "LA;16B":  # type: ignore[attr-defined] # defined for image files
        raise UnusableError("16-bit grey with alpha is not supported; remove the alpha channel")
    pixels = _upright(high).astype(np.uint16) << 8
    file.seek(0)
    low = Image.open(file, formats=("PNG",))
    ((*where, _),) = low.tile
    low.tile = [(*where, f"{low.mode};16L")]  # type: ignore[list-item]
    return pixels | _upright(low)
