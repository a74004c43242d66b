"""Scores of one test set with their intervals."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from skcell._sklearn import Interval, validate_params


@dataclass(frozen=True)
class Estimate:
    """A score with its interval.

    Parameters
    ----------
    value, low, high : float
        The score, and the ends of its interval; these are NaN if there is none.

    Examples
    --------
    >>> from skcell.metrics import Estimate
    >>> print(Estimate(0.9, 0.82, 0.95))
    90.0 % (82.0 to 95.0)
    >>> print(f"{Estimate(0.9, 0.82, 0.95):.2f}")
    0.90 (0.82 to 0.95)
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return a rate in per cent, with its interval."""
        return self._write(".1f", 100, " %")

    def __format__(self, spec: str) -> str:
        """Return the score with its interval, formatted as numbers; without `spec`, as a rate."""
        return self._write(spec, 1, "") if spec else str(self)

    def _write(self, spec: str, scale: float, unit: str) -> str:
        value, low, high = (format(scale * one, spec) for one in (self.value, self.low, self.high))
        # With one patient, nothing is known about others.
        interval = "no interval" if math.isnan(self.low) else f"{low} to {high}"
        return f"{value}{unit} ({interval})"


_CONSTRAINTS: dict[str, Any] = {
    "groups": ["array-like", None],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
}


@validate_params(_CONSTRAINTS | {"correct": ["array-like"]}, prefer_skip_nested_validation=True)
def accuracy_interval(
    correct: ArrayLike, groups: ArrayLike | None = None, confidence_level: float = 0.95
) -> Estimate:
    """Compute an accuracy, or another rate, with Wilson's score interval [1]_.

    The interval says how far the accuracy of *this* trained model may be from the measured one
    because the test images are a sample. It does not include how much the accuracy would change
    with another training set or seed.

    Images of one patient are more often classified correctly or wrongly together than images of
    several patients, so they carry less information than the same number of independent images.
    With `groups`, the interval is therefore computed for the effective number of images. This is
    the number of images divided by the design effect [2]_: the ratio of the variance of the
    accuracy between groups to that of independent images. The quantile is that of Student's t
    distribution with one degree of freedom less than there are groups. The effective number is at
    least 1 and at most the number of images; if the accuracy is the same in all groups, it is the
    number of groups.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each image's class was predicted correctly: ``y_pred == y_true``.
    groups : array-like of shape (n,), default=None
        The patient, slide or other group of each image; None if images are independent.
    confidence_level : float, default=0.95
        Probability with which the interval covers the accuracy.

    Returns
    -------
    Estimate
        The accuracy and its interval, between 0 and 1. The ends are NaN for a single group, which
        gives no information about others.

    See Also
    --------
    balanced_accuracy_interval : Interval of the mean of the recalls.
    scipy.stats.binomtest : Compute the interval of independent images, and others.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       Journal of the American Statistical Association 22(158), 209-212, 1927.
    .. [2] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from skcell.metrics import accuracy_interval
    >>> correct = [True] * 30 + [False] * 10
    >>> print(accuracy_interval(correct))
    75.0 % (59.8 to 85.8)
    >>> print(accuracy_interval(correct, [i // 10 for i in range(40)]))
    75.0 % (13.1 to 98.4)
    """
    is_correct = np.asarray(correct, dtype=np.float64)
    n, p = len(is_correct), float(is_correct.mean())
    if groups is not None:
        return Estimate(p, *_grouped_interval(p, (is_correct - p) / n, groups, n, confidence_level))
    return Estimate(p, *_wilson(p, n, math.inf, confidence_level))


@validate_params(_CONSTRAINTS | {"values": ["array-like"]}, prefer_skip_nested_validation=True)
def mean_interval(
    values: ArrayLike, groups: ArrayLike | None = None, confidence_level: float = 0.95
) -> Estimate:
    """Compute the mean of one value for each image, such as its log loss, with its t interval.

    Parameters
    ----------
    values : array-like of shape (n,)
        The values.
    groups : array-like of shape (n,), default=None
        Patient, slide or other group of each image. Images of one group are alike, and the variance
        is that between groups.
    confidence_level : float, default=0.95
        Probability with which the interval covers the mean.

    Returns
    -------
    Estimate
        The mean and its interval, whose ends are NaN for a single image or group.

    See Also
    --------
    accuracy_interval : For values that are 0 or 1.

    Examples
    --------
    >>> from skcell.metrics import mean_interval
    >>> print(f"{mean_interval([0.1, 0.2, 0.3, 0.6]):.2f}")
    0.30 (-0.04 to 0.64)
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean())
    variance, n_groups = _grouped_variance((numbers - mean) / len(numbers), groups)
    if n_groups < 2:
        return Estimate(mean, math.nan, math.nan)
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n_groups - 1)) * math.sqrt(variance)
    return Estimate(mean, mean - reach, mean + reach)


