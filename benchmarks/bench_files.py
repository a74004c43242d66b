"""Training from JPEG files against the same images in memory.

One epoch after one to warm up, 96x96. `rss_growth_mib` is how far the peak of resident memory rises
while training; the arrays themselves are made before it.
"""

import tempfile
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _rivals import stopwatch
from PIL import Image

DISTINCT = 1000


def train(X: Any, y: np.ndarray, seed: int, **params: Any) -> dict[str, float]:
    """Time the second of two epochs."""
    from skcell import CellCNNClassifier

    watch = stopwatch()
    before = _compare.peak_rss()
    clf = CellCNNClassifier(epochs=2, batch_size=64, callbacks=[watch], random_state=seed, **params)
    clf.fit(X, y)
    return {
        "images_per_second": len(y) / watch.seconds[1],
        "rss_growth_mib": (_compare.peak_rss() - before) / 2**20,
    }


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that compress as cells do."""
    from skcell.datasets import make_cells

    cells = make_cells(DISTINCT, random_state=seed)
    return cells.images, cells.target


def files(n: int, seed: int) -> dict[str, float]:
    X, y = drawn(seed)
    with tempfile.TemporaryDirectory() as folder:
        encoded = Path(folder, "cell.jpg")
        contents = []
        for image in X:
            Image.fromarray(image).save(encoded, quality=90)
            contents.append(encoded.read_bytes())
        paths = [f"{folder}/{i:06d}.jpg" for i in range(n)]
        for i, path in enumerate(paths):
            Path(path).write_bytes(contents[i % DISTINCT])
        return train(np.array(paths), y[np.arange(n) % DISTINCT], seed, image_shape=(96, 96, 3))


def arrays(n: int, seed: int) -> dict[str, float]:
    X, y = drawn(seed)
    rows = np.arange(n) % DISTINCT
    return train(X[rows], y[rows], seed)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"files": files, "arrays": arrays},
        {"n": 100_000, "seed": 0},
        repeats=1,
    )
