"""The pixels of one image file as they are stored: size, depth and channels kept."""

import os
import re
import stat
import struct
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from skcell._optional import import_optional
from skcell.errors import ImageReadError, MissingExtraError

#: File name endings taken for images, in lower case.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".bmp", ".webp"),
    *(".tif", ".tiff"),
)

#: The same for people.
FORMATS = "JPEG, PNG, BMP, WebP and TIFF"

PixelDtype = Literal["uint8", "uint16"]

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Samples, channels, pages of one array that was saved without axes, and pages that OME-XML says are
# channels.
_CHANNEL_AXES = "SCQI"
_REDUCED, _MASK = 1, 4  # bits of a page's kind: a thumbnail, a mask
_ASSOCIATED_ALPHA = 1


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


def probe_image(path: str | os.PathLike[str]) -> tuple[int, PixelDtype]:
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
                return _read_tiff(file, header_only=True)
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
            return _read_tiff(file)
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


def _too_large() -> str:
    return (
        f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, those of each channel counted, which "
        "may be a decompression bomb; for a file you trust, raise PIL.Image.MAX_IMAGE_PIXELS"
    )


def _check_size(n_values: int) -> None:
    """Refuse to decode what a header, perhaps a damaged one, says is very large."""
    if Image.MAX_IMAGE_PIXELS is not None and n_values > Image.MAX_IMAGE_PIXELS:
        raise UnusableError(_too_large())


def _open(file: BinaryIO) -> Image.Image | None:
    """Open with Pillow; None for a TIFF whose pixels Pillow would not give as they are."""
    signature = file.read(4)
    if not signature:
        raise UnusableError("empty: the file has 0 bytes")
    file.seek(0)
    if signature not in _TIFF_SIGNATURES:
        image = Image.open(file, formats=("JPEG", "PNG", "BMP", "WEBP"))
        _check_size(image.height * image.width * len(image.getbands()))
        n_images = getattr(image, "n_frames", 1)
        if n_images > 1:
            raise UnusableError(f"{n_images} images in one file; save each as a file of its own")
        return image
    try:
        image = TiffImagePlugin.TiffImageFile(file)
    except SyntaxError:  # more channels than Pillow knows
        return None
    _check_size(image.height * image.width * len(image.getbands()))
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


def _read_tiff(file: BinaryIO, header_only: bool = False) -> Any:
    """Read by tifffile what Pillow does not: depth and channels beyond 8-bit RGBA."""
    import tifffile

    file.seek(0)
    # Of this file alone: its OME-XML may name others, whose pixels are theirs.
    with tifffile.TiffFile(file, _multifile=False) as tiff:
        series = _only_image(tiff)
        page: Any = series.keyframe
        others = [axis for axis in series.axes if axis not in "YX"]
        if len(others) > 1 or not set(others) <= set(_CHANNEL_AXES):
            raise UnusableError(
                f"a stack of shape {series.shape} (axes {series.axes}), not one image; save one "
                "file per image, with no axis beside channels"
            )
        if series.dtype not in (np.uint8, np.uint16, np.bool_):
            raise UnusableError(
                f"{series.dtype} pixels have no known range; save them as unsigned integers of 8 "
                "or 16 bits (uint8, uint16)"
            )
        _check_size(int(np.prod([int(side) for side in series.shape], dtype=object)))
        if header_only:
            n_channels = series.shape[series.axes.index(others[0])] if others else 1
            return n_channels, "uint16" if series.dtype == np.uint16 else "uint8"
        try:
            pixels = series.asarray(maxworkers=1)
        except ValueError as error:
            compression = getattr(page.compression, "name", None)
            if compression and "requires the 'imagecodecs'" in str(error):
                import_optional("imagecodecs", extra="tiff", purpose=f"{compression} TIFF")
            raise
        if others:
            pixels = np.moveaxis(pixels, series.axes.index(others[0]), -1)
        else:
            pixels = pixels[..., None]
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        if getattr(page.photometric, "name", "") == "MINISWHITE":
            pixels = ~pixels
        alpha = others == ["S"] and bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
        if alpha and page.extrasamples[-1] == _ASSOCIATED_ALPHA:
            full = np.iinfo(pixels.dtype).max
            colour = pixels[..., :-1] * (full / np.maximum(pixels[..., -1:], 1))
            pixels = np.concatenate([colour.clip(0, full).round(), pixels[..., -1:]], axis=-1)
            pixels = pixels.astype(series.dtype)
        orientation = page.tags.get("Orientation")
        return _turn(pixels, int(orientation.value) if orientation else 1), alpha


def _only_image(tiff: Any) -> Any:
    """Find the one image of a TIFF file; thumbnails and masks beside it do not count."""
    channels = _own_channels(tiff.ome_metadata)
    found = [
        series
        for series in tiff.series
        if not (int(series.keyframe.subfiletype or 0) & (_REDUCED | _MASK))
    ]
    if not found:
        raise UnusableError("truncated: the end of the file is missing")
    if len(found) > 1:
        shapes = ", ".join(str(series.shape) for series in found[:4])
        raise UnusableError(f"{len(found)} images in one file ({shapes}); save one file per image")
    (series,) = found
    if any(page is None for page in series.pages):
        raise UnusableError(
            f"only a part of an image of shape {series.shape} (axes {series.axes}): planes of it "
            "are missing from this file; save all of it in one file"
        )
    if "I" in series.axes and channels != len(series.pages):
        raise UnusableError(
            f"{len(series.pages)} pages, and nothing that says whether they are channels or "
            "several images; save one file per image, or channels with their axes named: "
            "tifffile.imwrite(..., metadata={'axes': 'CYX'})"
        )
    return series


def _own_channels(ome: str | None) -> int | None:
    """Read from OME-XML how many channels the one image of this file has, if it has no more axes.

    The XML may be of many files; an image of which this file holds a part only is refused.
    """
    own = re.search(r"<(?:\w+:)?OME\b[^>]*\bUUID=\"([^\"]+)\"", ome or "")
    if own is None:
        return None
    found = []
    for pixels in re.findall(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", str(ome), re.DOTALL):
        uuids = re.findall(r"<(?:\w+:)?UUID\b([^>]*)>\s*([^<]*?)\s*<", pixels)
        names = {uuid: "".join(re.findall(r"FileName=\"([^\"]*)\"", text)) for text, uuid in uuids}
        if own.group(1) not in names:
            continue
        elsewhere = sorted(name for uuid, name in names.items() if uuid != own.group(1))
        if elsewhere:
            raise UnusableError(
                f"a part of an image whose other planes lie in {', '.join(elsewhere[:3])}; save "
                "channels together, in one file per image"
            )
        sizes = [re.search(rf"\bSize{axis}=\"(\d+)\"", pixels) for axis in "CZT"]
        found.append([int(size.group(1)) if size else 1 for size in sizes])
    return found[0][0] if len(found) == 1 and found[0][1:] == [1, 1] else None


def _turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo what the EXIF orientation, 1 to 8, says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
