"""Compare techniques that were scored on the same folds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils.validation import check_array

from skcell._sklearn import Interval, validate_params
from skcell.metrics._intervals import Estimate, _grouped_variance, _mean_over_classes, _wilson


@dataclass(frozen=True)
class FoldEstimate:
    """Mean over folds of a score, or of a difference of scores, with its standard error.

    Parameters
    ----------
    mean : float
        The mean.
    standard_error : float
        Its standard error; infinite if all images are of one group.
    degrees_of_freedom : float
        Degrees of freedom of the standard error.
    n_units : int
        Number of images, of groups or, of scores that have one value for each fold, of folds.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    n_units: int

    @property
    def p_value(self) -> float:
        """Two-sided p value of a mean of zero."""
        if self.standard_error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.standard_error, self.degrees_of_freedom))

    def interval(self, confidence_level: float = 0.95) -> Estimate:
        """Compute the t interval, for a difference or any score.

        Parameters
        ----------
        confidence_level : float, default=0.95
            Probability with which the interval covers the mean.

        Returns
        -------
        Estimate
            The mean and its interval, which may lie outside the range of the score.
        """
        quantile = float(stats.t.ppf((1 + confidence_level) / 2, self.degrees_of_freedom))
        reach = quantile * self.standard_error
        return Estimate(self.mean, self.mean - reach, self.mean + reach)

    def score_interval(self, confidence_level: float = 0.95) -> Estimate:
        """Compute Wilson's interval for the effective number of images, for a rate in 0..1.

        Parameters
        ----------
        confidence_level : float, default=0.95
            Probability with which the interval covers the mean.

        Returns
        -------
        Estimate
            The mean and its interval, whose ends are NaN if all images are of one group.
        """
        if math.isinf(self.standard_error):
            return Estimate(self.mean, math.nan, math.nan)
        variance, p = self.standard_error**2, self.mean
        effective = max(p * (1 - p) / variance, 1.0) if variance > 0 else float(self.n_units)
        return Estimate(p, *_wilson(p, effective, self.degrees_of_freedom, confidence_level))


