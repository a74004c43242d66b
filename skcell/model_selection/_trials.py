"""One trial: a setting is fitted on every fold and scored after each epoch."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from optuna.exceptions import TrialPruned
from optuna.pruners import WilcoxonPruner
from optuna.trial import Trial
from sklearn.base import BaseEstimator, clone

from skcell._sklearn import (
    _check_method_params,
    _MultimetricScorer,
    _num_samples,
    _safe_split,
    _score,
)
from skcell.classifiers import BaseCellClassifier, ClassifierCallback
from skcell.model_selection._space import Space

#: Objectives other than scores; they are minimized.
COSTS = ("inference_time", "n_parameters")

Split = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FitParams:
    """Parameters that are passed to `fit`, which depend on the estimator."""

    params: Mapping[str, Any]
    groups: Any = None

    def of(self, model: BaseEstimator, X: Any, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Return the parameters of a model's `fit`, for some samples of `X` or for all."""
        params = dict(self.params)
        if self.groups is not None and isinstance(final_of(model), BaseCellClassifier):
            params[f"{prefix_of(model)}groups"] = self.groups
        return _check_method_params(X, params=params, indices=rows)


#: Receives a score after an epoch: the number of the fold, the number of the epoch, the score.
Report = Callable[[int, int, float], None]


class EpochScores(ClassifierCallback):
    """Scores the classifier after each epoch, on data that the fitted steps before it transform."""

    def __init__(
        self, model: BaseEstimator, X: Any, y: Any, score: Any, report: Callable[[int, Any], None]
    ):
        super().__init__()
        self.pipeline, self.transformed = model, False
        self.X, self.y, self.score, self.report = X, y, score, report
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score the classifier with its current weights."""
        began = time.perf_counter()
        if not self.transformed:  # the steps before are fitted by now
            for _, step in getattr(self.pipeline, "steps", [])[:-1]:
                if hasattr(step, "transform"):
                    self.X = step.transform(self.X)
            self.transformed = True
        self.report(epoch, self.score(self.classifier, self.X, self.y))
        self.seconds += time.perf_counter() - began


def final_of(model: BaseEstimator) -> Any:
    """Return the last step of a pipeline, or an estimator itself."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def prefix_of(model: BaseEstimator) -> str:
    """Return the prefix of the parameters of the last step."""
    return f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""


def score_folds(
    model: BaseEstimator,
    X: Any,
    y: Any,
    splits: list[Split],
    scorer: Any,
    fit_params: FitParams,
    score_params: dict[str, Any],
    error_score: Any,
    report: Callable[[int, int, Any], None] | None,
    timed: bool = False,
    *,
    caller: Any,
    tasks: list[Any],
) -> Iterator[dict[str, Any]]:
    """Fit and score each fold in turn."""
    for fold, (train, test) in enumerate(splits):
        fitted = clone(model)
        X_train, y_train = _safe_split(fitted, X, y, train)
        X_test, y_test = _safe_split(fitted, X, y, test, train)
        final = final_of(fitted)
        own = _check_method_params(X, params=score_params, indices=test)
        # A score that fails ends the trial with its own error; of several scores, some may fail.
        on_error = error_score if isinstance(scorer, _MultimetricScorer) else "raise"
        score = partial(_score, scorer=scorer, score_params=own or None, error_score=on_error)
        watch = None
        if isinstance(final, BaseCellClassifier) and report is not None:
            watch = EpochScores(fitted, X_test, y_test, score, partial(report, fold))
            final.callbacks = [*(final.callbacks or ()), watch]
        began = time.perf_counter()
        task_info = {"estimator": caller, "X": X_train, "y": y_train}
        try:
            with tasks[fold].propagate_callback_context(fitted):
                tasks[fold].call_on_fit_task_begin(**task_info)
                fitted.fit(X_train, y_train, **fit_params.of(fitted, X, train))
        finally:
            tasks[fold].call_on_fit_task_end(**task_info)
        fit_time = time.perf_counter() - began - (watch.seconds if watch else 0.0)
        began = time.perf_counter()
        scores = score(fitted, X_test, y_test)
        seconds = time.perf_counter() - began
        yield {
            "test_scores": scores,
            "fit_time": fit_time,
            "score_time": seconds,
            "epochs": final.best_epochs() if isinstance(final, BaseCellClassifier) else {},
            "n_parameters": _n_parameters(final),
            "inference_time": _time_inference(fitted, X_test) if timed else None,
        }


