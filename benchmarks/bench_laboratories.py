"""Cells of other laboratories: as the plain call is, adapted without labels, and with a few.

`--data` is a folder with the subfolders train and val, each with a subfolder for each class, or an
`.npz` file with `X`, `y` and `split`. Networks are trained on the part "train", and scored on the
part "val": as it is, under the thirty corruptions of _corruptions.py, and as the simulated
laboratories of _laboratories.py see it. `--other` is an `.npz` file of a real other laboratory.

Scores elsewhere are balanced accuracies; for the real laboratory, the network chooses among its
classes. It is adapted to samples of several sizes and class shares, and scored on all cells of the
laboratory: `worst` is the lowest change of the score by adaptation. Where labels are used, their
cells are not scored.

"before" is the augmentation of before: no JPEG files, and smaller changes of size and stain.

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

from skcell.inspection._corruptions import jpeg

BEFORE = {
    "zoom": 0.25,
    "stain_hue": 0.1,
    "saturation": 0.3,
    "compression": 0.0,
    "probability": 0.3,
}
SIDES: dict[str, dict[str, Any]] = {"plain call": {}, "before": BEFORE}

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


def score(clf: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Balanced accuracy, choosing among the classes that there are."""
    present = np.isin(clf.classes_, y)
    p = np.where(present, clf.predict_proba(X), -1)
    found = clf.classes_[p.argmax(axis=1)]
    return float(np.mean([(found[y == label] == label).mean() for label in np.unique(y)]))


def one_laboratory(clf: Any, X: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Score as it is, after adaptation to each sample, and with labels."""
    rng = np.random.default_rng(seed)
    before = score(clf, X, y)
    found: dict[str, Any] = {"as_it_is": before, "adapted": {}, "zoom": {}, "labelled": {}}
    for name, (n, share) in SAMPLES.items():
        adapted = clf.adapt(X[draw(y, n, share, rng)])
        found["adapted"][name] = score(adapted, X, y)
        found["zoom"][name] = adapted.adaptation_["zoom"]
    moved = clf.adapt(X[draw(y, 300, None, rng)])
    for name in LABELLED:
        order = rng.permutation(len(y))
        few = order[: int(name)] if name.isdigit() else None
        if few is None:
            few = np.concatenate([order[y[order] == label][:5] for label in np.unique(y)])
        rest = np.setdiff1d(order, few)
        found["labelled"][name] = score(moved.adapt(None, X[few], y[few]), X[rest], y[rest])
    return found


def main() -> None:
    from skcell import CellCNNClassifier, ImageAugmenter
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
            augmentation = ImageAugmenter.from_preset("microscope", **SIDES[side])
            began = time.perf_counter()
            clf = CellCNNClassifier(augmentation=augmentation, random_state=seed)
            clf.fit(X[chosen], y[chosen])
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
    }


if __name__ == "__main__":
    main()
