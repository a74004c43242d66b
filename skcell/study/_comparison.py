"""Summaries of techniques from the scores of single fits, and differences of techniques."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell.stats import (
    accuracy_interval,
    balanced_accuracy_interval,
    corrected_resampled_ttest,
    cross_validated_interval,
    grouped_accuracy_interval,
    holm_correction,
)
from skcell.study._records import (
    ACCURACY,
    BALANCED,
    FoldResult,
    Summary,
    TechniqueResult,
    Validated,
)
from skcell.study._techniques import Technique


def summarise(
    technique: Technique,
    folds: Sequence[FoldResult],
    *,
    n_folds: int,
    validated: Validated,
    confidence_level: float,
) -> TechniqueResult:
    """Summarise the folds of one technique.

    Parameters
    ----------
    technique : Technique
        The technique.
    folds : sequence of FoldResult
        The folds of the technique, at least one.
    n_folds : int
        Number of folds planned.
    validated : Validated
        The validation images.
    confidence_level : float
        Confidence level of the intervals.

    Returns
    -------
    TechniqueResult
        Means, intervals and scores.
    """
    fitted = [fold for fold in folds if not fold.error]
    error = next((fold.error for fold in folds if fold.error), "")
    names = [ACCURACY, *(fitted[0].scores if fitted else {})]
    return TechniqueResult(
        name=technique.name,
        description=technique.description,
        parameters=technique.parameters,
        scores=tuple(fold.accuracy for fold in fitted),
        n_folds=n_folds,
        fit_seconds=_mean([fold.fit_seconds for fold in fitted]),
        summaries={
            # A mean over the successful folds alone would be too high.
            name: Summary(math.nan) if error else _sum_up(name, fitted, validated, confidence_level)
            for name in names
        },
        error=error,
        loss_drop=_mean([fold.loss_drop for fold in fitted]),
        training_accuracy=_mean([fold.training_accuracy for fold in fitted]),
    )


def _sum_up(
    name: str, folds: Sequence[FoldResult], validated: Validated, confidence_level: float
) -> Summary:
    scores = [fold.score(name) for fold in folds]
    low, high = _sampling_interval(name, folds, validated, confidence_level)
    known = [score for score in scores if not math.isnan(score)]
    if len(folds) > 1 and len(known) == len(folds):
        spread = cross_validated_interval(
            scores, confidence_level=confidence_level, **_sizes(folds)
        )
        low = spread[0] if math.isnan(low) else min(low, spread[0])
        high = spread[1] if math.isnan(high) else max(high, spread[1])
    if name in (ACCURACY, BALANCED):
        low, high = max(low, 0.0), min(high, 1.0)
    return Summary(_mean(scores), low, high)


def _sampling_interval(
    name: str, folds: Sequence[FoldResult], validated: Validated, confidence_level: float
) -> tuple[float, float]:
    """Return the interval from the sampling of images alone, because folds may agree by chance."""
    pooled = validated.pooled(folds)
    if name == ACCURACY and (pooled is None or validated.groups is None):
        share = sum(fold.n_correct for fold in folds) / sum(fold.n_test for fold in folds)
        n = validated.n_images(folds)
        return accuracy_interval(round(share * n), n, confidence_level)
    if name not in (ACCURACY, BALANCED) or pooled is None:
        return math.nan, math.nan
    truth, predicted, groups = pooled
    if name == ACCURACY:
        return grouped_accuracy_interval(truth == predicted, groups, confidence_level)
    return balanced_accuracy_interval(truth, predicted, groups, confidence_level)


def _sizes(folds: Sequence[FoldResult]) -> dict[str, float]:
    return {
        "n_train": float(np.mean([fold.n_train for fold in folds])),
        "n_test": float(np.mean([fold.n_test for fold in folds])),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _least_error(difference: float, n: int) -> float:
    """Return the smallest standard error of a paired difference over `n` images.

    This is McNemar's standard error for the fewest changed images that can make the difference, all
    in one direction, or for one image if there is no difference. Without it, the folds of one
    cross-validation could agree by chance and suggest certainty.
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
    """Return the smallest standard error of a paired difference, from the sampling of images."""
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
    """Return the standard error of a mean of values that are correlated within groups."""
    _, codes = np.unique(groups, return_inverse=True)
    sizes = np.bincount(codes)
    apart = np.bincount(codes, weights=values) - values.mean() * sizes
    n_groups = len(sizes)
    if n_groups < 2:
        return math.inf
    return math.sqrt(n_groups / (n_groups - 1) * float(apart @ apart)) / len(values)


def compare(
    techniques: Sequence[TechniqueResult],
    folds: Sequence[FoldResult],
    validated: Validated,
    confidence_level: float,
) -> list[TechniqueResult]:
    """Compare each technique with the first, on the folds that both have.

    p values are corrected for the number of techniques by Holm's method, and intervals by
    Bonferroni's. If only Holm's method finds a difference, the interval ends at zero (Guilbaud,
    Biometrical Journal 50, 2008), so that p value and interval agree.

    Parameters
    ----------
    techniques : sequence of TechniqueResult
        The techniques; the first is the base.
    folds : sequence of FoldResult
        The folds of all techniques.
    validated : Validated
        The validation images.
    confidence_level : float
        Confidence level of the intervals.

    Returns
    -------
    list of TechniqueResult
        The techniques, with differences.
    """
    by_technique = {
        technique.name: {f.fold: f for f in folds if f.technique == technique.name and not f.error}
        for technique in techniques
    }
    first = techniques[0]
    if first.error:
        return list(techniques)
    others = [technique for technique in techniques[1:] if not technique.error]
    found: dict[str, dict[str, Summary]] = {
        technique.name: dict(technique.summaries) for technique in techniques
    }
    level = 1 - (1 - confidence_level) / max(1, len(others))
    for name in first.summaries:
        for technique in others:
            shared = sorted(by_technique[technique.name].keys() & by_technique[first.name].keys())
            mine = [by_technique[technique.name][i] for i in shared]
            base = [by_technique[first.name][i] for i in shared]
            found[technique.name][name] = _compare(
                name, found[technique.name][name], mine, base, validated, level
            )
        p_values = (
            holm_correction([found[technique.name][name].p_value for technique in others])
            if others
            else []
        )
        for technique, p in zip(others, p_values, strict=True):
            known = replace(found[technique.name][name], p_value=float(p))
            if p < 1 - confidence_level and known.difference > 0:
                known = replace(known, difference_low=max(known.difference_low, 0.0))
            elif p < 1 - confidence_level:
                known = replace(known, difference_high=min(known.difference_high, 0.0))
            found[technique.name][name] = known
    return [replace(technique, summaries=found[technique.name]) for technique in techniques]


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
    sizes = {**_sizes(base), "min_standard_error": least}
    low, high = cross_validated_interval(differences, confidence_level=level, **sizes)
    return replace(
        summary,
        difference=mean,
        difference_low=low,
        difference_high=high,
        p_value=corrected_resampled_ttest(differences, **sizes),
    )
