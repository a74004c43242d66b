"""Split off the holdout of early stopping, check groups, and find copies of images."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

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
    """Return groups as an array of `n` entries, or None; a missing entry raises an error."""
    if groups is None:
        return None
    return check_labels(groups, n, "groups", "entry")


def check_groups_kept(
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], groups: NDArray[Any], cv: Any
) -> None:
    """Refuse splits that put images of one group on both sides."""
    for train, test in splits:
        shared = np.intersect1d(groups[train], groups[test])
        if len(shared):
            raise ValueError(
                f"cv={cv!r} puts {len(shared)} group(s), for example {shared[0]}, on both sides "
                "of a split; use a splitter that keeps groups whole, such as "
                "StratifiedGroupKFold, or a number of folds."
            )


def find_copies(
    X: Any, indices: NDArray[np.intp] | None = None, *, content: bool = False
) -> NDArray[np.intp] | None:
    """Find exact copies, and give all copies of a sample the same number."""
    X = np.asarray(X) if isinstance(X, (list, tuple)) or hasattr(X, "iloc") else X
    if not isinstance(X, np.ndarray) or (X.dtype.hasobject and X.ndim > 1):
        return None
    indices = np.arange(len(X)) if indices is None else indices
    if X.ndim > 1:
        keys: Sequence[Any] = digest_images(X, indices)
    elif (paths := as_paths(X)) is not None:
        keys = [paths[index] for index in indices]
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
    """Describe the exact copies of images that distort scores."""
    if copies is None or copies.max() == len(copies) - 1:
        return []
    members = {
        number: np.flatnonzero(copies == number)
        for number in np.flatnonzero(np.bincount(copies) > 1)
    }
    told = []
    apart = [indices for indices in members.values() if len(np.unique(y[indices])) > 1]
    if apart:
        told.append(
            f"{len(apart)} image(s) occur under two labels: {_pair(apart[0], names)} is "
            f"{' and '.join(map(str, np.unique(y[apart[0]])))}. One of the labels is wrong: remove "
            "both images, or keep only the one with the correct label."
        )
    crossing = [
        indices
        for indices in members.values()
        if any(
            np.isin(indices, train).any() and np.isin(indices, test).any() for train, test in splits
        )
    ]
    if crossing:
        told.append(
            f"{len(crossing)} image(s) have exact copies on both sides of a split, which inflates "
            f"its score: {_pair(crossing[0], names)}. Keep only one copy of each image, or give "
            "its copies the same group in groups."
        )
    return told


def find_copies_of_content(X: Any) -> NDArray[np.intp] | None:
    """Find exact copies, of files by their content; None if they cannot be compared."""
    try:
        return find_copies(X, content=True)
    except OSError:  # not paths, or unreadable files, which raise a clear error later
        return None


def warn_of_copies(
    copies: NDArray[np.intp] | None,
    y: NDArray[Any],
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    names: NDArray[Any],
    stacklevel: int = 3,
) -> list[str]:
    """Warn about exact copies of images that distort scores."""
    told = describe_copies(copies, y, splits, names)
    for sentence in told:
        warnings.warn(sentence, DuplicateImageWarning, stacklevel=stacklevel)
    return told


def _pair(indices: NDArray[np.intp], names: NDArray[Any]) -> str:
    return " = ".join(str(names[index]) for index in indices[:2])


#: A cluster of copies with more than this share of a holdout is split as a group.
_LARGE = 0.1


class Purpose(NamedTuple):
    """What a holdout is for, what to do if there can be none, and how its share is called."""

    name: str
    otherwise: str
    share: str = "validation_fraction"


EARLY_STOPPING = Purpose("early_stopping", "set early_stopping=False")


def split_holdout(
    y: NDArray[Any],
    *,
    fraction: float,
    groups: ArrayLike | None,
    random_state: Any,
    copies: NDArray[np.intp] | None = None,
    purpose: Purpose = EARLY_STOPPING,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split samples into training samples and a holdout."""
    if copies is not None and copies.max() < len(copies) - 1:
        if groups is not None:
            groups = join_groups(groups, copies)
        elif np.bincount(copies).max() > _LARGE * fraction * len(y):
            groups = copies  # where a cluster goes decides how large the holdout is
        else:  # split one copy of each image; the others follow it
            _, first = np.unique(copies, return_index=True)
            train, held = split_holdout(
                y[first],
                fraction=fraction,
                groups=None,
                random_state=random_state,
                purpose=purpose,
            )
            is_held = np.isin(copies, copies[first[held]])
            return np.flatnonzero(~is_held), np.flatnonzero(is_held)
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    n_held = round(len(y) * fraction)
    if counts.min() < 2:
        raise ValueError(
            f"{purpose.name} holds out images of every class, but class "
            f"{classes.tolist()[counts.argmin()]!r} has only one image, apart from copies of it; "
            f"add images of this class, or {purpose.otherwise}."
        )
    if n_held < len(classes) or len(y) - n_held < len(classes):
        raise ValueError(
            f"{purpose.share}={fraction} of {len(y)} images holds out {n_held}, which leaves "
            f"one side with fewer images than the {len(classes)} classes; change "
            f"{purpose.share}, or {purpose.otherwise}."
        )
    if groups is None:
        return _split_images(codes, counts, n_held, random_state)
    train, held = _split_groups(codes, counts, np.asarray(groups), fraction, random_state, purpose)
    missing = np.setdiff1d(codes, codes[held])
    if len(missing):
        warnings.warn(
            f"No image of class {classes[missing].tolist()[0]!r} is held out for {purpose.name}: "
            "no split into whole groups holds out some of its images and leaves others to train "
            "on. Add groups with images of this class.",
            UserWarning,
            stacklevel=3,
        )
    return train, held


