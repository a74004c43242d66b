"""Draw the contact sheet of the generated cells that the documentation shows.

Usage: python docs/make_contact_sheet.py cells.png [--columns 10] [--image-size 96] [--noise 1]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.utils import Bunch

from skcell.datasets import make_cells


def contact_sheet(cells: Bunch, n_columns: int) -> Figure:
    """Lay out a row of cells for each class, its name to the left."""
    names = cells.target_names
    figure = Figure(figsize=(n_columns + 1.3, len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1)
    for label, (name, ax) in enumerate(zip(names, axes, strict=True)):
        strip = np.hstack(cells.images[cells.target == label][:n_columns])
        ax.imshow(strip, interpolation="bicubic")
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=12)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description="Write a contact sheet of generated cells.")
    parser.add_argument("path", type=Path, help="the picture to write")
    parser.add_argument("--columns", type=int, default=10, help="cells of each class")
    parser.add_argument("--image-size", type=int, default=96, help="pixels")
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--random-state", type=int, default=0)
    options = parser.parse_args()
    n_classes = 8
    cells = make_cells(
        n_classes * options.columns,
        n_classes,
        options.image_size,
        class_weights="balanced",
        noise=options.noise,
        random_state=options.random_state,
    )
    contact_sheet(cells, options.columns).savefig(options.path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
