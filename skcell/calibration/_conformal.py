"""Sets of classes that contain the true one with a stated probability."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ConformalSets:
    """Prediction sets with a coverage guarantee, by split conformal prediction.

    Among new images that are drawn like the calibration images, the set contains the true class
    with at least the probability `coverage`, whatever the classifier. The guarantee is an average
    over images; with `by_class`, it holds among the images of each class. It does not hold for
    images of another microscope or for cells of a kind that is not among the classes.

    Parameters
    ----------
    method : {"lac", "aps"}
        "lac" makes the smallest sets [1]_; "aps" makes sets that adapt to how hard an image is, and
        are larger [2]_.
    scores : ndarray of shape (n,)
        How unlike its class each calibration image is.
    codes : ndarray of shape (n,)
        Column of its class.
    n_classes : int
        Number of classes.

    References
    ----------
    .. [1] M. Sadinle, J. Lei, L. Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded
       Error Levels", Journal of the American Statistical Association 114, 2019.
    .. [2] Y. Romano, M. Sesia, E. J. Candès, "Classification with Valid and Adaptive Coverage",
       NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.calibration import ConformalSets
    >>> rng = np.random.default_rng(0)
    >>> probabilities = rng.dirichlet([0.5, 0.5, 0.5], size=200)
    >>> codes = np.array([rng.choice(3, p=p) for p in probabilities])
    >>> sets = ConformalSets.fit(probabilities[:100], codes[:100])
    >>> found = sets.predict(probabilities[100:], coverage=0.9)
    >>> bool(found[np.arange(100), codes[100:]].mean() > 0.8)
    True
    """

    method: str
    scores: NDArray[np.float64]
    codes: NDArray[np.intp]
    n_classes: int

    @classmethod
    def fit(
        cls, probabilities: ArrayLike, codes: ArrayLike, method: Literal["lac", "aps"] = "lac"
    ) -> Self:
        """Keep the scores of calibration images.

        Parameters
        ----------
        probabilities : array-like of shape (n, n_classes)
            Probabilities for images that the classifier was not trained on.
        codes : array-like of int of shape (n,)
            Column of each image's true class.
        method : {"lac", "aps"}, default="lac"
            As for the class.

        Returns
        -------
        ConformalSets
            Ready to predict.
        """
        if method not in ("lac", "aps"):
            raise ValueError(f"method must be 'lac' or 'aps', got {method!r}.")
        y = np.asarray(codes, dtype=np.intp)
        columns = np.asarray(probabilities, dtype=np.float64)
        scores = _score_classes(columns, method)[np.arange(len(y)), y]
        return cls(method, scores, y, columns.shape[1])

    def predict(
        self, probabilities: ArrayLike, coverage: float = 0.9, *, by_class: bool = False
    ) -> NDArray[np.bool_]:
        """Return the set of plausible classes of each image.

        The most probable class is always in it, even if no class is plausible.

        Parameters
        ----------
        probabilities : array-like of shape (n, n_classes)
            Probabilities.
        coverage : float, default=0.9
            Probability with which the set contains the true class.
        by_class : bool, default=False
            Whether this holds among the images of each class. A class with too few calibration
            images is then in every set: 0.9 needs 9, and 0.99 needs 99 images.

        Returns
        -------
        ndarray of bool of shape (n, n_classes)
            Whether each class is in the set.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        columns = np.asarray(probabilities, dtype=np.float64)
        if by_class:
            limits = np.array(
                [_limit(self.scores[self.codes == k], coverage) for k in range(self.n_classes)]
            )
        else:
            limits = np.full(self.n_classes, _limit(self.scores, coverage))
        found = _score_classes(columns, self.method) <= limits
        found[np.arange(len(columns)), columns.argmax(axis=1)] = True
        return found


def _limit(scores: NDArray[np.float64], coverage: float) -> float:
    """Return the largest score of a plausible class, with the correction for finite samples."""
    # The difference lets 0.9 of 9 images + 1 be 9, although 0.9 * 10 is rounded upwards.
    rank = int(np.ceil(coverage * (len(scores) + 1) - 1e-9))
    return np.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])


def _score_classes(probabilities: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Return how implausible each class is: 1 - p, or the sum of p down to it."""
    if method == "lac":
        return 1 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    scores = np.empty_like(sums)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores
