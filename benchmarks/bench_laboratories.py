"""Cells of other laboratories: as the plain call is, adapted without labels, and with a few.

`--data` is a folder with the subfolders train and val, each with a subfolder for each class, or an
`.npz` file with `X`, `y` and `split`. Networks are trained on the part "train", and scored on the
part "val": as it is, under the thirty corruptions of _corruptions.py, and as the simulated
laboratories of _laboratories.py see it. `--other` is an `.npz` file of a real other laboratory.

Scores elsewhere are balanced accuracies; for the real laboratory, the network chooses among its
classes. It is adapted to samples of several sizes and class shares, and scored on all cells of the
laboratory: `worst` is the lowest change of the score by adaptation. Where labels are used, their
cells are not scored.

"three laboratories" is the plain call on the same images, of which one third each is seen by one
of two further simulated laboratories, as if three had labelled cells.

`kept` has, for laboratories that differ in some things or all, how much the mean probability of the
predicted class falls, and which fraction of the balanced accuracy is kept: from these are the
limits of `expect_kept`.

    python benchmarks/bench_laboratories.py --data cells.npz --other other.npz
"""

import time
import warnings
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _corruptions import corrupt_all
from _laboratories import make_laboratory
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from skcell.inspection._corruptions import jpeg
from skcell.metrics import measure_reliability

SIDES = ("plain call", "three laboratories")

#: Samples that are adapted to: number of images, and share of the most common class; None is as
#: it comes, 0 all classes alike, and -1 one class missing.
SAMPLES: dict[str, tuple[int, float | None]] = {
    "300": (300, None),
    "100": (100, None),
    "32": (32, None),
    "200, equal classes": (200, 0.0),
    "200, 60 % one class": (200, 0.6),
    "200, 80 % one class": (200, 0.8),
    "200, 95 % one class": (200, 0.95),
    "200, one class missing": (200, -1.0),
}
LABELLED = ("16", "32", "5 a class")
N_CELLS = 800

#: Laboratories for `kept`, and share of things in which each differs.
KEPT = 24
SHARE = 0.6


def draw(y: np.ndarray, n: int, share: float | None, rng: np.random.Generator) -> np.ndarray:
    """Draw a sample of cells with given class shares."""
    n, classes = min(n, len(y)), np.unique(y)
    if share is None:
        return rng.choice(len(y), n, replace=False)
    chosen = rng.choice(classes)
    if share < 0:
        rest = np.flatnonzero(y != chosen)
        return rng.choice(rest, min(n, len(rest)), replace=False)
    weights = np.zeros(len(y))
    for label in classes:
        part = 1 / len(classes)
        if share:
            part = share if label == chosen else (1 - share) / (len(classes) - 1)
        weights[y == label] = part / (y == label).sum()
    return rng.choice(len(y), n, p=weights / weights.sum())


