"""Epochs and learning rate of the plain call: accuracy and time, by held-out training images.

For each number of training images and each seed, the plain call is trained on a random part of the
training images of `--data` (an `.npz` file with a split), and scored on others of them; the
validation images are not used. The rival is the recipe of before: twice the epochs, at a third of
the learning rate. Accuracy under corruptions is the mean over those of
`skcell.inspection.corruption_report` at the third strength.

    python benchmarks/bench_epochs.py --data pbc_28.npz --name epochs_28
"""

import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np

#: Epochs as a multiple of those of "auto", and learning rate.
RECIPES = {"plain call": (1.0, 3e-3), "before": (2.0, 1e-3)}
N_TEST = 2000
N_CORRUPTED = 400


def main() -> None:
    from skcell import CellCNNClassifier
    from skcell._environment import environment
    from skcell.inspection import corruption_report

    parser = _compare.data_parser(__doc__, "epochs")
    parser.add_argument("--n", type=int, nargs="+", default=[64, 200, 500])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with np.load(options.data, allow_pickle=True) as arrays:
        X, y, split = arrays["X"], arrays["y"], arrays["split"]
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(split == "train"))
        test = order[-N_TEST:]
        for n in options.n:
            auto = min(150, max(10, round(360 / n ** (1 / 3))))  # as "auto"
            for name, (factor, rate) in RECIPES.items():
                clf = CellCNNClassifier(
                    epochs=round(factor * auto), learning_rate=rate, random_state=seed
                )
                began = time.perf_counter()
                clf.fit(X[order[:n]], y[order[:n]])
                seconds = time.perf_counter() - began
                report = corruption_report(
                    clf, X[test], y[test], strengths=[3], max_images=N_CORRUPTED
                )
                run = {
                    "n_train": n,
                    "seed": seed,
                    "recipe": name,
                    "epochs": clf.n_iter_,
                    "seconds": seconds,
                    "accuracy": float((clf.predict(X[test]) == y[test]).mean()),
                    "corrupted": report.mean_accuracy,
                }
                runs.append(run)
                print(run, flush=True)
    means = [
        {
            "n_train": n,
            "recipe": name,
            **{
                key: float(
                    np.mean([r[key] for r in runs if (r["n_train"], r["recipe"]) == (n, name)])
                )
                for key in ("epochs", "seconds", "accuracy", "corrupted")
            },
        }
        for n in options.n
        for name in RECIPES
    ]
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "epochs",
            "settings": {"n": options.n, "seeds": options.seeds, "n_test": N_TEST},
            "environment": environment(),
            "means": means,
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
