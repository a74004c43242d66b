"""Memory over many fits of four alternating graphs: skcell and scikeras.

`mib_per_fit` is the slope of the resident memory over the fits after the first 20 (least squares).
"""

import os
from typing import Any

import _compare
import numpy as np
from _rivals import images, keras_cnn, plain_cnn

SKIPPED = 20


def resident() -> float:
    """Resident memory now, in MiB."""
    import psutil

    return psutil.Process(os.getpid()).memory_info().rss / 2**20


def slope(levels: list[float]) -> dict[str, float]:
    """Fit a line to the memory after the first fits."""
    later = levels[SKIPPED:]
    return {
        "mib_per_fit": float(np.polyfit(np.arange(len(later)), later, 1)[0]),
        "mib_after_20": levels[SKIPPED],
        "mib_at_end": levels[-1],
    }


def skcell(n: int, size: int, fits: int, seed: int) -> dict[str, float]:
    from skcell import ImageAugmenter

    X, y = images(n, size, seed)
    graphs: list[dict[str, Any]] = [
        {},
        {"batch_norm": True},
        {"augmentation": ImageAugmenter()},
        {"extra_filters": (64,)},
    ]
    levels = []
    for i in range(fits):
        plain_cnn(epochs=1, random_state=i, **graphs[i % 4]).fit(X, y).predict(X[:10])
        levels.append(resident())
    return slope(levels)


def scikeras(n: int, size: int, fits: int, seed: int) -> dict[str, float]:
    from scikeras.wrappers import KerasClassifier

    X, y = images(n, size, seed)
    levels = []
    for _ in range(fits):
        clf = KerasClassifier(model=keras_cnn, model__size=size, epochs=1, verbose=0)
        clf.fit(X, y).predict(X[:10])
        levels.append(resident())
    return slope(levels)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "scikeras": scikeras},
        {"n": 128, "size": 96, "fits": 200, "seed": 0},
        repeats=1,
        packages=("psutil",),
    )
