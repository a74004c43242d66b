"""Conversion of trials to the results of a scikit-learn search."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from skcell.model_selection._space import Space

_KEYS = ("test_scores", "fit_time", "score_time")


def read_trials(
    trials: list[FrozenTrial],
    space: Space,
    n_splits: int,
    format_results: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """Make `cv_results_` from finished trials."""
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not whole:
        errors = [t.user_attrs["error"] for t in trials if "error" in t.user_attrs]
        raise ValueError(
            f"None of {len(trials)} trials was completed. "
            + (
                f"The first error: {errors[0]}. Fix the cause, then search under a new study_name."
                if errors
                else "Allow more time or more trials."
            )
        )
    scores = whole[0].user_attrs["folds"][0]["test_scores"]
    nothing = dict.fromkeys(scores, np.nan) if isinstance(scores, Mapping) else np.nan
    missing = {"test_scores": nothing, "fit_time": np.nan, "score_time": np.nan}
    out: list[dict[str, Any]] = []
    for trial in trials:
        folds = trial.user_attrs.get("folds", [])
        out += [{key: fold[key] for key in _KEYS} for fold in folds]
        out += [missing] * (n_splits - len(folds))
    more = {
        "trial": [trial.number for trial in trials],
        "state": [trial.state.name for trial in trials],
        "error": [trial.user_attrs.get("error", "") for trial in trials],
        "batch_size": [trial.user_attrs.get("batch_size") for trial in trials],
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One or more of the test scores")
        settings = [space.decode(trial.params) for trial in trials]
        return format_results(settings, n_splits, out, more)
