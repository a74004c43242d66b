"""Searches of equal wall time on real cells of 28 pixels: who tries more, who finds better.

skcell's pruned search, and Optuna's and scikit-learn's with plain scikeras, over the learning rate,
the width and the dropout of one network. Writes every trial's time and score, and a plot of the
best score so far. Cells are those in SKCELL_DATA.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _rivals import keras_cnn, plain_cnn
from sklearn.model_selection import StratifiedKFold

HERE = Path(__file__).parent
DATA = Path(os.environ.get("SKCELL_DATA", HERE.parent / ".." / "shared" / "data"))
RATES, UNITS, MOST_DROPOUT = (1e-5, 1e-1), [64, 128, 256], 0.6


def load(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training images at random, and their class numbers."""
    with np.load(DATA / "pbc_28.npz") as data:
        train = np.flatnonzero(data["split"] == "train")
        rows = np.random.default_rng(seed).permutation(train)[:n]
        return data["X"][rows], np.unique(data["y"], return_inverse=True)[1][rows]


def folds(seed: int) -> StratifiedKFold:
    return StratifiedKFold(3, shuffle=True, random_state=seed)


def rival(epochs: int) -> Any:
    """Wrap the network in plain scikeras."""
    from scikeras.wrappers import KerasClassifier

    return KerasClassifier(
        model=lambda learning_rate, dense_units, dropout: keras_cnn(
            28, learning_rate, dense_units, dropout
        ),
        model__learning_rate=1e-3,
        model__dense_units=128,
        model__dropout=0.0,
        epochs=epochs,
        batch_size=32,
        verbose=0,
    )


def skcell(X: Any, y: Any, seconds: float, epochs: int, seed: int) -> list[dict[str, Any]]:
    from optuna.distributions import FloatDistribution

    from skcell.model_selection import OptunaPruningSearchCV

    began = time.time()
    search = OptunaPruningSearchCV(
        plain_cnn(epochs=epochs, random_state=seed),
        {
            "learning_rate": FloatDistribution(*RATES, log=True),
            "dense_units": UNITS,
            "dropout": FloatDistribution(0, MOST_DROPOUT),
        },
        n_trials=10**6,
        timeout=seconds,
        cv=folds(seed),
        refit=False,
        random_state=seed,
    ).fit(X, y)
    return _trials(search.study_, began)


def optuna(X: Any, y: Any, seconds: float, epochs: int, seed: int) -> list[dict[str, Any]]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna_integration import OptunaSearchCV

    began = time.time()
    search = OptunaSearchCV(
        rival(epochs),
        {
            "model__learning_rate": FloatDistribution(*RATES, log=True),
            "model__dense_units": CategoricalDistribution(UNITS),
            "model__dropout": FloatDistribution(0, MOST_DROPOUT),
        },
        n_trials=None,
        timeout=seconds,
        cv=folds(seed),
        refit=False,
        random_state=seed,
    ).fit(X, y)
    return _trials(search.study_, began)


def random(X: Any, y: Any, seconds: float, epochs: int, seed: int) -> list[dict[str, Any]]:
    from scipy.stats import loguniform, uniform
    from sklearn.model_selection import RandomizedSearchCV

    began, trials = time.time(), []
    while time.time() - began < seconds:  # it knows no time limit
        search = RandomizedSearchCV(
            rival(epochs),
            {
                "model__learning_rate": loguniform(*RATES),
                "model__dense_units": UNITS,
                "model__dropout": uniform(0, MOST_DROPOUT),
            },
            n_iter=1,
            cv=folds(seed),
            refit=False,
            random_state=seed + len(trials),
        ).fit(X, y)
        score = float(search.cv_results_["mean_test_score"][0])
        trials.append({"seconds": time.time() - began, "score": score, "state": "COMPLETE"})
    return trials


def _trials(study: Any, began: float) -> list[dict[str, Any]]:
    return [
        {
            "seconds": trial.datetime_complete.timestamp() - began,
            "score": trial.value if trial.state.name == "COMPLETE" else None,
            "state": trial.state.name,
        }
        for trial in study.trials
        if trial.datetime_complete is not None
    ]


SIDES = {"skcell": skcell, "optuna": optuna, "random": random}
LABELS = {
    "skcell": "OptunaPruningSearchCV, skcell",
    "optuna": "OptunaSearchCV, scikeras",
    "random": "RandomizedSearchCV, scikeras",
}


def plot(trials: dict[str, list[dict[str, Any]]], seconds: float, path: Path) -> None:
    """Draw the best score so far of each side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    for (side, done), color in zip(trials.items(), ("#0072B2", "#E69F00", "#555555"), strict=False):
        scored = [trial for trial in done if trial["score"] is not None]
        times = [trial["seconds"] for trial in scored]
        times.append(max(seconds, times[-1]))
        best = np.maximum.accumulate([trial["score"] for trial in scored])
        ax.step(
            times,
            100 * np.append(best, best[-1]),
            where="post",
            color=color,
            label=f"{LABELS[side]}: {len(done)} trials",
        )
    ax.set_xlabel("seconds")
    ax.set_ylabel("best cross-validated accuracy so far (%)")
    ax.legend(loc="lower right", frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1200)
    parser.add_argument("--seconds", type=int, default=240, help="of each search")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "pruning.json")
    options = parser.parse_args()
    if options.child:
        X, y = load(options.n, options.seed)
        found = SIDES[options.child](X, y, options.seconds, options.epochs, options.seed)
        print(json.dumps(found))
        return

    from skcell._environment import environment

    trials = {}
    for side in SIDES:
        arguments = [f"--{k}={getattr(options, k)}" for k in ("n", "seconds", "epochs", "seed")]
        command = [sys.executable, __file__, f"--child={side}", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        trials[side] = json.loads(done.stdout.splitlines()[-1])
        scored = [trial["score"] for trial in trials[side] if trial["score"] is not None]
        print(side, f"{len(trials[side])} trials, best {max(scored):.4f}", flush=True)
    counts = {side: len(done) for side, done in trials.items()}
    best = {side: max(t["score"] or 0 for t in done) for side, done in trials.items()}
    _compare.write(
        options.out,
        {
            "benchmark": "pruning",
            "settings": {k: v for k, v in vars(options).items() if k not in ("out", "child")},
            "environment": environment(["optuna", "optuna-integration", "scikeras"]),
            "trials_finished": counts,
            "trials_pruned": sum(t["state"] == "PRUNED" for t in trials["skcell"]),
            "best_score": best,
            "times_the_trials_of": {
                side: counts["skcell"] / n for side, n in counts.items() if side != "skcell"
            },
            "trials": trials,
        },
    )
    plot(trials, options.seconds, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
