"""The fits of a study: one technique on one split each."""

import contextlib
import math
import pickle
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score
from sklearn.utils.validation import has_fit_parameter

from skcell._digest import digest
from skcell._environment import environment, software
from skcell._images import layout_of
from skcell.classifiers import BaseCellClassifier, CellCNNClassifier
from skcell.metrics import macro_roc_auc
from skcell.pipeline import Pipeline
from skcell.study._progress import EpochWatch, Progress
from skcell.study._records import FoldResult, TechniqueResult
from skcell.study._splits import Split
from skcell.study._techniques import Technique


class FoldScorer:
    """Computes all scores of a fit on its validation images."""

    def __init__(self, classes: NDArray[Any], more: Mapping[str, Any]):
        self.classes, self.more = classes, more

    @property
    def names(self) -> list[str]:
        """Names of the scores that are always computed."""
        return ["balanced_accuracy", "f1_macro", "auc", *(f"recall {c}" for c in self.classes)]

    def predict(self, model: Any, X: Any) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Predict labels and, if the model estimates them, probabilities of all classes."""
        if not hasattr(model, "predict_proba"):
            return model.predict(X), None
        found = model.predict_proba(X)
        probabilities = np.zeros((len(found), len(self.classes)), np.float32)
        probabilities[:, np.searchsorted(self.classes, model.classes_)] = found
        return model.classes_[found.argmax(axis=1)], probabilities

    def score(
        self, y: NDArray[Any], predicted: NDArray[Any], probabilities: NDArray[Any] | None
    ) -> dict[str, float]:
        """Compute the scores of predictions."""
        present = np.unique(y)
        recalls = recall_score(y, predicted, labels=self.classes, average=None, zero_division=0)
        auc = math.nan if probabilities is None else macro_roc_auc(y, probabilities, self.classes)
        with warnings.catch_warnings():  # about classes that are predicted but absent
            warnings.simplefilter("ignore", UserWarning)
            balanced = balanced_accuracy_score(y, predicted)
        return {
            "n_correct": int(np.sum(predicted == y)),
            "balanced_accuracy": balanced,
            "f1_macro": f1_score(y, predicted, average="macro", zero_division=0),
            "auc": auc,
            **{
                f"recall {label}": float(recall) if label in present else float("nan")
                for label, recall in zip(self.classes, recalls, strict=True)
            },
        }


@dataclass(frozen=True)
class Fit:
    """One technique on one split."""

    technique: Technique
    fold: int
    split: Split
    scorer: FoldScorer
    random_state: int
    key: str | None = None
    watch: EpochWatch | None = None

    def evaluate(
        self, pipeline: Pipeline, X: Any, y: NDArray[Any], groups: NDArray[Any] | None
    ) -> tuple["Fit", FoldResult]:
        """Fit and score the technique."""
        model = set_technique(pipeline, self.technique)
        if self.watch is not None and isinstance(model[-1], BaseCellClassifier):
            callbacks = [*(model[-1].callbacks or ()), self.watch]
            model.set_params(clf__callbacks=clone(callbacks, safe=False))
        train, test = self.split
        result = FoldResult(
            technique=self.technique.name,
            fold=self.fold,
            n_correct=0,
            n_test=len(test),
            n_train=len(train),
            fit_seconds=math.nan,
            random_state=self.random_state,
        )
        params = {name: value[train] for name, value in _fit_params(model, groups).items()}
        try:
            with config_context(enable_metadata_routing=False), warnings.catch_warnings():
                # About classes of equal size, which the caption of the table mentions once.
                warnings.filterwarnings("ignore", message="ImageSMOTE adds no image")
                started = time.perf_counter()
                model.fit(X[train], y[train], **params)
                seconds = time.perf_counter() - started
                measured = self._score(model, X[test], y[test])
        except Exception as error:  # other techniques may still succeed
            reason = f"{type(error).__name__}: {error}"
            return self, _ended(result, error=reason, exception=_portable(error))
        return self, _ended(result, fit_seconds=seconds, **measured)

    def _score(self, model: Pipeline, X: Any, y: NDArray[Any]) -> dict[str, Any]:
        """Return what is recorded of a fitted model."""
        predicted, probabilities = self.scorer.predict(model, X)
        scores = self.scorer.score(y, predicted, probabilities)
        scores |= {name: float(score(model, X, y)) for name, score in self.scorer.more.items()}
        history = getattr(model[-1], "history_", {})
        losses = history.get("loss", ())
        falls = len(losses) > 1 and losses[-2] > 0
        return {
            "n_correct": int(scores.pop("n_correct")),
            "scores": scores,
            "loss_drop": 1 - losses[-1] / losses[-2] if falls else math.nan,
            "training_accuracy": float(history.get("accuracy", (math.nan,))[-1]),
            "predicted": np.searchsorted(self.scorer.classes, predicted),
            "probabilities": probabilities,
        }


def _ended(result: FoldResult, **measured: Any) -> FoldResult:
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(result, finished=finished, environment=environment(), **measured)


def _portable(error: Exception) -> Exception:
    """Return an error that can leave this process, without the data in its traceback."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        pickle.dumps(error)
    except Exception:  # whatever pickling raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _fit_params(model: Pipeline, groups: Any) -> dict[str, Any]:
    """Return the parameters of a technique's `fit`: groups, if its classifier accepts them."""
    if groups is None or not has_fit_parameter(model[-1], "groups"):
        return {}
    return {f"{model.steps[-1][0]}__groups": groups}


