"""Sets of classes that contain the true one with a stated probability."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RANK = 1e-9  # added to a sum of probabilities for each class in it


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
    groups : ndarray of int of shape (n,) or None
        Number of the patient or slide of each calibration image, if they are known. The guarantee
        is then for images of a *new* patient: each patient has the same weight, and the new one
        counts as one more, as in hierarchical conformal prediction [3]_.

    References
    ----------
    .. [1] M. Sadinle, J. Lei, L. Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded
       Error Levels", Journal of the American Statistical Association 114, 2019.
    .. [2] Y. Romano, M. Sesia, E. J. Candès, "Classification with Valid and Adaptive Coverage",
       NeurIPS 2020.
    .. [3] R. Dunn, L. Wasserman, A. Ramdas, "Distribution-Free Prediction Sets for Two-Layer
       Hierarchical Models", Journal of the American Statistical Association 118, 2022.

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
    groups: NDArray[np.intp] | None = None

    @classmethod
    def fit(
        cls,
        probabilities: ArrayLike,
        codes: ArrayLike,
        method: Literal["lac", "aps"] = "lac",
        groups: ArrayLike | None = None,
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
        groups : array-like of shape (n,), default=None
            Patient or slide of each image.

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
        numbers = None if groups is None else np.unique(groups, return_inverse=True)[1]
        return cls(method, scores, y, columns.shape[1], numbers)

    @property
    def n_units(self) -> int:
        """Number of calibration images, or of their patients if these are known."""
        return len(self.scores) if self.groups is None else len(np.unique(self.groups))

    def predict(
        self, probabilities: ArrayLike, coverage: float = 0.9, *, by_class: bool = False
    ) -> NDArray[np.bool_]:
        """Return the prediction set of each image.

        The most probable class is always in it, even if the set would be empty.

        Parameters
        ----------
        probabilities : array-like of shape (n, n_classes)
            Probabilities.
        coverage : float, default=0.9
            Probability with which the set contains the true class.
        by_class : bool, default=False
            Whether this holds among the images of each class. A class with too few calibration
            images, or patients if these are known, is then in every set: 0.9 needs 9, and 0.99
            needs 99.

        Returns
        -------
        ndarray of bool of shape (n, n_classes)
            Whether each class is in the set.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        columns = np.asarray(probabilities, dtype=np.float64)
        if by_class:
            parts = [self.codes == code for code in range(self.n_classes)]
            limits = np.array([self._limit(part, coverage) for part in parts])
        else:
            limits = np.full(self.n_classes, self._limit(slice(None), coverage))
        found = _score_classes(columns, self.method) <= limits
        found[np.arange(len(columns)), columns.argmax(axis=1)] = True
        return found

    def _limit(self, part: Any, coverage: float) -> float:
        """Return the largest score in the set, with the correction for finite samples."""
        scores = self.scores[part]
        weights, n_units = np.ones(len(scores)), len(scores)
        if self.groups is not None:  # each patient has weight 1
            _, codes, counts = np.unique(self.groups[part], return_inverse=True, return_counts=True)
            weights, n_units = 1 / counts[codes], len(counts)
        order = np.argsort(scores)
        shares = np.cumsum(weights[order]) / (n_units + 1)  # the new one counts as well
        rank = int(np.searchsorted(shares, coverage - 1e-9))  # sums are rounded
        return np.inf if rank >= len(scores) else float(scores[order[rank]])


def _score_classes(probabilities: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Return the nonconformity score of each class: 1 - p, or the sum of p down to it.

    A class that adds nothing to the sum comes after those that do: with p = 1 all sums are equal.
    """
    if method == "lac":
        return 1 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    sums += _RANK * np.arange(1, sums.shape[1] + 1)
    scores = np.empty_like(sums)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores
