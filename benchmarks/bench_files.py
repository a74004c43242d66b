"""Training from JPEG files against the same images in memory.

One epoch of the base CNN at 96x96; `images_per_second` is over all batches after the first 20,
which pay for tracing. `rss_growth_mib` is how far the peak of resident memory rises while training;
the arrays themselves are made before it. `--n 10000 --out ...` shows that it does not grow.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _rivals import plain_cnn
from PIL import Image

DISTINCT = 1000
BATCH, SKIPPED = 64, 20


def train(X: Any, y: np.ndarray, seed: int, **params: Any) -> dict[str, float]:
    """Time one epoch."""
    import keras

    times = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: times.append(time.perf_counter())
    )
    before = _compare.peak_rss()
    clf = plain_cnn(epochs=1, batch_size=BATCH, callbacks=[watch], random_state=seed, **params)
    clf.fit(X, y)
    timed = times[SKIPPED:]
    return {
        "images_per_second": BATCH * (len(timed) - 1) / (timed[-1] - timed[0]),
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
