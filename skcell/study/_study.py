"""One cross-validation over named techniques."""

import inspect
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from sklearn.utils._param_validation import HasMethods, Interval

from skcell._digest import digest, digest_files
from skcell._environment import environment
from skcell._optional import import_optional
from skcell._parameters import SuggestsParameters
from skcell.classifiers import CellCNNClassifier
from skcell.pipeline import Pipeline
from skcell.study._files import table_records, write_report, write_study
from skcell.study._fits import FoldScorer, check_row, plan_fits
from skcell.study._journal import Journal
from skcell.study._plot import plot_rows
from skcell.study._progress import make_reporter
from skcell.study._records import RowResult, compare, summarise
from skcell.study._rows import Row, find_rows, seeded
from skcell.study._splits import check_data, describe_data, plan_splits
from skcell.study._table import caption, rows_table
from skcell.study._tally import Tally
from skcell.study._workers import run_fits


class Study(SuggestsParameters, BaseEstimator):
    """Compare techniques of cell-image classification on the same folds and seeds.

    Every technique is a `Row`: parameters of one pipeline, ``Pipeline([("smote", "passthrough"),
    ("clf", CellCNNClassifier())])``. A study is one `GridSearchCV` over these rows, so that
    resampling stays inside the training side of each fold.

    Parameters
    ----------
    rows : sequence of Row or str, default=None
        What to compare: rows of one's own, or names of those in `skcell.study.ROWS` and
        `TRANSFER_ROWS`. None means all of `ROWS`. The first is what others are compared with.
    cv : int, cross-validation splitter or iterable, default=5
        Number of folds, shuffled by `random_state`, stratified by class, with whole groups where
        `groups` are given; or any splitter of scikit-learn, such as ``PredefinedSplit`` for one
        holdout; or (train, test) row numbers.
    repeats : int, default=1
        How often a number of folds is drawn anew.
    scoring : list or dict of scorers, default=None
        Scores of scikit-learn beside accuracy, balanced accuracy, macro F1, mean AUC
        (`skcell.metrics.mean_auc`) and the recall of each class, which are always measured.
    epochs : int, default=20
        Passes over the training images in each fit.
    batch_size : int, default=32
        Images in each gradient step.
    confidence : float, default=0.95
        Of the intervals.
    random_state : int, default=0
        Seed of folds, weights, order, resampling and augmentation; the same for every row.
    results_file : path-like, default=None
        A file that the result of every fit is added to as it ends. The same study run again goes on
        from there; results of other data or settings in it are left alone.
    refit : bool, default=True
        Whether to fit the row with the highest mean on all images, at the end.
    n_jobs : int, default=None
        Number of fits at a time, by joblib, on whatever backend it is told to use. Epochs are shown
        with one only.
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
    table_ : pandas.DataFrame
        One line for each row: means, intervals, differences from the first row with intervals and p
        values, times and parameters. Needs pandas.
    best_estimator_ : Pipeline
        The row with the highest mean, fitted on all images. Its mean was the highest of several,
        and so flatters it a little.
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
        "repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [list, tuple, dict, None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
        "results_file": [str, os.PathLike, None],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        rows: Sequence[Row | str] | None = None,
        *,
        cv: Any = 5,
        repeats: int = 1,
        scoring: Any = None,
        epochs: int = 20,
        batch_size: int = 32,
        confidence: float = 0.95,
        random_state: int = 0,
        results_file: str | os.PathLike[str] | None = None,
        refit: bool = True,
        n_jobs: int | None = None,
        verbose: int | bool = True,
    ):
        self.rows = rows
        self.cv = cv
        self.repeats = repeats
        self.scoring = scoring
        self.epochs = epochs
        self.batch_size = batch_size
        self.confidence = confidence
        self.random_state = random_state
        self.results_file = results_file
        self.refit = refit
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
        self.__dict__.pop("best_estimator_", None)  # of a run before
        rows = [self._complete(row) for row in find_rows(self.rows)]
        X, y, groups = check_data(X, y, groups)
        more = _check_scoring(self.scoring)
        splits, protocol = plan_splits(self.cv, y, groups, self.random_state, self.repeats)
        pipeline = Pipeline([("smote", "passthrough"), ("clf", CellCNNClassifier())])
        for row in rows:
            check_row(pipeline, row, X)

        self.protocol_, self.data_ = protocol, describe_data(data_name, X, y, groups)
        title = "{name}: {n_images:,} images, {n_classes} classes".format(**self.data_)
        tally = Tally([row.name for row in rows], len(splits), title, protocol)
        reporter = make_reporter(tally, self.verbose)
        content = digest_files(X) if X.ndim == 1 else digest(X)
        data = digest(content, y, groups)
        fits = plan_fits(rows, splits, FoldScorer(np.unique(y), more), data, reporter)
        journal = Journal(self.results_file)
        unkept = sorted({fit.row.name for fit in fits if fit.key is None})
        if unkept and self.results_file is not None:
            raise ValueError(
                f"Results of {unkept} cannot be kept in {os.fspath(self.results_file)}: their "
                "parameters, or a score, cannot be pickled, so that they could not be told from "
                "others. Use functions and classes of a module, or leave out results_file."
            )
        known = {
            i: replace(found, row=fit.row.name, fold=fit.fold)  # whatever they were called before
            for i, fit in enumerate(fits)
            if (found := journal.get(fit.key)) is not None
        }
        n_other = len(journal) - len({fits[i].key for i in known})
        fit_params = {} if groups is None else {"clf__groups": groups}
        self.started_, self.complete_ = _now(), False
        try:
            with reporter:
                reporter.resume(list(known.values()), n_other)
                missing = [fit for i, fit in enumerate(fits) if i not in known]
                for fit, result in run_fits(missing, pipeline, X, y, fit_params, self.n_jobs):
                    journal.add(fit.key, result)
                    reporter.fold(result)
            self.complete_ = True
        except KeyboardInterrupt:
            if not tally.n_done:
                raise
        finally:  # also after an error in some fit: what was measured is kept
            self.folds_ = [
                fold
                for row in rows
                for fold in sorted(tally.folds.get(row.name, []), key=lambda fold: fold.fold)
            ]
            self.rows_ = self._summarise(rows, [test for _, test in splits])
            self.finished_, self.environment_ = _now(), environment()
        if self.refit and self.complete_:
            best = max(self.rows_, key=lambda row: row.accuracy).parameters
            self.best_estimator_ = clone(pipeline).set_params(**clone(dict(best), safe=False))
            with config_context(enable_metadata_routing=False):
                self.best_estimator_.fit(X, y, **fit_params)
        return self

    def _complete(self, row: Row) -> Row:
        """Add what all rows share, unless they have their own: epochs, batch size and seeds."""
        common = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "random_state": self.random_state,
        }
        parameters = seeded(row.parameters, self.random_state)
        if "clf" in parameters:
            given = parameters["clf"]
            known = inspect.signature(type(given)).parameters
            common = {
                name: value
                for name, value in common.items()
                if name in known and getattr(given, name) == known[name].default
            }
        shared = {f"clf__{name}": value for name, value in common.items()}
        return replace(row, parameters={**shared, **parameters})

    def _summarise(self, rows: Iterable[Row], tests: list[NDArray[Any]]) -> list[RowResult]:
        def n_images(folds: Iterable[int]) -> int:
            return len(np.unique(np.concatenate([tests[fold] for fold in folds])))

        found = []
        for row in rows:
            mine = [fold for fold in self.folds_ if fold.row == row.name]
            if mine:
                n = n_images(fold.fold for fold in mine)
                found.append(
                    summarise(row, mine, n_folds=len(tests), n_images=n, confidence=self.confidence)
                )
        return compare(found, self.folds_, n_images, self.confidence) if found else found

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

    @property
    def table_(self) -> Any:
        """The results as a `pandas.DataFrame`."""
        self._check_ran()
        pandas = import_optional("pandas", extra="pandas", purpose="A table")
        return pandas.DataFrame(table_records(self)).set_index("row")

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write a page for a browser: table, plot, protocol, settings and versions, in one file.

        Parameters
        ----------
        path : str or path-like
            Of the file, such as "study.html"; it is replaced.

        Returns
        -------
        pathlib.Path
            The file.
        """
        self._check_ran()
        return write_report(Path(path), self)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `results.csv`, `folds.csv`, `study.json`, `study.png` and `study.html`.

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


def _check_scoring(scoring: Any) -> dict[str, Any]:
    """Turn names of scores into scorers."""
    if scoring is None:
        return {}
    named = dict(scoring) if isinstance(scoring, dict) else {name: name for name in scoring}
    return {name: get_scorer(scorer) for name, scorer in named.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
