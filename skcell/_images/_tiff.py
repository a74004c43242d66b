"""Read TIFF files that Pillow cannot: 16-bit colour, more than four channels, OME-XML."""

import re
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skcell._images._failures import UnusableError, check_size
from skcell._optional import import_optional

# The axes of tifffile that are channels: samples (S), channels (C), pages of one array that was
# saved without axes (Q), and pages that OME-XML declares to be channels (I).
_CHANNEL_AXES = "SCQI"


_REDUCED, _MASK = 1, 4  # bits of a page's subfile type: thumbnail and mask


_ASSOCIATED_ALPHA = 1


def read_tiff(file: BinaryIO, header_only: bool = False) -> Any:
    """Read with tifffile an image with more bits or channels than Pillow can read."""
    import tifffile

    file.seek(0)
    # Read this file only: its OME-XML may name other files, which have their own pixels.
    with tifffile.TiffFile(file, _multifile=False) as tiff:
        series = _only_image(tiff)
        page: Any = series.keyframe
        others = [axis for axis in series.axes if axis not in "YX"]
        if len(others) > 1 or not set(others) <= set(_CHANNEL_AXES):
            raise UnusableError(
                f"a stack of shape {series.shape} (axes {series.axes}), not one image; save one "
                "file per image, with no axes other than height, width and channels"
            )
        if series.dtype not in (np.uint8, np.uint16, np.bool_):
            raise UnusableError(
                f"{series.dtype} pixels have no known range; save them as unsigned integers of 8 "
                "or 16 bits (uint8, uint16)"
            )
        check_size(int(np.prod([int(side) for side in series.shape], dtype=object)))
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
    """Return the only image of a TIFF file; thumbnails and masks are ignored."""
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
            f"only a part of an image of shape {series.shape} (axes {series.axes}): some planes "
            "are missing from this file; save all planes in one file"
        )
    if "I" in series.axes and channels != len(series.pages):
        raise UnusableError(
            f"{len(series.pages)} pages, but the file does not say whether they are channels or "
            "several images; save one file per image, or save the channels with named axes: "
            "tifffile.imwrite(..., metadata={'axes': 'CYX'})"
        )
    return series


def _own_channels(ome: str | None) -> int | None:
    """Return the number of channels that OME-XML gives for the image of this file, or None.

    The number is None unless the file has one image, with no further axes. The XML may describe
    many files; an error is raised if this file holds only a part of an image.
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
                f"a part of an image whose other planes are in {', '.join(elsewhere[:3])}; save "
                "all channels of an image in one file"
            )
        sizes = [re.search(rf"\bSize{axis}=\"(\d+)\"", pixels) for axis in "CZT"]
        found.append([int(size.group(1)) if size else 1 for size in sizes])
    return found[0][0] if len(found) == 1 and found[0][1:] == [1, 1] else None


def _turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an image upright, given its EXIF orientation from 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
