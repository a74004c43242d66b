"""What the search itself takes for each trial: a classifier that does nothing, many trials.

`ms_per_trial` is the median over the last tenth of the trials, Optuna's sampling and storage
included; `processes` share a file. The targets are 20 ms a trial, at 10,000 trials.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _compare
import numpy as np


def work(n: int, storage: str | None, sampler: str, seed: int) -> list[float]:
    """Run the search and return the seconds between the ends of its trials."""
    import optuna
    from optuna.distributions import FloatDistribution
    from sklearn.base import BaseEstimator, ClassifierMixin

    from skcell.model_selection import OptunaPruningSearchCV

    class Nothing(ClassifierMixin, BaseEstimator):
        def __init__(self, a: float = 0.0, b: float = 0.0):
            self.a, self.b = a, b

        def fit(self, X: Any, y: Any) -> "Nothing":
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: Any) -> Any:
            return np.full(len(X), self.classes_[0])

    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(8, 2)), np.arange(8) % 2
    kinds = {"random": optuna.samplers.RandomSampler(seed=seed), "tpe": None}
    search = OptunaPruningSearchCV(
        Nothing(),
        {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)},
        n_trials=n,
        cv=2,
        scoring=lambda model, X, y: model.a - model.b,
        sampler=kinds[sampler],
        storage=storage,
        study_name="overhead",
        refit=False,
        random_state=seed,
    ).fit(X, y)
    ends = np.sort([t.datetime_complete.timestamp() for t in search.study_.trials])
    return np.diff(ends).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "overhead.json")
    options = parser.parse_args()
    if options.child:
        n, storage, sampler = options.child
        steps = work(int(n), None if storage == "memory" else storage, sampler, options.seed)
        print(1000 * float(np.median(steps[-max(1, len(steps) // 10) :])))
        return

    from skcell._environment import environment

    found = []
    for sampler, where, processes in (
        ("random", "memory", 1),
        ("random", "file", 1),
        ("random", "file", 2),
        ("tpe", "memory", 1),
    ):
        for n in options.counts:
            with tempfile.TemporaryDirectory() as folder:
                storage = "memory" if where == "memory" else f"{folder}/search.db"
                command = [sys.executable, __file__, f"--seed={options.seed}"]
                command += ["--child", str(n), storage, sampler]
                started = [
                    subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                    for _ in range(processes)
                ]
                outputs = [process.communicate()[0] for process in started]
            row = {"sampler": sampler, "storage": where, "processes": processes, "trials": n}
            row["ms_per_trial"] = float(outputs[0].splitlines()[-1])
            found.append(row)
            print(row, flush=True)
    _compare.write(
        options.out,
        {
            "benchmark": "overhead",
            "settings": {"counts": options.counts, "seed": options.seed},
            "environment": environment(["optuna", "sqlalchemy"]),
            "rows": found,
        },
    )


if __name__ == "__main__":
    main()
