"""What a study measures: one record for each fit, one for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcell.metrics import accuracy_interval, cross_validated_interval
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
    """

    row: str
    fold: int
    n_correct: int
    n_test: int
    n_train: int
    fit_seconds: float

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

    @property
    def complete(self) -> bool:
        """Whether all folds planned were fitted."""
        return len(self.scores) == self.n_folds


def summarise(
    row: Row, folds: Sequence[FoldResult], *, n_folds: int, confidence: float
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
    confidence : float
        Of the interval.

    Returns
    -------
    RowResult
        Mean, interval and scores.
    """
    scores = tuple(fold.accuracy for fold in folds)
    # Folds may agree by chance; the images validated are a sample all the same.
    low, high = accuracy_interval(
        sum(fold.n_correct for fold in folds), sum(fold.n_test for fold in folds), confidence
    )
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
    )
