"""The data contract: what counts as images, and the errors for what does not.

`X` is one of

- images `(n, H, W, C)` or `(n, H, W)` of uint8, uint16 or float;
- rows `(n, H*W*C)`, with `image_shape` given;
- an array of file paths, decoded and resized to `image_shape` as they are needed.
"""

import enum
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import column_or_1d

from skcell.errors import PixelRangeWarning

Layout = Literal["images", "rows", "paths"]
PixelDtype = Literal["uint8", "uint16", "float32"]

#: Files are resized to this when nothing else is asked for.
DEFAULT_FILE_SHAPE = (96, 96, 3)

_MOST_COLOURS = 4  # channels that an axis of so few values stands for
_BLOCK = 1 << 22  # elements looked at together, so that checks need no second copy of the data


@dataclass(frozen=True)
class ImageSpec:
    """What an estimator was fitted on: shape of one image, pixel dtype, layout of `X`."""

    shape: tuple[int, int, int]
    dtype: PixelDtype
    layout: Layout

    @property
    def n_features(self) -> int:
        """Number of pixel values of one image."""
        return int(np.prod(self.shape))


def layout_of(X: Any) -> Literal["images", "rows", "paths"]:
    """Tell apart images, rows of numbers and file paths, before any of them is checked.

    Parameters
    ----------
    X : array-like
        Anything.

    Returns
    -------
    {"images", "rows", "paths"}
        "rows" includes what is unusable, which scikit-learn's checks then name.
    """
    _check_container(X)
    if as_paths(X) is not None:
        return "paths"
    if hasattr(X, "iloc") or hasattr(X, "tocsr"):
        return "rows"
    try:
        array = np.asarray(X)
    except ValueError:  # images of several sizes
        return "images"
    if array.dtype == object and array.ndim == 1:
        return "images" if any(item is None or np.ndim(item) > 1 for item in array) else "rows"
    return "rows" if array.ndim <= 2 else "images"


def _check_container(X: Any) -> None:
    """Refuse what holds images in a way that cannot be looked at twice, or is one image."""
    if isinstance(X, (str, os.PathLike)):
        raise ValueError(
            f"X is a single path ({os.fspath(X)!r}); pass a list of image files, or load a folder "
            "with skcell.datasets.load_image_folder."
        )
    if hasattr(X, "getbands") and hasattr(X, "mode"):
        raise ValueError("X is one PIL image, and several are expected; pass a list, [image].")
    arrays = ("__array__", "__array_interface__", "__dlpack__", "iloc", "tocsr")
    if not isinstance(X, (list, tuple)) and not any(hasattr(X, name) for name in arrays):
        raise TypeError(
            f"X is a {type(X).__name__}, which is no array of images. Expected an array (n, "
            "height, width, channels), rows of pixels with image_shape, or a list of file paths. "
            "Turn a generator, iterator or Path.glob() of paths into a list; of batches, as "
            "tf.data, DataLoader or ImageDataGenerator.flow give them, take as many as one pass "
            "has and join them with np.concatenate; of a dict, pass the array inside. File paths "
            "are read as training streams, so that no generator is needed for data larger than "
            "memory."
        )
    if isinstance(X, (list, tuple)) and len(X) == 0:
        raise ValueError("X holds no images: found array with 0 sample(s).")


def as_paths(X: Any) -> list[str] | None:
    """Return file paths as a list, whatever holds them; None where `X` holds something else.

    Parameters
    ----------
    X : array-like
        A list, array, series, index or data frame of one column.

    Returns
    -------
    list of str or None
        The paths.

    Raises
    ------
    ValueError
        If some are missing.
    """
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
            "entries, and those of y beside them."
        )
    return [os.fsdecode(item) for item in items]


