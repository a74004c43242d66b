"""Detection of cells that are nothing a classifier was trained on."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skcell._hints import ParameterHintsMixin
from skcell._holdout import check_groups
from skcell._sklearn import Interval


class UnknownDetector(ParameterHintsMixin, OutlierMixin, BaseEstimator):
    """Detect rows of features that are unlike all rows that were fitted.

    On the features of a classifier's network (`embed`), this detects images that are nothing the
    classifier was trained on: other kinds of cells, artefacts, fields without a cell. Rows are
    divided by their length, and the score is the distance to a near neighbour among the fitted
    rows [1]_.

    Parameters
    ----------
    n_neighbors : int, default=10
        Which neighbour's distance is the score.
    max_samples : int, default=2000
        Number of rows that are kept, drawn at random.
    false_alarm_rate : float, default=0.02
        Share of rows like the fitted ones that may be called unknown.
    random_state : int, RandomState instance or None, default=None
        Seed of the choice of rows.

    Attributes
    ----------
    offset_ : float
        Threshold: rows whose `score_samples` is lower are unknown.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.

    See Also
    --------
    skcell.CalibratedClassifier : Uses it on the features of its classifier.
    sklearn.neighbors.LocalOutlierFactor : Compares distances with those of the neighbours.

    References
    ----------
    .. [1] Y. Sun, Y. Ming, X. Zhu, Y. Li, "Out-of-Distribution Detection with Deep Nearest
       Neighbors", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.calibration import UnknownDetector
    >>> rng = np.random.default_rng(0)
    >>> known = rng.normal(size=(200, 4)) + [9, 0, 0, 0]
    >>> detector = UnknownDetector(random_state=0).fit(known)
    >>> detector.predict([[9, 0, 0, 0], [0, 9, 0, 0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 1, None, closed="left")],
        "false_alarm_rate": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 10,
        max_samples: int = 2000,
        false_alarm_rate: float = 0.02,
        random_state: Any = None,
    ):
        self.n_neighbors = n_neighbors
        self.max_samples = max_samples
        self.false_alarm_rate = false_alarm_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Keep rows of features, and set the threshold on them, each compared with the others.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features of images that the network was trained on.
        y : None
            Not used.

        Returns
        -------
        self : object
            The fitted detector.
        """
        self._validate_params()
        rows = _normalize(validate_data(self, X, dtype=[np.float32, np.float64]))
        if len(rows) < 2:
            raise ValueError(f"UnknownDetector needs at least 2 rows, got n_samples={len(rows)}.")
        rng = check_random_state(self.random_state)
        self._rows = rows[rng.permutation(len(rows))[: self.max_samples]]
        self._set_offset(self._score(self._rows, skip_itself=True))
        return self

    def set_threshold(self, X: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Set the threshold on held-out images, of which `false_alarm_rate` may be called unknown.

        Features of training images are more alike than those of new ones, so a threshold from
        `fit` gives more false alarms than it should.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features of images that the network was not trained on.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image. The rate is then the mean over groups, so that one
            with many images does not decide alone.

        Returns
        -------
        self : object
            The detector.
        """
        check_is_fitted(self)
        scores = self.score_samples(X)
        groups = check_groups(groups, len(scores))
        self._set_offset(scores, groups)
        return self

    def _set_offset(self, scores: NDArray[np.float64], groups: Any = None) -> None:
        """Set the largest threshold that at most `false_alarm_rate` of the scores are below."""
        weights = np.ones(len(scores))
        if groups is not None:
            _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
            weights = 1.0 / counts[codes]
        order = np.argsort(scores)
        # As in conformal prediction, the new image itself counts as one more score.
        below = np.cumsum(weights[order]) + weights.mean()
        shares = below / (weights.sum() + weights.mean())
        rank = int(np.searchsorted(shares, self.false_alarm_rate))
        self.offset_ = float(scores[order][min(rank, len(scores) - 1)])

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return how alike rows are to the fitted ones.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            Minus the distance to the neighbour; the lower, the less known.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float32, np.float64], reset=False)
        return self._score(_normalize(rows))

    def _score(self, rows: NDArray[Any], *, skip_itself: bool = False) -> NDArray[np.float64]:
        n = min(self.n_neighbors + skip_itself, len(self._rows))
        near = NearestNeighbors(n_neighbors=n).fit(self._rows)
        return -near.kneighbors(rows)[0][:, -1].astype(np.float64)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the scores minus the threshold.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            Below 0 for what is unknown.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Say which rows are known.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            1 for known, -1 for unknown.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_rows")


def _normalize(rows: NDArray[Any]) -> NDArray[Any]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)
