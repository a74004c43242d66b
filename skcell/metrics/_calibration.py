"""How far probabilities can be believed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell.stats import accuracy_interval


@dataclass(frozen=True)
class Reliability:
    """Result of `measure_reliability`.

    Parameters
    ----------
    error : float
        Expected calibration error, in 0..1.
    interval : tuple of float
        95 % bootstrap interval of the error.
    confidence, accuracy : ndarray of shape (n_bins,)
        Mean probability of the predicted class, and share of right predictions, in each bin.
    low, high : ndarray of shape (n_bins,)
        Wilson's 95 % interval of the accuracy of each bin.
    counts : ndarray of shape (n_bins,)
        Number of images in each bin; bins without images are left out.
    """

    error: float
    interval: tuple[float, float]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.intp]


def measure_reliability(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    classes: ArrayLike,
    *,
    n_bins: int = 15,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Reliability:
    """Measure whether predictions are right as often as their probabilities say.

    The images are sorted into bins by the probability of their predicted class. The expected
    calibration error [1]_ is the mean difference between this probability and the share of right
    predictions, over bins of equal width.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    probabilities : array-like of shape (n, n_classes)
        Estimated probability of each class.
    classes : array-like of shape (n_classes,)
        Class of each column of `probabilities`.
    n_bins : int, default=15
        Number of bins in 0..1.
    n_bootstrap : int, default=1000
        Number of bootstrap samples of the interval.
    random_state : int, default=0
        Seed of these samples.

    Returns
    -------
    Reliability
        The error with its interval, and the reliability curve.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.

    Examples
    --------
    >>> from skcell.metrics import measure_reliability
    >>> probabilities = [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]
    >>> found = measure_reliability(["a", "b", "b", "b"], probabilities, ["a", "b"])
    >>> round(found.error, 3)
    0.325
    """
    y, columns, labels = np.asarray(y_true), np.asarray(probabilities), np.asarray(classes)
    if columns.ndim != 2 or columns.shape != (len(y), len(labels)) or not len(y):
        raise ValueError(
            f"Expected probabilities of shape (n, n_classes) = ({len(y)}, {len(labels)}), got "
            f"{columns.shape}."
        )
    confidence = columns.max(axis=1)
    is_right = labels[columns.argmax(axis=1)] == y
    bins = np.minimum((confidence * n_bins).astype(np.intp), n_bins - 1)
    gaps = confidence - is_right  # summed over a bin: how much too sure it is
    rng = np.random.default_rng(random_state)
    found = []
    for _ in range(n_bootstrap):
        drawn = rng.integers(0, len(y), len(y))
        found.append(_error(bins[drawn], gaps[drawn], n_bins))
    low, high = np.quantile(found, [0.025, 0.975]) if found else (np.nan, np.nan)
    counts = np.bincount(bins, minlength=n_bins)
    used = counts > 0
    n_right = np.bincount(bins, is_right, n_bins)[used]
    counts = counts[used]
    intervals = [accuracy_interval(int(k), int(n)) for k, n in zip(n_right, counts, strict=True)]
    return Reliability(
        error=_error(bins, gaps, n_bins),
        interval=(float(low), float(high)),
        confidence=np.bincount(bins, confidence, n_bins)[used] / counts,
        accuracy=n_right / counts,
        low=np.array([interval[0] for interval in intervals]),
        high=np.array([interval[1] for interval in intervals]),
        counts=counts,
    )


def _error(bins: NDArray[np.intp], gaps: NDArray[np.float64], n_bins: int) -> float:
    return float(np.abs(np.bincount(bins, gaps, n_bins)).sum() / len(bins))


def accuracy_coverage_curve(
    y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the accuracy of the most certain predictions, for every share of them.

    If a person looks at the images whose predictions are least certain, the classifier is left
    with the others; the curve says how often it is right about these [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    probabilities : array-like of shape (n, n_classes)
        Estimated probability of each class.
    classes : array-like of shape (n_classes,)
        Class of each column of `probabilities`.

    Returns
    -------
    coverage : ndarray of shape (n,)
        Share of the images that are predicted, from 1/n to 1.
    accuracy : ndarray of shape (n,)
        Accuracy of these predictions.
    thresholds : ndarray of shape (n,)
        Smallest probability of a predicted class among them.

    References
    ----------
    .. [1] Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS
       2017.

    Examples
    --------
    >>> from skcell.metrics import accuracy_coverage_curve
    >>> probabilities = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]
    >>> coverage, accuracy, _ = accuracy_coverage_curve(["a", "b", "b", "b"], probabilities, "ab")
    >>> accuracy.tolist()
    [1.0, 1.0, 1.0, 0.75]
    """
    labels = np.array(list(classes))  # type: ignore[arg-type] # text is a sequence of labels too
    columns = np.asarray(probabilities, dtype=np.float64)
    confidence = columns.max(axis=1)
    is_right = labels[columns.argmax(axis=1)] == np.asarray(y_true)
    order = np.argsort(-confidence, kind="stable")
    n = np.arange(1, len(order) + 1)
    return n / len(order), np.cumsum(is_right[order]) / n, confidence[order]
