"""Load images and labels from one NumPy file."""

import os
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skcell._images import check_pixels
from skcell._sklearn import validate_params
from skcell.datasets._scan import SPLITS

_IMAGES = ("images", "X")
_LABELS = ("target", "y", "labels")
_FILENAMES = ("filenames", "filename")
_MISSING = ("nan", "NaN", "None", "<NA>", "NaT", "")  # missing labels after conversion to text
_LARGE, _MOST_COMPRESSED = 1 << 28, 250  # size in bytes; compression ratio
_LAYOUTS = (
    "Expected images (n, height, width[, channels]) as 'images' or 'X' and labels (n,) as "
    "'target', 'y' or 'labels', or MedMNIST's 'train_images', 'train_labels', 'val_images', ..."
)


@validate_params({"path": [str, os.PathLike]}, prefer_skip_nested_validation=True)
def load_npz(path: str | os.PathLike[str]) -> Bunch:
    """Load images and labels from an `.npz` file.

    Two layouts are supported. The first has the arrays `images` (or `X`) and `target` (or `y`,
    `labels`), and optionally `split`, `filenames` (or `filename`) and `target_names`. The second
    is that of MedMNIST: `train_images`, `train_labels`, `val_images` and so on. Nothing is
    unpickled, so a file from an untrusted source is safe to load.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        images : ndarray of shape (n_samples, height, width, channels)
            The images, in the dtype of the file. Grey images get an axis for one channel.
        target : ndarray of shape (n_samples,)
            The class of each image, as an index into `target_names`.
        target_names : ndarray of shape (n_classes,)
            The names of the classes: those in the file, or else the sorted labels, as text.
        filenames : ndarray of shape (n_samples,)
            The names of the image files. Present only if the file has them.
        split : ndarray of shape (n_samples,)
            "train", "val" or "test". Present only if the file has splits.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged, or holds pickled objects or arrays that do not fit together.

    See Also
    --------
    load_image_folder : Load images from a folder with one sub-folder per class.
    fetch_bloodmnist : Download a published data set of this kind.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skcell.datasets import load_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "cells.npz")
    ...     images = np.zeros((3, 28, 28, 3), dtype=np.uint8)
    ...     np.savez(path, images=images, labels=["platelet", "monocyte", "platelet"])
    ...     cells = load_npz(path)
    >>> cells.images.shape
    (3, 28, 28, 3)
    >>> cells.target
    array([1, 0, 1])
    >>> cells.target_names
    array(['monocyte', 'platelet'], dtype='<U8')
    """
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path!r} (in {os.getcwd()!r}).")
    try:
        _check_sizes(path)
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, NpzFile):
            raise ValueError(f"it holds one array, not several. {_LAYOUTS}.")
        with file:
            return _medmnist(file) if "train_images" in file else _plain(file)
    except ValueError as error:
        raise ValueError(f"{path}: {_explained(str(error))}") from error
    except Exception as error:  # damaged files raise almost any error
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path}: the file is damaged or incomplete ({reason}). Save or download it again."
        ) from error


