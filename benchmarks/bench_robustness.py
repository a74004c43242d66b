"""Accuracy on clean, corrupted and foreign cells, for the plain network and the recommended one.

`--data` is a folder with the subfolders train and val, each with a subfolder for each class, or
an .npz file with `X`, `y` and `split`. Networks are trained on the part "train", and looked at on
the part "val": as it is, and under the thirty corruptions of _corruptions.py. `--other` is an .npz
file with `X` and `y` of another laboratory, whose labels are used for scores, and for the five
images of a class that are "labelled"; those are not scored. Its scores are balanced accuracies over
its classes: with all classes that the network knows, and with its choice restricted to those that
the laboratory has, as for somebody who knows which there can be.

    python benchmarks/bench_robustness.py --data cells.npz --other other.npz --name robustness_28
"""

import time
import warnings
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _corruptions import corrupt_all
from PIL import Image
from sklearn.metrics import balanced_accuracy_score

#: Number of labelled images of each class of the other laboratory.
N_LABELLED = 5


def load(data: Path, image_size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Load images and labels of both parts."""
    if data.is_file():
        with np.load(data) as arrays:
            return {
                part: (arrays["X"][arrays["split"] == part], arrays["y"][arrays["split"] == part])
                for part in ("train", "val")
            }
    from skcell.datasets import load_image_folder

    found = {part: load_image_folder(data / part, image_size) for part in ("train", "val")}
    return {part: (c.images, c.target_names[c.target]) for part, c in found.items()}


def settings() -> dict[str, dict[str, Any]]:
    """Parameters of each network; the last are the defaults."""
    from skcell.study import PLAIN_SETTINGS

    return {
        "plain": PLAIN_SETTINGS,
        "symmetries": {"augmentation": "symmetries"},
        "recommended": {},
        "recommended, without standardize": {"standardize": False},
        "recommended, one convolution": {"convolutions": 1},
    }


def other_laboratory(clf: Any, X: Any, y: Any, seed: int) -> dict[str, Any]:
    """Score before and after adaptation."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    labelled = np.concatenate([order[y[order] == label][:N_LABELLED] for label in np.unique(y)])
    rest = np.setdiff1d(order, labelled)

    def score(model: Any, indices: np.ndarray) -> dict[str, float]:
        probabilities = model.predict_proba(X[indices])
        present = np.isin(model.classes_, y[indices])
        with warnings.catch_warnings():  # classes of the training data that are not here
            warnings.simplefilter("ignore", UserWarning)
            return {
                what: float(
                    balanced_accuracy_score(
                        y[indices], model.classes_[np.where(allowed, probabilities, -1).argmax(1)]
                    )
                )
                for what, allowed in {"all_classes": True, "its_classes": present}.items()
            }

    began = time.perf_counter()
    adapted = clf.adapt(X)
    seconds = time.perf_counter() - began
    few = [index for index in labelled if (y[labelled] == y[index]).sum() >= N_LABELLED]
    scored = rest[np.isin(y[rest], np.unique(y[few]))]
    with_labels = clf.adapt(X, X[few], y[few])
    return {
        "before": score(clf, order),
        "adapted_100": score(clf.adapt(X[order[:100]]), order),
        "adapted_all": score(adapted, order),
        "move": adapted.adaptation_["move"],
        "seconds_to_adapt": seconds,
        "before_scored_classes": score(clf, scored),
        "adapted_scored_classes": score(adapted, scored),
        "labelled_scored_classes": score(with_labels, scored),
    }


def one_class_alone(clf: Any, X: Any, y: Any) -> dict[str, dict[str, float]]:
    """Accuracy for the images of each class, before and after adaptation to these alone."""
    found = {}
    for label in clf.classes_:
        alone = X[y == label]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            adapted = clf.adapt(alone)
        found[str(label)] = {
            "before": float((clf.predict(alone) == label).mean()),
            "adapted": float((adapted.predict(alone) == label).mean()),
        }
    return found


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize images as the data set's own were, with cubic interpolation."""
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC))
            for x in images
        ]
    )


def main() -> None:
    from skcell import CellCNNClassifier
    from skcell._environment import environment

    parser = _compare.data_parser(__doc__, "robustness")
    parser.add_argument("--other", type=Path, help="another laboratory")
    parser.add_argument("--n-train", type=int, help="use only this many training images")
    parser.add_argument("--n-corrupted", type=int, default=800, help="of the validation images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of networks")
    options = parser.parse_args()
    parts = load(options.data, options.image_size)
    X, y = parts["train"]
    X_val, y_val = parts["val"]
    chosen = np.random.default_rng(0).permutation(len(y))[: options.n_train]
    few = np.random.default_rng(0).permutation(len(y_val))[: options.n_corrupted]
    corrupted = corrupt_all(X_val[few])
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        for name, parameters in settings().items():
            if options.only is not None and name not in options.only:
                continue
            began = time.perf_counter()
            clf = CellCNNClassifier(**parameters, random_state=seed).fit(X[chosen], y[chosen])
            minutes = (time.perf_counter() - began) / 60
            by_name = {
                kind: {
                    what: float((clf.predict(images) == y_val[few]).mean())
                    for what, images in named.items()
                }
                for kind, named in corrupted.items()
            }
            run = {
                "seed": seed,
                "minutes": minutes,
                "epochs": clf.n_iter_,
                "parameters": clf.count_params(),
                "clean": float((clf.predict(X_val) == y_val).mean()),
                "clean_by_tta": {
                    tta: float((clf.set_params(tta=tta).predict(X_val) == y_val).mean())
                    for tta in ("none", "flips", "d4")
                },
                "corrupted": float(
                    np.mean([v for named in by_name.values() for v in named.values()])
                ),
                "by_kind": {k: float(np.mean(list(v.values()))) for k, v in by_name.items()},
                "by_corruption": by_name,
            }
            clf.set_params(tta=parameters.get("tta", CellCNNClassifier().tta))
            if parameters.get("batch_norm", True):
                run["one_class_alone"] = one_class_alone(clf, X_val, y_val)
            if options.other is not None and parameters.get("batch_norm", True):
                with np.load(options.other) as arrays:
                    foreign = resize(arrays["X"], X.shape[1]), arrays["y"]
                run["other_laboratory"] = other_laboratory(clf, *foreign, seed)
            runs.setdefault(name, []).append(run)
            shown = {
                k: run[k] for k in ("minutes", "clean", "clean_by_tta", "corrupted", "by_kind")
            }
            print(name, shown, run.get("other_laboratory"), flush=True)
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "robustness",
            "settings": {
                "n_train": len(chosen),
                "n_validation": len(y_val),
                "n_corrupted": len(few),
                "size": int(X.shape[1]),
                "seeds": options.seeds,
            },
            "environment": environment(),
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
