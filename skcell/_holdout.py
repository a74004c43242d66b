"""The holdout that early stopping watches: real, stratified, and whole groups at a time."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import check_random_state

from skcell._digest import digest_images
from skcell._validation import check_labels


def check_groups(groups: Any, n: int) -> NDArray[Any] | None:
    """Return groups as an array of `n` entries, or None; a missing entry is an error."""
    if groups is None:
        return None
    return check_labels(groups, n, "groups", "patient or slide")


def find_copies(X: Any, rows: NDArray[np.intp] | None = None) -> NDArray[np.intp] | None:
    """Number samples so that exact copies have one number; None if that cannot be told.

    Parameters
    ----------
    X : array-like
        Images, rows, or paths, of which the same path is a copy.
    rows : ndarray of int, default=None
        The samples to look at; None is all.

    Returns
    -------
    ndarray of int or None
        A number for each of `rows`.
    """
    X = np.asarray(X) if isinstance(X, (list, tuple)) or hasattr(X, "iloc") else X
    if not isinstance(X, np.ndarray) or (X.dtype.hasobject and X.ndim > 1):
        return None
    X = X if rows is None else X[rows]
    keys = [str(item) for item in X] if X.ndim == 1 else digest_images(X)
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def split_holdout(
    y: NDArray[Any],
    *,
    fraction: float,
    groups: ArrayLike | None,
    random_state: Any,
    copies: NDArray[np.intp] | None = None,
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
    copies : ndarray of int of shape (n_samples,) or None
        As from `find_copies`: copies of an image, as a bootstrap makes them, are never on both
        sides either.

    Returns
    -------
    train, holdout : ndarray of int
        Row numbers.

    Raises
    ------
    ValueError
        If the classes, or the groups, are too few or too small for such a split.
    """
    if copies is not None and copies.max() < len(copies) - 1:
        if groups is not None:
            groups = _join(np.unique(groups, return_inverse=True)[1], copies)
        else:  # one of each, and the others go where it goes
            _, first = np.unique(copies, return_index=True)
            train, held = split_holdout(
                y[first], fraction=fraction, groups=None, random_state=random_state
            )
            is_held = np.isin(copies, copies[first[held]])
            return np.flatnonzero(~is_held), np.flatnonzero(is_held)
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
        return _split_images(codes, counts, n_held, random_state)
    train, held = _split_groups(codes, counts, np.asarray(groups), fraction, random_state)
    missing = np.setdiff1d(codes, codes[held])
    if len(missing):
        warnings.warn(
            f"No image of class {classes[missing[0]]!r} is held out for early stopping: no choice "
            "of whole groups holds out some and leaves some to train on. Add groups with images of "
            "it, or pass X_val and y_val.",
            UserWarning,
            stacklevel=3,
        )
    return train, held


def _join(groups: NDArray[np.intp], copies: NDArray[np.intp]) -> NDArray[np.intp]:
    """Make one group of all groups that a copy connects."""
    n_groups = int(groups.max()) + 1
    n = n_groups + int(copies.max()) + 1
    edges = coo_array((np.ones(len(groups)), (groups, n_groups + copies)), shape=(n, n))
    return connected_components(edges, directed=False)[1][groups]


def _split_images(
    codes: NDArray[Any], counts: NDArray[Any], n_held: int, state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold out of each class its share, at least one image and never all."""
    share = counts * (n_held / len(codes))
    take = np.clip(np.floor(share), 1, counts - 1)
    while take.sum() != n_held:
        step = 1 if take.sum() < n_held else -1
        free = (take < counts - 1) if step > 0 else (take > 1)
        take[np.argmax(np.where(free, step * (share - take), -np.inf))] += step
    order = check_random_state(state).permutation(len(codes))
    held = np.concatenate(
        [order[codes[order] == code][: int(n)] for code, n in enumerate(take)]
    )
    return np.setdiff1d(order, held), np.sort(held)


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
    usable: list[tuple[float, NDArray[np.intp], NDArray[np.intp]]] = []
    for train, held in folds.split(codes, codes, groups):
        left = np.bincount(codes[train], minlength=len(counts))
        if len(held) and left.min() > 0:
            share = np.bincount(codes[held], minlength=len(counts)) / counts
            # Those that hold out images of every class first, and then the nearest to the whole.
            missing = np.count_nonzero(share == 0)
            usable.append((missing + float(np.abs(share - fraction).mean()), train, held))
    if not usable:
        raise ValueError(
            "No group can be held out for early_stopping without taking every image of a class "
            "from training; each class needs images in at least two groups."
        )
    _, train, held = min(usable, key=lambda fold: fold[0])
    return train, held
