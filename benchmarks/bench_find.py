"""Nuclei that `find_nuclei` finds in fields put together from single cells, and what else it finds.

`--data` has `X` (n, H, W, 3) and `y`, class names; it may be given again for other laboratories.
Real fields with boxes are not needed: each field is a grid of cells with a gap in the colour of the
brightest background, so that it is known where they are, but smears with cells that touch are
harder. A cell counts as found if one object has its centre near the middle of the cell.

    python benchmarks/bench_find.py --data cells.npz --data other.npz
"""

import argparse
from pathlib import Path

import _compare
import numpy as np
from scipy import ndimage

GRID, GAP, NEAR = 6, 20, 0.25  # cells on a side; pixels; as a fraction of a cell


def make_field(cells: np.ndarray) -> np.ndarray:
    """Put cells into a grid."""
    side = cells.shape[1] + GAP
    field = np.empty((GRID * side, GRID * side, 3), np.uint8)
    field[:] = np.percentile(cells, 95, axis=(0, 1, 2)).astype(np.uint8)
    for k, cell in enumerate(cells):
        row, column = (side * at + GAP // 2 for at in divmod(k, GRID))
        field[row : row + len(cell), column : column + len(cell)] = cell
    return field


def score_field(mask: np.ndarray, side: int) -> tuple[np.ndarray, int]:
    """Return the number of objects in the middle of each cell, and of those elsewhere."""
    counts, elsewhere = np.zeros(GRID * GRID, int), 0
    for y, x in ndimage.center_of_mass(mask > 0, mask, range(1, mask.max() + 1)):
        row, column = int(y // side), int(x // side)
        away = max(abs(y - (row + 0.5) * side), abs(x - (column + 0.5) * side))
        if away < NEAR * side:
            counts[row * GRID + column] += 1
        else:
            elsewhere += 1
    return counts, elsewhere


def main() -> None:
    from skcell._environment import environment
    from skcell.datasets import find_nuclei

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--fields", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    runs = {}
    for number, file in enumerate(options.data):
        with np.load(file) as data:
            X, y = data["X"], data["y"].astype(str)
        rng = np.random.default_rng(options.seed)
        classes, n_elsewhere = {name: [0, 0, 0] for name in np.unique(y)}, 0
        for _ in range(options.fields):
            chosen = rng.choice(len(X), GRID * GRID, replace=False)
            counts, elsewhere = score_field(find_nuclei(make_field(X[chosen])), X.shape[1] + GAP)
            n_elsewhere += elsewhere
            for name, n in zip(y[chosen], counts, strict=True):
                classes[name][min(n, 2)] += 1
        runs[f"laboratory {number + 1}"] = {
            "size": int(X.shape[1]),
            "n_elsewhere": n_elsewhere,
            "classes": {
                name: {"missed": none, "found": one, "in pieces": more}
                for name, (none, one, more) in classes.items()
            },
        }
    _compare.write(
        Path(__file__).parent / "results" / "find.json",
        {
            "benchmark": "find",
            "settings": {"fields": options.fields, "seed": options.seed, "cells": GRID * GRID},
            "environment": environment(),
            "runs": runs,
        },
    )
    for name, found in runs.items():
        print(name, found)


if __name__ == "__main__":
    main()
