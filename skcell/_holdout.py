"""The holdout that early stopping watches: real, stratified, and whole groups at a time."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit
from sklearn.utils.validation import column_or_1d


def check_groups(groups: Any, n: int) -> NDArray[Any] | None:
    """Return groups as an array of `n` entries, or None; a missing entry is an error."""
    if groups is None:
        return None
    groups = column_or_1d(groups)
    if len(groups) != n:
        raise ValueError(
            f"groups has {len(groups)} entries for {n} images; give the patient or slide of each."
        )
    missing = np.array([g is None or g != g for g in groups], dtype=bool)  # NaN is not itself
    if missing.any():
        raise ValueError(
            f"groups lacks the entry of {missing.sum()} image(s), the first at {missing.argmax()}; "
            "name the patient or slide of each, or give an unknown one a name of its own."
        )
    return groups


def split_holdout(
    y: NDArray[Any], *, fraction: float, groups: ArrayLike | None, random_state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split samples into those to train on and those to stop by.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    fraction : float
        Share of the samples to hold out, between 0 and 1.
    groups : array-like of shape (n_samples,) or None
        Patient, slide or the like; a group is never on both sides.
    random_state : int or RandomState
        Which samples are drawn.

    Returns
    -------
    train, holdout : ndarray of int
        Row numbers.

    Raises
    ------
    ValueError
        If the classes, or the groups, are too few or too small for such a split.
    """
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    n_held = round(len(y) * fraction)
    if counts.min() < 2:
        raise ValueError(
            f"early_stopping holds out images of every class, but class "
            f"{classes[counts.argmin()]!r} has only one; add images of it, or set "
            "early_stopping=False."
        )
    if n_held < len(classes) or len(y) - n_held < len(classes):
        raise ValueError(
            f"validation_fraction={fraction} of {len(y)} images holds out {n_held}, which leaves "
            f"one side with fewer images than the {len(classes)} classes; change "
            "validation_fraction, or set early_stopping=False."
        )
    if groups is None:
        split = StratifiedShuffleSplit(1, test_size=n_held, random_state=random_state)
        return next(split.split(codes, codes))
    return _split_groups(codes, counts, np.asarray(groups), fraction, random_state)


def _split_groups(
    codes: NDArray[Any], counts: NDArray[Any], groups: NDArray[Any], fraction: float, state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of the folds of a grouped split, the one whose classes are nearest to the whole."""
    n_groups = len(np.unique(groups))
    n_splits = min(max(2, round(1 / fraction)), n_groups, int(counts.max()))
    if n_groups < 2:
        raise ValueError(
            f"groups names {n_groups} group for {len(codes)} images; early_stopping needs at least "
            "two. Pass the patient or slide of each image, or set early_stopping=False."
        )
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=state)
    # A class with few images in one fold only makes scikit-learn warn; whether a fold will do is
    # decided below.
    usable: list[tuple[float, int, NDArray[np.intp], NDArray[np.intp]]] = []
    for train, held in folds.split(codes, codes, groups):
        left = np.bincount(codes[train], minlength=len(counts))
        if len(held) and left.min() > 0:
            share = np.bincount(codes[held], minlength=len(counts)) / counts
            usable.append((float(np.abs(share - fraction).sum()), len(usable), train, held))
    if not usable:
        raise ValueError(
            "No group can be held out for early_stopping without taking every image of a class "
            "from training; each class needs images in at least two groups."
        )
    _, _, train, held = min(usable, key=lambda fold: fold[:2])
    return train, held
