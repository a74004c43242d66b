"""A study runs one cross-validation over named techniques."""

import inspect
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer

from skcell._digest import digest, digest_files
from skcell._environment import environment
from skcell._hints import ParameterHintsMixin, did_you_mean
from skcell._holdout import find_copies_of_content, warn_of_copies
from skcell._sklearn import HasMethods, Interval
from skcell.pipeline import Pipeline
from skcell.study._comparison import compare, summarise
from skcell.study._files import reserved_columns, to_jsonable
from skcell.study._fits import (
    Fit,
    FoldScorer,
    _fit_params,
    check_technique,
    plan_fits,
    set_technique,
    study_pipeline,
)
from skcell.study._journal import Journal
from skcell.study._predictions import name_images
from skcell.study._progress import choose_progress
from skcell.study._records import FoldResult, TechniqueResult, Validated
from skcell.study._result import StudyResult
from skcell.study._splits import check_data, describe_data, plan_splits
from skcell.study._table import best_technique, title_of
from skcell.study._techniques import Technique, resolve_techniques, with_random_state
from skcell.study._workers import run_fits


class Study(ParameterHintsMixin, BaseEstimator):
    """Compare techniques of cell-image classification on the same folds and seeds.

    Every technique is a `Technique`: parameters of one pipeline, ``Pipeline([("smote",
    "passthrough"), ("clf", CellCNNClassifier())])``. Only the training part of a fold is resampled.
    `as_grid` returns the whole study as a `GridSearchCV` over parameters of this pipeline.

    Parameters
    ----------
    techniques : sequence of Technique or str, default=None
        The techniques to compare: your own techniques, or names of those in
        `skcell.study.TECHNIQUES` and `TRANSFER_TECHNIQUES`. None means all of `TECHNIQUES`. The
        other techniques are compared with the first one.
    cv : int, cross-validation splitter or iterable, default=5
        Number of folds, which are shuffled by `random_state`, stratified by class, and made of
        whole groups if `groups` are given; or any scikit-learn splitter, such as
        ``PredefinedSplit`` for one holdout; or (train, test) pairs of indices.
    n_repeats : int, default=1
        How often the folds are drawn, if `cv` is an int.
    scoring : list or dict of scorers, default=None
        Additional scikit-learn scores. Accuracy, balanced accuracy, macro F1, mean AUC
        (`skcell.metrics.macro_roc_auc`) and the recall of each class are always computed.
    epochs : int, default=20
        Number of passes over the training images in each fit.
    batch_size : int, default=32
        Number of images in each gradient step.
    confidence_level : float, default=0.95
        Confidence level of the intervals.
    random_state : int, default=0
        Seed of the folds. Together with the number of a fold, it also determines the seed of
        weights, order, resampling and augmentation in that fold, which is the same for every
        technique. Differences between folds therefore include the variation between seeds.
    results_file : path-like, default=None
        A file to which the result of every fit, including its predictions, is added when the fit
        ends. If the same study is run again, it resumes from this file. Results of other data,
        settings or versions in the file are not changed.
    score : str, default="accuracy"
        The score that decides which technique is best, and is shown in table and plot: "accuracy",
        "balanced_accuracy", "f1_macro", "auc", "recall CLASS", or one of `scoring`. Higher is
        better. For class weights and SMOTE, which help rare classes, "balanced_accuracy" is more
        informative.
    refit : bool, default=True
        Whether to fit the best technique on all images at the end.
    n_jobs : int, default=None
        Number of parallel fits, run by joblib on its active backend. Epochs are shown only if fits
        are not parallel.
    verbose : bool or int, default=True
        Whether to show progress: a live table in a terminal, or one line per fit in a log or
        notebook.

    Attributes
    ----------
    result_ : StudyResult
        The result, with table, plot, page, files and predictions. After an interrupt, it has only
        the techniques that were started.
    best_estimator_ : Pipeline
        The technique with the highest mean, fitted on all images. Its mean is slightly optimistic,
        having been the best of several.

    See Also
    --------
    skcell.study.Technique : One technique.
    sklearn.model_selection.GridSearchCV : Runs what `as_grid` returns.

    Notes
    -----
    Intervals and comparisons of accuracy and balanced accuracy are those of
    `skcell.metrics.estimate_over_folds`: their variance is that between images (or between groups,
    whose images are alike), and that between folds, which differ in training set and seed. The
    interval of one holdout does not include the latter; with a single group in the holdout, there
    is no interval. Other scores have one value for each fold, and so the corrected resampled t
    interval [1]_, which is wide for few folds. Intervals and p values of
    differences are corrected for the number of techniques. Two techniques may differ even if their
    intervals overlap, because the techniques share folds.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52,
       239-281, 2003.

    Examples
    --------
    >>> from skcell.datasets import make_cells
    >>> from skcell.study import Technique, Study
    >>> cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
    >>> techniques = ["base", Technique("dropout", {"clf__dropout": 0.5})]
    >>> study = Study(techniques, cv=2, epochs=1, verbose=False).fit(cells.images, cells.target)
    >>> [technique.name for technique in study.result_.techniques]
    ['base', 'dropout']
    >>> len(study.result_.folds)
    4
    """

    _parameter_constraints: dict = {
        "techniques": ["array-like", None],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), Iterable],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [list, tuple, dict, None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
        "results_file": [str, os.PathLike, None],
        "score": [str],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        techniques: Sequence[Technique | str] | None = None,
        *,
        cv: Any = 5,
        n_repeats: int = 1,
        scoring: Any = None,
        epochs: int = 20,
        batch_size: int = 32,
        confidence_level: float = 0.95,
        random_state: int = 0,
        results_file: str | os.PathLike[str] | None = None,
        score: str = "accuracy",
        refit: bool = True,
        n_jobs: int | None = None,
        verbose: int | bool = True,
    ):
        self.techniques = techniques
        self.cv = cv
        self.n_repeats = n_repeats
        self.scoring = scoring
        self.epochs = epochs
        self.batch_size = batch_size
        self.confidence_level = confidence_level
        self.random_state = random_state
        self.results_file = results_file
        self.score = score
        self.refit = refit
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        data_name: str = "cells",
        image_names: ArrayLike | None = None,
    ) -> Self:
        """Fit and score every technique on every split.

        Parameters
        ----------
        X : array-like
            Images `(n, H, W, C)` or `(n, H, W)`, or paths of image files.
        y : array-like of shape (n,)
            Labels; class names make the results easiest to read.
        groups : array-like of shape (n,), default=None
            Patient, slide or similar of each image; a group is never in both the training and the
            validation part of a split.
        data_name : str, default="cells"
            Name of the data, for titles and files.
        image_names : array-like of shape (n,), default=None
            Names of the images, for predictions and warnings. None uses file paths, if `X` holds
            them, or else numbers.

        Returns
        -------
        self : object
            The study. If it was interrupted (Ctrl-C), it has the fits finished until then. If a
            technique failed, `result_` has its error, and the other techniques are still evaluated.

        Raises
        ------
        ValueError
            Before any training, if data, techniques or splits cannot be used.
        OSError
            If another process is writing to `results_file`.
        Exception
            The first error, if every technique failed.
        KeyboardInterrupt
            If the study was interrupted before the first fit was scored.
        """
        self._validate_params()
        for name in ("best_estimator_", "result_"):  # from an earlier fit
            self.__dict__.pop(name, None)
        given = resolve_techniques(self.techniques)
        techniques = [self._complete(technique, self.random_state) for technique in given]
        X, y, groups = check_data(X, y, groups)
        names = name_images(image_names, X)
        classes, codes = np.unique(y, return_inverse=True)
        scorer = FoldScorer(classes, _check_scoring(self.scoring, classes))
        score = _check_score(self.score, scorer)
        copies = find_copies_of_content(X)
        splits, protocol = plan_splits(
            self.cv, y, groups, self.random_state, self.n_repeats, copies
        )
        pipeline = study_pipeline()
        for technique in techniques:
            check_technique(pipeline, technique, X)

        data = describe_data(data_name, X, y, groups)
        data["duplicates"] = warn_of_copies(copies, y, splits, names)
        progress = choose_progress(self.verbose)(
            [technique.name for technique in techniques], len(splits), title_of(data), protocol
        )
        content = digest_files(X) if X.ndim == 1 else digest(X)
        seeds = [_derive_seed(self.random_state, fold) for fold in range(len(splits))]
        by_split = [[self._complete(technique, seed) for seed in seeds] for technique in given]
        fits = plan_fits(
            by_split, splits, seeds, scorer, pipeline, digest(content, y, groups), progress
        )
        journal = Journal(self.results_file)
        _check_kept(fits, self.results_file)
        known = {
            i: replace(found, technique=fit.technique.name, fold=fit.fold)  # names may have changed
            for i, fit in enumerate(fits)
            if (found := journal.get(fit.key)) is not None
        }
        n_other = len(journal) - len({fits[i].key for i in known})
        validated = Validated([test for _, test in splits], codes, groups, names, classes)
        configuration = self._configuration(score, protocol, pipeline, given)
        started, complete = _now(), False
        with journal.alone():
            try:
                with progress:
                    progress.resume(list(known.values()), n_other, journal.n_odd)
                    missing = [fit for i, fit in enumerate(fits) if i not in known]
                    # Of each technique one fold first: then the time that is left is known, and a
                    # study that is interrupted has something of each.
                    missing.sort(key=lambda fit: fit.fold > 0)
                    for fit, result in run_fits(missing, pipeline, X, y, groups, self.n_jobs):
                        progress.add(result)  # shown even if it cannot be stored
                        journal.add(fit.key, result)
                complete = True
            except KeyboardInterrupt:
                if not progress.n_done:
                    raise
            finally:  # also after an error, so that finished fits are kept
                if progress.n_done:
                    done = [progress.folds.get(technique.name, []) for technique in techniques]
                    folds = [f for some in done for f in sorted(some, key=lambda f: f.fold)]
                    self.result_ = StudyResult(
                        techniques=self._summarise(techniques, folds, validated),
                        folds=folds,
                        images=validated,
                        score=score,
                        confidence_level=self.confidence_level,
                        complete=complete,
                        configuration=configuration,
                        data=data,
                        environment=environment(),
                        started=started,
                        finished=_now(),
                    )
        _raise_if_all_failed(self.result_)
        if self.refit and complete:
            best = best_technique(self.result_)
            self.best_estimator_ = set_technique(pipeline, best or techniques[0])
            with config_context(enable_metadata_routing=False):
                self.best_estimator_.fit(X, y, **_fit_params(self.best_estimator_, groups))
        return self

    def as_grid(self, fold: int | None = None) -> tuple[Pipeline, list[dict[str, list[Any]]]]:
        """Return the study as the pipeline and the settings of a `GridSearchCV`.

        Parameters
        ----------
        fold : int, default=None
            Number of the split, from 0, whose seed the settings have: a study gives each split a
            seed of its own, and a grid search has one for all. None is the seed of the study.

        Returns
        -------
        pipeline : Pipeline
            The pipeline that the settings are set on.
        param_grid : list of dict
            A grid of one setting for each technique, in the order of the techniques.

        Examples
        --------
        >>> from sklearn.model_selection import GridSearchCV
        >>> from skcell.study import Study
        >>> pipeline, settings = Study(["base", "SMOTE"], epochs=5).as_grid()
        >>> search = GridSearchCV(pipeline, settings, cv=5)  # search.fit(images, labels)
        >>> settings[1]["smote"]
        [ImageSMOTE(random_state=0)]
        """
        seed = self.random_state if fold is None else _derive_seed(self.random_state, fold)
        techniques = [self._complete(one, seed) for one in resolve_techniques(self.techniques)]
        return study_pipeline(), [
            {name: [value] for name, value in one.parameters.items()} for one in techniques
        ]

    def _configuration(
        self, score: str, protocol: str, pipeline: BaseEstimator, techniques: Sequence[Technique]
    ) -> dict[str, Any]:
        """Return the settings of a study, ready for JSON."""
        return {
            "score": score,
            "protocol": protocol,
            "cv": to_jsonable(self.cv),
            "n_repeats": self.n_repeats,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "confidence_level": self.confidence_level,
            "random_state": self.random_state,
            "pipeline": to_jsonable(pipeline),
            "techniques": [
                {
                    "name": technique.name,
                    "description": technique.description,
                    "parameters": to_jsonable(technique.parameters),
                }
                for technique in techniques
            ],
        }

    def _complete(self, technique: Technique, random_state: int) -> Technique:
        """Add epochs, batch size and seed, unless a technique has its own."""
        common = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "random_state": random_state,
        }
        parameters = with_random_state(technique.parameters, random_state)
        if "clf" in parameters:
            given = parameters["clf"]
            known = inspect.signature(type(given)).parameters
            common = {
                name: value
                for name, value in common.items()
                if name in known and getattr(given, name) == known[name].default
            }
        shared = {f"clf__{name}": value for name, value in common.items()}
        return replace(technique, parameters={**shared, **parameters})

    def _summarise(
        self, techniques: Iterable[Technique], folds: Sequence[FoldResult], validated: Validated
    ) -> list[TechniqueResult]:
        level = self.confidence_level
        by_name = {t.name: [fold for fold in folds if fold.technique == t.name] for t in techniques}
        found = [
            summarise(t, by_name[t.name], validated=validated, confidence_level=level)
            for t in techniques
            if by_name[t.name]
        ]
        return compare(found, folds, validated, level)


