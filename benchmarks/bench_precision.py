"""Accuracy in float32 and in bfloat16, on held-out real cells, over several seeds.

`--data` is a folder with a subfolder for each class, or an .npz file with `X`, `y` and `split`,
of which only the part "train" is used. Each seed draws its own training and test images, the same
for both precisions. Networks: the CNN with batch normalisation and the symmetries of the
square, and one composite block.

Written for each network: the accuracies; the mean of the differences between the precisions, and
its 95 % interval by Student's t; and for the model that was trained in bfloat16, how far
its probabilities would change if it predicted in bfloat16, too, and how many predictions would.

    python benchmarks/bench_precision.py --data cells.npz --name precision_28
"""

import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _rivals import plain_cnn, plain_composite
from scipy import stats
from sklearn.model_selection import train_test_split

PRECISIONS = ("float32", "mixed_bfloat16")


def load(data: Path, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Load images and labels of the training part."""
    if data.is_file():
        with np.load(data) as arrays:
            rows = arrays["split"] == "train"
            return arrays["X"][rows], arrays["y"][rows]
    from skcell.datasets import load_image_folder

    cells = load_image_folder(data, image_size)
    return cells.images, cells.target


def classifiers(epochs: int, seed: int) -> dict[str, Any]:
    """Make the networks that are compared."""
    from skcell import ImageAugmenter

    common = {"epochs": epochs, "schedule": "cosine", "random_state": seed}
    return {
        "CellCNNClassifier": plain_cnn(batch_norm=True, augmentation=ImageAugmenter(), **common),
        "SEInceptionResNetClassifier": plain_composite(**common),
    }


def measure(clf: Any, X: Any, y: Any, X_test: Any, y_test: Any) -> dict[str, Any]:
    """Train in both precisions, and compare."""
    accuracy = {}
    for precision in PRECISIONS:
        began = time.perf_counter()
        clf.set_params(dtype_policy=precision, warm_start=False).fit(X, y)
        probabilities = clf.predict_proba(X_test)
        accuracy[precision] = float(np.mean(clf.classes_[probabilities.argmax(1)] == y_test))
        seconds = time.perf_counter() - began
        print(f"  {precision}: {accuracy[precision]:.4f} in {seconds:.0f} s", flush=True)
    moved = clf._lease.compiled.model.predict(X_test, verbose=0)  # Keras predicts as it trains
    return {
        "accuracy": accuracy,
        "difference": accuracy["mixed_bfloat16"] - accuracy["float32"],
        "largest_change_of_a_probability": float(np.abs(moved - probabilities).max()),
        "mean_change_of_a_probability": float(np.abs(moved - probabilities).mean()),
        "changed_predictions": int((moved.argmax(1) != probabilities.argmax(1)).sum()),
    }


def main() -> None:
    from skcell._environment import environment

    parser = _compare.data_parser(__doc__, "precision")
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--n-test", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of networks")
    options = parser.parse_args()
    X, y = load(options.data, options.image_size)
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        train, test = train_test_split(
            np.arange(len(y)),
            train_size=options.n_train,
            test_size=options.n_test,
            stratify=y,
            random_state=seed,
        )
        for name, clf in classifiers(options.epochs, seed).items():
            if options.only is None or name in options.only:
                print(name, "seed", seed, flush=True)
                found = measure(clf, X[train], y[train], X[test], y[test])
                runs.setdefault(name, []).append({"seed": seed, **found})
    summary = {}
    for name, found in runs.items():
        differences = np.array([run["difference"] for run in found])
        half = stats.t.ppf(0.975, len(found) - 1) * stats.sem(differences)
        mean = differences.mean()
        summary[name] = {
            **{p: float(np.mean([r["accuracy"][p] for r in found])) for p in PRECISIONS},
            "mean_difference": float(mean),
            "interval": [float(mean - half), float(mean + half)],
            "changed_predictions": sum(run["changed_predictions"] for run in found),
            "of_predictions": options.n_test * len(found),
        }
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "precision",
            "settings": {
                k: v for k, v in vars(options).items() if k not in ("data", "name", "image_size")
            }
            | {"size": int(X.shape[1])},
            "environment": environment(),
            "summary": summary,
            "runs": runs,
        },
    )
    print(summary)


if __name__ == "__main__":
    main()
