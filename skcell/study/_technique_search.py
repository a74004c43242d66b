"""A search that starts from a technique of a study, and the files of the search."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from skcell._environment import environment
from skcell._files import replace_file, to_csv, to_json
from skcell._images import layout_of
from skcell.model_selection import OptunaPruningSearchCV, default_space
from skcell.persistence import save
from skcell.resampling import ImageSMOTE
from skcell.study._files import to_jsonable
from skcell.study._fits import study_pipeline
from skcell.study._techniques import Technique, with_random_state


def search_technique(
    technique: Technique,
    X: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    n_trials: int = 50,
    storage: str | os.PathLike[str] | None = None,
    study_name: str | None = None,
    cv: int = 3,
    epochs: int = 20,
    timeout: float | None = None,
    random_state: int = 0,
    verbose: int = 1,
) -> OptunaPruningSearchCV:
    """Search for the best settings of a technique of a study, with and without SMOTE.

    Parameters
    ----------
    technique : Technique
        The technique to start from.
    X : array-like
        Images, or paths of image files.
    y : array-like of shape (n,)
        Labels.
    groups : array-like of shape (n,), default=None
        Patient, slide or similar of each image; a group is never in both the training and the
        validation part of a split.
    n_trials : int, default=50
        Total number of trials, over all workers.
    storage : str or path-like, default=None
        A file, or the URL of a database, in which trials are stored.
    study_name : str, default=None
        Name of the search in the storage.
    cv : int, default=3
        Number of folds, which are stratified and shuffled, and made of whole groups if `groups` are
        given.
    epochs : int, default=20
        Number of epochs of each fit.
    timeout : float, default=None
        Seconds after which no new trial is started.
    random_state : int, default=0
        Seed of folds, weights and settings.
    verbose : int, default=1
        1 prints one line per trial.

    Returns
    -------
    OptunaPruningSearchCV
        The fitted search.
    """
    pipeline = study_pipeline()
    common = {"clf__epochs": epochs, "clf__random_state": random_state}
    # The classifier comes first, and then the parameters that are set on it.
    settings = {**with_random_state(technique.parameters, random_state), **common}
    model = clone(pipeline).set_params(**settings)
    space = default_space(model.set_params(smote="passthrough"))
    sizes = np.unique(np.asarray(y), return_counts=True)[1]
    if layout_of(X) == "images" and np.ptp(sizes):  # some classes can be oversampled
        space["smote"] = ["passthrough", ImageSMOTE(random_state=random_state)]
    folds = StratifiedKFold if groups is None else StratifiedGroupKFold
    search = OptunaPruningSearchCV(
        model,
        space,
        n_trials=n_trials,
        timeout=timeout,
        cv=folds(cv, shuffle=True, random_state=random_state),
        storage=storage,
        study_name=study_name,
        random_state=random_state,
        verbose=verbose,
    )
    return search.fit(X, y, **({} if groups is None else {"groups": groups}))


def save_search(search: OptunaPruningSearchCV, folder: str | os.PathLike[str]) -> list[Path]:
    """Write `trials.csv`, `best.json` and, if the search was refitted, `best.skcell`."""
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    results = search.cv_results_
    columns = [name for name in results if name != "params"]
    trials = [
        {name: _cell(results[name][i]) for name in columns} for i in range(len(results["params"]))
    ]
    states = results["state"].tolist()
    best = {
        "score": float(search.best_score_),
        "parameters": to_jsonable(search.best_params_),
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "estimator": to_jsonable(search.estimator),
        "environment": environment(),
    }
    files = [folder / "trials.csv", folder / "best.json"]
    replace_file(files[0], to_csv(trials))
    replace_file(files[1], to_json(best))
    if hasattr(search, "best_estimator_"):
        files.append(folder / "best.skcell")
        save(search.best_estimator_, files[-1])
    return files


def _cell(value: Any) -> Any:
    return "" if value is None or value is np.ma.masked else to_jsonable(value)