def _is_single(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 1 and isinstance(item[0], str)


def blocks(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Iterate over `X` in pieces of bounded size."""
    rows = max(1, _BLOCK // max(1, int(np.prod(X.shape[1:]))))
    for start in range(0, len(X), rows):
        yield X[start : start + rows]


def check_pixels(X: Any) -> NDArray[Any]:
    """Check an array of images `(n, H, W)` or `(n, H, W, C)` and return it, uncopied.

    Parameters
    ----------
    X : array-like of shape (n, H, W) or (n, H, W, C)
        Images of uint8, uint16 or a float dtype.

    Returns
    -------
    ndarray
        The images.

    Raises
    ------
    ValueError
        If there are no images, sizes differ, the dtype is none of these, or a pixel is not
        finite.
    """
    if not isinstance(X, np.ndarray):
        if any(getattr(image, "mode", None) in ("P", "PA") for image in X):
            raise ValueError(
                "X holds palette images, whose pixels are numbers of colours, not intensities; "
                'convert each first: image.convert("RGB").'
            )
        absent = [i for i, image in enumerate(X) if image is None]
        if absent:
            raise ValueError(
                f"X holds None instead of an image at position {absent[0]} ({len(absent)} in all); "
                "cv2.imread, for one, returns None for a file that it cannot read. Remove them."
            )
        shapes = {np.shape(image) for image in X} if isinstance(X, (list, tuple)) else set()
        if len(shapes) > 1:
            raise ValueError(
                f"The images have {len(shapes)} different shapes, {some(sorted(shapes))}; all "
                "must have one height, width and channel count. Resize them, or give file paths "
                "and image_shape."
            )
        X = np.asarray(X)
    if X.dtype == object and X.ndim == 1 and len(X):
        return check_pixels(list(X))
    X = _native(X)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"Expected images of shape (n, height, width) or (n, height, width, channels), got "
            f"an array of shape {X.shape}. Reshape your data, for one image as image[None]."
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
    if X.dtype.kind == "f":
        for start, block in zip(range(0, len(X), len(next(blocks(X)))), blocks(X), strict=True):
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            if not finite.all():
                first = start + int(np.argmin(finite))
                raise ValueError(
                    f"X contains NaN or infinity: image {first} has pixels that are not finite. "
                    "Remove or repair such images before fitting."
                )
    return X


def _check_axes(shape: tuple[int, ...]) -> None:
    """Refuse images whose channels come first, and warn of what may be volumes."""
    height, width, channels = shape
    if height <= _MOST_COLOURS < min(width, channels):
        raise ValueError(
            f"Images of shape {shape} look like (channels, height, width); expected (height, "
            "width, channels). Move the axis: np.moveaxis(X, 1, -1)."
        )
    if channels > _MOST_COLOURS and channels >= min(height, width) > 1:
        warnings.warn(
            f"Images of shape {shape} have {channels} channels, as many as pixels on a side. If "
            "channels come first, move their axis: np.moveaxis(X, 1, -1). Of volumes, choose a "
            "plane or project them: X.max(axis=1).",
            PixelRangeWarning,
            stacklevel=4,
        )


def resolve_shape(image_shape: tuple[int, ...], n_features: int) -> tuple[int, int, int]:
    """Complete `image_shape`, which may hold one -1, for rows of `n_features` values."""
    shape = tuple(int(side) for side in image_shape)
    if len(shape) == 2:
        shape = (*shape, 1)
    known = int(np.prod([side for side in shape if side != -1]))
    fits = n_features == known if -1 not in shape else known > 0 and n_features % known == 0
    if len(shape) != 3 or shape.count(-1) > 1 or any(s < 1 and s != -1 for s in shape) or not fits:
        raise ValueError(
            f"image_shape={tuple(image_shape)} does not fit rows of {n_features} values; give "
            "(height, width, channels) whose product is the number of columns, with at most one "
            "-1 for the side to work out."
        )
    height, width, channels = (n_features // known if side == -1 else side for side in shape)
    _check_axes((height, width, channels))
    return height, width, channels


def check_images(
    X: Any, *, image_shape: tuple[int, ...] | None = None
) -> tuple[NDArray[Any], ImageSpec]:
    """Check `X` against the data contract.

    Parameters
    ----------
    X : array-like
        Images, rows or file paths.
    image_shape : tuple of int, default=None
        Height, width and channels: what rows are reshaped to, and files resized to.

    Returns
    -------
    X : ndarray
        Images `(n, H, W, C)` of uint8, uint16 or a float dtype, or paths `(n,)`. Not copied
        where that can be avoided.
    spec : ImageSpec
        What was found.

    Raises
    ------
    ValueError
        If `X` is not one of the three.
    """
    layout = layout_of(X)
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
        rows = _native(np.asarray(X))
        if rows.ndim != 2:
            raise ValueError(
                f"Expected images, rows or file paths, got an array of {rows.ndim} dimension(s) "
                f"and dtype {rows.dtype}. Reshape your data: images are (n, height, width[, "
                "channels])."
            )
        if image_shape is None:
            raise ValueError(
                f"X has two dimensions, {rows.shape}: rows of pixels need image_shape=(height, "
                "width, channels), for example image_shape=(28, 28, 3); one grey image is "
                "image[None]."
            )
        shape = resolve_shape(image_shape, rows.shape[1])
        if rows.dtype not in (np.uint8, np.uint16):
            rows = rows.astype(np.float32, copy=False)
        _warn_raw_range(rows)
        return rows.reshape(-1, *shape), ImageSpec(shape, _pixel_dtype(rows), "rows")
    X = check_pixels(X)
    own = X.shape[1:] if X.ndim == 4 else (*X.shape[1:], 1)
    if image_shape is not None and tuple(image_shape) not in (own, own[:2]):
        raise ValueError(
            f"image_shape={tuple(image_shape)} differs from the images' own shape {own}; leave "
            "image_shape=None for images."
        )
    _warn_raw_range(X)
    images = X if X.ndim == 4 else X[..., None]
    height, width, channels = images.shape[1:]
    return images, ImageSpec((height, width, channels), _pixel_dtype(images), "images")


def check_like(X: Any, fitted: ImageSpec, owner: str) -> tuple[NDArray[Any], ImageSpec]:
    """Check that `X` is of the kind and shape that `owner` was fitted on.

    Parameters
    ----------
    X : array-like
        Images, rows or file paths.
    fitted : ImageSpec
        What was fitted.
    owner : str
        Name of the estimator, for the errors.

    Returns
    -------
    X : ndarray
        As from `check_images`.
    spec : ImageSpec
        `fitted`, with the layout of this `X`.

    Raises
    ------
    ValueError
        If shape, channel count or pixel dtype differ.
    """
    refuse_single(X, fitted, owner)
    own_shape = layout_of(X) == "images"
    X, seen = check_images(X, image_shape=None if own_shape else fitted.shape)
    decoded = seen.layout == "paths" and fitted.dtype != "float32"
    if seen.dtype != fitted.dtype and not decoded:
        raise ValueError(
            f"{owner} was fitted on {fitted.dtype} pixels and was given {seen.dtype} now; pass "
            f"{fitted.dtype} images, or fit again on {seen.dtype}."
        )
    if seen.shape != fitted.shape:
        raise ValueError(
            f"{owner} was fitted on images of shape {fitted.shape} (height, width, channels) and "
            f"was given {seen.shape} now; resize the images to {fitted.shape}, or fit again."
        )
    return X, replace(fitted, layout=seen.layout)


def refuse_single(X: Any, fitted: ImageSpec, owner: str) -> None:
    """Refuse one image where several are expected, by its shape.

    Parameters
    ----------
    X : array-like
        Anything.
    fitted : ImageSpec
        What was fitted.
    owner : str
        Name of the estimator, for the error.
    """
    shape = getattr(X, "shape", ())
    is_grey = fitted.shape[2] == 1 and fitted.layout != "rows" and shape == fitted.shape[:2]
    if shape == fitted.shape or is_grey:
        raise ValueError(
            f"X has the shape of one image, {shape}; {owner} takes several. Pass X[None], "
            "or images[:1] instead of images[0]."
        )


def _file_shape(image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Height, width and channels that files are decoded to."""
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


def _native(X: NDArray[Any]) -> NDArray[Any]:
    """Bring numbers into this machine's byte order; TIFF readers return either."""
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def _pixel_dtype(X: NDArray[Any]) -> PixelDtype:
    if X.dtype == np.uint8:
        return "uint8"
    return "uint16" if X.dtype == np.uint16 else "float32"


def _warn_raw_range(X: NDArray[Any]) -> None:
    """Warn of floats that look like raw intensities."""
    if X.dtype.kind != "f" or not X.size:
        return
    low, high = X.min(), X.max()
    if low >= 0 and high > 32:
        warnings.warn(
            f"Float pixels lie between {low:g} and {high:g} and are taken as they are. If they "
            "are raw intensities, pass them as uint8 or uint16, or divide by their maximum.",
            PixelRangeWarning,
            stacklevel=4,
        )


def warn_unused_bits(X: NDArray[Any]) -> None:
    """Warn of integers that leave the upper bits of their dtype unused, as cameras of 12 bits do.

    Parameters
    ----------
    X : ndarray
        Images of uint8 or uint16; others are let pass.
    """
    if X.dtype.kind != "u" or not X.size:
        return
    bits, high = 8 * X.dtype.itemsize, int(X.max())
    if 0 < high < 1 << (bits - 2):
        factor = 1 << (bits - high.bit_length())
        warnings.warn(
            f"Pixels of {X.dtype} reach {high:,} of {(1 << bits) - 1:,}, and are scaled by the "
            f"latter: the images are dark to a network. If they have {high.bit_length()} bits, as "
            f"many cameras give, use the whole range: X * {factor}.",
            PixelRangeWarning,
            stacklevel=4,
        )


def check_unit_range(X: NDArray[Any], what: str) -> None:
    """Refuse float pixels that are not in 0..1, for networks that were trained on such.

    Parameters
    ----------
    X : ndarray
        Images; integers are scaled by the network, and let pass.
    what : str
        What takes them.

    Raises
    ------
    ValueError
        If floats lie outside 0..1, by more than interpolation brings.
    """
    if X.dtype.kind != "f" or not X.size:
        return
    low, high = float(X.min()), float(X.max())
    if low < -0.1 or high > 1.1:
        raise ValueError(
            f"{what} takes float pixels in 0..1 and scales them as it was trained; these lie "
            f"between {low:g} and {high:g}. Undo your own scaling (such as preprocess_input, "
            "-1..1, or standardisation), or pass uint8 or uint16 images."
        )


def check_labels(y: Any, n: int, what: str = "y", of: str = "label") -> NDArray[Any]:
    """Check that there is one label, or group, for each image.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    n : int
        Number of images.
    what, of : str
        Name of the argument, and of an entry, for the errors.

    Returns
    -------
    ndarray of shape (n,)
        The labels.

    Raises
    ------
    ValueError
        If entries are missing, of several kinds, or not one for each image.
    """
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    if len(shape) == 2 and shape[1] != 1:
        raise ValueError(
            f"{what} has shape {shape}; expected one {of} for each image, of shape (n,). "
            + (
                "Turn one-hot labels into classes: y.argmax(axis=1)."
                if of == "label"
                else "Join columns into one name, or choose one."
            )
        )
    given = column_or_1d(y, warn=True)
    # As they were given: NumPy makes text of NaN, None and numbers beside text.
    y = np.array([*y, None], dtype=object)[:-1] if isinstance(y, (list, tuple)) else given
    if len(y) != n:
        raise ValueError(
            f"{what} has {len(y)} entries for {n} images: found input variables with inconsistent "
            f"numbers of samples: [{n}, {len(y)}]. Give the {of} of each image."
        )
    if y.dtype.kind in "fc":
        missing = ~np.isfinite(y)
    else:
        missing = np.array([_is_missing(item) for item in y], dtype=bool)
    if missing.any():
        first = int(missing.argmax())
        raise ValueError(
            f"{what} lacks the {of} of {missing.sum()} image(s), the first at {first} "
            f"({y.tolist()[first]!r}; NaN, None and infinity are none). Remove these images, or "
            "name it."
        )
    if y.dtype == object:
        members = [item for item in y if isinstance(item, enum.Enum) and not isinstance(item, str)]
        if members:
            raise ValueError(
                f"{what} holds {type(members[0]).__name__} members; pass their names: "
                "[item.name for item in y]."
            )
        kinds = {_kind(item): i for i, item in reversed(list(enumerate(y)))}
        if len(kinds) > 1:
            told = " and ".join(f"{kind} (first at {i})" for kind, i in kinds.items())
            raise ValueError(f"{what} mixes {told}; make them all text: np.asarray({what}, str).")
    return given


def _is_missing(item: Any) -> bool:
    if item is None:
        return True
    try:
        return bool(item != item)  # NaN is not itself
    except TypeError:  # pandas.NA
        return True


def _kind(item: Any) -> str:
    return "numbers" if isinstance(item, (int, float, np.number, np.bool_)) else type(item).__name__


def some(items: list, n: int = 3) -> str:
    """Name the first few of `items`."""
    shown = ", ".join(str(item) for item in items[:n])
    return shown + (f" and {len(items) - n} more" if len(items) > n else "")
