"""Intervals for scores: of one holdout, and of several overlapping training sets."""

import math
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.utils.validation import check_array

from skcell._sklearn import Interval, validate_params


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
    """Wilson's score interval of an accuracy measured on one set of images.

    It says how far the accuracy of *this* trained model may lie from the measured one because the
    test images are a sample. It does not include the variation between training sets or seeds.

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
        Ends of the interval, within 0 and 1.

    Raises
    ------
    ValueError
        If more images are correct than there are, or a parameter is out of its range.

    See Also
    --------
    cross_validated_interval : For the scores of a cross-validation.
    scipy.stats.binomtest : Computes it, and other intervals.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       Journal of the American Statistical Association 22(158), 209-212, 1927.

    Examples
    --------
    >>> from skcell.stats import accuracy_interval
    >>> low, high = accuracy_interval(85, 100)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.767 to 0.907
    """
    if n_correct > n:
        raise ValueError(f"n_correct={n_correct} of n={n} images cannot be correct.")
    ends = stats.binomtest(int(n_correct), int(n)).proportion_ci(confidence_level, method="wilson")
    return float(ends.low), float(ends.high)


@validate_params(
    {
        "correct": ["array-like"],
        "groups": ["array-like"],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def grouped_accuracy_interval(
    correct: ArrayLike, groups: ArrayLike, confidence_level: float = 0.95
) -> tuple[float, float]:
    r"""Interval of an accuracy where images come in groups that are alike, such as patients.

    Images of one patient are right or wrong together more often than those of several, so that
    they say less than as many independent ones. Wilson's interval is taken of the effective number
    of images: their number over the design effect [1]_, the variance of the accuracy between
    groups over that of independent images; with Student's t of one degree less than there are
    groups. It is at least the number of groups that count, and at most that of images.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each image's class was predicted correctly.
    groups : array-like of shape (n,)
        The patient, slide or the like of each.
    confidence_level : float, default=0.95
        Probability with which the interval covers the accuracy.

    Returns
    -------
    low, high : float
        Ends of the interval, within 0 and 1; both NaN with a single group, which tells nothing of
        others.

    See Also
    --------
    accuracy_interval : For independent images.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from skcell.stats import accuracy_interval, grouped_accuracy_interval
    >>> correct = [True] * 30 + [False] * 10
    >>> low, high = grouped_accuracy_interval(correct, [i // 10 for i in range(40)])
    >>> print(f"{low:.2f} to {high:.2f}")
    0.13 to 0.98
    >>> low, high = accuracy_interval(30, 40)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.60 to 0.86
    """
    right = np.asarray(correct, dtype=np.float64)
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    sizes, n = np.bincount(codes), len(right)
    n_groups, p = len(sizes), right.mean()
    if n_groups < 2:
        return math.nan, math.nan
    apart = np.bincount(codes, weights=right) - p * sizes
    variance = n_groups / (n_groups - 1) * float(apart @ apart) / n**2
    # Groups that agree altogether are no certainty: then each counts as one image.
    effective = p * (1 - p) / variance if variance > 0 else float(n_groups)
    effective = min(max(effective, 1.0), float(n))
    z2 = float(stats.t.ppf((1 + confidence_level) / 2, n_groups - 1)) ** 2
    centre = (p + z2 / (2 * effective)) / (1 + z2 / effective)
    reach = math.sqrt(z2 * (p * (1 - p) + z2 / (4 * effective)) / effective) / (1 + z2 / effective)
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
    """Interval of a balanced accuracy, the mean of the classes' recalls, of one set of images.

    The intervals of the recalls, Wilson's, are combined by MOVER [1]_, which holds where a class
    has few images or all of them are right.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted labels.
    groups : array-like of shape (n,), default=None
        The patient, slide or the like of each image, whose images are alike.
    confidence_level : float, default=0.95
        Probability with which the interval covers the balanced accuracy.

    Returns
    -------
    low, high : float
        Ends of the interval; both NaN where a class has images of one group only.

    See Also
    --------
    sklearn.metrics.balanced_accuracy_score : The score.
    accuracy_interval : That of an accuracy.

    References
    ----------
    .. [1] G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: a general
       approach", Statistics in Medicine 27, 1693-1702, 2008.

    Examples
    --------
    >>> from skcell.stats import balanced_accuracy_interval
    >>> truth = ["blast"] * 10 + ["lymphocyte"] * 90
    >>> low, high = balanced_accuracy_interval(truth, ["blast"] * 8 + ["lymphocyte"] * 92)
    >>> print(f"{low:.2f} to {high:.2f}")
    0.74 to 0.97
    """
    y, predicted = np.asarray(y_true), np.asarray(y_pred)
    ends = []
    for label in np.unique(y):
        of = y == label
        right = predicted[of] == label
        if groups is None:
            low, high = accuracy_interval(int(right.sum()), len(right), confidence_level)
        else:
            low, high = grouped_accuracy_interval(right, np.asarray(groups)[of], confidence_level)
        ends.append((right.mean(), low, high))
    recall, low_ends, high_ends = np.array(ends).T
    mean, n = float(recall.mean()), len(recall)
    low = mean - math.sqrt(float(((recall - low_ends) ** 2).sum())) / n
    high = mean + math.sqrt(float(((high_ends - recall) ** 2).sum())) / n
    return (max(low, 0.0), min(high, 1.0)) if math.isfinite(low + high) else (math.nan, math.nan)


@validate_params(
    {
        "scores": ["array-like"],
        "n_train": [Interval(Real, 0, None, closed="neither")],
        "n_test": [Interval(Real, 0, None, closed="neither")],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "min_standard_error": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def cross_validated_interval(
    scores: ArrayLike,
    *,
    n_train: float,
    n_test: float,
    confidence_level: float = 0.95,
    min_standard_error: float = 0.0,
) -> tuple[float, float]:
    r"""Corrected resampled t interval of the mean of cross-validated scores.

    The training sets of a cross-validation overlap, so that its scores are not independent and
    their standard error is too small. Nadeau and Bengio [1]_ correct it by the sizes of both sides
    of a split. Of `J` scores with mean `m` and variance `s^2`, the interval is

    .. math:: m \pm t_{J-1} \sqrt{\left(\frac{1}{J} + \frac{n_{test}}{n_{train}}\right) s^2} .

    The same holds for the differences between two methods' scores on the same folds.

    Parameters
    ----------
    scores : array-like of shape (n_splits,)
        One score for each split, of any metric, or differences of such.
    n_train, n_test : float
        Number of samples on the two sides of a split; means, where splits differ.
    confidence_level : float, default=0.95
        Probability with which the interval covers the expected score.
    min_standard_error : float, default=0.0
        Standard error that the mean has at the least, from what is known beside the splits: few
        splits may agree by chance.

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
    accuracy_interval : For a single split.

    Notes
    -----
    The correction is a good approximation, not exact: no unbiased estimate of the variance
    of cross-validation exists. It has no term for images that depend on one another; split by
    patient or slide where they are known.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.stats import cross_validated_interval
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
    error = max(min_standard_error, math.sqrt((1 / n + n_test / n_train) * values.var(ddof=1)))
    reach = float(stats.t.ppf((1 + confidence_level) / 2, n - 1)) * error
    mean = float(values.mean())
    return mean - reach, mean + reach
