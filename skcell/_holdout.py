"""The holdout that early stopping watches: real, stratified, and whole groups at a time."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import check_random_state

from skcell._digest import digest_each_file, digest_images
from skcell._images import as_paths, check_labels
from skcell.exceptions import DuplicateImageWarning


def check_groups(groups: Any, n: int) -> NDArray[Any] | None:
    """Return groups as an array of `n` entries, or None; a missing entry is an error."""
    if groups is None:
        return None
    return check_labels(groups, n, "groups", "entry")


def check_groups_kept(
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], groups: NDArray[Any], cv: Any
) -> None:
    """Refuse splits that have images of one group on both sides.

    Parameters
    ----------
    splits : sequence of (train, test)
        Row numbers.
    groups : ndarray of shape (n,)
        Patient, slide or the like.
    cv : object
        What made the splits, for the error.
    """
    for train, test in splits:
        shared = np.intersect1d(groups[train], groups[test])
        if len(shared):
            raise ValueError(
                f"cv={cv!r} puts {len(shared)} group(s), for example {shared[0]}, on both sides "
                "of a split; use a splitter that keeps groups whole, such as "
                "StratifiedGroupKFold, or a number of folds."
            )


def find_copies(
    X: Any, rows: NDArray[np.intp] | None = None, *, content: bool = False
) -> NDArray[np.intp] | None:
    """Find exact copies: number samples so that copies have one number; None if unknown.

    Parameters
    ----------
    X : array-like
        Images, rows, or paths, of which the same path is a copy.
    rows : ndarray of int, default=None
        The samples to look at; None is all.
    content : bool, default=False
        Whether files are read, and the same content is a copy as well.

    Returns
    -------
    ndarray of int or None
        A number for each of `rows`.
    """
    X = np.asarray(X) if isinstance(X, (list, tuple)) or hasattr(X, "iloc") else X
    if not isinstance(X, np.ndarray) or (X.dtype.hasobject and X.ndim > 1):
        return None
    rows = np.arange(len(X)) if rows is None else rows
    if X.ndim > 1:
        keys: Sequence[Any] = digest_images(X, rows)
    elif (paths := as_paths(X)) is not None:
        keys = [paths[row] for row in rows]
        keys = digest_each_file(keys) if content else keys
    else:
        return None
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def describe_copies(
    copies: NDArray[np.intp] | None,
    y: NDArray[Any],
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    names: NDArray[Any],
) -> list[str]:
    """Say which exact copies of images falsify scores.

    Parameters
    ----------
    copies : ndarray of int of shape (n,) or None
        As from `find_copies`.
    y : ndarray of shape (n,)
        Labels.
    splits : sequence of (train, test)
        Row numbers.
    names : ndarray of shape (n,)
        Names of the images.

    Returns
    -------
    list of str
        A sentence for each fault; empty if there is none.
    """
    if copies is None or copies.max() == len(copies) - 1:
        return []
    members = {
        number: np.flatnonzero(copies == number)
        for number in np.flatnonzero(np.bincount(copies) > 1)
    }
    told = []
    apart = [rows for rows in members.values() if len(np.unique(y[rows])) > 1]
    if apart:
        told.append(
            f"{len(apart)} image(s) are there under two labels: {_pair(apart[0], names)} is "
            f"{' and '.join(map(str, np.unique(y[apart[0]])))}. One of them is wrong: remove both, "
            "or all but the right one."
        )
    crossing = [
        rows
        for rows in members.values()
        if any(np.isin(rows, train).any() and np.isin(rows, test).any() for train, test in splits)
    ]
    if crossing:
        told.append(
            f"{len(crossing)} image(s) have exact copies on both sides of a split, which flatters "
            f"its score: {_pair(crossing[0], names)}. Remove all but one of each, or name them as "
            "one group in groups."
        )
    return told


def warn_of_copies(
    X: Any,
    y: NDArray[Any],
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    names: NDArray[Any],
    stacklevel: int = 3,
) -> list[str]:
    """Find exact copies of images that falsify scores, and warn of them.

    Parameters
    ----------
    X : array-like
        Images, rows or paths; of files, the content counts.
    y, splits, names
        As for `describe_copies`.
    stacklevel : int
        Of the warning.

    Returns
    -------
    list of str
        What was said.
    """
    try:
        copies = find_copies(X, content=True)
    except OSError:  # texts that are no paths, or files that reading will name
        return []
    told = describe_copies(copies, y, splits, names)
    for sentence in told:
        warnings.warn(sentence, DuplicateImageWarning, stacklevel=stacklevel)
    return told


def _pair(rows: NDArray[np.intp], names: NDArray[Any]) -> str:
    return " = ".join(str(names[row]) for row in rows[:2])


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
            f"{classes.tolist()[counts.argmin()]!r} has only one; add images of it, or set "
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
            f"No image of class {classes[missing].tolist()[0]!r} is held out for early stopping: "
            "no choice of whole groups holds out some and leaves some to train on. Add groups with "
            "images of it, or pass X_val and y_val.",
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
    held = np.concatenate([order[codes[order] == code][: int(n)] for code, n in enumerate(take)])
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
