"""Five folds times eight settings of a classifier on a frozen backbone: features kept, or not.

MobileNetV2 (alpha 1) at 96 pixels with random weights, and a logistic regression with eight
penalties. `seconds` is the whole search, without the imports and the tracing; `store_mib` is the
size of the file that features were kept in.
"""

import os
import tempfile
import time
from typing import Any

import _compare
from _rivals import images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

PENALTIES = [10.0**power for power in range(-4, 4)]


def search(n: int, size: int, seed: int, cache: Any) -> dict[str, float]:
    """Time one search."""
    from skcell import ImageFeatures

    X, y = images(n, size, seed)
    features = ImageFeatures("mobilenet_v2", weights=None, cache=cache, random_state=seed)
    features.fit(X[:64]).set_params(cache=False).transform(X[:64])
    features.set_params(cache=cache)
    grid = GridSearchCV(
        make_pipeline(features, LogisticRegression(max_iter=50)),
        {"logisticregression__C": PENALTIES},
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        refit=False,
        error_score="raise",
    )
    began = time.perf_counter()
    grid.fit(X, y)
    return {"seconds": time.perf_counter() - began, "peak_rss_mib": _compare.peak_rss() / 2**20}


def kept(n: int, size: int, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "features.sqlite")
        found = search(n, size, seed, file)
        return {**found, "store_mib": os.path.getsize(file) / 2**20}


def computed(n: int, size: int, seed: int) -> dict[str, float]:
    return search(n, size, seed, False)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"kept": kept, "computed": computed},
        {"n": 1000, "size": 96, "seed": 0},
        repeats=2,
    )
