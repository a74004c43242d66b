"""The study's whole table on real cells of 96 pixels.

Trains on images drawn at random from the training part of the cells in SKCELL_DATA, and validates
once on their validation part; the pretrained network is the MobileNetV2 in SKCELL_WEIGHTS.
"""

import argparse
import os
from pathlib import Path

import _compare
import numpy as np
from sklearn.model_selection import PredefinedSplit

SHARED = Path(__file__).parents[1] / ".." / "shared"
DATA = Path(os.environ.get("SKCELL_DATA", SHARED / "data"))
WEIGHTS = Path(os.environ.get("SKCELL_WEIGHTS", SHARED / "weights"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=11964, help="training images, at random")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "table.json")
    options = parser.parse_args()

    from skcell.datasets import load_image_folder
    from skcell.study import ROWS, TRANSFER_ROWS, Study, choose_backbone

    train, val = (
        load_image_folder(DATA / "pbc_96" / part, image_size=96) for part in ("train", "val")
    )
    chosen = np.random.default_rng(options.seed).permutation(len(train.target))[: options.n]
    X = np.concatenate([train.images[chosen], val.images])
    y = np.concatenate([train.target_names[train.target[chosen]], val.target_names[val.target]])
    split = np.repeat([-1, 0], [len(chosen), len(val.target)])
    rows = choose_backbone(
        (*ROWS, *TRANSFER_ROWS),
        "mobilenet_v2_0.35",
        str(WEIGHTS / "mobilenet_v2_0.35_notop.weights.h5"),
    )
    study = Study(
        rows, cv=PredefinedSplit(split), epochs=options.epochs, random_state=options.seed
    ).run(X, y, data_name="pbc_96")
    _compare.write_study(options.out, "table", vars(options), study)


if __name__ == "__main__":
    main()
