"""Default search spaces for skcell's estimators and pipelines of them."""

from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.base import BaseEstimator

from skcell.classifiers import (
    BaseCellClassifier,
    CellCNNClassifier,
    SEInceptionResNetClassifier,
    TransferClassifier,
)
from skcell.resampling import ImageSMOTE


def default_space(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the default search space of an estimator or a pipeline.

    Parameters
    ----------
    estimator : estimator or Pipeline
        An estimator of skcell, or a pipeline. Steps that are not from skcell are not searched.

    Returns
    -------
    dict of str to object
        Search space for `OptunaPruningSearchCV`; you can change it.

    Raises
    ------
    ValueError
        If there is no default space for the estimator or for any step.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.model_selection import default_space
    >>> sorted(default_space(CellCNNClassifier()))
    ['augmentation', 'convolutions', 'dense_units', 'dropout', 'filters', 'learning_rate']
    """
    if hasattr(estimator, "steps"):
        space = {
            f"{name}__{parameter}": values
            for name, step in estimator.steps
            for parameter, values in _space_of(step).items()
        }
    else:
        space = _space_of(estimator)
    if not space:
        raise ValueError(
            f"There is no default space for {type(estimator).__name__}; give param_distributions."
        )
    return space


def _space_of(step: Any) -> dict[str, Any]:
    if isinstance(step, ImageSMOTE):
        return {"k_neighbors": IntDistribution(3, 9, step=2)}
    space: dict[str, Any] = {}
    if isinstance(step, BaseCellClassifier):
        space = {
            "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            "augmentation": ["symmetries", "microscope"],
            "dropout": FloatDistribution(0.0, 0.5),
        }
    if isinstance(step, CellCNNClassifier):
        space |= {
            "filters": [(16, 32, 64), (32, 64, 128)],
            "dense_units": [64, 128, 256],
            "convolutions": [1, 2],
        }
    if isinstance(step, SEInceptionResNetClassifier):
        space |= {"n_blocks": IntDistribution(1, 3), "filters": [32, 64]}
    if isinstance(step, TransferClassifier):
        del space["augmentation"]  # with it, backbone features cannot be cached
        space |= {"dense_units": [None, 128], "pooling": ["avg", "max"]}
    return space
