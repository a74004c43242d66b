"""Find shortcuts: features other than the cell from which the class can be predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm, rankdata
from sklearn.ensemble import ExtraTreesClassifier

from skcell._holdout import check_groups
from skcell._images import as_paths, check_labels
from skcell.cleaning._left_out import predict_left_out
from skcell.cleaning._scan import FileHeader, Scan, check, read_headers, scan

_FOLDS = 5
_FEWEST = 10  # of a class with fewer images nothing can be said
_MOST = 10_000  # images that the small models learn from
_TREES = 100


@dataclass(frozen=True)
class Shortcut:
    """How well a class can be predicted from one thing that is not the cell.

    Parameters
    ----------
    source : str
        "border", "mean colour", "file size", or "file format and dimensions".
    label : object
        The class.
    auc : float
        Area under the ROC curve of the class against the others, on images that the small model
        did not learn from; 0.5 is chance.
    low, high : float
        Its interval. All intervals of one call hold together with a probability of 95 %.
    examples : ndarray of int
        Indices of images of the class that the small model is most certain of.
    """

    source: str
    label: Any
    auc: float
    low: float
    high: float
    examples: NDArray[np.intp]

    @property
    def is_above_chance(self) -> bool:
        """Whether the interval lies above 0.5."""
        return self.low > 0.5


def find_shortcuts(
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    files: Sequence[str] | None = None,
    image_shape: tuple[int, ...] | None = None,
    random_state: int = 0,
) -> list[Shortcut]:
    """Predict classes from everything but the cell, by small models.

    A network learns whatever distinguishes the classes. If the border of the images does, or the
    format of their files, its score says little about cells, and falls elsewhere.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, rows of pixels, or paths of image files.
    y : array-like of shape (n,)
        Labels.
    groups : array-like of shape (n,), default=None
        Group of each image, such as its patient or slide; none is on both sides of a fold.
    files : sequence of str, default=None
        Files that the images were read from, for their size, format and dimensions; taken from `X`
        if it holds paths.
    image_shape : tuple of int, default=None
        Shape of an image, for rows of pixels.
    random_state : int, default=0
        Seed of the folds and models.

    Returns
    -------
    list of Shortcut
        One for each source and class, the most predictable first.

    Raises
    ------
    ValueError
        If images, labels or groups cannot be used.

    See Also
    --------
    find_batches : Batches of images, and the classes in each.

    Notes
    -----
    A class that is well predicted by its mean colour may simply have that colour, and large cells
    reach the border. A shortcut is a question to the person who knows the images, not an answer.

    The intervals are DeLong's [1]_, and never narrower than those of a share of as many trials as
    the class has images, or groups; with Bonferroni's correction for all classes and sources. A
    class that lives in one group has no figure: nothing can be learned of it without that group.

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more
       correlated receiver operating characteristic curves", Biometrics 44, 1988.

    Examples
    --------
    >>> from skcell.cleaning import find_shortcuts
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(120, n_classes=2, image_size=32, random_state=0)
    >>> cells.images[cells.target == 1, :2, :2] = 0  # a mark in the corner
    >>> found = find_shortcuts(cells.images, cells.target)
    >>> found[0].source, round(found[0].auc, 2)
    ('border', 1.0)
    """
    images, spec = check(X, image_shape)
    n = len(images)
    labels, checked = check_labels(y, n), check_groups(groups, n)
    paths = as_paths(X) if files is None else files
    headers = [] if paths is None else read_headers(paths)
    return shortcuts_from_scan(scan(images, spec), labels, checked, headers, random_state)


def shortcuts_from_scan(
    scanned: Scan,
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    headers: Sequence[FileHeader],
    random_state: int = 0,
) -> list[Shortcut]:
    """Find shortcuts among images that were looked at."""
    names, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    parts = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = np.array([len(np.unique(parts[codes == code])) for code in range(len(names))])
    # Of a class in one group, a model that has not seen the group knows nothing.
    enough = np.flatnonzero((counts >= _FEWEST) & (n_groups > 1))
    sources = {"border": scanned.border, "mean colour": scanned.colour}
    if headers:
        sources |= _describe_files(headers)
    sources = {name: v for name, v in sources.items() if (np.ptp(v, axis=0) > 0).any()}
    if len(enough) < 2:
        return []
    rng = np.random.default_rng(random_state)
    chosen = np.sort(rng.permutation(np.flatnonzero(np.isin(codes, enough)))[:_MOST])
    level = 0.05 / max(1, len(enough) * len(sources))
    found = []
    for source, values in sources.items():
        model = ExtraTreesClassifier(
            _TREES,
            min_samples_leaf=3,
            class_weight="balanced",
            n_jobs=-1,
            random_state=random_state,
        )
        scores = predict_left_out(
            model, values[chosen], codes[chosen], parts[chosen], _FOLDS, random_state
        )
        for column, code in enumerate(np.unique(codes[chosen])):
            is_one = codes[chosen] == code
            own, others = (scores[part, column] for part in (is_one, ~is_one))
            own, others = own[np.isfinite(own)], others[np.isfinite(others)]
            if min(len(own), len(others)) < _FEWEST:  # few are left of many images
                continue
            n_apart = len(own)
            if groups is not None:
                n_apart = min(n_groups[code], len(np.unique(parts[codes != code])))
            auc, low, high = _auc_interval(own, others, n_apart, level)
            sure = np.argsort(-np.where(is_one, scores[:, column], -1), kind="stable")
            examples = chosen[sure[: min(8, int(is_one.sum()))]]
            found.append(Shortcut(source, names.tolist()[code], auc, low, high, examples))
    return sorted(found, key=lambda one: -one.low)


def _describe_files(headers: Sequence[FileHeader]) -> dict[str, NDArray[np.float64]]:
    """Return the size of files, and their format and dimensions, as numbers."""
    kinds: dict[tuple[str, str], int] = {}
    numbers = [kinds.setdefault((one.format, one.mode), len(kinds)) for one in headers]
    return {
        "file size": np.array([[float(one.n_bytes)] for one in headers]),
        "file format and dimensions": np.array(
            [(k, one.width, one.height) for k, one in zip(numbers, headers, strict=True)], float
        ),
    }


def _auc_interval(
    positive: NDArray[np.float64], negative: NDArray[np.float64], n_apart: int, level: float
) -> tuple[float, float, float]:
    """Return the area under the ROC curve and its interval.

    DeLong's interval is a point where all are distinguished, and takes images of one group for
    independent. It is never taken narrower than that of a share of `n_apart` independent trials.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # share of the negatives below each positive
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    auc = float(above.mean())
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n
    half = float(norm.ppf(1 - level / 2) * np.sqrt(variance))
    hits = auc * n_apart
    low = float(beta.ppf(level / 2, hits, n_apart - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - level / 2, hits + 1, n_apart - hits)) if hits < n_apart else 1.0
    return auc, max(0.0, min(low, auc - half)), min(1.0, max(high, auc + half))