@validate_params(
    {
        "scores": ["array-like"],
        "n_train": [Interval(Real, 0, None, closed="neither")],
        "n_test": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def corrected_resampled_ttest(scores: ArrayLike, *, n_train: float, n_test: float) -> FoldEstimate:
    r"""Estimate the mean of scores, or test differences, by the corrected resampled t test.

    Folds share most of their training images, so the usual standard error is too small, and a plain
    paired t test finds differences that do not exist. Nadeau and Bengio [1]_ correct it by the
    sizes of the training set and the test set. For `J` scores with mean `m` and variance `s^2`, the
    interval is

    .. math:: m \pm t_{J-1} \sqrt{\left(\frac{1}{J} + \frac{n_{test}}{n_{train}}\right) s^2} .

    Parameters
    ----------
    scores : array-like of shape (n_splits,)
        One score of any metric for each split; or the score of one technique minus that of another.
    n_train, n_test : float
        Number of training samples and of test samples in a split; the means, if splits differ.

    Returns
    -------
    FoldEstimate
        The mean with its standard error; `interval` and `p_value` follow from it.

    Raises
    ------
    ValueError
        If there are fewer than two scores, or they are not finite.

    See Also
    --------
    estimate_over_folds : More powerful, for scores that are a mean over images.
    holm_correction : Correct several such p values.

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
    >>> from skcell.metrics import corrected_resampled_ttest
    >>> found = corrected_resampled_ttest([0.84, 0.86, 0.83, 0.85, 0.87], n_train=800, n_test=200)
    >>> print(found.interval())
    85.0 % (82.1 to 87.9)
    >>> gained = corrected_resampled_ttest([0.02, 0.03, 0.01, 0.02, 0.04], n_train=800, n_test=200)
    >>> print(f"{gained.p_value:.3f}")
    0.035
    """
    values = check_array(scores, ensure_2d=False, dtype=np.float64, input_name="scores")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"Expected at least two scores in one dimension, got shape {values.shape}. For the "
            "accuracy on a single split, use accuracy_interval."
        )
    n = len(values)
    error = math.sqrt((1 / n + n_test / n_train) * values.var(ddof=1))
    return FoldEstimate(float(values.mean()), error, n - 1, n)


@validate_params({"p_values": ["array-like"]}, prefer_skip_nested_validation=True)
def holm_correction(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p values for multiple comparisons by Holm's step-down method.

    Parameters
    ----------
    p_values : array-like of shape (n,)
        P values of different comparisons; NaN where there is none.

    Returns
    -------
    ndarray of shape (n,)
        Corrected p values. If a comparison is called significant when its value is at most a given
        level, the probability of any false positive is at most this level.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6, 65-70, 1979.

    Examples
    --------
    >>> from skcell.metrics import holm_correction
    >>> holm_correction([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    present = np.flatnonzero(~np.isnan(p))
    order = present[np.argsort(p[present], kind="stable")]
    out = np.full(p.shape, np.nan)
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return out


#: The variance between folds and seeds of a cross-validation is taken to be at least this share of
#: the variance between images: estimated from a few folds, it is often zero by chance.
FOLD_VARIANCE = 0.75


def estimate_over_folds(
    values: Sequence[ArrayLike],
    units: Sequence[ArrayLike],
    classes: Sequence[ArrayLike] | None = None,
) -> FoldEstimate:
    r"""Estimate the mean of a score over folds, and its standard error from images and folds.

    The values of two techniques on the same images may be subtracted before: the estimate is then
    that of the paired difference. With `W` the variance of the mean between images (or between
    groups), `s^2` the variance of the scores of the `J` folds, and `w` the part of it that is due
    to images, the variance is

    .. math:: V = W + \max\left(0.75\, W, \frac{s^2 - w}{J}\right).

    The second term is that of training sets and seeds, which differ from fold to fold. A t test
    over the folds alone [1]_ has as few degrees of freedom as there are folds, less one; it does
    not use that there are hundreds of images.

    Parameters
    ----------
    values : sequence of array-like
        For each fold, one value for each of its validation images: whether it was classified
        correctly, or the difference of two such values.
    units : sequence of array-like
        For each fold, the number of each image in the data; or its group, if images come in groups.
    classes : sequence of array-like, default=None
        For each fold, the class of each image. The score is then the mean over classes: the
        balanced accuracy.

    Returns
    -------
    FoldEstimate
        The mean with its standard error.

    Raises
    ------
    ValueError
        If there are fewer than two folds.

    See Also
    --------
    corrected_resampled_ttest : For other scores, of which only one value for each fold is known.

    Notes
    -----
    The factor 0.75 was chosen by simulation on real blood cells, by the coverage of 95 % intervals:
    see ``benchmarks/bench_statistics.py``. Training sets of folds overlap; what this adds to the
    variance is not estimated, because it cannot be.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.metrics import estimate_over_folds
    >>> correct = [[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1]]
    >>> found = estimate_over_folds(correct, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
    >>> found.mean
    0.75
    >>> print(found.score_interval())
    75.0 % (32.2 to 95.0)
    """
    n_folds = len(values)
    if n_folds < 2:
        raise ValueError(f"An estimate over folds needs at least two folds, got {n_folds}.")
    scores, influences, within = [], [], []
    for number, (fold, names) in enumerate(zip(values, units, strict=True)):
        of = np.zeros(len(np.asarray(fold)), np.intp) if classes is None else classes[number]
        score, influence = _mean_over_classes(of, fold)
        scores.append(score)
        influences.append(influence / n_folds)
        within.append(_grouped_variance(influence, names)[0])
    images, n_units = _grouped_variance(np.concatenate(influences), np.concatenate([*units]))
    mean = float(np.mean(scores))
    if math.isinf(images) or not np.isfinite(within).all():
        return FoldEstimate(mean, math.inf, 1.0, n_units)
    between = (float(np.var(scores, ddof=1)) - float(np.mean(within))) / n_folds
    between = max(between, FOLD_VARIANCE * images)
    variance = images + between
    freedom = 1.0
    if variance > 0:
        freedom = variance**2 / (images**2 / (n_units - 1) + between**2 / (n_folds - 1))
    return FoldEstimate(mean, math.sqrt(variance), freedom, n_units)
