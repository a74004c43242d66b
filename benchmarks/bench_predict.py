"""Prediction: all of a data set, and one image; skcell, Keras' predict, ONNX Runtime.

`seconds` is for all images at once; `one_image_ms` is the median of 200 calls with one image.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _rivals import N_CLASSES, images, keras_cnn, plain_cnn


def measure(predict: Callable[[np.ndarray], Any], X: np.ndarray) -> dict[str, float]:
    """Time a warm prediction of everything, and of one image."""
    predict(X[:300])
    began = time.perf_counter()
    predict(X)
    seconds = time.perf_counter() - began
    single = []
    predict(X[:1])
    for i in range(200):
        began = time.perf_counter()
        predict(X[i : i + 1])
        single.append(time.perf_counter() - began)
    return {"seconds": seconds, "one_image_ms": 1000 * statistics.median(single)}


def skcell(n: int, size: int, seed: int) -> dict[str, float]:
    X, y = images(n, size, seed)
    clf = plain_cnn(epochs=1, random_state=seed).fit(X[:64], y[:64])
    assert len(clf.classes_) == N_CLASSES
    return measure(clf.predict_proba, X)


def keras(n: int, size: int, seed: int) -> dict[str, float]:
    X, _ = images(n, size, seed)
    model = keras_cnn(size)
    return measure(lambda x: model.predict(x, batch_size=128, verbose=0), X)


def onnxruntime(n: int, size: int, seed: int) -> dict[str, float]:
    import onnxruntime as ort

    X, _ = images(n, size, seed)
    file = Path(tempfile.mkdtemp()) / "net.onnx"
    model = keras_cnn(size)
    model.predict(X[:1], verbose=0)  # Keras exports what has been called
    model.export(file, format="onnx", verbose=False)
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(x: np.ndarray) -> np.ndarray:
        parts = [
            session.run(None, {name: x[start : start + 128]})[0] for start in range(0, len(x), 128)
        ]
        return np.concatenate(parts)

    return measure(predict, X)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "keras": keras, "onnxruntime": onnxruntime},
        {"n": 10_000, "size": 96, "seed": 0},
        packages=("onnxruntime", "tf2onnx"),
    )
