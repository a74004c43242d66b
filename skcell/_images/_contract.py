"""The data contract: which inputs count as images, and the errors for all other inputs.

`X` is one of

- images `(n, H, W, C)` or `(n, H, W)` of uint8, uint16 or float;
- rows of pixels `(n, H*W*C)`, which need `image_shape`;
- an array of file paths; the files are decoded and resized to `image_shape` when needed.
"""

import os
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell._images._labels import some
from skcell._images._pixels import (
    PixelDtype,
    PixelRange,
    find_range,
    native,
    pixel_dtype,
    warn_raw_range,
)
from skcell.exceptions import PixelRangeWarning

Layout = Literal["images", "rows", "paths"]

#: Default shape to which image files are resized.
DEFAULT_FILE_SHAPE = (96, 96, 3)

_MOST_COLOURS = 4  # an axis of at most this length may hold the channels


@dataclass(frozen=True)
class ImageSpec:
    """Description of the data of a fit: shape of one image, pixel dtype and layout of `X`.

    `range` is the range of the pixel values. It is stored so that later checks need not scan the
    pixels again; it is None for file paths.
    """

    shape: tuple[int, int, int]
    dtype: PixelDtype
    layout: Layout
    range: PixelRange | None = field(default=None, compare=False)

    @property
    def n_features(self) -> int:
        """Number of pixel values in one image."""
        return int(np.prod(self.shape))


def layout_of(X: Any) -> Literal["images", "rows", "paths"]:
    """Determine whether `X` holds images, rows of pixels or file paths, before it is checked."""
    _check_container(X)
    if as_paths(X) is not None:
        return "paths"
    if hasattr(X, "iloc") or hasattr(X, "tocsr"):
        return "rows"
    try:
        array = np.asarray(X)
    except ValueError:  # the images differ in size
        return "images"
    if array.dtype == object and array.ndim == 1:
        return "images" if any(item is None or np.ndim(item) > 1 for item in array) else "rows"
    return "rows" if array.ndim <= 2 else "images"


def _check_container(X: Any) -> None:
    """Raise an error if `X` is a single path or image, or is neither an array nor a list."""
    if isinstance(X, (str, os.PathLike)):
        raise ValueError(
            f"X is a single path ({os.fspath(X)!r}); pass a list of image files, or load a folder "
            "with skcell.datasets.load_image_folder."
        )
    if hasattr(X, "getbands") and hasattr(X, "mode"):
        raise ValueError("X is one PIL image, but several are expected; pass a list: [image].")
    arrays = ("__array__", "__array_interface__", "__dlpack__", "iloc", "tocsr")
    if not isinstance(X, (list, tuple)) and not any(hasattr(X, name) for name in arrays):
        raise TypeError(
            f"X is a {type(X).__name__}, which is not an array of images. Expected an array (n, "
            "height, width, channels), rows of pixels with image_shape, or a list of file paths. "
            "Convert a generator, iterator or Path.glob() of paths to a list. If X yields batches "
            "(tf.data, DataLoader, ImageDataGenerator.flow), collect the batches of one pass and "
            "join them with np.concatenate. If X is a dict, pass the array inside it. Image files "
            "are read batch by batch during training, so data larger than memory need no "
            "generator."
        )
    if isinstance(X, (list, tuple)) and len(X) == 0:
        raise ValueError("X holds no images: found array with 0 sample(s).")


def as_paths(X: Any) -> list[str] | None:
    """Return the file paths in `X` as a list, or None if `X` holds something else."""
    if hasattr(X, "tocsr"):
        return None
    if isinstance(X, np.ndarray):
        kind = X.dtype.kind
        if kind not in "OUST" or not (X.ndim == 1 or (X.ndim == 2 and X.shape[1] == 1)):
            return None
        items = X.ravel().tolist()
    elif isinstance(X, (list, tuple)):
        items = [X[i][0] if _is_single(X[i]) else X[i] for i in range(len(X))]
    else:
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if len(shape) == 2 and shape[1] != 1:
            return None
        if hasattr(X, "dtype") and getattr(X.dtype, "kind", "O") in "biufc":
            return None
        array = np.asarray(X)
        return as_paths(array) if array.dtype.kind in "OUST" else None
    named = [isinstance(item, (str, bytes, os.PathLike)) for item in items]
    if not any(named):
        return None
    if not all(named):
        first = named.index(False)
        raise ValueError(
            f"X holds file paths, but no path at position {first}: {items[first]!r}. Remove such "
            "entries, and the matching entries of y."
        )
    return [os.fsdecode(item) for item in items]


