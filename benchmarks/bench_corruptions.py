"""Accuracy of the plain call under the corruptions of `skcell.inspection.corruption_report`.

`--data` is a folder with the subfolders train and val, each with a subfolder for each class, or
an .npz file with `X`, `y` and `split`. The network is trained on the part "train", and looked at
once on the part "val": as it is, and under both named sets of corruptions in all five strengths.
The errors relative to AlexNet are those of MedMNIST-C, whose images have 224 x 224 pixels.

    python benchmarks/bench_corruptions.py --data cells.npz --name corruptions_28
"""

import time
from pathlib import Path

import _compare
from _medmnist_c import MEDMNIST_C_BLOOD, relative_errors


def main() -> None:
    from skcell import CellCNNClassifier
    from skcell._environment import environment
    from skcell.inspection import corruption_report

    parser = _compare.data_parser(__doc__, "corruptions")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    parts = _compare.load(options.data, options.image_size)
    (X, y), (X_val, y_val) = parts["train"], parts["val"]
    began = time.perf_counter()
    clf = CellCNNClassifier(random_state=options.seed).fit(X, y)
    minutes = (time.perf_counter() - began) / 60
    sets = {}
    for name, corruptions in {
        "microscope": "microscope",
        "medmnist-c-blood": MEDMNIST_C_BLOOD,
    }.items():
        began = time.perf_counter()
        found = corruption_report(clf, X_val, y_val, corruptions, random_state=options.seed)
        sets[name] = {
            "minutes": (time.perf_counter() - began) / 60,
            "clean_accuracy": list(vars(found.clean_accuracy).values()),
            "clean_balanced_accuracy": found.clean_balanced_accuracy,
            "mean_accuracy": found.mean_accuracy,
            **(relative_errors(found) if name == "medmnist-c-blood" else {}),
            "accuracy": {
                what: [one.value for one in scores] for what, scores in found.accuracy.items()
            },
        }
        print(name, {key: value for key, value in sets[name].items() if key != "accuracy"})
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "corruptions",
            "settings": {
                "n_train": len(y),
                "n_val": len(y_val),
                "image_shape": X.shape[1:],
                "seed": options.seed,
            },
            "environment": environment(),
            "minutes_of_training": minutes,
            "sets": sets,
        },
    )


if __name__ == "__main__":
    main()
