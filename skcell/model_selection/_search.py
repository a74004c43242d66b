"""A scikit-learn search that uses Optuna and stops unpromising trials early."""

import contextlib
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import optuna
from numpy.typing import ArrayLike
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state, indexable

from skcell._digest import digest, digest_files
from skcell._environment import software
from skcell._hints import ParameterHintsMixin
from skcell._holdout import (
    check_groups,
    check_groups_kept,
    find_copies_of_content,
    warn_of_copies,
)
from skcell._images import as_paths
from skcell._sklearn import (
    BaseSearchCV,
    Interval,
    _check_method_params,
    _fit_context,
    _num_samples,
    _routing_enabled,
    begin_fit,
)
from skcell.model_selection._default_space import default_space
from skcell.model_selection._results import read_trials
from skcell.model_selection._running import FINISHED, Runner
from skcell.model_selection._space import Space, identify
from skcell.model_selection._storage import (
    claim_study,
    open_storage,
    redact_password,
    relevant_trials,
    storage_errors,
    without_storage,
)
from skcell.model_selection._trials import (
    COSTS,
    FitParams,
    Objective,
    Split,
    prefix_of,
    retry_with_smaller_batches,
)


class OptunaPruningSearchCV(ParameterHintsMixin, BaseSearchCV):
    """Hyperparameter search by cross-validation, with sampling and pruning by Optuna.

    Like scikit-learn's searches, it works with any estimator. With skcell's classifiers, the score
    on the validation fold is computed after each epoch, and a trial that falls behind the others is
    pruned. The folds are the same for all trials.

    Parameters
    ----------
    estimator : estimator or Pipeline
        The estimator to tune.
    param_distributions : dict of str to object, default=None
        Optuna distributions, frozen scipy distributions, or lists of values. A list may also hold
        whole steps: ``{"clf": [CellCNNClassifier(), SEInceptionResNetClassifier()]}``. Parameters
        of a step, such as ``clf__n_blocks``, apply only if the chosen step has them. None uses
        `default_space`.
    n_trials : int, default=50
        Total number of trials, over all workers.
    timeout : float or None, default=None
        Seconds after which no new trial is started.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn. With several scores, `refit` names the one to optimize.
    objectives : list of str or None, default=None
        Two or more names to optimize together: names of scores in `scoring`, "inference_time"
        (seconds to predict one image) and "n_parameters" (number of weights of an skcell
        classifier). With `objectives`, no trial is pruned.
    cv : int, cross-validation splitter or iterable, default=None
        As in scikit-learn; the data are split once, before the first trial. With `groups`, an int
        is a number of stratified folds of whole groups, and a splitter that divides a group raises
        an error.
    sampler : optuna.samplers.BaseSampler or None, default=None
        The sampler that draws settings. None: a tree-structured Parzen estimator [2]_.
    pruner : optuna.pruners.BasePruner or None, default=None
        The pruner that stops trials early. None: `MedianPruner(n_startup_trials=5)` over the score
        after each epoch of each fold. `optuna.pruners.NopPruner()` stops no trial.
        `WilcoxonPruner` receives the score of each fold, not of each epoch.
    storage : str, path-like, optuna.storages.BaseStorage or None, default=None
        Where trials are stored: in memory (None), in a file on one machine, or, for many machines,
        in a database with a URL such as ``postgresql://user@host/name``.
    study_name : str or None, default=None
        Name of the search in the storage; "skcell" if None. Searches with the same name and storage
        are one search, which can be resumed, and which several processes can run together.
    heartbeat_interval : int, default=10
        Seconds between the heartbeats of a worker in a storage. If a worker is silent for six times
        as long, its trial is run again by another worker. A storage object that was opened without
        a heartbeat has none.
    refit : bool or str, default=True
        Whether to fit the best setting on all data; or the name of the score that decides which
        setting is best. If early stopping was used in the folds, this fit has no holdout and runs
        for the mean of the best numbers of epochs. A learning-rate schedule is compressed to these
        epochs.
    error_score : "raise" or float, default=np.nan
        Score of a setting that failed; its error is in `cv_results_`. "raise" ends the search at
        the first error.
    random_state : int, RandomState instance or None, default=None
        Seed of the default sampler.
    verbose : int, default=0
        1 prints one line per trial.

    Attributes
    ----------
    best_params_, best_score_, best_index_, best_estimator_, cv_results_, refit_time_, scorer_, \
n_splits_, multimetric_
        As in scikit-learn's searches. `cv_results_` also has "state" ("COMPLETE", "PRUNED" or
        "FAIL"), "error", "trial" (the number in the study) and "batch_size" (if memory ran out).
    study_ : optuna.Study
        The Optuna study.
    pareto_indices_ : ndarray of int
        With `objectives`: indices of the Pareto-optimal settings in `cv_results_`.

    See Also
    --------
    default_space : Default search space of an estimator.
    sklearn.model_selection.RandomizedSearchCV : A search without pruning.

    Notes
    -----
    If a trial runs out of memory, it is tried again with half the batch size. If a process is
    killed, only its current trial is lost, and this trial is run again.

    References
    ----------
    .. [1] T. Akiba, S. Sano, T. Yanase, T. Ohta, M. Koyama, "Optuna: A Next-generation
       Hyperparameter Optimization Framework", KDD 2019.
    .. [2] J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for Hyper-Parameter
       Optimization", NeurIPS 2011.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.model_selection import OptunaPruningSearchCV
    >>> cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
    >>> search = OptunaPruningSearchCV(
    ...     CellCNNClassifier(filters=(8,), dense_units=16, epochs=2, random_state=0),
    ...     {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True), "batch_norm": [True, False]},
    ...     n_trials=3,
    ...     cv=2,
    ...     random_state=0,
    ... )
    >>> search = search.fit(cells.images, cells.target)
    >>> sorted(search.best_params_)
    ['batch_norm', 'learning_rate']
    >>> len(search.cv_results_["params"])
    3
    """

    _parameter_constraints: dict = {
        **{
            name: BaseSearchCV._parameter_constraints[name]
            for name in ("estimator", "scoring", "cv", "verbose", "error_score")
        },
        "param_distributions": [dict, None],
        "n_trials": [Interval(Integral, 1, None, closed="left")],
        "timeout": [Interval(Real, 0, None, closed="neither"), None],
        "objectives": [list, tuple, None],
        "sampler": [BaseSampler, None],
        "pruner": [BasePruner, None],
        "storage": [str, os.PathLike, BaseStorage, None],
        "study_name": [str, None],
        "heartbeat_interval": [Interval(Integral, 1, None, closed="left")],
        "refit": ["boolean", str],
        "random_state": ["random_state"],
    }

    # Attributes that BaseSearchCV reads, but that are not parameters of this search.
    n_jobs = None
    pre_dispatch = 1
    return_train_score = False

    def __init__(
        self,
        estimator: BaseEstimator,
        param_distributions: Mapping[str, Any] | None = None,
        *,
        n_trials: int = 50,
        timeout: float | None = None,
        scoring: Any = None,
        objectives: Sequence[str] | None = None,
        cv: Any = None,
        sampler: BaseSampler | None = None,
        pruner: BasePruner | None = None,
        storage: str | os.PathLike[str] | BaseStorage | None = None,
        study_name: str | None = None,
        heartbeat_interval: int = 10,
        refit: bool | str = True,
        error_score: float | str = np.nan,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.timeout = timeout
        self.scoring = scoring
        self.objectives = objectives
        self.cv = cv
        self.sampler = sampler
        self.pruner = pruner
        self.storage = storage
        self.study_name = study_name
        self.heartbeat_interval = heartbeat_interval
        self.refit = refit
        self.error_score = error_score
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Run the search.

        Parameters
        ----------
        X : array-like
            Any input that the estimator accepts.
        y : array-like of shape (n,)
            Labels.
        **params : dict
            Passed to `fit` of the estimator; `groups` is passed to the splitter.

        Returns
        -------
        self : object
            The search.

        Raises
        ------
        ValueError
            Before any training, if parameters, folds or the study cannot be used; afterwards, if
            no trial was completed.
        OSError
            If the storage cannot be reached.
        """
        scorer, metric = self._get_scorers()
        if isinstance(self.refit, str):
            metric = self.refit
        elif hasattr(scorer, "_scorers"):  # several, and refit names none
            metric = next(iter(scorer._scorers))
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        fit_params = dict(routed.estimator.fit)
        groups = None if _routing_enabled() else params.get("groups")
        passed = FitParams(fit_params, groups)
        distributions = self.param_distributions
        weights = params.get("sample_weight")
        metadata = None if weights is None else {"sample_weight": weights}
        task_info = {"X": X, "y": y, "metadata": metadata}
        task = begin_fit(self, 1 + (self.refit is not False), **task_info)
        space = Space(
            self.estimator,
            default_space(self.estimator) if distributions is None else distributions,
        )
        given = groups if groups is not None else routed.splitter.split.get("groups")
        if given is not None:
            given = check_groups(given, _num_samples(X))
        cv = self.cv
        if given is not None and (cv is None or isinstance(cv, Integral)):
            # With groups, an int is a number of folds of whole groups.
            cv = (
                StratifiedGroupKFold(cv or 5)
                if is_classifier(self.estimator)
                else GroupKFold(cv or 5)
            )
        cv = check_cv(cv, y, classifier=is_classifier(self.estimator))
        splits = _split(cv, X, y, routed.splitter.split if given is None else {"groups": given})
        if given is not None:
            check_groups_kept(splits, given, self.cv)
        if y is not None and is_classifier(self.estimator):
            names = np.arange(_num_samples(X)).astype(str)
            warn_of_copies(find_copies_of_content(X), np.asarray(y), splits, names)
        objectives = self._check_objectives(metric)

        where = str(getattr(self.storage, "url", self.storage))
        with storage_errors(where):
            self.study_ = self._open(objectives, space, splits, X, y, fit_params)
            trials_task = task.subcontext(
                task_name="search",
                # With other workers, the number of trials of this process is not known.
                max_subtasks=self.n_trials if self.storage is None else None,
                sequential_subtasks=False,
            ).call_on_fit_task_begin(estimator=self)
            objective = Objective(
                self.estimator,
                space,
                X,
                y,
                splits,
                passed,
                dict(routed.scorer.score),
                self.error_score,
                scorer,
                metric,
                objectives,
                self,
                trials_task,
            )
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            Runner(
                self.study_,
                objective,
                n_trials=self.n_trials,
                timeout=self.timeout,
                seed=seed if self.sampler is None else None,
                shared=self.storage is not None,
                heartbeat_interval=self.heartbeat_interval,
                raises=self.error_score == "raise",
                verbose=self.verbose,
            ).optimize()
            trials_task.call_on_fit_task_end(estimator=self)
            trials = [t for t in relevant_trials(self.study_) if t.state in FINISHED]
        self.cv_results_ = read_trials(trials, space, len(splits), self._format_results)
        self._warn_of_failures()
        self.n_splits_ = len(splits)
        self.multimetric_ = "mean_test_score" not in self.cv_results_
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        if self.refit or not self.multimetric_:
            self._choose(metric)
        if len(objectives) > 1:
            best = [trial.number for trial in self.study_.best_trials]
            self.pareto_indices_ = np.flatnonzero(np.isin(self.cv_results_["trial"], best))
        if self.refit:
            refit_task = task.subcontext(task_name="refit-with-best-params")
            self._refit(trials, passed, refit_task, **task_info)
            refit_task.call_on_fit_task_end(estimator=self, **task_info)
        task.call_on_fit_task_end(estimator=self, **task_info)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the storage, which may be out of reach where the search is unpickled."""
        state = super().__getstate__().copy()
        if "study_" in state:
            state["study_"] = without_storage(state["study_"])
            if not isinstance(self.storage, BaseStorage | None):
                state["storage"] = redact_password(os.fspath(self.storage))
        return state

    def _warn_of_failures(self) -> None:
        """Warn about failed trials, as scikit-learn's searches warn about failed fits."""
        failed = np.flatnonzero(self.cv_results_["state"] == "FAIL")
        if len(failed):
            warnings.warn(
                f"{len(failed)} of {len(self.cv_results_['state'])} trials failed. The first "
                f"error: {self.cv_results_['error'][failed[0]]} (all are in cv_results_['error']; "
                "error_score='raise' ends the search at the first error).",
                FitFailedWarning,
                stacklevel=4,
            )

    # The study

    def _check_objectives(self, metric: str) -> list[str]:
        """Return the names of the objectives; without `objectives`, the given metric."""
        if self.objectives is None:
            return [metric]
        scores = [self.scoring if isinstance(self.scoring, str) else metric]
        if isinstance(self.scoring, (list, tuple, dict)):
            scores = list(self.scoring)
        unknown = [name for name in self.objectives if name not in (*scores, *COSTS)]
        if unknown or len(self.objectives) < 2:
            raise ValueError(
                f"objectives={self.objectives} should be two or more of {[*scores, *COSTS]}."
            )
        return list(self.objectives)

    def _open(
        self,
        objectives: list[str],
        space: Space,
        splits: list[Split],
        X: Any,
        y: Any,
        fit_params: dict[str, Any],
    ) -> optuna.Study:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(
                storage=open_storage(self.storage, self.heartbeat_interval),
                study_name=self.study_name or (None if self.storage is None else "skcell"),
                load_if_exists=True,
                directions=["minimize" if name in COSTS else "maximize" for name in objectives],
                sampler=deepcopy(self.sampler),
                pruner=deepcopy(self.pruner) or optuna.pruners.MedianPruner(n_startup_trials=5),
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
        configuration = {
            "space": space.describe(),
            "estimator": identify(self.estimator),
            "scoring": identify(self.scoring),
            "objectives": objectives,
            "folds": digest(*[part for split in splits for part in split]),
            "data": _digest_data(X, y),
            "fit parameters": digest(fit_params),
            "versions": software(),
        }
        claim_study(study, configuration)
        if self.sampler is not None and self.storage is not None:
            study.sampler.reseed_rng()  # so that workers draw different settings
        return study

    def _choose(self, metric: str) -> None:
        """Find the best setting among those that were scored on all folds."""
        results = self.cv_results_
        name = metric if self.multimetric_ else "score"
        means, complete = results[f"mean_test_{name}"], results["state"] == "COMPLETE"
        if isinstance(self.error_score, Real) and not np.isnan(self.error_score):
            means[results["state"] == "FAIL"] = self.error_score
        self.best_index_ = int(np.nanargmax(np.where(complete, means, np.nan)))
        self.best_score_ = means[self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(
        self, trials: list[FrozenTrial], fit_params: FitParams, task: Any, **task_info: Any
    ) -> None:
        """Fit the best setting on all data."""
        model = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        attributes = trials[self.best_index_].user_attrs
        found = [fold["epochs"] for fold in attributes["folds"]]
        prefix = prefix_of(model)
        if all(found):
            longer = {name: round(np.mean([f[name] for f in found])) for name in found[0]}
            model.set_params(
                **{f"{prefix}{name}": n for name, n in longer.items()},
                **{f"{prefix}early_stopping": False},
            )
        if "batch_size" in attributes:
            model.set_params(**{f"{prefix}batch_size": attributes["batch_size"]})
        X, y = task_info["X"], task_info["y"]
        began, params = time.time(), fit_params.of(model, X)
        with task.propagate_callback_context(model):
            task.call_on_fit_task_begin(estimator=self, **task_info)
            self.best_estimator_ = retry_with_smaller_batches(
                model, lambda m: m.fit(X, **params) if y is None else m.fit(X, y, **params)
            )
        self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _digest_data(X: Any, y: Any) -> str:
    """Compute a digest of images and labels; image files count by content, not by path."""
    if as_paths(X) is not None:
        with contextlib.suppress(OSError):  # strings that are not paths
            return digest(digest_files(as_paths(X)), np.asarray(y))
    return digest(X, y if y is None else np.asarray(y))


def _split(cv: Any, X: Any, y: Any, params: dict[str, Any]) -> list[Split]:
    if isinstance(cv, StratifiedKFold) and y is not None:
        classes, counts = np.unique(np.asarray(y), return_counts=True)
        if counts.min() < cv.n_splits:
            rarest = classes.tolist()[counts.argmin()]
            raise ValueError(
                f"{cv.n_splits} stratified folds need at least {cv.n_splits} samples of each "
                f"class; class {rarest!r} has n_samples={counts.min()}. Use fewer folds, or leave "
                "out classes that are too rare."
            )
    return list(cv.split(X, y, **params))
