"""What a search takes for each trial beside fitting: a classifier that does nothing, many trials.

`ms_per_trial` is the median time from one trial's end to the next, times the number of processes
that share the search, in a study that holds `trials` already; Optuna's sampling, pruning and
storage are part of it. The rival is Optuna's own loop, which draws, reports and prunes as often on
the same kind of storage. The target is 20 ms a trial of the search's own, at 10,000 trials.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _compare
import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from sklearn.base import BaseEstimator, ClassifierMixin

HERE = Path(__file__).parent
SPACE = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}
MEASURED = 200  # trials


class Nothing(ClassifierMixin, BaseEstimator):
    """Fits nothing."""

    def __init__(self, a: float = 0.0, b: float = 0.0):
        self.a, self.b = a, b

    def fit(self, X: Any, y: Any) -> "Nothing":
        """Look at the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        """Return the first class."""
        return np.full(len(X), self.classes_[0])


def score(model: Nothing, X: Any, y: Any) -> float:
    """Return something that depends on the setting alone."""
    return model.a - model.b


def skcell(n: int, storage: Any, sampler: Any, seed: int) -> optuna.Study:
    """Run until there are `n` trials."""
    from skcell.model_selection import OptunaPruningSearchCV

    X = np.random.default_rng(seed).normal(size=(8, 2))
    search = OptunaPruningSearchCV(
        Nothing(),
        SPACE,
        n_trials=n,
        cv=2,
        scoring=score,
        sampler=sampler,
        storage=storage,
        study_name="overhead",
        refit=False,
        random_state=seed,
    )
    return search.fit(X, np.arange(8) % 2).study_


def plain(n: int, storage: Any, sampler: Any, seed: int) -> optuna.Study:
    """Run Optuna alone."""
    if isinstance(storage, str):
        storage = optuna.storages.RDBStorage(f"sqlite:///{storage}")
    study = optuna.create_study(
        storage=storage,
        study_name="overhead",
        load_if_exists=True,
        direction="maximize",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )

    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("a", 0, 1) - trial.suggest_float("b", 0, 1)
        trial.report(value, 0)
        if trial.should_prune():
            raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=n - len(study.trials))
    return study


WHO = {"skcell": skcell, "optuna": plain}


def begin(who: str, n: int, storage: Any, sampler: Any, seed: int) -> None:
    """Begin a study, and add trials like its first ones until there are `n`."""
    study = WHO[who](10, storage, sampler, seed)
    known = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    rng = np.random.default_rng(seed)
    for i in range(n - len(study.trials)):
        params = {name: float(value) for name, value in zip(SPACE, rng.random(2), strict=True)}
        value = params["a"] - params["b"]
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=SPACE,
                value=value,
                intermediate_values={0: value},
                user_attrs=known[i % len(known)].user_attrs,
            )
        )


def measure(study: optuna.Study) -> float:
    """Milliseconds from one trial's end to the next, of the last."""
    ends = np.sort([t.datetime_complete.timestamp() for t in study.trials if t.datetime_complete])
    return 1000 * float(np.median(np.diff(ends[-MEASURED:])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--out", default=HERE / "results" / "overhead.json")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if options.child:
        step, who, n, where, kind = options.child
        sampler = optuna.samplers.RandomSampler(seed=options.seed) if kind == "random" else None
        storage: Any = where
        if where == "memory":
            storage = optuna.storages.InMemoryStorage()
        if step in ("begin", "both"):
            begin(who, int(n), storage, sampler, options.seed)
        if step in ("go", "both"):
            print(measure(WHO[who](int(n) + MEASURED, storage, sampler, options.seed)))
        return

    from skcell._environment import environment

    def command(*arguments: Any) -> list[str]:
        child = [str(argument) for argument in arguments]
        return [sys.executable, __file__, f"--seed={options.seed}", "--child", *child]

    rows = []
    for who, kind, where, processes in (
        ("skcell", "random", "memory", 1),
        ("optuna", "random", "memory", 1),
        ("skcell", "tpe", "memory", 1),
        ("optuna", "tpe", "memory", 1),
        ("skcell", "random", "file", 1),
        ("optuna", "random", "file", 1),
        ("skcell", "random", "file", 2),
    ):
        for n in options.counts:
            with tempfile.TemporaryDirectory() as folder:
                if where == "memory":
                    started = [command("both", who, n, where, kind)]
                else:
                    file = f"{folder}/search.db"
                    subprocess.run(command("begin", who, n, file, kind), check=True)
                    started = [command("go", who, n, file, kind)] * processes
                running = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in started]
                printed = [process.communicate()[0] for process in running]
            row = {"who": who, "sampler": kind, "storage": where, "processes": processes}
            ms = processes * max(float(out.splitlines()[-1]) for out in printed)
            rows.append({**row, "trials": n, "ms_per_trial": ms})
            print(rows[-1], flush=True)
    _compare.write(
        options.out,
        {
            "benchmark": "overhead",
            "settings": {"counts": options.counts, "seed": options.seed, "measured": MEASURED},
            "environment": environment(["optuna", "sqlalchemy"]),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