def plan_fits(
    techniques: list[list[Technique]],
    splits: list[Split],
    seeds: list[int],
    scorer: FoldScorer,
    pipeline: Pipeline,
    data: str,
    progress: Progress,
) -> list[Fit]:
    """List all fits of a study, technique by technique."""
    fits, more = [], None
    with contextlib.suppress(Exception):  # scorers that cannot be pickled
        more = digest(scorer.more)
    for by_split in techniques:
        watch = EpochWatch(by_split[0].name, progress)
        for fold, (technique, split, seed) in enumerate(zip(by_split, splits, seeds, strict=True)):
            key = None
            with contextlib.suppress(Exception):  # parameters that cannot be pickled
                if more is not None:
                    model = set_technique(pipeline, technique)
                    key = digest(model, *split, more, data, software())
            fits.append(Fit(technique, fold, split, scorer, seed, key, watch))
    return fits


def study_pipeline() -> Pipeline:
    """Return the pipeline that the parameters of techniques are set on."""
    return Pipeline([("smote", "passthrough"), ("clf", CellCNNClassifier())])


def set_technique(pipeline: Pipeline, technique: Technique | TechniqueResult) -> Pipeline:
    """Set copies of the parameters of a technique on a copy of the pipeline."""
    return clone(pipeline).set_params(**clone(dict(technique.parameters), safe=False))


def check_technique(pipeline: Pipeline, technique: Technique, X: Any) -> None:
    """Check, before training, that the parameters of a technique can be used."""
    try:
        model = clone(pipeline).set_params(**technique.parameters)
        for _, step in model.steps:
            if isinstance(step, BaseEstimator) and hasattr(step, "_validate_params"):
                step._validate_params()
        if isinstance(model[-1], BaseCellClassifier):
            model[-1].check_network(X[:1])
    except Exception as error:  # Keras raises errors of many types
        raise ValueError(f"Technique {technique.name!r} cannot be used: {error}") from error
    resamples = [name for name, step in model.steps if hasattr(step, "fit_resample")]
    if resamples and layout_of(X) == "paths":
        raise ValueError(
            f"Technique {technique.name!r} resamples pixels (step {resamples[0]!r}), but X holds "
            "file paths. Load the images with skcell.datasets.load_image_folder, or omit this "
            "technique."
        )
