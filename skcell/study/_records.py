"""What a study measures: one record for each fit, one for each row."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skcell.metrics import (
    accuracy_interval,
    corrected_t_test,
    cross_validated_interval,
    holm,
)
from skcell.study._rows import Row


@dataclass(frozen=True)
class FoldResult:
    """One fit and its score.

    Parameters
    ----------
    row : str
        Name of the row.
    fold : int
        Number of the split, from 0.
    n_correct, n_test : int
        Number of validation images classified correctly, and of all.
    n_train : int
        Number of real images trained on.
    fit_seconds : float
        Time of the fit, resampling included.
    scores : mapping of str to float
        Other scores: balanced accuracy, macro F1, mean AUC, the recall of each class, and those
        that were asked for. NaN where a class was missing.
    """

    row: str
    fold: int
    n_correct: int
    n_test: int
    n_train: int
    fit_seconds: float
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of validation images classified correctly."""
        return self.n_correct / self.n_test


@dataclass(frozen=True)
class RowResult:
    """One technique's result over the folds that were fitted.

    Parameters
    ----------
    name, description : str
        As in the row.
    parameters : mapping of str to object
        All that was set on the pipeline, epochs and seeds included.
    accuracy : float
        Mean over the folds.
    low, high : float
        Ends of the interval: Wilson's over all validated images, widened to Nadeau and Bengio's
        where there are several folds.
    scores : tuple of float
        Accuracy of each fold fitted.
    n_folds : int
        Number of folds planned; more than there are scores, if the study was interrupted.
    fit_seconds : float
        Mean time of a fit.
    means : mapping of str to float
        Mean of each other score.
    difference : float
        Mean accuracy less that of the first row, on the same folds; NaN where that is missing.
    difference_low, difference_high : float
        Ends of its corrected resampled t interval; NaN with a single fold.
    p_value : float
        Of a corrected resampled t test that it is not zero, by Holm's method corrected for the
        number of rows; NaN with a single fold.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    accuracy: float
    low: float
    high: float
    scores: tuple[float, ...]
    n_folds: int
    fit_seconds: float
    means: Mapping[str, float] = field(default_factory=dict)
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p_value: float = math.nan

    @property
    def complete(self) -> bool:
        """Whether all folds planned were fitted."""
        return len(self.scores) == self.n_folds


def summarise(
    row: Row, folds: Sequence[FoldResult], *, n_folds: int, n_images: int, confidence: float
) -> RowResult:
    """Sum up the folds of one row.

    Parameters
    ----------
    row : Row
        The row.
    folds : sequence of FoldResult
        Its folds, at least one.
    n_folds : int
        Number of folds planned.
    n_images : int
        Number of images that were validated, each counted once.
    confidence : float
        Of the interval.

    Returns
    -------
    RowResult
        Mean, interval and scores.
    """
    scores = tuple(fold.accuracy for fold in folds)
    # Folds may agree by chance; the images validated are a sample all the same.
    share = sum(fold.n_correct for fold in folds) / sum(fold.n_test for fold in folds)
    low, high = accuracy_interval(round(share * n_images), n_images, confidence)
    if len(folds) > 1:
        spread = cross_validated_interval(
            scores,
            n_train=float(np.mean([fold.n_train for fold in folds])),
            n_test=float(np.mean([fold.n_test for fold in folds])),
            confidence=confidence,
        )
        low, high = min(low, spread[0]), max(high, spread[1])
    return RowResult(
        name=row.name,
        description=row.description,
        parameters=row.parameters,
        accuracy=float(np.mean(scores)),
        low=max(low, 0.0),
        high=min(high, 1.0),
        scores=scores,
        n_folds=n_folds,
        fit_seconds=float(np.mean([fold.fit_seconds for fold in folds])),
        means={
            name: _mean([fold.scores.get(name, math.nan) for fold in folds])
            for name in folds[0].scores
        },
    )


def _least_error(difference: float, n: int) -> float:
    """Return a paired difference's standard error if all `n` images that changed did so one way.

    McNemar's, with the fewest images that can make such a difference, and one where there is none:
    the folds of one cross-validation may agree by chance, and would then claim certainty.
    """
    changed = max(abs(difference), 1 / n)
    return math.sqrt(max(changed - difference**2, 0.0) / n)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def compare(
    rows: Sequence[RowResult],
    folds: Sequence[FoldResult],
    n_images: Callable[[Iterable[int]], int],
    confidence: float,
) -> list[RowResult]:
    """Compare each row with the first, on the folds that both have.

    Parameters
    ----------
    rows : sequence of RowResult
        The rows; the first is the base.
    folds : sequence of FoldResult
        Their folds.
    n_images : callable
        From numbers of folds to the number of images validated in them, each counted once.
    confidence : float
        Of the intervals.

    Returns
    -------
    list of RowResult
        The rows, with differences.
    """
    by_row = {row.name: {f.fold: f for f in folds if f.row == row.name} for row in rows}
    base = by_row[rows[0].name]
    out = [rows[0]]
    for row in rows[1:]:
        shared = sorted(by_row[row.name].keys() & base.keys())
        differences = [by_row[row.name][i].accuracy - base[i].accuracy for i in shared]
        found = replace(row, difference=_mean(differences))
        if len(shared) > 1:
            sizes = {
                "n_train": float(np.mean([base[i].n_train for i in shared])),
                "n_test": float(np.mean([base[i].n_test for i in shared])),
                "least_error": _least_error(found.difference, n_images(shared)),
            }
            low, high = cross_validated_interval(differences, confidence=confidence, **sizes)
            found = replace(
                found,
                difference_low=low,
                difference_high=high,
                p_value=corrected_t_test(differences, **sizes),
            )
        out.append(found)
    corrected = holm([row.p_value for row in out])
    return [replace(row, p_value=float(p)) for row, p in zip(out, corrected, strict=True)]
