"""Which images to label next, so that a classifier learns most from few labels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import kmeans_plusplus
from sklearn.utils import check_random_state

#: The images are chosen among so many times as many of the most doubtful ones.
_CANDIDATES = 10


def choose_to_label(
    probabilities: ArrayLike, features: ArrayLike, n: int, *, random_state: Any = None
) -> NDArray[np.intp]:
    """Choose the images to label next: doubtful ones that differ from each other.

    The margin between the two most probable classes says how doubtful an image is [1]_. The most
    doubtful ones alone would often be variations of one image. So among ten times as many, those
    are taken that are far from each other in feature space, as the centres of k-means++ are [2]_.

    Parameters
    ----------
    probabilities : array-like of shape (n_images, n_classes)
        Probability of each class.
    features : array-like of shape (n_images, n_features)
        Features of the images, such as those of `embed` of a classifier.
    n : int
        Number of images to choose; fewer if there are fewer.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means++.

    Returns
    -------
    ndarray of int of shape (n,)
        Indices of the chosen images, the most doubtful first.

    References
    ----------
    .. [1] T. Scheffer, C. Decomain, S. Wrobel, "Active Hidden Markov Models for Information
       Extraction", IDA 2001.
    .. [2] F. Zhdanov, "Diverse mini-batch Active Learning", arXiv:1901.05954, 2019.

    Examples
    --------
    >>> from skcell.model_selection import choose_to_label
    >>> p = [[0.9, 0.1], [0.5, 0.5], [0.52, 0.48], [0.6, 0.4]]
    >>> chosen = choose_to_label(p, [[0.0], [0.0], [0.0], [5.0]], 2, random_state=0)
    >>> len(chosen), 3 in chosen  # the one that differs from the others
    (2, True)
    """
    p, x = np.asarray(probabilities, np.float64), np.asarray(features, np.float64)
    if p.ndim != 2 or p.shape[1] < 2 or x.ndim != 2 or len(x) != len(p):
        raise ValueError(
            "Expected probabilities of shape (n, n_classes) and features of shape (n, n_features), "
            f"got {p.shape} and {x.shape}."
        )
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}.")
    highest = np.sort(p, axis=1)[:, -2:]
    margin = highest[:, 1] - highest[:, 0]
    doubtful = np.argsort(margin, kind="stable")[: _CANDIDATES * n]
    if len(doubtful) <= n:
        return doubtful
    weights = 1 - margin[doubtful] + 1e-9  # not zero, even where all are certain
    rng = check_random_state(random_state)
    _, found = kmeans_plusplus(x[doubtful], n, sample_weight=weights, random_state=rng)
    chosen = dict.fromkeys([*found.tolist(), *range(len(doubtful))])  # copies are chosen once
    return doubtful[np.sort(list(chosen)[:n])]
