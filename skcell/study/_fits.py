"""The fits of a study: each a `GridSearchCV` of one row on one split."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import GridSearchCV

from skcell._digest import digest
from skcell._validation import layout_of
from skcell.classifiers import BaseCellClassifier
from skcell.metrics import mean_auc
from skcell.pipeline import Pipeline
from skcell.study._progress import Reporter, RowWatch
from skcell.study._records import FoldResult
from skcell.study._rows import Row
from skcell.study._splits import Split


class FoldScorer:
    """Scores a fit on its validation images, in all ways at once.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All labels.
    more : mapping of str to callable
        Further scorers, as of scikit-learn.
    """

    def __init__(self, classes: NDArray[Any], more: Mapping[str, Any]):
        self.classes, self.more = classes, more

    def __call__(self, model: Pipeline, X: Any, y: NDArray[Any]) -> dict[str, float]:
        if hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(X)
            predicted = model.classes_[probabilities.argmax(axis=1)]
            auc = mean_auc(y, probabilities, model.classes_)
        else:
            predicted, auc = model.predict(X), float("nan")
        present = np.unique(y)
        recalls = recall_score(y, predicted, labels=self.classes, average=None, zero_division=0)
        return {
            "n_correct": int(np.sum(predicted == y)),
            "balanced_accuracy": balanced_accuracy_score(y, predicted),
            "f1_macro": f1_score(y, predicted, labels=present, average="macro", zero_division=0),
            "auc": auc,
            **{
                f"recall {label}": float(recall) if label in present else float("nan")
                for label, recall in zip(self.classes, recalls, strict=True)
            },
            **{name: float(scorer(model, X, y)) for name, scorer in self.more.items()},
        }


@dataclass(frozen=True)
class Fit:
    """One row on one split.

    Parameters
    ----------
    row : Row
        The row, with all that is set on the pipeline.
    fold : int
        Number of the split.
    split : (train, test)
        The split.
    scorer : FoldScorer
        What scores it.
    key : str or None
        Tells it from any other fit, of whatever data and settings; None if that cannot be told.
    watch : RowWatch or None
        Hears of its epochs.
    """

    row: Row
    fold: int
    split: Split
    scorer: FoldScorer
    key: str | None = None
    watch: RowWatch | None = None

    def run(
        self, pipeline: Pipeline, X: Any, y: NDArray[Any], fit_params: Mapping[str, Any]
    ) -> tuple["Fit", FoldResult]:
        """Fit and score.

        Parameters
        ----------
        pipeline : Pipeline
            What the row is set on; not changed.
        X, y : ndarray
            All images and labels.
        fit_params : mapping
            Passed to `fit`.

        Returns
        -------
        fit : Fit
            This.
        result : FoldResult
            What was measured.
        """
        values = dict(self.row.parameters)
        if self.watch is not None:
            own = getattr(values.get("clf"), "callbacks", None)
            own = values.get("clf__callbacks", own)
            values["clf__callbacks"] = [*(own or ()), self.watch]
        search = GridSearchCV(
            pipeline,
            {name: [value] for name, value in values.items()},
            scoring=self.scorer,
            cv=[self.split],
            refit=False,
            error_score="raise",
        )
        with config_context(enable_metadata_routing=False):
            search.fit(X, y, **fit_params)
        results = search.cv_results_
        scores = {
            name.removeprefix("split0_test_"): float(value[0])
            for name, value in results.items()
            if name.startswith("split0_test_")
        }
        train, test = self.split
        return self, FoldResult(
            row=self.row.name,
            fold=self.fold,
            n_correct=int(scores.pop("n_correct")),
            n_test=len(test),
            n_train=len(train),
            fit_seconds=float(results["mean_fit_time"][0]),
            scores=scores,
        )


def plan_fits(
    rows: list[Row], splits: list[Split], scorer: FoldScorer, data: str, reporter: Reporter
) -> list[Fit]:
    """List all fits of a study, row by row.

    Parameters
    ----------
    rows : list of Row
        The rows.
    splits : list of (train, test)
        The splits.
    scorer : FoldScorer
        What scores them.
    data : str
        Digest of the data.
    reporter : Reporter
        Told of every epoch.

    Returns
    -------
    list of Fit
        The fits.
    """
    from skcell import __version__

    fits, more = [], None
    with contextlib.suppress(Exception):  # scorers that cannot be pickled
        more = digest(scorer.more)
    for row in rows:
        watch = RowWatch(row.name, reporter)
        for fold, split in enumerate(splits):
            key = None
            with contextlib.suppress(Exception):  # parameters that cannot be pickled
                if more is not None:
                    key = digest(row.parameters, *split, more, data, __version__)
            fits.append(Fit(row, fold, split, scorer, key, watch))
    return fits


def check_row(pipeline: Pipeline, row: Row, X: Any) -> None:
    """Find out before training whether a row's parameters can be used.

    Parameters
    ----------
    pipeline : Pipeline
        What they are set on; not changed.
    row : Row
        The row.
    X : ndarray
        Images or file paths.

    Raises
    ------
    ValueError
        If they cannot.
    """
    try:
        model = clone(pipeline).set_params(**row.parameters)
        for _, step in model.steps:
            if isinstance(step, BaseEstimator):
                step._validate_params()
        if isinstance(model[-1], BaseCellClassifier):
            model[-1].check_network(X[:1])
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"Row {row.name!r} cannot be used: {error}") from error
    resamples = [name for name, step in model.steps if hasattr(step, "fit_resample")]
    if resamples and layout_of(X) == "paths":
        raise ValueError(
            f"Row {row.name!r} resamples pixels (step {resamples[0]!r}), but X holds file paths. "
            "Load the images with skcell.datasets.load_image_folder, or leave out this row."
        )
