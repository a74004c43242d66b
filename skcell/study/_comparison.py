"""Summaries of techniques from the scores of single fits, and differences of techniques."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skcell.metrics import (
    FoldEstimate,
    accuracy_interval,
    balanced_accuracy_interval,
    corrected_resampled_ttest,
    estimate_over_folds,
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

#: Scores from 0 to 1; so are recalls.
_SHARES = (ACCURACY, BALANCED, "f1_macro", "auc")


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
    mean = _mean([fold.score(name) for fold in folds])
    if len(folds) == 1:
        return Summary(mean, *_holdout_interval(name, folds[0], validated, confidence_level))
    estimate = _estimate(name, folds, validated)
    if estimate is None:
        return Summary(mean)
    of_images = _image_values(name, folds, validated) is not None
    found = (estimate.score_interval if of_images else estimate.interval)(confidence_level)
    low, high = found.low, found.high
    if name in _SHARES or name.startswith("recall "):  # a t interval knows no ends
        low, high = max(low, 0.0), min(high, 1.0)
    return Summary(mean, low, high)


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
        found = accuracy_interval(truth == fold.predicted, groups, confidence_level)
    else:
        found = balanced_accuracy_interval(truth, fold.predicted, groups, confidence_level)
    return found.low, found.high


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
    folds: Sequence[FoldResult],
    validated: Validated,
    base: Sequence[FoldResult] | None = None,
) -> FoldEstimate | None:
    """Estimate the mean of a score over folds, or that of the difference from other fits."""
    scores = np.array([fold.score(name) for fold in folds])
    values = _image_values(name, folds, validated)
    if base is not None:
        scores -= [fold.score(name) for fold in base]
        of_base = _image_values(name, base, validated)
        if values is not None and of_base is not None:
            values = [a - b for a, b in zip(values, of_base, strict=True)]
        else:
            values = None
    if len(folds) < 2 or np.isnan(scores).any():
        return None
    if values is None:
        sizes = [np.mean([getattr(fold, n) for fold in folds]) for n in ("n_train", "n_test")]
        return corrected_resampled_ttest(scores, n_train=sizes[0], n_test=sizes[1])
    tests = [validated.tests[fold.fold] for fold in folds]
    units = tests if validated.groups is None else [validated.groups[test] for test in tests]
    classes = [validated.codes[test] for test in tests] if name == BALANCED else None
    estimate = estimate_over_folds(values, units, classes)
    if base is not None and not any(map(np.any, values)):  # one image might differ among others
        n = len(np.unique(np.concatenate(tests)))
        estimate = replace(estimate, standard_error=max(1 / n, estimate.standard_error))
    return estimate


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
    difference = _mean([m.score(name) - b.score(name) for m, b in zip(mine, base, strict=True)])
    estimate = _estimate(name, mine, validated, base)
    if estimate is None or math.isinf(estimate.standard_error):
        return replace(summary, difference=difference)
    found = estimate.interval(level)
    return replace(
        summary,
        difference=difference,
        difference_low=found.low,
        difference_high=found.high,
        p_value=estimate.p_value,
    )
