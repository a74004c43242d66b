"""Check a folder of images before a model is trained on it."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skcell._files import replace_file, to_csv
from skcell._holdout import join_groups
from skcell._images import decode_files
from skcell.cleaning import (
    FINDING_COLUMNS,
    DatasetCheck,
    check_dataset,
    find_duplicates,
    predict_left_out,
)
from skcell.datasets import ImageFolder, Labels, read_groups

#: Larger images are resized to this size, unless another is asked for: the time of an epoch grows
#: with the number of pixels, and classes of cells can be distinguished at this size.
LARGEST_SIZE = 96
SMALLEST_SIZE = 24

_PROBED = 50  # files whose size is looked up

#: Height and width of the images, and number of folds and epochs, of the models that doubt labels.
LABEL_SIZE = 32
LABEL_FOLDS = 3
LABEL_EPOCHS = 12


def check_folder(
    folder: str | os.PathLike[str] | ImageFolder,
    *,
    image_size: int | None = None,
    groups: str | None = None,
    group_by_folder: bool = False,
    label_issues: bool = False,
    labels: Labels | None = None,
    columns: Mapping[str, str] | None = None,
    ignore: Sequence[str] | None = None,
    random_state: int = 0,
    notify: Callable[[str], None] = lambda text: None,
) -> DatasetCheck:
    """Check a folder of images: copies, labels, outliers, shortcuts, batches.

    Parameters
    ----------
    folder : str or path-like
        Folder with a sub-folder for each class; or with parts, such as ``train`` and ``test``,
        which have these.
    image_size : int, default=None
        Height and width that images are resized to; None chooses by the files.
    groups : str, default=None
        Patients or slides, as for `skcell.datasets.read_groups`.
    group_by_folder : bool, default=False
        Whether each sub-folder of a class folder is one patient or slide.
    label_issues : bool, default=False
        Whether wrong labels are looked for, by small networks that each learn from two thirds of
        the images and doubt the labels of the others. This takes minutes, and needs the extra
        ``cleaning``.
    labels, columns : path-like (or several) and mapping, default=None
        Tables of labels instead of sub-folders, as for `skcell.datasets.load_image_folder`.
    ignore : sequence of str, default=None
        Patterns of files that are left out, such as ``"*_mask.png"``.
    random_state : int, default=0
        Seed.
    notify : callable
        Called with a sentence about each step.

    Returns
    -------
    DatasetCheck
        What was found.

    Raises
    ------
    ValueError
        If the folder has no classes.

    See Also
    --------
    skcell.cleaning.check_dataset : The same for arrays.
    """
    if not isinstance(folder, ImageFolder):
        folder = ImageFolder.scan(
            folder, labels=labels or True, columns=columns, one_class=True, ignore=ignore
        )
    root, cells = folder.root, folder.describe("warn")
    names = cells.target_names[cells.target]
    found = find_groups(cells, groups, group_by_folder, root)
    size = choose_size(typical_size(folder.files))[0] if image_size is None else image_size
    probabilities = None
    if label_issues:
        notify(f"Training {LABEL_FOLDS} small networks that doubt labels ...")
        probabilities = _doubt(cells.filenames, names, found, random_state)
    notify(f"Checking {len(names):,} images ...")
    return check_dataset(
        cells.filenames,
        names,
        found,
        cells.get("split"),
        probabilities=probabilities,
        names=[os.path.relpath(file, root) for file in cells.filenames],
        image_shape=(size, size, 3),
        random_state=random_state,
    )


def save_check(check: DatasetCheck, path: str | os.PathLike[str], *, title: str) -> list[Path]:
    """Write a check as a page, and its findings as a table beside it."""
    page = check.report(path, title=title)
    table = page.with_name(f"{page.stem}-findings.csv")
    replace_file(table, to_csv(check.to_records(), FINDING_COLUMNS))
    return [page, table]


def doubt_labels(
    images: NDArray[Any], labels: NDArray[Any], groups: NDArray[Any] | None, random_state: int = 0
) -> NDArray[np.float64]:
    """Predict the class of each image by small networks that did not learn from it."""
    clusters = find_duplicates(images).clusters
    parts = clusters if groups is None else join_groups(groups, clusters)
    classes, codes = np.unique(labels, return_inverse=True)
    n_parts = [len(np.unique(parts[codes == code])) for code in range(len(classes))]
    probabilities = np.eye(len(classes))[codes]
    # A class of one patient is not known where this patient is left out.
    known = np.flatnonzero(np.isin(codes, np.flatnonzero(np.array(n_parts) > 1)))
    if len(np.unique(codes[known])) < 2:
        raise ValueError(
            "Labels cannot be doubted: fewer than two classes have images of two patients, or two "
            "images that are no copies."
        )
    from skcell.classifiers import CellCNNClassifier  # starts Keras, which other checks do not need

    clf = CellCNNClassifier(
        epochs=LABEL_EPOCHS,
        augmentation="symmetries",
        learning_rate=1e-3,
        tta="none",
        random_state=random_state,
    )
    found = np.full(probabilities.shape, np.nan)
    found[np.ix_(known, np.unique(codes[known]))] = predict_left_out(
        clf, images[known], codes[known], parts[known], LABEL_FOLDS, random_state
    )
    # A label that no model saw stays as it is.
    told = np.isfinite(found[np.arange(len(codes)), codes])
    probabilities[told] = np.nan_to_num(found[told])
    return probabilities


def _doubt(
    files: NDArray[np.str_], labels: NDArray[np.str_], groups: NDArray[np.str_] | None, seed: int
) -> NDArray[np.float64]:
    """Return probabilities of networks that did not learn from the image."""
    images, kept, _ = decode_files(files, (LABEL_SIZE, LABEL_SIZE, 3), "uint8")
    classes, own = np.unique(labels), labels[kept]
    probabilities = (labels[:, None] == classes).astype(np.float64)  # of unreadable files
    columns = np.searchsorted(classes, np.unique(own))
    some_groups = None if groups is None else groups[kept]
    probabilities[np.ix_(kept, columns)] = doubt_labels(images, own, some_groups, seed)
    return probabilities


def typical_size(files: Sequence[str]) -> list[int]:
    """Return the median height and width of some files; nothing if none can be read."""
    chosen = np.random.default_rng(0).permutation(len(files))[:_PROBED]
    sides = []
    for i in chosen:
        try:
            with Image.open(files[i]) as image:
                sides.append((image.height, image.width))
        except Exception:  # files that cannot be read are reported when they are
            continue
    return [int(side) for side in np.median(sides, axis=0)] if sides else []


def choose_size(sides: Sequence[int]) -> tuple[int, str]:
    """Choose the size of images by the height and width of the files."""
    typical = min(sides, default=LARGEST_SIZE)
    size = int(np.clip(typical, SMALLEST_SIZE, LARGEST_SIZE))
    kept = "as they are" if size == typical else f"resized from about {typical}"
    return size, f"Images are {size} x {size} pixels, {kept}."


def test_part_of(cells: Any) -> str:
    """Return the name of the part of a folder that tests a model."""
    return "test" if "test" in cells.split else "val"


def find_groups(
    cells: Any,
    groups: str | None,
    by_folder: bool,
    root: str,
    chosen: NDArray[np.bool_] | slice = slice(None),
) -> NDArray[np.str_] | None:
    """Find the patient or slide of each image of a folder, or of those that are chosen."""
    if groups is not None and by_folder:
        raise ValueError("groups and group_by_folder cannot be used together; give one.")
    if groups is not None:
        return read_groups(groups, cells.filenames[chosen].tolist(), root)
    if by_folder and "groups" not in cells:
        raise ValueError("There are no groups: no class folder has sub-folders.")
    return cells.groups[chosen] if by_folder or cells.get("groups_named") else None
