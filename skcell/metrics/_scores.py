"""Compute scores of predictions."""

import math

import numpy as np
from numpy.typing import ArrayLike


def macro_roc_auc(y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike) -> float:
    """Compute the mean one-vs-rest area under the ROC curve, as MedMNIST does [1]_.

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
    float
        Mean over the classes that some but not all samples have; NaN if there is no such class.

    See Also
    --------
    sklearn.metrics.roc_auc_score : Equal with ``multi_class="ovr"``, if no class is missing.

    References
    ----------
    .. [1] J. Yang et al., "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D
       biomedical image classification", Scientific Data 10, 41, 2023.

    Examples
    --------
    >>> from skcell.metrics import macro_roc_auc
    >>> macro_roc_auc(["a", "b", "b"], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], ["a", "b"])
    1.0
    """
    from sklearn.metrics import roc_auc_score

    y, columns = np.asarray(y_true), np.asarray(probabilities)
    found = [
        roc_auc_score(y == label, column)
        for label, column in zip(np.asarray(classes), columns.T, strict=True)
        if 0 < (y == label).sum() < len(y)
    ]
    return float(np.mean(found)) if found else math.nan
