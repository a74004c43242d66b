"""What a study measures: one record for each fit, one for each row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell.stats import (
    accuracy_interval,
    balanced_accuracy_interval,
    corrected_t_test,
    cross_validated_interval,
    grouped_accuracy_interval,
    holm,
)
from skcell.study._rows import Row

#: Scores that have intervals and tests also from a single split.
ACCURACY, BALANCED = "accuracy", "balanced_accuracy"


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
    random_state : int
        Seed of the fit: of this split, the same for all rows.
    loss_drop : float
        Share by which the training loss fell in the last epoch; NaN where there is none.
    predicted : ndarray of int of shape (n_test,) or None
        For each validation image the position of its predicted class among the sorted classes.
    probabilities : ndarray of float32 of shape (n_test, n_classes) or None
        The probability of each class, where the row estimates them.
    error : str
        Why the fit failed; empty if it did not.
    finished : str
        When, in UTC.
    environment : mapping of str to object
        Hardware and versions that it was measured with.
    exception : Exception or None
        The error itself, in the process that met it.
    """

    row: str
    fold: int
    n_correct: int
    n_test: int
    n_train: int
    fit_seconds: float
    scores: Mapping[str, float] = field(default_factory=dict)
    random_state: int = 0
    loss_drop: float = math.nan
    predicted: NDArray[np.intp] | None = field(default=None, repr=False, compare=False)
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    error: str = ""
    finished: str = field(default="", compare=False)
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    exception: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of validation images classified correctly; NaN if the fit failed."""
        return math.nan if self.error else self.n_correct / self.n_test

    def score(self, name: str) -> float:
        """Return a score by its name.

        Parameters
        ----------
        name : str
            "accuracy", or a key of `scores`.

        Returns
        -------
        float
            The score; NaN if there is none.
        """
        return self.accuracy if name == ACCURACY else self.scores.get(name, math.nan)


@dataclass(frozen=True)
class Summary:
    """One score of one technique over the folds.

    Parameters
    ----------
    mean : float
        Mean over the folds.
    low, high : float
        Ends of its interval; NaN where there is none.
    difference : float
        Mean less that of the first row, on the same folds; NaN where that is missing.
    difference_low, difference_high : float
        Ends of its interval, corrected for the number of rows; NaN with a single fold.
    p_value : float
        Of a test that the difference is not zero, corrected likewise; NaN with a single fold.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p_value: float = math.nan


@dataclass(frozen=True)
class RowResult:
    """One technique's result over the folds that were fitted.

    Parameters
    ----------
    name, description : str
        As in the row.
    parameters : mapping of str to object
        All that was set on the pipeline, epochs included.
    scores : tuple of float
        Accuracy of each fold fitted.
    n_folds : int
        Number of folds planned; more than there are scores, if the study was interrupted.
    fit_seconds : float
        Mean time of a fit.
    summaries : mapping of str to Summary
        Accuracy and each other score: mean, interval, and the difference from the first row.
    error : str
        Why the technique failed on some fold; empty if it did not.
    loss_drop : float
        Mean share by which the training loss still fell in the last epoch.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    scores: tuple[float, ...]
    n_folds: int
    fit_seconds: float
    summaries: Mapping[str, Summary]
    error: str = ""
    loss_drop: float = math.nan

    @property
    def complete(self) -> bool:
        """Whether all folds planned were fitted."""
        return len(self.scores) == self.n_folds

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds; NaN if the technique failed."""
        return self.summaries[ACCURACY].mean

    @property
    def low(self) -> float:
        """Lower end of the accuracy's interval."""
        return self.summaries[ACCURACY].low

    @property
    def high(self) -> float:
        """Upper end of the accuracy's interval."""
        return self.summaries[ACCURACY].high

    @property
    def difference(self) -> float:
        """Mean accuracy less that of the first row, on the same folds."""
        return self.summaries[ACCURACY].difference

    @property
    def difference_low(self) -> float:
        """Lower end of the difference's interval."""
        return self.summaries[ACCURACY].difference_low

    @property
    def difference_high(self) -> float:
        """Upper end of the difference's interval."""
        return self.summaries[ACCURACY].difference_high

    @property
    def p_value(self) -> float:
        """Of a test that the difference is not zero, corrected for the number of rows."""
        return self.summaries[ACCURACY].p_value

    @property
    def means(self) -> dict[str, float]:
        """Mean of each score other than accuracy."""
        return {name: s.mean for name, s in self.summaries.items() if name != ACCURACY}


