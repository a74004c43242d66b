"""Summaries of techniques from the scores of single fits, and differences of techniques."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skcell.metrics import (
    FoldEstimate,
    balanced_accuracy_interval,
    corrected_resampled_ttest,
    cross_validated_interval,
    estimate_over_folds,
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
    validated: Validated,
    confidence_level: float,
) -> TechniqueResult:
    """Summarise the folds of one technique."""
    fitted = [fold for fold in folds if not fold.error]
    error = next((fold.error for fold in folds if fold.error), "")
    names = [ACCURACY, *(fitted[0].scores if fitted else {})]
    return TechniqueResult(
        name=technique.name,
        description=technique.description,
        parameters=technique.parameters,
        scores=tuple(fold.accuracy for fold in fitted),
        n_folds=len(validated.tests),
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
    low, high = math.nan, math.nan
    if len(folds) == 1:
        low, high = _holdout_interval(name, folds[0], validated, confidence_level)
    elif (values := _image_values(name, folds, validated)) is not None:
        estimate = _estimate(name, values, folds, validated)
        low, high = estimate.score_interval(confidence_level)
    elif not any(map(math.isnan, scores)):
        low, high = cross_validated_interval(
            scores, confidence_level=confidence_level, **_sizes(folds)
        )
    return Summary(_mean(scores), low, high)


def _holdout_interval(
    name: str, fold: FoldResult, validated: Validated, confidence_level: float
) -> tuple[float, float]:
    """Return the interval of one split, from the sampling of images alone."""
    if name not in (ACCURACY, BALANCED) or fold.predicted is None:
        return math.nan, math.nan
    indices = validated.tests[fold.fold]
    truth = validated.codes[indices]
    groups = None if validated.groups is None else validated.groups[indices]
    if name == ACCURACY:
        return grouped_accuracy_interval(truth == fold.predicted, groups, confidence_level)
    return balanced_accuracy_interval(truth, fold.predicted, groups, confidence_level)


def _image_values(
    name: str, folds: Sequence[FoldResult], validated: Validated
) -> list[NDArray[np.float64]] | None:
    """Return whether each image was predicted correctly, if the score is a mean of these."""
    if name not in (ACCURACY, BALANCED) or any(fold.predicted is None for fold in folds):
        return None
    return [
        (validated.codes[validated.tests[fold.fold]] == fold.predicted).astype(np.float64)
        for fold in folds
    ]


def _estimate(
    name: str,
    values: Sequence[NDArray[np.float64]],
    folds: Sequence[FoldResult],
    validated: Validated,
) -> FoldEstimate:
    tests = [validated.tests[fold.fold] for fold in folds]
    units = tests if validated.groups is None else [validated.groups[test] for test in tests]
    classes = [validated.codes[test] for test in tests] if name == BALANCED else None
    return estimate_over_folds(values, units, classes)


def _sizes(folds: Sequence[FoldResult]) -> dict[str, float]:
    return {
        "n_train": float(np.mean([fold.n_train for fold in folds])),
        "n_test": float(np.mean([fold.n_test for fold in folds])),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


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
    values, of_base = (_image_values(name, folds, validated) for folds in (mine, base))
    if values is None or of_base is None:
        low, high = cross_validated_interval(differences, confidence_level=level, **_sizes(base))
        p_value = corrected_resampled_ttest(differences, **_sizes(base))
    else:
        gained = [a - b for a, b in zip(values, of_base, strict=True)]
        estimate = _estimate(name, gained, mine, validated)
        if math.isinf(estimate.standard_error):
            return replace(summary, difference=mean)
        n = validated.n_images(mine)
        if not any(map(np.any, gained)):  # one image might differ among others
            estimate = replace(estimate, standard_error=1 / n)
        (low, high), p_value = estimate.interval(level), estimate.p_value
    return replace(
        summary, difference=mean, difference_low=low, difference_high=high, p_value=p_value
    )
