"""Decode image files to arrays of one shape and dtype."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from PIL import Image

from skcell._console import progress_bar
from skcell._images._failures import UnusableError, read_error
from skcell._images._pixels import FileDtype
from skcell._images._read import read_pixels
from skcell.exceptions import ImageReadError

Shape = tuple[int, int, int]

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow's mode "L"
_MAX_CHUNK = 32  # the most images that a thread takes at a time


def decode_image(
    path: str | os.PathLike[str], shape: Shape, dtype: FileDtype = "uint8"
) -> NDArray[Any]:
    """Read one image file as an array of the given shape and dtype.

    The file must be a JPEG, PNG, BMP, WebP or TIFF file with 8 or 16 bits per channel, and must
    contain one image. The EXIF orientation is applied, palettes are resolved, and the image is
    stretched to the given size by bicubic interpolation with antialiasing. Alpha is blended over
    white, the background of a bright-field image, unless `shape` has as many channels as the
    file. Grey images are repeated to three channels and colour images are converted to luminance
    if `shape` requires it. 8-bit values are converted to 16 bits by multiplication by 257, and
    16-bit values to 8 bits by rounded division.
    """
    height, width, channels = shape
    try:
        # A JPEG decodes to 1/2, 1/4 or 1/8 of its size at a fraction of the cost. At three times
        # the wanted size or more, the difference is not visible after interpolation.
        image, alpha = read_pixels(path, smallest=3 * max(height, width))
        if alpha and image.shape[2] != channels:
            image = _over_white(image)
        return fit_image(image, shape, dtype)
    except Exception as error:  # decoders raise almost any error for damaged files
        raise read_error(path, error) from error


def fit_image(image: NDArray[Any], shape: Shape, dtype: FileDtype) -> NDArray[Any]:
    """Convert an image to a shape and a dtype, as an image that is read from a file."""
    image = _fit_channels(_resize(image, *shape[:2]), shape[2])
    if image.dtype == dtype:
        return image
    if dtype == "uint16":
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_whole(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one image file with its own shape, channels and dtype; alpha is blended over white."""
    try:
        image, alpha = read_pixels(path)
        return _over_white(image) if alpha else image
    except Exception as error:  # as in `decode_image`
        raise read_error(path, error) from error


def decode_picture(path: str | os.PathLike[str], largest: int) -> NDArray[np.uint8]:
    """Read one image file to be shown: as `decode_image`, but with its own shape."""
    try:
        image, alpha = read_pixels(path, smallest=largest)
        if alpha:
            image = _over_white(image)
        ratio = min(1.0, largest / max(image.shape[:2]))
        image = _resize(image, *(max(1, round(ratio * side)) for side in image.shape[:2]))
    except Exception as error:  # as in `decode_image`
        raise read_error(path, error) from error
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def decode_files(
    paths: Sequence[str] | NDArray[Any],
    shape: Shape,
    dtype: FileDtype,
    *,
    n_jobs: int | None = None,
    progress: bool = False,
) -> tuple[NDArray[Any], NDArray[np.intp], dict[str, str]]:
    """Read many image files into one array.

    Besides this array, each thread holds one image in memory at a time.
    """
    images = np.empty((len(paths), *shape), dtype=dtype)
    n_threads = effective_n_jobs(-1 if n_jobs is None else n_jobs)
    chunk = max(1, min(_MAX_CHUNK, len(paths) // (4 * n_threads)))

    def decode_chunk(start: int) -> dict[int, str]:
        reasons = {}
        for index in range(start, min(start + chunk, len(paths))):
            try:
                images[index] = decode_image(paths[index], shape, dtype)
            except ImageReadError as error:
                (reasons[index],) = error.failures.values()
        return reasons

    failed: dict[int, str] = {}
    pool = ThreadPoolExecutor(n_threads)
    try:
        with progress_bar("Reading images", len(paths), enabled=progress) as advance:
            starts = range(0, len(paths), chunk)
            for start, reasons in zip(starts, pool.map(decode_chunk, starts), strict=True):
                failed.update(reasons)
                advance(min(chunk, len(paths) - start))
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the other files

    kept = np.array([index for index in range(len(paths)) if index not in failed], dtype=np.intp)
    if failed:
        for new, old in enumerate(kept):  # in place: a second copy might not fit in memory
            images[new] = images[old]
    failures = {os.fspath(paths[index]): reason for index, reason in failed.items()}
    return images[: len(kept)], kept, failures


def _over_white(image: NDArray[Any]) -> NDArray[Any]:
    if not image[..., -1].any():
        raise UnusableError(
            "its alpha channel is 0 everywhere, so the whole image is transparent; save it without "
            "alpha"
        )
    full = np.float32(np.iinfo(image.dtype).max)
    opacity = image[..., -1:] / full
    return np.rint(full - opacity * (full - image[..., :-1])).astype(image.dtype)


def _resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image

    def resized(plane: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))

    if image.dtype == np.uint8 and image.shape[2] == 3:
        return resized(image)
    # Resize each channel separately: in mode "RGBA" the fourth would be treated as alpha.
    planes = np.moveaxis(image, 2, 0)
    if image.dtype == np.uint8:
        return np.stack([resized(np.ascontiguousarray(plane)) for plane in planes], axis=2)
    deep = np.stack([resized(plane.astype(np.float32)) for plane in planes], axis=2)
    return np.rint(deep).clip(0, np.iinfo(image.dtype).max).astype(image.dtype)


def _fit_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    found = image.shape[2]
    if found == channels:
        return image
    if (found, channels) == (1, 3):
        return image.repeat(3, axis=2)
    if (found, channels) == (3, 1):
        return np.rint(image @ _LUMINANCE).astype(image.dtype)[..., None]
    raise UnusableError(f"it has {found} channel(s), but {channels} were requested")
