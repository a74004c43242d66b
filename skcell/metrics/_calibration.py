"""Whether probabilities are calibrated, and what abstaining gains."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell.metrics._intervals import Estimate, accuracy_interval, design_effect, mean_interval

_SMALLEST = 1e-15  # probability; the logarithm of zero is not finite

#: Multiples of the measured miscalibration that are tried as the true one.
_MULTIPLES = np.linspace(0.0, 3.0, 61)


@dataclass(frozen=True)
class Reliability:
    """Result of `measure_reliability`.

    Parameters
    ----------
    log_loss : Estimate
        Mean of minus the logarithm of the probability of the true class, with its 95 % interval.
    error : Estimate
        Expected calibration error, in 0..1, without the part that is due to the number of images,
        with its 95 % interval.
    plug_in_error : float
        The error as it is usually computed. Even perfectly calibrated predictions show one, which
        is larger the fewer images there are.
    confidence, accuracy : ndarray of shape (n_bins,)
        Mean probability of the predicted class, and accuracy, in each bin.
    low, high : ndarray of shape (n_bins,)
        95 % interval of the accuracy of each bin; NaN if all its images are of one group.
    counts : ndarray of shape (n_bins,)
        Number of images in each bin; bins without images are left out.
    """

    log_loss: Estimate
    error: Estimate
    plug_in_error: float
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
    groups: ArrayLike | None = None,
    n_bins: int = 15,
    n_simulations: int = 1000,
    random_state: int = 0,
) -> Reliability:
    """Measure whether predictions are correct as often as their probabilities say.

    The images are sorted into bins by the probability of their predicted class. The expected
    calibration error [1]_ is the mean difference between this probability and the accuracy, over
    bins of equal width. Computed in this way it is never zero, because the accuracy of a bin is a
    sample. What is reported is therefore the true error that would most probably show the error
    that was measured: for a range of true errors, the measured one is simulated, as consistency
    resampling [2]_ does for a true error of zero. The interval has the true errors under which the
    measured one is among the central 95 % of the simulated ones.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        True labels.
    probabilities : array-like of shape (n, n_classes)
        Estimated probability of each class.
    classes : array-like of shape (n_classes,)
        Class of each column of `probabilities`.
    groups : array-like of shape (n,), default=None
        Patient or slide of each image. Images of one group are alike, so intervals are wider.
    n_bins : int, default=15
        Number of bins in 0..1.
    n_simulations : int, default=1000
        Number of simulations of each true error.
    random_state : int, default=0
        Seed of the simulations.

    Returns
    -------
    Reliability
        Log loss and calibration error with their intervals, and the reliability curve.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.
    .. [2] J. Bröcker, L. A. Smith, "Increasing the Reliability of Reliability Diagrams", Weather
       and Forecasting 22, 651-661, 2007.

    Examples
    --------
    >>> from skcell.metrics import measure_reliability
    >>> probabilities = [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]
    >>> found = measure_reliability(["a", "b", "b", "b"], probabilities, ["a", "b"])
    >>> round(found.plug_in_error, 3)
    0.325
    >>> found.error.low  # four images may well be calibrated
    0.0
    """
    y, columns, labels = np.asarray(y_true), np.asarray(probabilities), np.asarray(classes)
    if columns.ndim != 2 or columns.shape != (len(y), len(labels)) or not len(y):
        raise ValueError(
            f"Expected probabilities of shape (n, n_classes) = ({len(y)}, {len(labels)}), got "
            f"{columns.shape}."
        )
    names = None if groups is None else np.asarray(groups)
    of_truth = (columns * (labels == y[:, None])).sum(axis=1)
    losses = -np.log(np.maximum(of_truth, _SMALLEST))
    confidence = columns.max(axis=1)
    is_correct = labels[columns.argmax(axis=1)] == y
    bins = np.minimum((confidence * n_bins).astype(np.intp), n_bins - 1)
    present, bins, counts = np.unique(bins, return_inverse=True, return_counts=True)
    mean_confidence = np.bincount(bins, confidence) / counts
    accuracy = np.bincount(bins, is_correct) / counts
    effect = design_effect(confidence - is_correct, names)
    plug_in, error = _infer_error(
        mean_confidence, accuracy, counts, effect, n_simulations, random_state
    )
    ends = [
        accuracy_interval(is_correct[of], None if names is None else names[of])
        for of in (bins == b for b in range(len(present)))
    ]
    log_loss = mean_interval(losses, names)
    return Reliability(
        log_loss=replace(log_loss, low=float(np.maximum(log_loss.low, 0.0))),  # as no loss is lower
        error=error,
        plug_in_error=plug_in,
        confidence=mean_confidence,
        accuracy=accuracy,
        low=np.array([end.low for end in ends]),
        high=np.array([end.high for end in ends]),
        counts=counts,
    )


def _infer_error(
    confidence: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    counts: NDArray[np.intp],
    effect: float,
    n_simulations: int,
    seed: int,
) -> tuple[float, Estimate]:
    """Return the measured calibration error, and the most probable true one."""
    gaps, shares = confidence - accuracy, counts / counts.sum()
    measured = float(shares @ np.abs(gaps))
    noise = np.random.default_rng(seed).normal(size=(n_simulations, len(counts)))
    quantiles = []
    for multiple in _MULTIPLES:
        true = np.clip(confidence - multiple * gaps, 0.0, 1.0)
        spread = np.sqrt(effect * np.maximum(true * (1 - true), 1e-4) / counts)
        simulated = np.abs(multiple * gaps + spread * noise) @ shares
        quantiles.append(np.quantile(simulated, [0.975, 0.5, 0.025]))
    low, middle, high = (_cross(row, measured) * measured for row in np.transpose(quantiles))
    # Less may be measured than chance alone shows; the interval is as wide as chance even then.
    chance = quantiles[0][0] - quantiles[0][1]
    high = min(max(high, middle + chance), 1.0)
    return measured, Estimate(float(middle), float(low), float(high))


def _cross(quantiles: NDArray[np.float64], measured: float) -> float:
    """Return the largest multiple at which a quantile is the measured error; else the first."""
    below = np.flatnonzero(quantiles <= measured)
    if not len(below):
        return 0.0
    k = int(below[-1])
    if k == len(quantiles) - 1:
        return float(_MULTIPLES[-1])
    part = (measured - quantiles[k]) / max(quantiles[k + 1] - quantiles[k], 1e-300)
    return float(_MULTIPLES[k] + part * (_MULTIPLES[k + 1] - _MULTIPLES[k]))


def accuracy_coverage_curve(
    y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the accuracy of the most certain predictions, for every share of them.

    If a person decides about the images whose predictions are least certain, the classifier is left
    with the others; the curve says how often it is correct about these [1]_. Predictions of the
    same probability are decided together, so that the order of the images does not matter.

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
    coverage : ndarray of shape (n_thresholds,)
        Share of the images that are predicted; the last is 1.
    accuracy : ndarray of shape (n_thresholds,)
        Accuracy of these predictions.
    thresholds : ndarray of shape (n_thresholds,)
        Smallest probability of a predicted class among them; each occurs once.

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
    is_correct = labels[columns.argmax(axis=1)] == np.asarray(y_true)
    thresholds, codes = np.unique(-confidence, return_inverse=True)
    n = np.cumsum(np.bincount(codes))
    return n / len(confidence), np.cumsum(np.bincount(codes, is_correct)) / n, -thresholds
