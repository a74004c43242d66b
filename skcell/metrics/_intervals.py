"""Intervals for the scores of one test set, and for those of a cross-validation."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils.validation import check_array

from skcell._sklearn import Interval, validate_params


@dataclass(frozen=True)
class Estimate:
    """An accuracy or another rate, with its 95 % interval.

    Parameters
    ----------
    value, low, high : float
        The rate, and the ends of its interval; these are NaN if there is none.

    Examples
    --------
    >>> from skcell.metrics import Estimate
    >>> print(Estimate(0.9, 0.82, 0.95))
    90.0 % (82.0 to 95.0)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, correct: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate the rate of correct predictions.

        Parameters
        ----------
        correct : array-like of bool of shape (n,)
            Whether each prediction is correct.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image; the interval is then one for new patients.

        Returns
        -------
        Estimate
            The rate and its interval.
        """
        value = float(np.mean(np.asarray(correct, dtype=np.float64)))
        return cls(value, *grouped_accuracy_interval(correct, groups))

    def __str__(self) -> str:
        """Return the rate in per cent, with its interval."""
        if math.isnan(self.low):  # with one patient, nothing is known about others
            return f"{100 * self.value:.1f} % (no interval)"
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@validate_params(
    {
        "n_correct": [Interval(Integral, 0, None, closed="left")],
        "n": [Interval(Integral, 1, None, closed="left")],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def accuracy_interval(
    n_correct: int, n: int, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Compute Wilson's score interval of an accuracy measured on one set of images.

    The interval says how far the accuracy of *this* trained model may be from the measured one
    because the test images are a sample. It does not include how much the accuracy would change
    with another training set or seed.

    Parameters
    ----------
    n_correct : int
        Number of images whose class was predicted correctly.
    n : int
        Number of images. They must be independent: not several images of one cell, nor images of
        only a few patients.
    confidence_level : float, default=0.95
        Probability with which the interval covers the accuracy.

    Returns
    -------
    low, high : float
        Ends of the interval, between 0 and 1.

    Raises
    ------
    ValueError
        If `n_correct` is larger than `n`, or a parameter is out of its range.

    See Also
    --------
    cross_validated_interval : Interval for the scores of a cross-validation.
    scipy.stats.binomtest : Compute this interval and others.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       Journal of the American Statistical Association 22(158), 209-212, 1927.

    Examples
    --------
    >>> from skcell.metrics import accuracy_interval
    >>> low, high = accuracy_interval(85, 100)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.767 to 0.907
    """
    if n_correct > n:
        raise ValueError(f"n_correct={n_correct} cannot be larger than n={n}.")
    ends = stats.binomtest(int(n_correct), int(n)).proportion_ci(confidence_level, method="wilson")
    return float(ends.low), float(ends.high)


