"""Compare techniques that were scored on the same folds."""

import math
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils.validation import check_array

from skcell._sklearn import Interval, validate_params


@validate_params(
    {
        "differences": ["array-like"],
        "n_train": [Interval(Real, 0, None, closed="neither")],
        "n_test": [Interval(Real, 0, None, closed="neither")],
        "min_standard_error": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def corrected_resampled_ttest(
    differences: ArrayLike, *, n_train: float, n_test: float, min_standard_error: float = 0.0
) -> float:
    r"""Test whether the scores of two techniques differ, by a corrected resampled t test.

    Folds share most of their training images, so a plain paired t test finds differences that do
    not exist. Nadeau and Bengio [1]_ increase the variance according to the sizes of the training
    set and the test set.

    Parameters
    ----------
    differences : array-like of shape (n_splits,)
        Score of one technique minus that of the other, for each split.
    n_train, n_test : float
        Number of training samples and of test samples in a split; the means, if splits differ.
    min_standard_error : float, default=0.0
        Lower bound for the standard error of the mean, from information other than the splits,
        because the scores of a few splits may agree by chance.

    Returns
    -------
    float
        Two-sided p value; 1 if all differences are zero.

    Raises
    ------
    ValueError
        If there are fewer than two differences, or they are not finite.

    See Also
    --------
    cross_validated_interval : Interval of the same mean.
    holm_correction : Correct several such p values.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.stats import corrected_resampled_ttest
    >>> p = corrected_resampled_ttest([0.02, 0.03, 0.01, 0.02, 0.04], n_train=800, n_test=200)
    >>> print(f"{p:.3f}")
    0.035
    """
    values = check_array(differences, ensure_2d=False, dtype=np.float64, input_name="differences")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"A test needs at least two differences in one dimension, got shape {values.shape}."
        )
    n = len(values)
    error = max(min_standard_error, math.sqrt((1 / n + n_test / n_train) * values.var(ddof=1)))
    if error == 0:
        return 1.0 if values.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(values.mean()) / error, n - 1))


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
    >>> from skcell.stats import holm_correction
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
