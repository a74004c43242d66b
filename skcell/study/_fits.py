"""The fits of a study: what is searched over, how it is scored and timed."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from skcell._validation import layout_of
from skcell.classifiers import BaseCellClassifier
from skcell.pipeline import Pipeline
from skcell.study._progress import Reporter, RowWatch
from skcell.study._records import FoldResult
from skcell.study._rows import Row
from skcell.study._splits import Split


class TimedPipeline(Pipeline):
    """Remembers how long fitting took."""

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit all steps."""
        started = time.perf_counter()
        super().fit(X, y, **params)
        self.fit_seconds_ = time.perf_counter() - started
        return self


class FoldScorer:
    """Scores a fit, and in the study's own process hands the result on as the fit ends.

    Parameters
    ----------
    splits : list of (train, test)
        The splits, in order.
    reporter : Reporter or None
        Told of every result.
    """

    def __init__(self, splits: list[Split], reporter: Reporter | None):
        self.splits, self.reporter = splits, reporter

    def __getstate__(self) -> dict[str, Any]:
        return {"splits": [], "reporter": None}

    def __call__(self, model: TimedPipeline, X: Any, y: NDArray[Any]) -> dict[str, float]:
        n_correct = int(np.sum(model.predict(X) == y))
        if self.reporter is not None:
            watch = next(c for c in model[-1].callbacks if isinstance(c, RowWatch))
            fold, watch.n_scored = watch.n_scored, watch.n_scored + 1
            n_train = len(self.splits[fold][0])
            self.reporter.fold(
                FoldResult(watch.row, fold, n_correct, len(y), n_train, model.fit_seconds_)
            )
        return {"n_correct": n_correct, "fit_seconds": model.fit_seconds_}


def read_folds(
    results: Mapping[str, Any], rows: Iterable[Row], splits: list[Split]
) -> list[FoldResult]:
    """Read a finished search.

    Parameters
    ----------
    results : mapping
        Its `cv_results_`.
    rows : iterable of Row
        Its candidates, in order.
    splits : list of (train, test)
        Its splits.

    Returns
    -------
    list of FoldResult
        By row, then fold.
    """
    return [
        FoldResult(
            row=row.name,
            fold=fold,
            n_correct=int(results[f"split{fold}_test_n_correct"][index]),
            n_test=len(test),
            n_train=len(train),
            fit_seconds=float(results[f"split{fold}_test_fit_seconds"][index]),
        )
        for index, row in enumerate(rows)
        for fold, (train, test) in enumerate(splits)
    ]


def grid_of(row: Row, reporter: Reporter) -> dict[str, list[Any]]:
    """Make a grid of one point from a row, with a watch on its fits.

    Parameters
    ----------
    row : Row
        The row.
    reporter : Reporter
        Told of every epoch.

    Returns
    -------
    dict
        For `GridSearchCV`.
    """
    callbacks = [*(row.parameters.get("clf__callbacks") or ()), RowWatch(row.name, reporter)]
    values = {**row.parameters, "clf__callbacks": callbacks}
    return {name: [value] for name, value in values.items()}


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