def _check_sizes(path: str) -> None:
    """Raise an error if a file has a higher compression ratio than images can have."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            ratio = member.file_size / max(1, member.compress_size)
            if member.file_size > _LARGE and ratio > _MOST_COMPRESSED:
                raise ValueError(
                    f"{member.filename} unpacks to {member.file_size / 2**30:.1f} GiB, {ratio:.0f} "
                    "times its compressed size. Images do not compress so well; the file may be a "
                    "decompression bomb."
                )


def _explained(message: str) -> str:
    if "Object arrays" in message:
        return (
            "an array holds Python objects, which are never unpickled because a pickle can run "
            "any code. First remove images without a label (None, NaN), or give them a separate "
            "class. Then save labels and names as text: np.asarray(labels, dtype=str)."
        )
    if "pickle" in message:
        return "not an .npz file. Save one with numpy.savez_compressed(path, images=..., y=...)."
    return message


def _plain(file: NpzFile) -> Bunch:
    images = _first(file, _IMAGES)
    labels = _first(file, _LABELS)
    if images is None or labels is None:
        missing = "images" if images is None else "labels"
        hint = _LAYOUTS
        if not any(name.endswith(".npy") for name in file.zip.namelist()):  # type: ignore[union-attr] # open
            hint = "If this is a zip archive of image files, unpack it and load the folder"
        raise ValueError(f"no {missing} among its arrays {_few(file)}. {hint}.")
    images = _with_channels(images)
    data = Bunch(images=images)
    data.target, data.target_names = _encoded(_one_label_each(labels), file.get("target_names"))
    lengths = {"images": len(images), "labels": len(data.target)}
    filenames = _first(file, _FILENAMES)
    if filenames is not None:
        data.filenames = filenames.astype(str)
        lengths["filenames"] = len(filenames)
    if "split" in file:
        data.split = _splits(file["split"])
        lengths["split"] = len(data.split)
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the arrays have different lengths, {lengths}; each needs one entry per image."
        )
    return data


def _medmnist(file: NpzFile) -> Bunch:
    splits = [split for split in ("train", "val", "test") if f"{split}_images" in file]
    absent = [f"{split}_labels" for split in splits if f"{split}_labels" not in file]
    if absent:
        raise ValueError(f"no {', '.join(absent)} among its arrays {_few(file)}.")
    labels = {split: _one_label_each(file[f"{split}_labels"]) for split in splits}
    ends = np.cumsum([len(labels[split]) for split in splits])
    data = Bunch()
    for split, end in zip(splits, ends, strict=True):
        part = _with_channels(file[f"{split}_images"])
        if len(part) != len(labels[split]):
            raise ValueError(
                f"there are {len(part)} {split}_images and {len(labels[split])} {split}_labels; "
                "each image needs one label."
            )
        if "images" not in data:  # one array, filled split by split, saves memory
            data.images = np.empty((ends[-1], *part.shape[1:]), dtype=part.dtype)
        if (part.shape[1:], part.dtype) != (data.images.shape[1:], data.images.dtype):
            raise ValueError(
                f"{split}_images have dtype {part.dtype} and shape {part.shape[1:]}, but "
                f"train_images have dtype {data.images.dtype} and shape {data.images.shape[1:]}; "
                "all must have the same dtype and shape."
            )
        data.images[end - len(part) : end] = part
    data.target, data.target_names = _encoded(np.concatenate(list(labels.values())), None)
    data.split = np.repeat(splits, [len(labels[split]) for split in splits])
    return data


def _few(file: NpzFile) -> str:
    """List the names of the first arrays in a file."""
    names = sorted(file.files)
    return str(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _first(file: NpzFile, names: Sequence[str]) -> NDArray[Any] | None:
    return next((file[name] for name in names if name in file), None)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    images = check_pixels(images)
    return images if images.ndim == 4 else images[..., None]


def _one_label_each(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"the labels have shape {labels.shape}; expected one label per image, of shape (n,) or "
            "(n, 1). Several labels per image are not supported."
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "U":
        missing = np.flatnonzero(np.isin(labels, _MISSING))
        if len(missing):
            raise ValueError(
                f"{len(missing)} images have no label, the first at {missing[0]}: it is "
                f"{labels.tolist()[missing[0]]!r}, which is a missing label converted to text. "
                "Remove these images, or name their class."
            )
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(
            f"{np.isnan(labels).sum()} images have no label (NaN), the first at "
            f"{np.isnan(labels).argmax()}. Remove them, or give them a class."
        )
    if labels.dtype.kind == "f":
        whole = labels.astype(np.int64)
        if not np.array_equal(whole, labels):
            raise ValueError("the labels are fractions; expected class names or integers.")
        return whole
    return labels


def _encoded(
    labels: NDArray[Any], names: NDArray[Any] | None
) -> tuple[NDArray[np.intp], NDArray[np.str_]]:
    """Convert labels to indices into the names of the classes."""
    if names is None:
        values, target = np.unique(labels, return_inverse=True)
        return target.astype(np.intp), values.astype(str)
    names = names.astype(str)
    if labels.dtype.kind == "U":
        codes = {name: code for code, name in enumerate(names)}
        unknown = sorted(set(labels.tolist()) - set(codes))
        target = np.array([codes.get(label, -1) for label in labels], dtype=np.intp)
    else:
        target = labels.astype(np.intp)
        unknown = np.unique(target[(target < 0) | (target >= len(names))]).tolist()
    if unknown:
        raise ValueError(f"labels {unknown} are not among the target_names {names.tolist()}.")
    return target, names


def _splits(values: NDArray[Any]) -> NDArray[np.str_]:
    found, inverse = np.unique(values.astype(str), return_inverse=True)
    unknown = [value for value in found.tolist() if value.lower() not in SPLITS]
    if unknown:
        raise ValueError(f"unknown splits {unknown}; expected 'train', 'val' and 'test'.")
    return np.array([SPLITS[value.lower()] for value in found])[inverse]
