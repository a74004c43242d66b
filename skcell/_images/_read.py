"""The pixels of one image file as they are stored: size, depth and channels kept."""

import os
import stat
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from skcell._images._failures import UnusableError, check_size, read_error
from skcell._images._pixels import FileDtype
from skcell._images._tiff import read_tiff

#: File name endings taken for images, in lower case.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".bmp", ".webp"),
    *(".tif", ".tiff"),
)

#: The same for people.
FORMATS = "JPEG, PNG, BMP, WebP and TIFF"

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def probe_image(path: str | os.PathLike[str]) -> tuple[int, FileDtype]:
    """Read from a file's header how many channels it has, and of which dtype.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    channels : int
        Number of channels, alpha included.
    dtype : {"uint8", "uint16"}
        The dtype that loses nothing.

    Raises
    ------
    ImageReadError
        If the header cannot be read.
    """
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
    """Read one file, turned upright.

    Parameters
    ----------
    path : str or path-like
        The file.
    smallest : int, default=None
        A JPEG may be decoded at a reduced size, with no side below this.

    Returns
    -------
    pixels : ndarray of shape (height, width, channels)
        The pixels, of uint8 or uint16.
    alpha : bool
        Whether the last channel is alpha.

    Raises
    ------
    Exception
        Nearly anything, if the file is damaged; `read_error` puts it into words.
    """
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
    """Open a file to read; not a named pipe, which would be waited for."""
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UnusableError("not a file but a pipe, socket or device")
    return open(path, "rb")


def _open(file: BinaryIO) -> Image.Image | None:
    """Open with Pillow; None for a TIFF whose pixels Pillow would not give as they are."""
    signature = file.read(4)
    if not signature:
        raise UnusableError("empty: the file has 0 bytes")
    file.seek(0)
    if signature not in _TIFF_SIGNATURES:
        image = Image.open(file, formats=("JPEG", "PNG", "BMP", "WEBP"))
        check_size(image.height * image.width * len(image.getbands()))
        n_images = getattr(image, "n_frames", 1)
        if n_images > 1:
            raise UnusableError(f"{n_images} images in one file; save each as a file of its own")
        return image
    try:
        image = TiffImagePlugin.TiffImageFile(file)
    except SyntaxError:  # more channels than Pillow knows
        return None
    check_size(image.height * image.width * len(image.getbands()))
    tags = image.tag_v2
    if "<OME" in str(tags.get(270, "")):  # which says what the image is a part of
        return None
    exact = (
        max(tags.get(258, (1,))) <= 8  # bits of a sample
        or (image.mode.startswith("I;16") and tags.get(262) != 0)  # 0: stored inverted
    ) and max(tags.get(339, (1,))) == 1  # unsigned integers
    complete = tags.get(277, 1) == len(image.getbands()) and image.n_frames == 1
    return image if exact and complete else None


def _plain_mode(image: Image.Image) -> tuple[str, ...]:
    """Bands of that mode of L, LA, RGB and RGBA which holds the image."""
    bands = ("L",) if image.mode in ("1", "L", "LA", "La") else ("R", "G", "B")
    return (*bands, "A") if image.has_transparency_data else bands


def _upright(image: Image.Image) -> NDArray[Any]:
    ImageOps.exif_transpose(image, in_place=True)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.uint16)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _is_png16(file: BinaryIO) -> bool:
    file.seek(24)  # the bit depth, in the chunk that every PNG begins with
    return file.read(1) == b"\x10"


def _read_png16(file: BinaryIO, high: Image.Image) -> NDArray[Any]:
    """Read 16-bit colour, of which Pillow keeps only the high byte of each sample.

    Told that the byte order is the other one, it keeps the low byte: two passes give both.
    """
    if high.tile[0].args == "LA;16B":  # type: ignore[attr-defined] # of image files
        raise UnusableError("16-bit grey with alpha, which is not supported; remove the alpha")
    pixels = _upright(high).astype(np.uint16) << 8
    file.seek(0)
    low = Image.open(file, formats=("PNG",))
    ((*where, _),) = low.tile
    low.tile = [(*where, f"{low.mode};16L")]  # type: ignore[list-item]
    return pixels | _upright(low)
