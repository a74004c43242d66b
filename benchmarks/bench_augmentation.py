"""The seed study's augmentations: one fused transform against six Keras layers in a row.

Flip, rotation, zoom, translation, brightness and contrast of uint8 images, compiled, on batches of
64. `images_per_second` is over all batches after two for tracing.
"""

import time
from typing import Any

import _compare
from _rivals import images


def throughput(transform: Any, X: Any) -> dict[str, float]:
    """Run a compiled layer over all batches."""
    import tensorflow as tf

    call = tf.function(lambda x: transform(tf.cast(x, tf.float32) / 255.0))
    for _ in range(2):
        call(X[:64])
    began = time.perf_counter()
    for start in range(0, len(X) - 63, 64):
        call(X[start : start + 64])
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "images_per_second": len(X) // 64 * 64 / seconds}


def skcell(n: int, size: int, seed: int) -> dict[str, float]:
    from skcell.networks import RandomTransform

    layer = RandomTransform(
        vertical_flip=True,
        quarter_turns=False,
        rotation=0.1,
        zoom=0.1,
        translation=0.1,
        brightness=0.1,
        contrast=0.1,
    )
    return throughput(lambda x: layer(x, training=True), images(n, size, seed)[0])


def keras(n: int, size: int, seed: int) -> dict[str, float]:
    from keras import layers

    steps = [
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomBrightness(0.1, value_range=(0, 1)),
        layers.RandomContrast(0.1, value_range=(0, 1)),
    ]

    def transform(x: Any) -> Any:
        for step in steps:
            x = step(x, training=True)
        return x

    return throughput(transform, images(n, size, seed)[0])


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "keras": keras},
        {"n": 3200, "size": 96, "seed": 0},
        repeats=5,
    )
