"""Pipelines of samplers, transformers and a classifier, without leakage.

imbalanced-learn's pipeline resamples inside each fold of a cross-validation. It does not know,
however, that the final classifier holds out images for early stopping. If this holdout is made
after resampling, it can contain synthetic images, or images from which synthetic training images
were made. `Pipeline` makes the holdout before resampling.
"""

import inspect
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
from imblearn import pipeline as imblearn_pipeline
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

from skcell._holdout import check_groups, find_copies, split_holdout
from skcell._sklearn import (
    _check_sample_weight,
    _fit_context,
    _name_estimators,
    _print_elapsed_time,
    _routing_enabled,
    _safe_indexing,
    begin_fit,
)

__all__ = ["Pipeline", "make_pipeline"]

_CARRIED = ("sample_weight", "groups", "X_val", "y_val", "sample_weight_val")


class Pipeline(imblearn_pipeline.Pipeline):
    """Chain samplers, transformers and a final classifier, without leakage.

    This is `imblearn.pipeline.Pipeline` with two additions. First, if the final estimator stops
    early (``early_stopping=True``), its holdout is set aside before any step resamples, stratified
    by class and in whole groups. The holdout passes through the transformers only, and reaches the
    classifier as `X_val` and `y_val`. So no synthetic image is used for validation, and no image
    made from a validation image is used for training. Exact copies of an image, as in a bootstrap
    sample, stay on the same side.

    Second, `fit` passes `sample_weight`, `groups`, `X_val`, `y_val` and `sample_weight_val` to the
    final estimator without a step prefix. Weights and groups pass through samplers: a new sample
    inherits those of the sample it was made from, and samples with weight zero are removed before
    resampling.

    A classifier that stops early inside another estimator cannot receive such a holdout, and is
    refused after a sampler.

    Parameters
    ----------
    steps : list of (str, estimator) tuples
        Names and estimators, in order; samplers and transformers, then the classifier.
    transform_input : list of str, default=None
        As in scikit-learn. `X_val` need not be listed: it is always transformed.
    memory : str, object with joblib.Memory's interface or None, default=None
        Where fitted steps are cached.
    verbose : bool, default=False
        Whether to print the time that each step took.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    named_steps : Bunch
        The steps by name.

    See Also
    --------
    make_pipeline : Names the steps by their types.

    Examples
    --------
    >>> from skcell import CellCNNClassifier, ImageSMOTE
    >>> from skcell.datasets import make_cells
    >>> from skcell.pipeline import Pipeline
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 8), epochs=2, early_stopping=True, random_state=0)
    >>> model = Pipeline([("smote", ImageSMOTE(random_state=0)), ("clf", clf)])
    >>> model.fit(cells.images, cells.target).predict(cells.images).shape
    (80,)
    """

    def _check_method_params(self, method: str, props: dict, **kwargs: Any) -> dict:
        """Route the carried arguments, given without a prefix, to the final step."""
        if not _routing_enabled():
            last = self.steps[-1][0]
            props = {
                f"{last}__{name}" if name in _CARRIED else name: value
                for name, value in props.items()
                if value is not None
            }
        return super()._check_method_params(method, props, **kwargs)

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit all steps; the last step is fitted on the output of the others.

        Parameters
        ----------
        X : array-like
            Images, rows or paths.
        y : array-like of shape (n,)
            Labels.
        **params : dict
            `sample_weight`, `groups`, `X_val`, `y_val` and `sample_weight_val` for the last step;
            arguments of other steps as ``step__name``, or by metadata routing.

        Returns
        -------
        self : object
            The fitted pipeline.
        """
        if self.transform_input is not None and not _routing_enabled():
            raise ValueError(
                "transform_input needs metadata routing; enable it with "
                "sklearn.set_config(enable_metadata_routing=True). X_val is transformed without it."
            )
        task = begin_fit(self, len(self.steps), X=X, y=y)
        routed = self._check_method_params(method="fit", props=params)
        Xt, yt = self._fit(X, y, routed, raw_params=params)
        final, shown = self._final_estimator, {"estimator": self, "X": Xt, "y": yt}
        last = task.subcontext(task_name="fit-final-estimator")
        with (
            nullcontext() if final == "passthrough" else last.propagate_callback_context(final),
            _print_elapsed_time("Pipeline", self._log_message(len(self.steps) - 1)),
        ):
            last.call_on_fit_task_begin(**shown)
            if final != "passthrough":
                given = self._get_metadata_for_step(
                    step_idx=len(self) - 1, step_params=routed[self.steps[-1][0]], all_params=params
                )
                final.fit(Xt, yt, **given["fit"])
            last.call_on_fit_task_end(**shown)
        task.call_on_fit_task_end(**shown)
        return self

    def _iter(
        self, with_final: bool = True, filter_passthrough: bool = True, filter_resample: bool = True
    ) -> Iterator[Any]:
        """Iterate over steps, and report each step that `_fit` fits as a task to callbacks."""
        steps = super()._iter(with_final, filter_passthrough, filter_resample)
        task = getattr(self, "_callback_fit_ctx", None)
        if task is None or with_final or filter_passthrough or filter_resample:
            yield from steps
            return
        for index, name, step in steps:
            one = task.subcontext(task_name=f"fit-transform-{name}")
            one.call_on_fit_task_begin(estimator=self)
            yield index, name, step
            one.call_on_fit_task_end(estimator=self)

    def _fit(self, X: Any, y: Any = None, routed_params: Any = None, raw_params: Any = None) -> Any:
        """Set the holdout aside, then fit all steps except the last."""
        name, final = self.steps[-1]
        # A final step "passthrough" has no fit parameters.
        fit_params = routed_params.get(name, {}).get("fit", {})
        _check_accepted(final, fit_params)
        resamples = any(hasattr(step, "fit_resample") for _, step in self.steps[:-1])
        if resamples:
            _check_holdout_is_ours(final)
        weights, groups = fit_params.get("sample_weight"), fit_params.pop("groups", None)
        if weights is not None:
            weights = _check_sample_weight(weights, X)
        if groups is not None:
            groups = check_groups(groups, len(X))
        if resamples and weights is not None and y is not None and not weights.all():
            present = np.flatnonzero(weights)  # no sampler may use weight-zero images
            X, y, weights = _safe_indexing(X, present), _safe_indexing(y, present), weights[present]
            groups = None if groups is None else groups[present]
        val: dict[str, Any] = {}
        if _stops_early(final) and fit_params.get("X_val") is None and y is not None:
            y = column_or_1d(y, warn=True)
            if not (getattr(final, "warm_start", False) and hasattr(self, "_holdout_seed")):
                state = check_random_state(final.random_state)
                self._holdout_seed = state.randint(2**31 - 1)
            # Images with weight zero are left out.
            indices = np.arange(len(y)) if weights is None else np.flatnonzero(weights)
            train, rest = split_holdout(
                y[indices],
                fraction=final.validation_fraction,
                groups=None if groups is None else groups[indices],
                copies=find_copies(X, indices),
                random_state=self._holdout_seed,
            )
            train, rest = indices[train], indices[rest]
            val = {"X_val": _safe_indexing(X, rest), "y_val": y[rest]}
            if weights is not None and _accepts(final, "sample_weight_val"):
                val["sample_weight_val"] = weights[rest]
            X, y = _safe_indexing(X, train), y[train]
            weights = None if weights is None else weights[train]
        if _accepts(final, "X_val"):
            groups = None  # it would need them only for its own holdout
        Xt, yt = super()._fit(X, y, routed_params, raw_params)
        for carried, values in (("sample_weight", weights), ("groups", groups)):
            if values is not None:
                fit_params[carried] = self._carry(carried, values)
        fit_params.update(val)
        if fit_params.get("X_val") is not None and "X_val" not in (self.transform_input or ()):
            for _, _, transform in self._iter(with_final=False):
                fit_params["X_val"] = transform.transform(fit_params["X_val"])
        return Xt, yt

    def _carry(self, what: str, values: np.ndarray) -> np.ndarray:
        """Pass weights or groups through the fitted samplers."""
        for _, name, step in self._iter(with_final=False, filter_resample=False):
            if not hasattr(step, "fit_resample"):
                continue
            if not hasattr(step, "sample_indices_"):
                raise ValueError(
                    f"{what} cannot pass through the step {name!r}: {type(step).__name__} does not "
                    "report which sample each new sample was made from (sample_indices_). Use "
                    f"ImageSMOTE, ImageAugmenter or a random sampler, or leave out {what}."
                )
            values = values[step.sample_indices_]
        return values


def _stops_early(final: Any) -> bool:
    """Whether `final` would hold out images for early stopping, and accepts a holdout instead."""
    return (
        getattr(final, "early_stopping", False) is True
        and is_classifier(final)
        and _accepts(final, "X_val")
    )


def _check_holdout_is_ours(final: Any) -> None:
    """Refuse a classifier that would take its holdout from resampled images."""
    if _stops_early(final) or not hasattr(final, "get_params"):
        return
    inner = final.get_params(deep=True)
    name = next(
        (n for n, v in inner.items() if n.split("__")[-1] == "early_stopping" and v is True), None
    )
    if name is not None:
        raise ValueError(
            f"{type(final).__name__} has {name}=True after a sampler: its holdout would be taken "
            "from the resampled images, with synthetic images and copies of training images. Set "
            f"{name}=False, or use an skcell classifier itself as the last step."
        )


def _accepts(final: Any, name: str) -> bool:
    return hasattr(final, "fit") and name in inspect.signature(final.fit).parameters


def _takes_any(final: Any) -> bool:
    """Whether `final.fit` passes arbitrary metadata on, as ensembles and searches do."""
    parameters = inspect.signature(final.fit).parameters.values() if hasattr(final, "fit") else ()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _check_accepted(final: Any, fit_params: dict[str, Any]) -> None:
    for name in _CARRIED:
        given = fit_params.get(name) is not None
        if given and not _accepts(final, name) and not _takes_any(final):
            raise TypeError(
                f"{name} was given to the pipeline, but {type(final).__name__}.fit does not accept "
                "it; leave it out, or use a classifier that accepts it as the last step."
            )


def make_pipeline(
    *steps: BaseEstimator,
    memory: Any = None,
    transform_input: list[str] | None = None,
    verbose: bool = False,
) -> Pipeline:
    """Chain estimators into a `Pipeline`, and name each step by its type in lower case.

    Parameters
    ----------
    *steps : estimators
        Samplers and transformers, then the classifier.
    memory : str, object with joblib.Memory's interface or None, default=None
        Where fitted steps are cached.
    transform_input : list of str, default=None
        As in scikit-learn.
    verbose : bool, default=False
        Whether to print the time that each step took.

    Returns
    -------
    Pipeline
        The pipeline.

    See Also
    --------
    Pipeline : Lets you choose the names of the steps.

    Examples
    --------
    >>> from skcell import CellCNNClassifier, ImageSMOTE, make_pipeline
    >>> make_pipeline(ImageSMOTE(), CellCNNClassifier()).steps[1][0]
    'cellcnnclassifier'
    """
    return Pipeline(
        _name_estimators(steps), memory=memory, transform_input=transform_input, verbose=verbose
    )
