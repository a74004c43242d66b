"""Shares of the classes in a set of images, corrected by what a classifier confuses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell.metrics import Estimate

#: Weight, in images, of the prior of the class that an image of a class is taken for: its own with
#: the accuracy of all held-out images, and else any. A class of which few images were held out is
#: then taken to be confused about as often as others.
_PRIOR = 2.0

#: Number of images that are added in the draws: to each class, over all that it may be confused
#: with, and to each predicted class. What was not seen among so few images may still occur.
_UNSEEN, _JEFFREYS = 1.0, 0.5

#: Number of draws of an interval, and of iterations of each.
_N_DRAWS = 500
_N_ITERATIONS = 300


def estimate_shares(
    predicted: ArrayLike,
    held_out: ArrayLike,
    codes: ArrayLike,
    n_classes: int,
    *,
    groups: ArrayLike | None = None,
    held_out_groups: ArrayLike | None = None,
    confidence_level: float = 0.95,
    random_state: int = 0,
) -> list[Estimate]:
    """Estimate the share of each class from predictions, most likely given the confusions.

    A classifier that takes 5 % of the many neutrophils for eosinophils doubles the count of the few
    eosinophils. What it confuses is known from held-out images; the shares are those under which
    the predicted classes are most likely (adjusted counting [1]_, by expectation maximisation).
    This assumes that images of a class are confused here as they were among the held-out images.

    The interval comes from both samples: from draws of the posterior distribution of the
    confusions and of the predicted shares, where groups are known for samples of whole groups.

    Parameters
    ----------
    predicted : array-like of int of shape (n,)
        Predicted class of each image, as a code from 0.
    held_out : array-like of int of shape (n_held_out,)
        Predicted class of each image that was held out.
    codes : array-like of int of shape (n_held_out,)
        Its true class.
    n_classes : int
        Number of classes.
    groups : array-like of shape (n,), default=None
        Patient or slide of each image. The interval is then that of the mean over patients.
    held_out_groups : array-like of shape (n_held_out,), default=None
        Patient or slide of each image that was held out.
    confidence_level : float, default=0.95
        Probability with which the interval covers a share.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    list of Estimate
        Share of each class, with its interval; the shares add up to 1. There is no interval (NaN)
        for a single group, which says nothing about others.

    References
    ----------
    .. [1] G. Forman, "Quantifying counts and costs via classification", Data Mining and Knowledge
       Discovery 17, 2008.
    .. [2] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the Outputs of a Classifier to New a
       Priori Probabilities", Neural Computation 14, 2002.

    Examples
    --------
    >>> from skcell.calibration import estimate_shares
    >>> true = [0] * 50 + [1] * 50
    >>> shares = estimate_shares([0] * 90 + [1] * 10, [0] * 50 + [1] * 40 + [0] * 10, true, 2)
    >>> print(shares[1])
    12.0 % (3.8 to 20.8)
    """
    rng = np.random.default_rng(random_state)
    true, seen = np.asarray(codes, np.intp), np.asarray(held_out, np.intp)
    found = np.asarray(predicted, np.intp)
    if not len(found):
        raise ValueError("There is no image of which shares could be estimated.")
    confused = _count(true * n_classes + seen, n_classes**2, held_out_groups)
    counted = _count(found, n_classes, groups)
    shape = (n_classes, n_classes)
    accuracy = (float((true == seen).sum()) + 1) / (len(true) + 2)
    other = (1 - accuracy) / max(n_classes - 1, 1)
    prior = _PRIOR * (other + (accuracy - other) * np.eye(n_classes))

    def rows(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        table = counts.reshape(-1, *shape) + prior
        return table / table.sum(axis=2, keepdims=True)

    best = _most_likely(counted.sum(axis=0)[None], rows(confused.sum(axis=0)))[0]
    if any(g is not None and len(np.unique(g)) == 1 for g in (groups, held_out_groups)):
        return [Estimate(float(b), np.nan, np.nan) for b in best]  # nothing is known about others
    drawn = rng.standard_gamma(
        _resample(confused, rng) + prior.ravel() + _UNSEEN / n_classes
    ).reshape(-1, *shape)
    totals = rng.standard_gamma(_resample(counted, rng) + _JEFFREYS)
    draws = _most_likely(totals, drawn / drawn.sum(axis=2, keepdims=True))
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return [
        Estimate(float(b), float(min(lo, b)), float(max(hi, b)))
        for b, lo, hi in zip(best, low, high, strict=True)
    ]


def _count(values: NDArray[np.intp], n: int, groups: ArrayLike | None) -> NDArray[np.float64]:
    """Count values by group; without groups there is one row."""
    if groups is None:
        return np.bincount(values, minlength=n).astype(np.float64)[None]
    found, numbers = np.unique(groups, return_inverse=True)
    counts = np.bincount(numbers * n + values, minlength=len(found) * n)
    return counts.reshape(-1, n).astype(np.float64)


def _resample(counts: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Sample groups with replacement, and add up their counts; one row is repeated."""
    n = len(counts)
    if n == 1:
        return np.repeat(counts, _N_DRAWS, axis=0)
    return rng.multinomial(n, np.full(n, 1 / n), size=_N_DRAWS).astype(np.float64) @ counts


def _most_likely(counts: NDArray[np.float64], tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares under which counts of predicted classes are most likely.

    `counts` has the shape (draws, predicted), and `tables`, of probabilities, (draws, true,
    predicted).
    """
    observed = counts / counts.sum(axis=1, keepdims=True)
    shares = np.full((len(tables), tables.shape[1]), 1 / tables.shape[1])
    for _ in range(_N_ITERATIONS):
        expected = np.einsum("bk,bkj->bj", shares, tables)
        shares = shares * np.einsum("bkj,bj->bk", tables, observed / expected)
    return shares / shares.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class CellCount:
    """Counts of a set of images: a differential.

    Parameters
    ----------
    classes : list
        Classes.
    counts : list of int
        Number of images that are predicted as each class.
    shares : list of Estimate
        Share of each class, corrected by what the classifier confuses, with its interval.
    n_images : int
        Number of images.
    n_unknown : int
        Number of images that are called unknown. They are counted as what they are predicted as.
    warnings : list of str
        Why the shares may mean nothing: a domain shift, or many unknown images.
    """

    classes: list
    counts: list[int]
    shares: list[Estimate]
    n_images: int
    n_unknown: int
    warnings: list[str]

    def __str__(self) -> str:
        """Return a table, and what makes it doubtful."""
        width = max(len(str(label)) for label in self.classes)
        lines = [f"{self.n_images:,} images, {self.n_unknown:,} of them called unknown"]
        for label, count, share in zip(self.classes, self.counts, self.shares, strict=True):
            lines.append(f"{label!s:<{width}}  {count:>7,}  {share}")
        return "\n".join([*lines, *self.warnings])
