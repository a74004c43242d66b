"""A search of short fits: 5 folds times 8 learning rates in GridSearchCV, skcell and scikeras.

`seconds` is the whole search, without the imports. Both sides train the same network. The shorter
the fits, the more the tracing that skcell saves weighs: by default 128 images of 96 pixels and
one epoch; `--n 400 --size 28 --epochs 3 --out ...` is another.
"""

import time
from typing import Any

import _compare
import numpy as np
from _rivals import images, keras_cnn, plain_cnn
from sklearn.model_selection import GridSearchCV, StratifiedKFold

RATES = np.logspace(-4, -2, 8)


def search(estimator: Any, name: str, n: int, size: int, seed: int) -> dict[str, float]:
    """Time one search."""
    X, y = images(n, size, seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    grid = GridSearchCV(estimator, {name: RATES}, cv=folds, refit=False, error_score="raise")
    before, began = _compare.peak_rss(), time.perf_counter()
    grid.fit(X, y)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "seconds_per_fit": seconds / 40,
        "rss_growth_mib": (_compare.peak_rss() - before) / 2**20,
    }


def skcell(n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    clf = plain_cnn(epochs=epochs, batch_size=32, random_state=seed)
    return search(clf, "learning_rate", n, size, seed)


def scikeras(n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    from scikeras.wrappers import KerasClassifier

    def build(learning_rate: float) -> Any:
        return keras_cnn(size, learning_rate)

    clf = KerasClassifier(
        model=build, model__learning_rate=1e-3, epochs=epochs, batch_size=32, verbose=0
    )
    return search(clf, "model__learning_rate", n, size, seed)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "scikeras": scikeras},
        {"n": 160, "size": 96, "epochs": 1, "seed": 0},
    )
