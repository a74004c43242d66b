"""What is inside an estimator: the one place that knows how estimators hold others."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from skcell._images import ImageSpec
from skcell.classifiers._base import BaseCellClassifier


def inner_estimators(model: Any) -> list[Any]:
    """Return the fitted estimators that a fitted one passes images to."""
    steps = getattr(model, "steps", None)
    if steps:
        return [step for _, step in steps if step not in (None, "passthrough")]
    members = getattr(model, "estimators_", None)
    if members is not None:  # before `estimator_`, which is not fitted then
        return [one for row in members for one in (row if isinstance(row, np.ndarray) else [row])]
    for name in ("best_estimator_", "estimator_"):
        inner = getattr(model, name, None)
        if inner is not None:
            return [inner]
    if isinstance(model, FrozenEstimator):
        return [model.estimator]
    folds = getattr(model, "calibrated_classifiers_", None)
    if folds is not None:  # of scikit-learn's CalibratedClassifierCV
        return [fold.estimator for fold in folds]
    return []


def find_image_spec(estimator: Any) -> ImageSpec | None:
    """Return what images the classifier inside an estimator takes."""
    spec = getattr(estimator, "_spec", None)
    if isinstance(spec, ImageSpec):
        return spec
    found = map(find_image_spec, inner_estimators(estimator))
    return next((spec for spec in found if spec is not None), None)


def classifier_of(model: Any) -> BaseCellClassifier:
    """Return the classifier of skcell inside a model."""
    found = list(_find_classifiers(model))
    if len(found) != 1:
        raise TypeError(
            f"Expected an estimator that contains one classifier of skcell; {type(model).__name__} "
            f"contains {len(found)}."
        )
    return found[0]


def _find_classifiers(model: Any) -> Iterator[BaseCellClassifier]:
    if isinstance(model, BaseCellClassifier):
        yield model
    else:
        for inner in inner_estimators(model):
            yield from _find_classifiers(inner)