def _is_single(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 1 and isinstance(item[0], str)


def check_pixels(X: Any) -> NDArray[Any]:
    """Check an array of images `(n, H, W)` or `(n, H, W, C)` and return it without a copy."""
    X = _as_array(X)
    if X.dtype.kind == "f":
        find_range(X)
    return X


def _as_array(X: Any) -> NDArray[Any]:
    """Check everything about images except their pixel values."""
    if not isinstance(X, np.ndarray):
        if any(getattr(image, "mode", None) in ("P", "PA") for image in X):
            raise ValueError(
                "X holds palette images, whose pixels are colour indices, not intensities; "
                'convert each image first: image.convert("RGB").'
            )
        absent = [i for i, image in enumerate(X) if image is None]
        if absent:
            raise ValueError(
                f"X holds None instead of an image at position {absent[0]} ({len(absent)} in all); "
                "cv2.imread, for example, returns None if it cannot read a file. Remove these "
                "entries."
            )
        shapes = {np.shape(image) for image in X} if isinstance(X, (list, tuple)) else set()
        if len(shapes) > 1:
            raise ValueError(
                f"The images have {len(shapes)} different shapes, {some(sorted(shapes))}; all "
                "must have the same height, width and number of channels. Resize them, or pass "
                "file paths and image_shape."
            )
        X = np.asarray(X)
    if X.dtype == object and X.ndim == 1 and len(X):
        return _as_array(list(X))
    X = native(X)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"Expected images of shape (n, height, width) or (n, height, width, channels), got "
            f"an array of shape {X.shape}. Reshape your data; for one image, pass image[None]."
        )
    if len(X) == 0:
        raise ValueError(f"X holds no images: found array with 0 sample(s) (shape={X.shape}).")
    if min(X.shape[1:]) == 0:
        raise ValueError(f"X holds images without pixels (shape={X.shape}).")
    if X.ndim == 4:
        _check_axes(X.shape[1:])
    if X.dtype.kind != "f" and X.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"Pixels of dtype {X.dtype} have no known range; pass uint8 (0 to 255), uint16 "
            "(0 to 65535) or float (already scaled), for example X.astype(np.uint8)."
        )
    return X


def _check_axes(shape: tuple[int, ...]) -> None:
    """Reject images whose channels come first, and warn about images that may be volumes."""
    height, width, channels = shape
    if height <= _MOST_COLOURS < min(width, channels):
        raise ValueError(
            f"Images of shape {shape} look like (channels, height, width); expected (height, "
            "width, channels). Move the channel axis: np.moveaxis(X, 1, -1)."
        )
    if channels > _MOST_COLOURS and channels >= min(height, width) > 1:
        warnings.warn(
            f"Images of shape {shape} have {channels} channels, at least as many as pixels on one "
            "side. If the channels come first, move their axis: np.moveaxis(X, 1, -1). If the "
            "images are volumes, choose a plane or project them: X.max(axis=1).",
            PixelRangeWarning,
            stacklevel=4,
        )