def join_groups(groups: ArrayLike, copies: NDArray[np.intp]) -> NDArray[np.intp]:
    """Merge all groups that are connected by copies of an image."""
    groups = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    n = n_groups + int(copies.max()) + 1
    edges = coo_array((np.ones(len(groups)), (groups, n_groups + copies)), shape=(n, n))
    return connected_components(edges, directed=False)[1][groups]


def _split_images(
    codes: NDArray[Any], counts: NDArray[Any], n_held: int, state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold out the same fraction of each class, at least one image and never all."""
    share = counts * (n_held / len(codes))
    take = np.clip(np.floor(share), 1, counts - 1)
    # Correct the rounding, one image at a time, where a class is furthest from its share.
    while take.sum() != n_held:
        step = 1 if take.sum() < n_held else -1
        free = (take < counts - 1) if step > 0 else (take > 1)
        take[np.argmax(np.where(free, step * (share - take), -np.inf))] += step
    order = check_random_state(state).permutation(len(codes))
    held = np.concatenate([order[codes[order] == code][: int(n)] for code, n in enumerate(take)])
    return np.setdiff1d(order, held), np.sort(held)


def _split_groups(
    codes: NDArray[Any],
    counts: NDArray[Any],
    groups: NDArray[Any],
    fraction: float,
    state: Any,
    purpose: Purpose,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Hold out the fold of a grouped split that has nearly the same fraction of each class."""
    n_groups = len(np.unique(groups))
    n_splits = min(max(2, round(1 / fraction)), n_groups, int(counts.max()))
    if n_groups < 2:
        raise ValueError(
            f"groups names {n_groups} group for {len(codes)} images; {purpose.name} needs at least "
            f"two. Pass the patient or slide of each image, or {purpose.otherwise}."
        )
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=state)
    # scikit-learn only warns about a class with fewer images than folds; whether a fold is usable
    # is decided below.
    usable: list[tuple[float, NDArray[np.intp], NDArray[np.intp]]] = []
    for train, held in folds.split(codes, codes, groups):
        left = np.bincount(codes[train], minlength=len(counts))
        if len(held) and left.min() > 0:
            share = np.bincount(codes[held], minlength=len(counts)) / counts
            # Prefer folds with images of every class, then fractions closest to `fraction`.
            missing = np.count_nonzero(share == 0)
            usable.append((missing + float(np.abs(share - fraction).mean()), train, held))
    if not usable:
        raise ValueError(
            f"No group can be held out for {purpose.name} without removing every image of a class "
            "from training; each class needs images in at least two groups."
        )
    _, train, held = min(usable, key=lambda fold: fold[0])
    return train, held
