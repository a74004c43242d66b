"""What helps rare classes: weights, copies, SMOTE, augmentation.

`--data` is an .npz file with `X`, `y` and `split`. Of the part "train", half of the classes keep
few images, drawn by a seed; the part "val" is scored. The same network is trained in each row:

    python benchmarks/bench_unequal.py --data cells.npz
"""

import argparse
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from sklearn.metrics import balanced_accuracy_score, recall_score


def draw(y: np.ndarray, n_common: int, n_rare: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of an unequal part of the images, and the rare classes."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(y))
    rare = classes[: len(classes) // 2]
    chosen = [
        rng.permutation(np.flatnonzero(y == label))[: n_rare if label in rare else n_common]
        for label in classes
    ]
    return np.concatenate(chosen), rare


def techniques() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Sampler and parameters of the network, by name."""
    from imblearn.over_sampling import RandomOverSampler

    from skcell import ImageSampler, ImageSMOTE

    copies = ImageSampler(RandomOverSampler(random_state=0))
    symmetries = {"augmentation": "symmetries"}
    return {
        "nothing": (None, {}),
        "class weights": (None, {"class_weight": "balanced"}),
        "copies": (copies, {}),
        "SMOTE": (ImageSMOTE(random_state=0), {}),
        "symmetries": (None, symmetries),
        "symmetries, class weights": (None, {**symmetries, "class_weight": "balanced"}),
        "symmetries, copies": (copies, symmetries),
        "symmetries, SMOTE": (ImageSMOTE(random_state=0), symmetries),
    }


def main() -> None:
    from skcell import CellCNNClassifier, make_pipeline
    from skcell._environment import environment
    from skcell.study import PLAIN_SETTINGS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n-common", type=int, default=200, help="images of a common class")
    parser.add_argument("--n-rare", type=int, default=20, help="images of a rare class")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with np.load(options.data) as arrays:
        X, y, split = arrays["X"], arrays["y"], arrays["split"]
    X_val, y_val, X, y = (
        X[split == "val"],
        y[split == "val"],
        X[split == "train"],
        y[split == "train"],
    )
    network = {**PLAIN_SETTINGS, "batch_norm": True, "schedule": "cosine", "epochs": options.epochs}
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        chosen, rare = draw(y, options.n_common, options.n_rare, seed)
        for name, (sampler, parameters) in techniques().items():
            clf = CellCNNClassifier(**network | parameters, random_state=seed)
            model = clf if sampler is None else make_pipeline(sampler, clf)
            found = model.fit(X[chosen], y[chosen]).predict(X_val)
            run = {
                "balanced_accuracy": float(balanced_accuracy_score(y_val, found)),
                "rare_recall": float(recall_score(y_val, found, labels=rare, average="macro")),
            }
            runs.setdefault(name, []).append(run)
            print(seed, name, run, flush=True)
    _compare.write(
        Path(__file__).parent / "results" / "unequal.json",
        {
            "benchmark": "unequal",
            "settings": {**vars(options), "data": options.data.name},
            "environment": environment(),
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