def resolve_shape(image_shape: tuple[int, ...], n_features: int) -> tuple[int, int, int]:
    """Complete `image_shape`, which may contain one -1, for rows of `n_features` values."""
    shape = tuple(int(side) for side in image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    known = int(np.prod([side for side in shape if side != -1]))
    fits = n_features == known if -1 not in shape else known > 0 and n_features % known == 0
    if len(shape) != 3 or shape.count(-1) > 1 or any(s < 1 and s != -1 for s in shape) or not fits:
        raise ValueError(
            f"image_shape={tuple(image_shape)} does not fit rows of {n_features} values; give "
            "(height, width, channels) whose product is the number of columns. One side may be -1, "
            "which is then inferred."
        )
    height, width, channels = (n_features // known if side == -1 else side for side in shape)
    _check_axes((height, width, channels))
    return height, width, channels


def check_images(
    X: Any, *, image_shape: tuple[int, ...] | None = None, layout: Layout | None = None
) -> tuple[NDArray[Any], ImageSpec]:
    """Check `X` against the data contract."""
    layout = layout or layout_of(X)
    if layout == "paths":
        paths = np.asarray(as_paths(X))
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing:
            raise ValueError(
                f"X holds text that names no file ({len(missing)} of {len(paths)}): "
                f"{some(missing)}. Pass paths of existing image files."
            )
        return paths, ImageSpec(_file_shape(image_shape), "uint8", "paths")
    if layout == "rows":
        rows = native(np.asarray(X))
        if rows.ndim != 2:
            raise ValueError(
                f"Expected images, rows of pixels or file paths, got an array of {rows.ndim} "
                f"dimension(s) and dtype {rows.dtype}. Reshape your data: images have the shape "
                "(n, height, width[, channels])."
            )
        if image_shape is None:
            raise ValueError(
                f"X has two dimensions, {rows.shape}: rows of pixels need image_shape=(height, "
                "width, channels), for example image_shape=(28, 28, 3); if X is one grey "
                "image, pass image[None]."
            )
        shape = resolve_shape(image_shape, rows.shape[1])
        if rows.dtype not in (np.uint8, np.uint16):
            rows = rows.astype(np.float32, copy=False)
        seen = find_range(rows)
        warn_raw_range(rows.dtype, seen)
        return rows.reshape(-1, *shape), ImageSpec(shape, pixel_dtype(rows), "rows", seen)
    X = _as_array(X)
    own = X.shape[1:] if X.ndim == 4 else (*X.shape[1:], 1)
    if image_shape is not None and tuple(image_shape) not in (own, own[:2]):
        raise ValueError(
            f"image_shape={tuple(image_shape)} differs from the images' own shape {own}; leave "
            "image_shape=None for images."
        )
    seen = find_range(X)
    warn_raw_range(X.dtype, seen)
    images = X if X.ndim == 4 else X[..., None]
    height, width, channels = images.shape[1:]
    return images, ImageSpec((height, width, channels), pixel_dtype(images), "images", seen)


def check_like(
    X: Any, fitted: ImageSpec, owner: str, layout: Layout | None = None
) -> tuple[NDArray[Any], ImageSpec]:
    """Check that `X` has the pixel dtype and image shape that `owner` was fitted on."""
    refuse_single(X, fitted, owner)
    layout = layout or layout_of(X)
    image_shape = None if layout == "images" else fitted.shape
    X, seen = check_images(X, image_shape=image_shape, layout=layout)
    decoded = seen.layout == "paths" and fitted.dtype != "float32"
    if seen.dtype != fitted.dtype and not decoded:
        raise ValueError(
            f"{owner} was fitted on {fitted.dtype} pixels but was given {seen.dtype} pixels; pass "
            f"{fitted.dtype} images, or fit again on {seen.dtype} images."
        )
    if seen.shape != fitted.shape:
        raise ValueError(
            f"{owner} was fitted on images of shape {fitted.shape} (height, width, channels) but "
            f"was given images of shape {seen.shape}; resize the images to {fitted.shape}, or fit "
            "again."
        )
    return X, replace(fitted, layout=seen.layout, range=seen.range)


def refuse_single(X: Any, fitted: ImageSpec, owner: str) -> None:
    """Raise an error if `X` has the shape of one image instead of several."""
    shape = getattr(X, "shape", ())
    is_grey = fitted.shape[2] == 1 and fitted.layout != "rows" and shape == fitted.shape[:2]
    if shape == fitted.shape or is_grey:
        raise ValueError(
            f"X has the shape of one image, {shape}; {owner} takes several images. Pass "
            "X[None], or images[:1] instead of images[0]."
        )


def _file_shape(image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return the height, width and channels of decoded files."""
    shape = DEFAULT_FILE_SHAPE if image_shape is None else tuple(image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"image_shape={image_shape} cannot be used for files; give (height, width, channels) "
            "without -1, for example (96, 96, 3)."
        )
    height, width, channels = shape
    return height, width, channels
