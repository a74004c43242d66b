"""The data contract for images, and the code that reads pixels from files.

Nothing here depends on a network. `X` is checked in one place, so that every estimator accepts the
same data and raises the same errors.
"""

from skcell._images._contract import (
    ImageSpec,
    as_paths,
    check_images,
    check_like,
    check_pixels,
    layout_of,
    resolve_shape,
)
from skcell._images._decode import decode_files, decode_image, decode_picture, fit_image, read_whole
from skcell._images._failures import UnusableError, report_failures
from skcell._images._input import ImageInputMixin, load_images
from skcell._images._labels import check_labels, some
from skcell._images._pixels import FileDtype, PixelDtype, PixelRange, check_unit_range
from skcell._images._read import EXTENSIONS, FORMATS, probe_image

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "FileDtype",
    "ImageInputMixin",
    "ImageSpec",
    "PixelDtype",
    "PixelRange",
    "UnusableError",
    "as_paths",
    "check_images",
    "check_labels",
    "check_like",
    "check_pixels",
    "check_unit_range",
    "decode_files",
    "decode_image",
    "decode_picture",
    "fit_image",
    "layout_of",
    "load_images",
    "probe_image",
    "read_whole",
    "report_failures",
    "resolve_shape",
    "some",
]
