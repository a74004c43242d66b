"""Checks of data and splits before training."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils.multiclass import check_classification_targets

from skcell._holdout import check_groups, check_groups_kept, join_groups
from skcell._images import check_images, check_labels, layout_of

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def check_data(
    X: Any, y: Any, groups: Any = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Check images, labels and groups."""
    if layout_of(X) == "rows":
        raise ValueError(
            f"A study needs images of shape (n, height, width[, channels]) or file paths, got an "
            f"array of shape {np.shape(X)}. Reshape the rows: X.reshape(-1, height, width, "
            "channels)."
        )
    X, _ = check_images(X)
    y = check_labels(y, len(X))
    check_classification_targets(y)
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"A study needs images of at least two classes; all {len(y)} images are of class "
            f"{classes.tolist()[0]!r}."
        )
    return X, y, check_groups(groups, len(X))


def describe_data(
    name: str, X: NDArray[Any], y: NDArray[Any], groups: NDArray[Any] | None
) -> dict[str, Any]:
    """Describe data that were checked."""
    classes, counts = np.unique(y, return_counts=True)
    paths = X.ndim == 1
    return {
        "name": name,
        "n_images": len(X),
        "n_classes": len(classes),
        "image_shape": None if paths else list(X.shape[1:]),
        "dtype": "file paths" if paths else X.dtype.name,
        "classes": {str(c): int(n) for c, n in zip(classes.tolist(), counts, strict=True)},
        "n_groups": None if groups is None else len(np.unique(groups)),
    }


def plan_splits(
    cv: Any,
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    random_state: int,
    n_repeats: int = 1,
    copies: NDArray[np.intp] | None = None,
) -> tuple[list[Split], str]:
    """Make the splits that every technique is fitted on."""
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    units = groups
    if isinstance(cv, Integral):
        if copies is not None and copies.max() < len(copies) - 1:
            joined = copies if groups is None else join_groups(groups, copies)
            enough = [len(np.unique(joined[codes == code])) >= cv for code in range(len(classes))]
            units = joined if all(enough) else groups  # else a warning must do
        splitters = [
            _folds(int(cv), classes, codes, counts, units, random_state + i)
            for i in range(n_repeats)
        ]
    elif n_repeats > 1:
        raise ValueError(
            f"n_repeats={n_repeats} needs cv to be a number of folds, got {cv!r}. For repeated "
            "splits by a splitter, use one that repeats, such as RepeatedStratifiedKFold."
        )
    else:
        splitters = [check_cv(cv, codes, classifier=True)]
    splits = [
        (np.asarray(train), np.asarray(test))
        for splitter in splitters
        for train, test in splitter.split(np.zeros(len(y)), codes, units)
    ]
    if not splits:
        raise ValueError(f"cv={cv!r} makes no split; give a number of folds or a splitter.")
    for train, test in splits:
        _check_split(train, test, classes, codes)
    if groups is not None:
        check_groups_kept(splits, groups, cv)
    return splits, _describe(cv, splits, groups, n_repeats)


def _folds(
    n_splits: int,
    classes: NDArray[Any],
    codes: NDArray[np.intp],
    counts: NDArray[np.intp],
    groups: NDArray[Any] | None,
    random_state: int,
) -> StratifiedKFold | StratifiedGroupKFold:
    if groups is None:
        units, what = counts, "images"
        fewest = int(units.argmin())
    else:
        units = np.array([len(np.unique(groups[codes == code])) for code in range(len(classes))])
        what, fewest = "groups", int(units.argmin())
    if n_splits < 2 or units[fewest] < (n_splits if groups is None else 2):
        needed = f"at least {n_splits}" if groups is None else "at least two"
        raise ValueError(
            f"cv={n_splits} needs at least two folds, and {needed} {what} of every class, but "
            f"class {classes[fewest]!s} has {units[fewest]}. Use fewer folds, add images of this "
            "class, or leave it out."
        )
    if groups is None:
        return StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
    n_groups = len(np.unique(groups))
    if n_groups < n_splits:
        raise ValueError(
            f"cv={n_splits} needs at least {n_splits} groups, got {n_groups}; use fewer folds."
        )
    return StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)


def _check_split(
    train: NDArray[Any], test: NDArray[Any], classes: NDArray[Any], codes: NDArray[np.intp]
) -> None:
    if not len(test):
        raise ValueError("A split has no validation images; change cv.")
    both = np.intersect1d(train, test)
    if len(both):
        raise ValueError(
            f"A split trains and validates on the same {len(both)} image(s), for example the one "
            f"with index {both[0]}; its accuracy would be meaningless. Change cv."
        )
    missing = np.setdiff1d(codes[test], codes[train])
    if len(missing):
        raise ValueError(
            f"A split validates on class {classes[missing[0]]!s} without a single training image "
            "of it. Use fewer folds or another split, or leave the class out."
        )


def _describe(cv: Any, splits: list[Split], groups: NDArray[Any] | None, n_repeats: int) -> str:
    train, test = (round(np.mean([len(split[side]) for split in splits])) for side in (0, 1))
    sizes = f"{train:,} training and {test:,} validation images"
    if len(splits) == 1:
        return f"one holdout: {sizes}"
    if isinstance(cv, Integral):
        by_group = "" if groups is None else ", with whole groups"
        times = f", {n_repeats} times" if n_repeats > 1 else ""
        return f"{cv}-fold cross-validation{times}, stratified{by_group}: {sizes}"
    name = "given" if isinstance(cv, Iterable) else type(cv).__name__
    return f"{len(splits)} splits ({name}): {sizes}"
