"""Temperature scaling."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_SMALLEST = 1e-30  # probability; the logarithm of zero is not finite

#: Standard deviation of the logarithm of the temperature before any image is seen, and bounds.
_PRIOR = 0.5
_BOUNDS = (0.2, 20.0)


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
    """Find the temperature that fits probabilities to labels [1]_.

    The log loss over the images is minimised, plus that of a prior: before any image is seen, the
    logarithm of the temperature is normally distributed about 0 with a standard deviation of 0.5.
    Without it, the optimum for a few images that are all predicted correctly is a temperature of
    zero, by which every prediction, a wrong one as well, becomes certain. A few dozen images with
    some wrong ones outweigh the prior.

    Parameters
    ----------
    probabilities : array-like of shape (n, n_classes)
        Probabilities for images that the classifier was not trained on.
    codes : array-like of int of shape (n,)
        Column of each image's true class.

    Returns
    -------
    float
        The temperature, in 0.2 to 20.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.

    Examples
    --------
    >>> from skcell.calibration import fit_temperature
    >>> round(fit_temperature([[0.99, 0.01]] * 100, [0] * 90 + [1] * 10), 2)
    1.97
    """
    logits, y = _logits(probabilities), np.asarray(codes, dtype=np.intp)
    rows = np.arange(len(y))

    def loss(log_temperature: float) -> float:
        fit = log_softmax(logits / np.exp(log_temperature), axis=1)[rows, y].sum()
        return float(0.5 * (log_temperature / _PRIOR) ** 2 - fit)

    low, high = np.log(_BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def _logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, 1.0))