def _check_kept(fits: Sequence[Fit], results_file: str | os.PathLike[str] | None) -> None:
    """Raise an error if results cannot be identified in the results file."""
    unkept = sorted({fit.technique.name for fit in fits if fit.key is None})
    if unkept and results_file is not None:
        raise ValueError(
            f"Results of {unkept} cannot be kept in {os.fspath(results_file)}: their "
            "parameters, or a score, cannot be pickled, so the results could not be identified. "
            "Use functions and classes that are defined in a module, or omit results_file."
        )


def _raise_if_all_failed(result: StudyResult) -> None:
    errors = [fold.exception or fold.error for fold in result.folds if fold.error]
    if not errors or not all(technique.error for technique in result.techniques):
        return
    first = errors[0]
    error = first if isinstance(first, Exception) else FloatingPointError(first)
    error.add_note(f"Every technique failed; the first was {result.techniques[0].name!r}.")
    raise error


def _check_scoring(scoring: Any, classes: NDArray[Any]) -> dict[str, Any]:
    """Convert names of scores to scorers."""
    if scoring is None:
        return {}
    named = dict(scoring) if isinstance(scoring, dict) else {name: name for name in scoring}
    taken = reserved_columns(classes)
    twice = sorted(name for name in named if name in taken)
    if twice:
        raise ValueError(
            f"A score cannot be called {twice[0]!r}: the study already has a column of that name. "
            f"Use another name: scoring={{'my {twice[0]}': scorer}}."
        )
    return {name: get_scorer(scorer) for name, scorer in named.items()}


def _check_score(score: str, scorer: FoldScorer) -> str:
    known = ["accuracy", *scorer.names, *scorer.more]
    if score not in known:
        raise ValueError(f"score={score!r} is not computed.{did_you_mean(score, known)}")
    return score


def _derive_seed(random_state: int, fold: int) -> int:
    """Derive the seed of a fold, which is the same for all techniques."""
    return int(np.random.SeedSequence([random_state, fold]).generate_state(1)[0] >> 1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