def design_effect(values: ArrayLike, groups: ArrayLike | None) -> float:
    """Estimate how much groups increase the variance of the mean of one value for each image."""
    numbers = np.asarray(values, dtype=np.float64)
    influence = (numbers - numbers.mean()) / len(numbers)
    alone, n = _grouped_variance(influence, None)
    if groups is None or alone == 0:
        return 1.0
    return float(np.clip(_grouped_variance(influence, groups)[0] / alone, 1.0, n))


def _grouped_variance(influence: ArrayLike, groups: ArrayLike | None) -> tuple[float, int]:
    """Estimate the variance of a score from what each image contributes to it.

    The contributions are linear and sum to zero: for an accuracy, ``(correct - accuracy) / n``.
    """
    sums: NDArray[Any] = np.asarray(influence, dtype=np.float64)
    if groups is not None:
        sums = np.bincount(np.unique(np.asarray(groups), return_inverse=True)[1], sums)
    n = len(sums)
    return (n / (n - 1) * float(sums @ sums), n) if n > 1 else (math.inf, n)


def _grouped_interval(
    score: float, influence: ArrayLike, groups: ArrayLike, most: float, confidence_level: float
) -> tuple[float, float]:
    """Return Wilson's interval for the effective number of images, which is at most `most`."""
    variance, n_groups = _grouped_variance(influence, groups)
    if n_groups < 2:
        return math.nan, math.nan
    # Equal scores of all groups are no certainty: each group then counts as one image.
    effective = score * (1 - score) / variance if variance > 0 else float(n_groups)
    return _wilson(score, min(max(effective, 1.0), most), n_groups - 1, confidence_level)


def _wilson(
    score: float, n_effective: float, degrees_of_freedom: float, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Compute Wilson's interval for an effective number of images."""
    p, n = score, n_effective
    z2 = float(stats.t.ppf((1 + confidence_level) / 2, degrees_of_freedom)) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
    return min(p, max(0.0, float(centre - reach))), max(p, min(1.0, float(centre + reach)))


@validate_params(
    _CONSTRAINTS | {"y_true": ["array-like"], "y_pred": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def balanced_accuracy_interval(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    groups: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Compute the balanced accuracy on one set of images, with its interval.

    The balanced accuracy is the mean of the recalls of the classes. Without groups, Wilson's
    intervals of the recalls are combined by the MOVER method [1]_, which is valid even if a class
    has few images or all of them are classified correctly.

    With groups, the recalls are not independent, since the same patients have images of several
    classes. The balanced accuracy is therefore linearised by group [2]_: with `K` classes, group
    `g` contributes the sum over its images of ``(correct - recall of the class) / (K * images of
    the class)``. The variance of these contributions gives an effective number of images for
    Wilson's interval, as in `accuracy_interval`.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    groups : array-like of shape (n,), default=None
        The patient, slide or other group of each image. Images of one group are alike.
    confidence_level : float, default=0.95
        Probability with which the interval covers the balanced accuracy.

    Returns
    -------
    Estimate
        The score and its interval, whose ends are NaN if a class has images of one group only.

    See Also
    --------
    sklearn.metrics.balanced_accuracy_score : The score itself.
    accuracy_interval : Interval of an accuracy.

    References
    ----------
    .. [1] G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: a general
       approach", Statistics in Medicine 27, 1693-1702, 2008.
    .. [2] R. S. Woodruff, "A simple method for approximating the variance of a complicated
       estimate", Journal of the American Statistical Association 66, 411-414, 1971.

    Examples
    --------
    >>> from skcell.metrics import balanced_accuracy_interval
    >>> truth = ["blast"] * 10 + ["lymphocyte"] * 90
    >>> print(balanced_accuracy_interval(truth, ["blast"] * 8 + ["lymphocyte"] * 92))
    90.0 % (74.4 to 97.2)
    """
    y, predicted = np.asarray(y_true), np.asarray(y_pred)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    n_classes = len(counts)
    mean, influence = _mean_over_classes(codes, y == predicted)
    if groups is None:
        recalls = np.bincount(codes, y == predicted) / counts
        ends = np.array(
            [
                _wilson(p, n, math.inf, confidence_level)
                for p, n in zip(recalls, counts, strict=True)
            ]
        )
        low = mean - math.sqrt(float(((recalls - ends[:, 0]) ** 2).sum())) / n_classes
        high = mean + math.sqrt(float(((ends[:, 1] - recalls) ** 2).sum())) / n_classes
        return Estimate(mean, max(low, 0.0), min(high, 1.0))
    names = np.asarray(groups)
    if any(len(np.unique(names[codes == code])) < 2 for code in range(n_classes)):
        return Estimate(mean, math.nan, math.nan)
    most = n_classes**2 / float((1 / counts).sum())  # as many independent images would give
    return Estimate(mean, *_grouped_interval(mean, influence, names, most, confidence_level))


def _mean_over_classes(classes: ArrayLike, values: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Return the mean of the classes' mean values, and what each image contributes to it.

    The contributions are to the deviation of the mean, for `_grouped_variance`; their sum is zero.
    """
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    numbers = np.asarray(values, dtype=np.float64)
    means = np.bincount(codes, numbers) / counts
    return float(means.mean()), (numbers - means[codes]) / (len(counts) * counts[codes])