@dataclass(frozen=True)
class Validated:
    """The images that a study validates on.

    Parameters
    ----------
    tests : sequence of ndarray of int
        Their row numbers, by split.
    codes : ndarray of int of shape (n,)
        Position of the class of each image among the sorted classes.
    groups : ndarray of shape (n,) or None
        Patient, slide or the like of each.
    """

    tests: Sequence[NDArray[np.intp]]
    codes: NDArray[np.intp]
    groups: NDArray[Any] | None = None

    def n_images(self, folds: Sequence[FoldResult]) -> int:
        """Count the images validated in some folds, each once."""
        return len(np.unique(np.concatenate([self.tests[fold.fold] for fold in folds])))

    def pooled(self, folds: Sequence[FoldResult]) -> tuple[Any, Any, Any] | None:
        """Return true and predicted classes, and groups, of each image once; None if unknown."""
        if any(fold.predicted is None for fold in folds):
            return None
        rows = np.concatenate([self.tests[fold.fold] for fold in folds])
        predicted = np.concatenate([fold.predicted for fold in folds])
        rows, first = np.unique(rows, return_index=True)
        groups = None if self.groups is None else self.groups[rows]
        return self.codes[rows], predicted[first], groups


def summarise(
    row: Row,
    folds: Sequence[FoldResult],
    *,
    n_folds: int,
    validated: Validated,
    confidence: float,
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
    validated : Validated
        The images.
    confidence : float
        Of the intervals.

    Returns
    -------
    RowResult
        Means, intervals and scores.
    """
    fitted = [fold for fold in folds if not fold.error]
    error = next((fold.error for fold in folds if fold.error), "")
    names = [ACCURACY, *(fitted[0].scores if fitted else {})]
    return RowResult(
        name=row.name,
        description=row.description,
        parameters=row.parameters,
        scores=tuple(fold.accuracy for fold in fitted),
        n_folds=n_folds,
        fit_seconds=_mean([fold.fit_seconds for fold in fitted]),
        summaries={
            # A mean over the folds that went well would flatter.
            name: Summary(math.nan) if error else _sum_up(name, fitted, validated, confidence)
            for name in names
        },
        error=error,
        loss_drop=_mean([fold.loss_drop for fold in fitted]),
    )


def _sum_up(
    name: str, folds: Sequence[FoldResult], validated: Validated, confidence: float
) -> Summary:
    scores = [fold.score(name) for fold in folds]
    low, high = _sampling_interval(name, folds, validated, confidence)
    known = [score for score in scores if not math.isnan(score)]
    if len(folds) > 1 and len(known) == len(folds):
        spread = cross_validated_interval(scores, confidence=confidence, **_sizes(folds))
        low = spread[0] if math.isnan(low) else min(low, spread[0])
        high = spread[1] if math.isnan(high) else max(high, spread[1])
    if name in (ACCURACY, BALANCED):
        low, high = max(low, 0.0), min(high, 1.0)
    return Summary(_mean(scores), low, high)


def _sampling_interval(
    name: str, folds: Sequence[FoldResult], validated: Validated, confidence: float
) -> tuple[float, float]:
    """Interval that only knows that images are a sample, whatever folds do: they may agree."""
    pooled = validated.pooled(folds)
    if name == ACCURACY and (pooled is None or validated.groups is None):
        share = sum(fold.n_correct for fold in folds) / sum(fold.n_test for fold in folds)
        n = validated.n_images(folds)
        return accuracy_interval(round(share * n), n, confidence)
    if name not in (ACCURACY, BALANCED) or pooled is None:
        return math.nan, math.nan
    truth, predicted, groups = pooled
    if name == ACCURACY:
        return grouped_accuracy_interval(truth == predicted, groups, confidence)
    return balanced_accuracy_interval(truth, predicted, groups, confidence)


def _sizes(folds: Sequence[FoldResult]) -> dict[str, float]:
    return {
        "n_train": float(np.mean([fold.n_train for fold in folds])),
        "n_test": float(np.mean([fold.n_test for fold in folds])),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _least_error(difference: float, n: int) -> float:
    """Return a paired difference's standard error if all `n` images that changed did so one way.

    McNemar's, with the fewest images that can make such a difference, and one where there is none:
    the folds of one cross-validation may agree by chance, and would then claim certainty.
    """
    changed = max(abs(difference), 1 / n)
    return math.sqrt(max(changed - difference**2, 0.0) / n)


def _paired_error(
    name: str,
    mine: Sequence[FoldResult],
    base: Sequence[FoldResult],
    difference: float,
    validated: Validated,
) -> float:
    """Return the least standard error of a paired difference that images as a sample allow."""
    if name not in (ACCURACY, BALANCED):
        return 0.0
    n = validated.n_images(mine)
    pooled, pooled_base = validated.pooled(mine), validated.pooled(base)
    if pooled is None or pooled_base is None:
        return _least_error(difference, n) if name == ACCURACY else 0.0
    (truth, predicted, groups), (_, of_base, _) = pooled, pooled_base
    gained = (predicted == truth).astype(float) - (of_base == truth)
    sizes = np.bincount(truth)
    classes = (
        [truth == code for code in np.flatnonzero(sizes)] if name == BALANCED else [truth >= 0]
    )
    error = 0.0
    for of in classes:
        least = _least_error(float(gained[of].mean()), int(of.sum()))
        if groups is not None:
            least = max(least, _grouped_error(gained[of], groups[of]))
        error += (least / len(classes)) ** 2
    return math.sqrt(error)


def _grouped_error(values: NDArray[np.float64], groups: NDArray[Any]) -> float:
    """Return the standard error of a mean of values that are alike in groups."""
    _, codes = np.unique(groups, return_inverse=True)
    sizes = np.bincount(codes)
    apart = np.bincount(codes, weights=values) - values.mean() * sizes
    n_groups = len(sizes)
    if n_groups < 2:
        return math.inf
    return math.sqrt(n_groups / (n_groups - 1) * float(apart @ apart)) / len(values)


def compare(
    rows: Sequence[RowResult],
    folds: Sequence[FoldResult],
    validated: Validated,
    confidence: float,
) -> list[RowResult]:
    """Compare each row with the first, on the folds that both have.

    p values are corrected by Holm's method for the number of rows, and intervals by Bonferroni's;
    of a difference that Holm's finds and Bonferroni's does not, the interval ends at zero, as
    Guilbaud (Biometrical Journal 50, 2008) has it, so that both say the same.

    Parameters
    ----------
    rows : sequence of RowResult
        The rows; the first is the base.
    folds : sequence of FoldResult
        Their folds.
    validated : Validated
        The images.
    confidence : float
        Of the intervals.

    Returns
    -------
    list of RowResult
        The rows, with differences.
    """
    by_row = {
        row.name: {f.fold: f for f in folds if f.row == row.name and not f.error} for row in rows
    }
    first = rows[0]
    if first.error:
        return list(rows)
    others = [row for row in rows[1:] if not row.error]
    found: dict[str, dict[str, Summary]] = {row.name: dict(row.summaries) for row in rows}
    level = 1 - (1 - confidence) / max(1, len(others))
    for name in first.summaries:
        for row in others:
            shared = sorted(by_row[row.name].keys() & by_row[first.name].keys())
            mine = [by_row[row.name][i] for i in shared]
            base = [by_row[first.name][i] for i in shared]
            found[row.name][name] = _compare(
                name, found[row.name][name], mine, base, validated, level
            )
        p_values = holm([found[row.name][name].p_value for row in others]) if others else []
        for row, p in zip(others, p_values, strict=True):
            known = replace(found[row.name][name], p_value=float(p))
            if p < 1 - confidence and known.difference > 0:
                known = replace(known, difference_low=max(known.difference_low, 0.0))
            elif p < 1 - confidence:
                known = replace(known, difference_high=min(known.difference_high, 0.0))
            found[row.name][name] = known
    return [replace(row, summaries=found[row.name]) for row in rows]


def _compare(
    name: str,
    summary: Summary,
    mine: Sequence[FoldResult],
    base: Sequence[FoldResult],
    validated: Validated,
    level: float,
) -> Summary:
    differences = [m.score(name) - b.score(name) for m, b in zip(mine, base, strict=True)]
    mean = _mean(differences)
    if len(differences) < 2 or any(map(math.isnan, differences)):
        return replace(summary, difference=mean)
    least = _paired_error(name, mine, base, mean, validated)
    if math.isinf(least):
        return replace(summary, difference=mean)
    sizes = {**_sizes(base), "least_error": least}
    low, high = cross_validated_interval(differences, confidence=level, **sizes)
    return replace(
        summary,
        difference=mean,
        difference_low=low,
        difference_high=high,
        p_value=corrected_t_test(differences, **sizes),
    )