def choose(clf: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict, choosing among the classes that there are."""
    present = np.isin(clf.classes_, y)
    return clf.classes_[np.where(present, clf.predict_proba(X), -1).argmax(axis=1)]


def score(clf: Any, X: np.ndarray, y: np.ndarray) -> float:
    return float(balanced_accuracy_score(y, choose(clf, X, y)))


def in_detail(clf: Any, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Score by class."""
    found, labels = choose(clf, X, y), np.unique(y).tolist()
    recalls = recall_score(y, found, labels=labels, average=None)
    return {
        "macro_f1": float(f1_score(y, found, labels=labels, average="macro")),
        "recall": dict(zip(labels, recalls.tolist(), strict=True)),
    }


def thirds(X: np.ndarray) -> np.ndarray:
    """Show two thirds of the images as two other laboratories see them."""
    parts = np.array_split(X, 3)
    return np.concatenate([parts[0], *(make_laboratory(s)[0](parts[s - 199]) for s in (200, 201))])


def measure_kept(clf: Any, X: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """By how much probabilities fall, and which fraction of the accuracy is kept."""
    at_home = clf.predict_proba(X).max(axis=1).mean(), score(clf, X, y)
    found = []
    for number in range(KEPT):
        seen = make_laboratory(300 + number, SHARE)[0](X)
        here = clf.predict_proba(seen).max(axis=1).mean(), score(clf, seen, y)
        found.append((float(1 - here[0] / at_home[0]), here[1] / at_home[1]))
    return found


def one_laboratory(clf: Any, X: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Score as it is, after adaptation to each sample, and with labels."""
    rng = np.random.default_rng(seed)
    before = score(clf, X, y)
    found: dict[str, Any] = {"as_it_is": before, "adapted": {}, "zoom": {}, "labelled": {}}
    found |= {"calibration_error": {}, "detail": {"as_it_is": in_detail(clf, X, y)}}
    for name, (n, share) in SAMPLES.items():
        adapted = clf.adapt(X[draw(y, n, share, rng)])
        found["adapted"][name] = score(adapted, X, y)
        found["zoom"][name] = adapted.adaptation_["zoom"]
        found["detail"][f"adapted to {name}"] = in_detail(adapted, X, y)
    moved = clf.adapt(X[draw(y, 300, None, rng)])
    for name in LABELLED:
        order = rng.permutation(len(y))
        few = order[: int(name)] if name.isdigit() else None
        if few is None:
            few = np.concatenate([order[y[order] == label][:5] for label in np.unique(y)])
        rest = np.setdiff1d(order, few)
        fitted = moved.adapt(None, X[few], y[few])
        found["labelled"][name] = score(fitted, X[rest], y[rest])
        found["detail"][f"{name} labels"] = in_detail(fitted, X[rest], y[rest])
        reliability = measure_reliability(y[rest], fitted.predict_proba(X[rest]), clf.classes_)
        found["calibration_error"][name] = reliability.plug_in_error
    return found


def main() -> None:
    from skcell import CellCNNClassifier
    from skcell._environment import environment

    parser = _compare.data_parser(__doc__, "laboratories_28")
    parser.add_argument("--other", type=Path, required=True, help="another laboratory")
    parser.add_argument("--n-train", type=int, help="use only this many training images")
    parser.add_argument("--laboratories", type=int, default=6, help="that are simulated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=SIDES, default=list(SIDES))
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    parts = _compare.load(options.data, options.image_size)
    (X, y), (X_val, y_val) = parts["train"], parts["val"]
    few = np.random.default_rng(0).permutation(len(y_val))[:N_CELLS]
    corrupted, rng = corrupt_all(X_val[few[:300]]), np.random.default_rng(0)
    files = {str(quality): jpeg(quality)(X_val[few], rng) for quality in (50, 25, 12)}
    with np.load(options.other) as arrays:
        foreign = _compare.resize(arrays["X"], X.shape[1]), arrays["y"].astype(str)
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        chosen = np.random.default_rng(seed).permutation(len(y))[: options.n_train]
        for side in options.only:
            began = time.perf_counter()
            shown = X[chosen] if side == "plain call" else thirds(X[chosen])
            clf = CellCNNClassifier(random_state=seed).fit(shown, y[chosen])
            minutes = (time.perf_counter() - began) / 60
            by_kind = {
                kind: float(np.mean([(clf.predict(x) == y_val[few[:300]]).mean() for x in of]))
                for kind, of in ((k, list(named.values())) for k, named in corrupted.items())
            }
            n_of = {kind: len(named) for kind, named in corrupted.items()}
            run: dict[str, Any] = {
                "side": side,
                "seed": seed,
                "minutes": minutes,
                "clean": float((clf.predict(X_val) == y_val).mean()),
                "corrupted": sum(by_kind[k] * n_of[k] for k in n_of) / sum(n_of.values()),
                "by_kind": by_kind,
                "jpeg": {q: float((clf.predict(x) == y_val[few]).mean()) for q, x in files.items()},
                "kept": measure_kept(clf, X_val[few], y_val[few]),
                "other_laboratory": one_laboratory(clf, *foreign, seed),
                "simulated": [],
            }
            for number in range(options.laboratories):
                take, factor = make_laboratory(100 + number)
                found = one_laboratory(clf, take(X_val[few]), y_val[few], seed)
                run["simulated"].append({"size": factor, **found})
            runs.append(run)
            print({k: v for k, v in run.items() if k != "simulated"}, flush=True)
            print(summarise(run["simulated"]), flush=True)
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "laboratories",
            "settings": {
                "n_train": len(chosen),
                "n_val": len(y_val),
                "n_cells": N_CELLS,
                "size": int(X.shape[1]),
                "seeds": options.seeds,
                "laboratories": options.laboratories,
            },
            "environment": environment(),
            "summary": {
                side: summarise([lab for r in runs if r["side"] == side for lab in r["simulated"]])
                for side in options.only
            },
            "runs": runs,
        },
    )


def summarise(laboratories: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over laboratories, and the worst change by adaptation."""
    changes = {
        name: [lab["adapted"][name] - lab["as_it_is"] for lab in laboratories] for name in SAMPLES
    }
    return {
        "as_it_is": float(np.mean([lab["as_it_is"] for lab in laboratories])),
        "adapted": {
            name: float(np.mean([lab["adapted"][name] for lab in laboratories])) for name in SAMPLES
        },
        "worst": {name: float(min(values)) for name, values in changes.items()},
        "labelled": {
            name: float(np.mean([lab["labelled"][name] for lab in laboratories]))
            for name in LABELLED
        },
        "calibration_error": {
            name: float(np.mean([lab["calibration_error"][name] for lab in laboratories]))
            for name in LABELLED
        },
    }


if __name__ == "__main__":
    main()
