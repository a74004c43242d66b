"""Calibration of a classifier on held-out cells, and what its out-of-distribution detector finds.

`--data` is an .npz file with `X`, `y` and `split`; the part "train" trains and calibrates, the part
"val" is scored. One class after the other is left out of training, and is then to be called
unknown, as are images of another laboratory, fields without a cell, defocused cells, photographs
and noise:

    python benchmarks/bench_confidence.py --data cells.npz --other other.npz
"""

import argparse
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score


def make_strangers(X: np.ndarray, other: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    """Make images that are nothing a classifier of cells was trained on."""
    rng = np.random.default_rng(seed)
    n, height, width, channels = (min(len(X), 400), *X.shape[1:])
    background = np.quantile(X[:n], 0.9, axis=(1, 2))[:, None, None]
    blank = np.clip(background + rng.normal(0, 3, (n, height, width, channels)), 0, 255)
    sigma = height / 10
    defocused = np.stack([gaussian_filter(x.astype(float), (sigma, sigma, 0)) for x in X[:n]])
    photographs = []
    for image in load_sample_images().images:
        for _ in range(n // 2):
            side = int(rng.integers(height, 4 * height))
            top, left = (int(rng.integers(0, m - side)) for m in image.shape[:2])
            crop = Image.fromarray(image[top : top + side, left : left + side])
            photographs.append(np.asarray(crop.resize((width, height), Image.Resampling.BICUBIC)))
    made = {
        "no cell": blank.astype(np.uint8),
        "defocused": defocused.astype(np.uint8),
        "photographs": np.stack(photographs),
        "noise": rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8),
    }
    return made if other is None else {"another laboratory": other, **made}


def score_strangers(
    clf: Any, home: np.ndarray, strangers: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Area under the ROC curve, and share called unknown, for each kind."""

    def known(images: np.ndarray) -> np.ndarray:
        return clf.detector_.decision_function(clf.estimator_.embed(images))

    at_home = known(home)
    found = {"home": {"called_unknown": float((at_home < 0).mean())}}
    for kind, images in strangers.items():
        scores = known(images)
        is_strange = np.repeat([0, 1], [len(at_home), len(scores)])
        found[kind] = {
            "auc": float(roc_auc_score(is_strange, -np.concatenate([at_home, scores]))),
            "called_unknown": float((scores < 0).mean()),
            "found_where_5_percent_of_home_are": float(
                (scores < np.quantile(at_home, 0.05)).mean()
            ),
        }
    return found


def score_shift(
    clf: Any, home: np.ndarray, other: np.ndarray | None, seed: int
) -> dict[str, dict[str, float]]:
    """Share of random samples of 10, 20 and 50 images that are called shifted."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, float]] = {}
    for place, images in {"home": home, "another laboratory": other}.items():
        if images is None:
            continue
        whole = clf.assess(images)
        codes = whole.probabilities.argmax(axis=1)
        for n in (10, 20, 50):
            samples = (rng.permutation(len(images))[:n] for _ in range(1000))
            told = [
                clf.references_[0].compare(whole.features[i], codes[i]).shifted for i in samples
            ]
            found.setdefault(place, {})[str(n)] = float(np.mean(told))
    return found


def main() -> None:
    from skcell import CalibratedClassifier, CellCNNClassifier
    from skcell._environment import environment
    from skcell.metrics import measure_reliability

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--other", type=Path, help="another laboratory")
    parser.add_argument("--n-train", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--false-alarm-rate", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.data) as arrays:
        X, y, split = arrays["X"], arrays["y"], arrays["split"]
    other = None
    if options.other is not None:
        with np.load(options.other) as arrays:
            size = X.shape[2], X.shape[1]
            resized = [
                np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC))
                for x in arrays["X"]
            ]
            other = np.stack(resized)
    rng = np.random.default_rng(options.seed)
    result: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for left_out in [None, *np.unique(y)]:
        kept = np.full(len(y), True) if left_out is None else y != left_out
        train = rng.permutation(np.flatnonzero((split == "train") & kept))[: options.n_train]
        clf = CellCNNClassifier(epochs=options.epochs, random_state=options.seed)
        clf = CalibratedClassifier(
            clf, false_alarm_rate=options.false_alarm_rate, random_state=options.seed
        ).fit(X[train], y[train])
        val = (split == "val") & kept
        strangers = make_strangers(X[val], other, options.seed)
        if left_out is None:
            raw = clf.estimator_.predict_proba(X[val])
            scaled = clf.predict_proba(X[val])
            codes = np.searchsorted(clf.classes_, y[val])
            result["accuracy"] = float((raw.argmax(axis=1) == codes).mean())
            result["calibration_error"] = {
                when: {
                    "log_loss": found.log_loss.value,
                    "error": found.error.value,
                    "interval": [found.error.low, found.error.high],
                    "plug_in_error": found.plug_in_error,
                }
                for when, p in (("before", raw), ("after", scaled))
                for found in [measure_reliability(y[val], p, clf.classes_)]
            }
            held = clf.sets_
            result["sets"] = {
                f"{coverage:g}, {'by class' if by_class else 'over all'}": {
                    "coverage": float(found[np.arange(len(codes)), codes].mean()),
                    "lowest_of_a_class": float(
                        min(found[codes == k, k].mean() for k in np.unique(codes))
                    ),
                    "mean_size": float(found.sum(axis=1).mean()),
                }
                for coverage in (0.9, 0.95, 0.99)
                for by_class in (False, True)
                for found in [held.predict(scaled, coverage, by_class=by_class)]
            }
            result["shift_told"] = score_shift(clf, X[val], other, options.seed)
        else:
            strangers = {"a class left out": X[(split == "val") & ~kept], **strangers}
        unknown[str(left_out)] = score_strangers(clf, X[val], strangers)
        print(left_out, unknown[str(left_out)], flush=True)
    _compare.write(
        Path(__file__).parent / "results" / "confidence.json",
        {
            "benchmark": "confidence",
            "settings": {
                **vars(options),
                "data": options.data.name,
                "other": options.other and options.other.name,
            },
            "environment": environment(),
            **result,
            "unknown": unknown,
        },
    )


if __name__ == "__main__":
    main()
