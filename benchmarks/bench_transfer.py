"""Pretrained networks on real cells: frozen, fine-tuned, and trained from random weights.

Cross-validation inside the training images of the 96-pixel cells in SKCELL_DATA, with the weights
in SKCELL_WEIGHTS. All of a backbone's techniques train for the same number of epochs. From random
weights, all layers are trained, at the learning rate of a new network, and batch normalisation
adapts ten times as fast as in the pretrained networks, which were made for long training.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from sklearn.model_selection import StratifiedKFold

SHARED = Path(__file__).parents[1] / ".." / "shared"
DATA = Path(os.environ.get("SKCELL_DATA", SHARED / "data"))
WEIGHTS = Path(os.environ.get("SKCELL_WEIGHTS", SHARED / "weights"))
FILES = {
    "mobilenet_v2_0.35": "mobilenet_v2_0.35_notop.weights.h5",
    "mobilenet_0.75": "mobilenet_v1_0.75_notop.weights.h5",
}


def untrained(name: str, seed: int) -> Any:
    """Build a backbone of random weights whose batch normalisation adapts within few epochs."""
    import keras

    from skcell.networks import BACKBONES
    from skcell.networks._backbones import build_backbone, preprocess

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((96, 96, 3))
    model = build_backbone(name, (96, 96, 3), None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return keras.Model(inputs, model(preprocess(inputs, BACKBONES[name].pixels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=3000, help="images, drawn at random")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--head-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=6, help="of fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backbones", nargs="*", choices=FILES, default=list(FILES))
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "transfer.json")
    options = parser.parse_args()

    from skcell import TransferClassifier
    from skcell.datasets import load_image_folder
    from skcell.study import Study, Technique

    cells = load_image_folder(DATA / "pbc_96" / "train", image_size=96)
    chosen = np.random.default_rng(options.seed).permutation(len(cells.target))[: options.n]
    X, y = cells.images[chosen], cells.target_names[cells.target[chosen]]

    techniques = []
    for name in options.backbones:
        plain = {"input_size": None, "augmentation": None, "schedule": None, "tta": "none"}
        plain |= {"train_batch_norm": False, "fine_tuning_learning_rate": 1e-4}
        both = {**plain, "backbone": name, "weights": str(WEIGHTS / FILES[name])}
        fine_tuning = {"unfreeze": "all", "fine_tuning_epochs": options.epochs}
        scratch = {
            **plain,
            "backbone": untrained(name, options.seed),
            "train_batch_norm": True,
            "fine_tuning_learning_rate": 1e-3,
        }
        for technique, parameters in {
            "frozen": {**both, "unfreeze": None},
            "fine-tuned": {**both, **fine_tuning},
            "from random weights": {**fine_tuning, **scratch},
        }.items():
            techniques.append(
                Technique(f"{name} {technique}", {"clf": TransferClassifier(**parameters)})
            )
    study = Study(
        techniques,
        cv=StratifiedKFold(options.folds, shuffle=True, random_state=options.seed),
        epochs=options.head_epochs,
        random_state=options.seed,
    ).fit(X, y, data_name="pbc_96 train")
    _compare.write_study(options.out, "transfer", vars(options), study)


if __name__ == "__main__":
    main()
