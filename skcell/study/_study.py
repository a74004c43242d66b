"""One cross-validation over named techniques."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike
from rich.console import Console
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import HasMethods, Interval

from skcell._environment import environment
from skcell._parameters import SuggestsParameters
from skcell.classifiers import CellCNNClassifier
from skcell.study._files import write_study
from skcell.study._fits import FoldScorer, TimedPipeline, check_row, grid_of, read_folds
from skcell.study._plot import plot_rows
from skcell.study._progress import make_reporter
from skcell.study._records import RowResult, summarise
from skcell.study._rows import Row, find_rows, seeded
from skcell.study._splits import check_data, describe_data, plan_splits
from skcell.study._table import caption, rows_table
from skcell.study._tally import Tally


class Study(SuggestsParameters, BaseEstimator):
    """Compare techniques of cell-image classification on the same folds and seeds.

    Every technique is a `Row`: parameters of one pipeline, ``Pipeline([("smote", "passthrough"),
    ("clf", CellCNNClassifier())])``. A study is one `GridSearchCV` over these rows, so that
    resampling stays inside the training side of each fold.

    Parameters
    ----------
    rows : sequence of Row or str, default=None
        What to compare: rows of one's own, or names of those in `skcell.study.ROWS` and
        `TRANSFER_ROWS`. None means
        all of these.
    cv : int, cross-validation splitter or iterable, default=5
        Number of folds, shuffled by `random_state`, stratified by class, with whole groups where
        `groups` are given; or any splitter of scikit-learn, such as ``PredefinedSplit`` for one
        holdout; or (train, test) row numbers.
    epochs : int, default=20
        Passes over the training images in each fit.
    batch_size : int, default=32
        Images in each gradient step.
    confidence : float, default=0.95
        Of the intervals.
    random_state : int, default=0
        Seed of folds, weights, order, resampling and augmentation; the same for every row.
    n_jobs : int, default=None
        Number of fits at a time. With more than one, their results come all together at the end,
        and an interrupt keeps none.
    verbose : bool or int, default=True
        Whether to show progress: a live table in a terminal, a line for each fit in a log or
        notebook.

    Attributes
    ----------
    rows_ : list of RowResult
        For each row its mean accuracy, interval, scores and time. After an interrupt, for the
        rows begun.
    folds_ : list of FoldResult
        The same for each fit.
    complete_ : bool
        Whether all fits were done.
    protocol_ : str
        The splits, in words.
    data_ : dict
        Name, number, shape and dtype of the images, and the size of each class.
    environment_ : dict
        Hardware and versions.
    started_, finished_ : str
        When, in UTC.

    See Also
    --------
    skcell.study.Row : One technique.
    sklearn.model_selection.GridSearchCV : What runs it.

    Notes
    -----
    An interval over several folds is the corrected resampled t interval [1]_, and never narrower
    than Wilson's over all validated images; with two folds it is very wide. That of one holdout
    is Wilson's, which knows nothing of the variation between training sets. Intervals of
    two rows that overlap may still belong to techniques that differ: the rows share folds.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.datasets import make_cells
    >>> from skcell.study import Row, Study
    >>> cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
    >>> rows = ["base", Row("dropout", {"clf__dropout": 0.5})]
    >>> study = Study(rows, cv=2, epochs=1, verbose=False).run(cells.images, cells.target)
    >>> [row.name for row in study.rows_]
    ['base', 'dropout']
    >>> len(study.folds_)
    4
    """

    _parameter_constraints: dict = {
        "rows": ["array-like", None],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), Iterable],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        rows: Sequence[Row | str] | None = None,
        *,
        cv: Any = 5,
        epochs: int = 20,
        batch_size: int = 32,
        confidence: float = 0.95,
        random_state: int = 0,
        n_jobs: int | None = None,
        verbose: int | bool = True,
    ):
        self.rows = rows
        self.cv = cv
        self.epochs = epochs
        self.batch_size = batch_size
        self.confidence = confidence
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def run(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        data_name: str = "cells",
    ) -> Self:
        """Fit and score every row on every split.

        Parameters
        ----------
        X : array-like
            Images `(n, H, W, C)` or `(n, H, W)`, or paths of image files.
        y : array-like of shape (n,)
            Labels; class names read best.
        groups : array-like of shape (n,), default=None
            Patient, slide or the like: never on both sides of a split.
        data_name : str, default="cells"
            Name of the data, for titles and files.

        Returns
        -------
        self : object
            The study. If it was interrupted (Ctrl-C), with the fits done until then.

        Raises
        ------
        ValueError
            If data, rows or splits cannot be used; before any training.
        KeyboardInterrupt
            If the study was interrupted before the first fit was scored.
        """
        self._validate_params()
        rows = [self._complete(row) for row in find_rows(self.rows)]
        X, y, groups = check_data(X, y, groups)
        splits, protocol = plan_splits(self.cv, y, groups, self.random_state)
        pipeline = TimedPipeline([("smote", "passthrough"), ("clf", CellCNNClassifier())])
        for row in rows:
            check_row(pipeline, row, X)

        self.protocol_, self.data_ = protocol, describe_data(data_name, X, y, groups)
        title = "{name}: {n_images:,} images, {n_classes} classes".format(**self.data_)
        tally = Tally([row.name for row in rows], len(splits), title, protocol)
        reporter = make_reporter(tally, self.verbose)
        search = GridSearchCV(
            pipeline,
            [grid_of(row, reporter) for row in rows],
            scoring=FoldScorer(splits, reporter),
            cv=splits,
            n_jobs=self.n_jobs,
            refit=False,
            error_score="raise",
        )
        self.started_, self.complete_ = _now(), False
        fit_params = {} if groups is None else {"clf__groups": groups}
        try:
            with reporter, config_context(enable_metadata_routing=False):
                search.fit(X, y, **fit_params)
            self.complete_ = True
        except KeyboardInterrupt:
            if not tally.n_done:
                raise
        finally:  # also after an error in some fit: what was measured is kept
            if self.complete_:
                self.folds_ = read_folds(search.cv_results_, rows, splits)
            else:
                self.folds_ = [fold for row in rows for fold in tally.folds.get(row.name, [])]
            self.rows_ = self._summarise(rows, len(splits))
            self.finished_, self.environment_ = _now(), environment()
        return self

    def _complete(self, row: Row) -> Row:
        """Add what all rows share: epochs, batch size and seeds."""
        common = {
            "clf__epochs": self.epochs,
            "clf__batch_size": self.batch_size,
            "clf__random_state": self.random_state,
        }
        return replace(row, parameters={**common, **seeded(row.parameters, self.random_state)})

    def _summarise(self, rows: Iterable[Row], n_folds: int) -> list[RowResult]:
        found = []
        for row in rows:
            mine = [fold for fold in self.folds_ if fold.row == row.name]
            if mine:
                found.append(summarise(row, mine, n_folds=n_folds, confidence=self.confidence))
        return found

    def _check_ran(self) -> None:
        if not getattr(self, "rows_", None):
            raise NotFittedError("This study has no results yet; call run(X, y) first.")

    def show(self, console: Console | None = None) -> None:
        """Print the table.

        Parameters
        ----------
        console : rich.console.Console, default=None
            Where to; None is standard output.
        """
        self._check_ran()
        console = console or Console()
        console.print(rows_table(self))
        console.print(caption(self), highlight=False)

    def plot(self, ax: Any = None) -> Any:
        """Plot each row's accuracy, interval and folds.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to; None makes a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The plot.
        """
        self._check_ran()
        return plot_rows(self, ax)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `results.csv`, `folds.csv`, `study.json` and `study.png`.

        Each file is replaced as a whole, so that none is ever half written.

        Parameters
        ----------
        folder : str or path-like
            Made where it does not exist.

        Returns
        -------
        list of pathlib.Path
            The files.
        """
        self._check_ran()
        return write_study(Path(folder), self)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
