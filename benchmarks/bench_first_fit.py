"""The first fit of a process, and the next one while the first estimator lives.

Each side fits for one epoch on 64 images, predicts ten images, and then fits the same network with
another seed while the first estimator still exists. skcell is compared with an earlier checkout of
itself, which an environment variable names, and with the same model in Keras' own `fit`:

    git worktree add ../before 33105c5
    SKCELL_BEFORE=../before python benchmarks/bench_first_fit.py --work plain --size 96

`--work` names the network: "plain" (the defaults of `CellCNNClassifier`), "composite" (those of
`SEInceptionResNetClassifier`) or "base" (the plain network of the study).
"""

import os
import sys
import time
from typing import Any

import _compare
import numpy as np
from _rivals import N_CLASSES, images

N_IMAGES = 64


def classifier(work: str, seed: int) -> Any:
    """Make the classifier of a work."""
    from skcell import CellCNNClassifier, SEInceptionResNetClassifier
    from skcell.study import PLAIN_SETTINGS

    if work == "composite":
        return SEInceptionResNetClassifier(epochs=1, random_state=seed)
    settings = PLAIN_SETTINGS if work == "base" else {}
    return CellCNNClassifier(**settings, epochs=1, random_state=seed)


def skcell(work: str, size: int, seed: int) -> dict[str, float]:
    import skcell  # noqa: F401 # before Keras, so that it can set up TensorFlow

    X, y = images(N_IMAGES, size, seed)
    marks = [time.perf_counter()]
    import keras

    keras.ops.zeros(1)
    first = classifier(work, seed)  # imports what is needed
    marks.append(time.perf_counter())
    first.fit(X, y)
    marks.append(time.perf_counter())
    first.predict(X[:10])
    marks.append(time.perf_counter())
    second = classifier(work, seed + 1).fit(X, y)
    marks.append(time.perf_counter())
    assert second is not first
    return named(marks)


def before(work: str, size: int, seed: int) -> dict[str, float]:
    sys.path.insert(0, os.environ["SKCELL_BEFORE"])
    found = skcell(work, size, seed)
    import skcell as imported

    assert os.path.samefile(os.path.dirname(imported.__path__[0]), os.environ["SKCELL_BEFORE"])
    return found


def keras(work: str, size: int, seed: int) -> dict[str, float]:
    X, y = images(N_IMAGES, size, seed)
    marks = [time.perf_counter()]
    import skcell  # noqa: F401 # as above
    from skcell._engine import build

    clf = classifier(work, seed)
    _, spec = clf._check_X(X, reset=True)
    recipe = clf._make_recipe(spec, N_CLASSES)
    marks.append(time.perf_counter())

    def fit(seed: int) -> Any:
        model = build(recipe, seed)
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        model.fit(X, y, epochs=1, batch_size=32, verbose=0)
        return model

    first = fit(seed)
    marks.append(time.perf_counter())
    first.predict(np.asarray(X[:10]), verbose=0)
    marks.append(time.perf_counter())
    fit(seed + 1)
    marks.append(time.perf_counter())
    return named(marks)


def named(marks: list[float]) -> dict[str, float]:
    """Name the seconds between points in time."""
    names = ("import", "first_fit", "first_predict", "second_fit_while_the_first_lives")
    return dict(zip(names, np.diff(marks).tolist(), strict=True))


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "before": before, "keras": keras},
        {"work": "plain", "size": 96, "seed": 0},
        name="first_fit_{work}_{size}",
    )
