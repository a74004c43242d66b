"""What the defaults rest on: backend, compiler, precision and batch size for the base CNN.

All train the same network on the same uint8 images; `images_per_second` is from the median epoch
after the first, which pays for tracing and compilation (`first_epoch_seconds`).
"""

import os
import statistics
from functools import partial
from typing import Any

import _compare
from _rivals import images, plain_cnn, stopwatch


def side(
    n: int, size: int, epochs: int, seed: int, backend: str = "tensorflow", **params: Any
) -> dict[str, float]:
    """Train once with these parameters; called in a process of its own."""
    os.environ["KERAS_BACKEND"] = backend
    X, y = images(n, size, seed)
    watch = stopwatch()
    plain_cnn(epochs=epochs, callbacks=[watch], random_state=seed, **params).fit(X, y)
    per_epoch = statistics.median(watch.seconds[1:])
    return {"images_per_second": n / per_epoch, "first_epoch_seconds": watch.seconds[0]}


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {
            "default": side,
            "mixed_bfloat16": partial(side, dtype_policy="mixed_bfloat16"),
            "jax": partial(side, backend="jax"),
            "torch": partial(side, backend="torch"),
            "batch_8": partial(side, batch_size=8),
            "batch_16": partial(side, batch_size=16),
            "batch_64": partial(side, batch_size=64),
            "batch_128": partial(side, batch_size=128),
        },
        {"n": 512, "size": 96, "epochs": 4, "seed": 0},
        packages=("jax", "torch"),
    )