@validate_params(
    {
        "correct": ["array-like"],
        "groups": ["array-like", None],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def grouped_accuracy_interval(
    correct: ArrayLike, groups: ArrayLike | None, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Compute the interval of an accuracy if images come in groups, such as patients.

    Images of one patient are more often classified correctly or wrongly together than images of
    several patients, so they carry less information than the same number of independent images.
    Wilson's interval is therefore computed for the effective number of images. This is the number
    of images divided by the design effect [1]_: the ratio of the variance of the accuracy between
    groups to that of independent images. The quantile is that of Student's t distribution with one
    degree of freedom less than there are groups. The effective number is at least 1 and at most
    the number of images; if the accuracy is the same in all groups, it is the number of groups.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each image's class was predicted correctly.
    groups : array-like of shape (n,) or None
        The patient, slide or other group of each image; None if images are independent, and the
        interval is Wilson's.
    confidence_level : float, default=0.95
        Probability with which the interval covers the accuracy.

    Returns
    -------
    low, high : float
        Ends of the interval, between 0 and 1. Both are NaN for a single group, which gives no
        information about others.

    See Also
    --------
    accuracy_interval : Interval for independent images.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from skcell.metrics import accuracy_interval, grouped_accuracy_interval
    >>> correct = [True] * 30 + [False] * 10
    >>> low, high = grouped_accuracy_interval(correct, [i // 10 for i in range(40)])
    >>> print(f"{low:.2f} to {high:.2f}")
    0.13 to 0.98
    >>> low, high = accuracy_interval(30, 40)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.60 to 0.86
    """
    is_correct = np.asarray(correct, dtype=np.float64)
    n, p = len(is_correct), float(is_correct.mean())
    if groups is None:
        return accuracy_interval(int(is_correct.sum()), n, confidence_level)
    return _grouped_interval(p, (is_correct - p) / n, groups, n, confidence_level)


@validate_params(
    {
        "values": ["array-like"],
        "groups": ["array-like", None],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def mean_interval(
    values: ArrayLike, groups: ArrayLike | None = None, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Compute the t interval of the mean of one value for each image, such as its log loss.

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
    low, high : float
        Ends of the interval; both are NaN for a single image or group.

    See Also
    --------
    grouped_accuracy_interval : For values that are 0 or 1.

    Examples
    --------
    >>> from skcell.metrics import mean_interval
    >>> low, high = mean_interval([0.1, 0.2, 0.3, 0.6])
    >>> print(f"{low:.2f} to {high:.2f}")
    -0.04 to 0.64
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean())
    variance, n_groups = _grouped_variance((numbers - mean) / len(numbers), groups)
    if n_groups < 2:
        return math.nan, math.nan
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n_groups - 1)) * math.sqrt(variance)
    return mean - reach, mean + reach


def design_effect(values: ArrayLike, groups: ArrayLike | None) -> float:
    """Estimate how much groups increase the variance of the mean of one value for each image.

    Parameters
    ----------
    values : array-like of shape (n,)
        The values.
    groups : array-like of shape (n,) or None
        Patient, slide or other group of each image.

    Returns
    -------
    float
        The design effect [1]_: the variance of the mean between groups, divided by that of
        independent images; at least 1, which it is without groups, and at most the number of
        images.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from skcell.metrics import design_effect
    >>> design_effect([0, 0, 1, 1], ["a", "a", "b", "b"])
    3.0
    """
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
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


@validate_params(
    {
        "y_true": ["array-like"],
        "y_pred": ["array-like"],
        "groups": ["array-like", None],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def balanced_accuracy_interval(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    groups: ArrayLike | None = None,
    confidence_level: float = 0.95,
) -> tuple[float, float]:
    """Compute the interval of a balanced accuracy measured on one set of images.

    The balanced accuracy is the mean of the recalls of the classes. Without groups, Wilson's
    intervals of the recalls are combined by the MOVER method [1]_, which is valid even if a class
    has few images or all of them are classified correctly.

    With groups, the recalls are not independent, since the same patients have images of several
    classes. The balanced accuracy is therefore linearised by group [2]_: with `K` classes, group
    `g` contributes the sum over its images of ``(correct - recall of the class) / (K * images of
    the class)``. The variance of these contributions gives an effective number of images for
    Wilson's interval, as in `grouped_accuracy_interval`.

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
    low, high : float
        Ends of the interval. Both are NaN if a class has images of one group only.

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
    >>> low, high = balanced_accuracy_interval(truth, ["blast"] * 8 + ["lymphocyte"] * 92)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.74 to 0.97
    """
    y, predicted = np.asarray(y_true), np.asarray(y_pred)
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    n_classes = len(classes)
    n_correct = np.bincount(codes, y == predicted, n_classes)
    recalls = n_correct / counts
    mean = float(recalls.mean())
    if groups is None:
        ends = np.array(
            [
                accuracy_interval(int(k), int(n), confidence_level)
                for k, n in zip(n_correct, counts, strict=True)
            ]
        )
        low = mean - math.sqrt(float(((recalls - ends[:, 0]) ** 2).sum())) / n_classes
        high = mean + math.sqrt(float(((ends[:, 1] - recalls) ** 2).sum())) / n_classes
        return max(low, 0.0), min(high, 1.0)
    names = np.asarray(groups)
    if any(len(np.unique(names[codes == code])) < 2 for code in range(n_classes)):
        return math.nan, math.nan
    _, influence = _mean_over_classes(codes, y == predicted)
    most = n_classes**2 / float((1 / counts).sum())  # as many independent images would give
    return _grouped_interval(mean, influence, names, most, confidence_level)


def _mean_over_classes(classes: ArrayLike, values: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Return the mean of the classes' mean values, and what each image contributes to it.

    The contributions are to the deviation of the mean, for `_grouped_variance`; their sum is zero.
    """
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    numbers = np.asarray(values, dtype=np.float64)
    means = np.bincount(codes, numbers) / counts
    return float(means.mean()), (numbers - means[codes]) / (len(counts) * counts[codes])


@validate_params(
    {
        "scores": ["array-like"],
        "n_train": [Interval(Real, 0, None, closed="neither")],
        "n_test": [Interval(Real, 0, None, closed="neither")],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def cross_validated_interval(
    scores: ArrayLike,
    *,
    n_train: float,
    n_test: float,
    confidence_level: float = 0.95,
) -> tuple[float, float]:
    r"""Compute the corrected resampled t interval of the mean of cross-validated scores.

    The training sets of a cross-validation overlap, so its scores are not independent and the
    usual standard error is too small. Nadeau and Bengio [1]_ correct it according to the sizes of
    the training set and the test set. For `J` scores with mean `m` and variance `s^2`, the
    interval is

    .. math:: m \pm t_{J-1} \sqrt{\left(\frac{1}{J} + \frac{n_{test}}{n_{train}}\right) s^2} .

    The formula also holds for the differences between the scores of two methods on the same folds.

    Parameters
    ----------
    scores : array-like of shape (n_splits,)
        One score of any metric for each split, or differences of such scores.
    n_train, n_test : float
        Number of training samples and of test samples in a split; the means, if splits differ.
    confidence_level : float, default=0.95
        Probability with which the interval covers the expected score.

    Returns
    -------
    low, high : float
        Ends of the interval. They may lie outside the metric's range.

    Raises
    ------
    ValueError
        If there are fewer than two scores, or they are not finite.

    See Also
    --------
    accuracy_interval : Interval for a single split.

    Notes
    -----
    The correction is a good approximation but not exact, because no unbiased estimate of the
    variance of cross-validation exists. It does not account for images that depend on each other;
    split by patient or slide if these are known.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.metrics import cross_validated_interval
    >>> low, high = cross_validated_interval(
    ...     [0.84, 0.86, 0.83, 0.85, 0.87], n_train=800, n_test=200
    ... )
    >>> print(f"{low:.3f} to {high:.3f}")
    0.821 to 0.879
    """
    values = check_array(scores, ensure_2d=False, dtype=np.float64, input_name="scores")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"An interval needs at least two scores in one dimension, got shape {values.shape}. "
            "For a single split, use accuracy_interval."
        )
    n = len(values)
    error = math.sqrt((1 / n + n_test / n_train) * values.var(ddof=1))
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n - 1)) * error
    mean = float(values.mean())
    return mean - reach, mean + reach
