"""Labels that are asked for: accuracy over the number of labels, by what is labelled next.

`--data` is as in bench_laboratories.py. A plain call learns from a few labelled images of each
class. In each round, it chooses images of the part "train" whose labels it gets, and is trained
further from its own weights on all that are labelled. It is scored on the part "val". "all" is
trained on all images of the part "train" that may be labelled.

    python benchmarks/bench_suggest.py --data cells.npz
"""

import time
import warnings
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from sklearn.metrics import balanced_accuracy_score

SIDES = ("margin and k-means++", "margin", "random")


def choose(side: str, clf: Any, X: Any, n: int, seed: int) -> np.ndarray:
    from skcell.model_selection import choose_to_label

    if side == "random":
        return np.random.default_rng(seed).permutation(len(X))[:n]
    p = clf.predict_proba(X)
    if side == "margin":
        highest = np.sort(p, axis=1)
        return np.argsort(highest[:, -1] - highest[:, -2], kind="stable")[:n]
    return choose_to_label(p, clf.embed(X), n, random_state=seed)


def one_run(side: str, parts: Any, options: Any, seed: int) -> list[dict[str, Any]]:
    """Label, train and score, in rounds."""
    from skcell import CellCNNClassifier

    (X, y), (X_val, y_val) = parts["train"], parts["val"]
    order = np.random.default_rng(seed).permutation(len(y))[: options.pool]
    first = [order[y[order] == label][: options.first] for label in np.unique(y)]
    labelled, clf, found = np.concatenate(first), None, []
    for number in range(options.rounds + 1):
        began = time.perf_counter()
        more = {} if clf is None else {"init_from": clf}
        clf = CellCNNClassifier(random_state=seed).fit(X[labelled], y[labelled], **more)
        predicted = clf.predict(X_val)
        found.append(
            {
                "n_labels": len(labelled),
                "accuracy": float((predicted == y_val).mean()),
                "balanced_accuracy": float(balanced_accuracy_score(y_val, predicted)),
                "seconds": time.perf_counter() - began,
            }
        )
        print(side, seed, found[-1], flush=True)
        rest = np.setdiff1d(order, labelled)
        if number < options.rounds:
            chosen = choose(side, clf, X[rest], options.n, seed + number)
            labelled = np.concatenate([labelled, rest[chosen]])
    return found


def main() -> None:
    from skcell import CellCNNClassifier
    from skcell._environment import environment

    parser = _compare.data_parser(__doc__, "suggest")
    parser.add_argument("--first", type=int, default=20, help="labelled images of a class")
    parser.add_argument("--n", type=int, default=50, help="labels of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pool", type=int, default=4000, help="images that may be labelled")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    parts = _compare.load(options.data, options.image_size)
    seeds = range(options.seeds)
    runs = {side: [one_run(side, parts, options, seed) for seed in seeds] for side in SIDES}
    (X, y), (X_val, y_val) = parts["train"], parts["val"]
    order = np.random.default_rng(0).permutation(len(y))[: options.pool]
    began = time.perf_counter()
    predicted = CellCNNClassifier(random_state=0).fit(X[order], y[order]).predict(X_val)
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "suggest",
            "settings": {k: getattr(options, k) for k in ("first", "n", "rounds", "pool", "seeds")}
            | {"n_val": len(y_val), "size": int(X.shape[1])},
            "environment": environment(),
            "runs": runs,
            "all": {
                "n_labels": len(order),
                "accuracy": float((predicted == y_val).mean()),
                "balanced_accuracy": float(balanced_accuracy_score(y_val, predicted)),
                "seconds": time.perf_counter() - began,
            },
        },
    )


if __name__ == "__main__":
    main()
