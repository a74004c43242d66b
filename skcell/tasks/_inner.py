"""The classifier inside a model."""

from typing import Any

from skcell.classifiers import BaseCellClassifier


def classifier_of(model: Any) -> BaseCellClassifier:
    """Return the classifier inside a model.

    Parameters
    ----------
    model : estimator
        A fitted classifier, or an estimator or pipeline around one.

    Returns
    -------
    BaseCellClassifier
        The fitted classifier.

    Raises
    ------
    TypeError
        If there is none, or several.
    """
    if isinstance(model, BaseCellClassifier):
        return model
    steps = getattr(model, "steps", None)
    inner = steps[-1][1] if steps else getattr(model, "estimator_", None)
    if inner is None:
        raise TypeError(f"{type(model).__name__} is not around one classifier of skcell.")
    return classifier_of(inner)