def retry_with_smaller_batches(model: BaseEstimator, run: Callable[[BaseEstimator], Any]) -> Any:
    """Run a fit; if memory runs out, run it again with half the batch size."""
    while True:
        try:
            return run(model)
        except Exception as error:
            size = getattr(final_of(model), "batch_size", 1)
            if not is_out_of_memory(error) or not isinstance(size, int) or size < 2:
                raise
        warnings.warn(
            f"Out of memory with batch_size={size}; trying again with {size // 2}.",
            ResourceWarning,
            stacklevel=2,
        )
        model.set_params(**{f"{prefix_of(model)}batch_size": size // 2})


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of any backend says that host or device memory ran out."""
    named = {type(error).__name__ for error in (error, error.__cause__, error.__context__)}
    return (
        isinstance(error, MemoryError)
        or bool(named & {"ResourceExhaustedError", "OutOfMemoryError"})
        or "RESOURCE_EXHAUSTED" in str(error)
        or "out of memory" in str(error).lower()
    )


def _time_inference(model: Any, X: Any) -> float:
    """Return the seconds that the prediction of one sample takes, without compilation."""
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        model.predict(X)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[1:])) / _num_samples(X)


def _n_parameters(final: Any) -> int | None:
    if isinstance(final, BaseCellClassifier):
        return final.count_params()
    return None


@dataclass(frozen=True)
class Objective:
    """Fits and scores one setting after another on the same folds."""

    estimator: BaseEstimator
    space: Space
    X: Any
    y: Any
    splits: list[Split]
    fit_params: FitParams
    score_params: dict[str, Any]
    error_score: Any
    scorer: Any
    metric: str
    objectives: list[str]
    caller: Any
    task: Any

    def __call__(self, trial: Trial) -> float | list[float]:
        """Draw a setting and return its objectives."""
        setting = self.space.suggest(trial)
        model = clone(self.estimator).set_params(**clone(setting, safe=False))
        one = len(self.objectives) == 1  # Optuna prunes only with one objective
        by_epoch = one and not isinstance(trial.study.pruner, WilcoxonPruner)
        by_fold = one and not (by_epoch and isinstance(final_of(model), BaseCellClassifier))
        longest = max(1, _max_epochs(self.estimator, self.space)) if by_epoch else 1

        def report(step: int, scores: Any) -> None:
            trial.report(read_score(scores, self.metric), step)
            if trial.should_prune():
                raise TrialPruned

        def run(model: BaseEstimator) -> list[dict[str, Any]]:
            found = score_folds(
                model,
                self.X,
                self.y,
                self.splits,
                self.scorer,
                self.fit_params,
                self.score_params,
                self.error_score,
                (lambda fold, epoch, s: report(fold * longest + epoch, s)) if by_epoch else None,
                timed="inference_time" in self.objectives,
                caller=self.caller,
                tasks=tasks,
            )
            folds: list[dict[str, Any]] = []
            for result in found:
                folds.append(result)
                trial.set_user_attr("folds", folds)
                if by_fold and len(folds) < len(self.splits):
                    # The step that a classifier reporting epochs has at the end of this fold.
                    report(len(folds) * longest - 1, result["test_scores"])
            return folds

        size = getattr(final_of(model), "batch_size", None)
        task = self.task.subcontext(
            task_name="trial", task_id=trial.number, max_subtasks=len(self.splits)
        ).call_on_fit_task_begin(estimator=self.caller)
        # All are made first: a trial that is repeated with smaller batches uses them again.
        tasks = [task.subcontext(task_name="split-evaluation") for _ in self.splits]
        try:
            folds = retry_with_smaller_batches(model, run)
        finally:
            if task.call_on_fit_task_end(estimator=self.caller):
                trial.study.stop()
        if getattr(final_of(model), "batch_size", None) != size:
            trial.set_user_attr("batch_size", final_of(model).batch_size)
        values = [_objective(name, folds) for name in self.objectives]
        return values[0] if one else values


def read_score(scores: Any, metric: str) -> float:
    """Return one of a scorer's results; NaN is an error, because no search can use it."""
    if isinstance(scores, Mapping) and metric not in scores:
        raise ValueError(f"The scorer returns {list(scores)}; name one of them with refit=.")
    score = float(scores[metric] if isinstance(scores, Mapping) else scores)
    if math.isnan(score):
        raise ValueError(
            f"The score {metric!r} is NaN on a fold: either the fold lacks something that the "
            "score needs, such as a class, or the score failed, and a warning shows its error."
        )
    return score


def _objective(name: str, folds: list[dict[str, Any]]) -> float:
    if name == "inference_time":
        return float(np.median([f["inference_time"] for f in folds]))
    if name == "n_parameters":
        if folds[0]["n_parameters"] is None:
            raise ValueError("The objective n_parameters works only with skcell's classifiers.")
        return float(folds[0]["n_parameters"])
    return float(np.mean([read_score(f["test_scores"], name) for f in folds]))


def _max_epochs(estimator: BaseEstimator, space: Space) -> int:
    """Return the largest number of epochs of a fit, so that steps of folds do not overlap."""
    total = 0
    for name in ("epochs", "fine_tuning_epochs"):
        most = [getattr(final_of(estimator), name, 0)]
        for key, parameter in space.parameters.items():
            if key.rsplit("__", 1)[-1] == name:
                most.append(parameter.largest())
            most += [getattr(v, name, 0) for v in (parameter.values or {}).values()]
        total += max(most)
    return int(total)
