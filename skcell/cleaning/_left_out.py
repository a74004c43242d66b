"""Predict images by models that did not learn from them."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold


def predict_left_out(
    estimator: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    groups: NDArray[Any],
    n_folds: int,
    random_state: int,
) -> NDArray[np.float64]:
    """Predict the class of each sample by a model that did not see its group."""
    classes = np.unique(y)
    found = np.full((len(y), len(classes)), np.nan)
    n_folds = min(n_folds, len(np.unique(groups)))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():  # of classes that have fewer samples than folds
        warnings.simplefilter("ignore")
        splits = list(folds.split(X, y, groups))
    for train, test in splits:
        model = clone(estimator).fit(X[train], y[train])
        columns = np.searchsorted(classes, model.classes_)
        found[np.ix_(test, columns)] = model.predict_proba(X[test])
    return found
