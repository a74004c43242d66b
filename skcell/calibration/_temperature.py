"""Temperature scaling."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_SMALLEST = 1e-30  # probability; the logarithm of zero is not finite
_LARGEST = 100.0  # temperature, and the inverse of the smallest


def scale_probabilities(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Divide the logits of probabilities by a temperature.

    Parameters
    ----------
    probabilities : array-like of shape (n, n_classes)
        Probabilities.
    temperature : float
        Above 1, they become more alike; below 1, less.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Scaled probabilities, whose order is the same.

    Examples
    --------
    >>> from skcell.calibration import scale_probabilities
    >>> scale_probabilities([[0.9, 0.1]], 2.0).round(2)
    array([[0.75, 0.25]])
    """
    return softmax(_logits(probabilities) / temperature, axis=1)


def fit_temperature(probabilities: ArrayLike, codes: ArrayLike) -> float:
    """Find the temperature that makes the log loss of probabilities smallest [1]_.

    Parameters
    ----------
    probabilities : array-like of shape (n, n_classes)
        Probabilities for images that the classifier was not trained on.
    codes : array-like of int of shape (n,)
        Column of each image's true class.

    Returns
    -------
    float
        The temperature, in 0.01 to 100.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.

    Examples
    --------
    >>> from skcell.calibration import fit_temperature
    >>> round(fit_temperature([[0.99, 0.01]] * 10, [0] * 9 + [1]), 2)
    2.09
    """
    logits, y = _logits(probabilities), np.asarray(codes, dtype=np.intp)
    rows = np.arange(len(y))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, y].mean())

    limit = float(np.log(_LARGEST))
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def _logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, 1.0))
