"""One long fit: skcell, an earlier skcell, the same model in Keras' own `fit`, and torch.

`--work` names the network: "base" (the CNN), "recommended" (the CNN with batch normalisation and
the symmetries of the square) or "composite" (three blocks); all train on the same uint8 images in
memory, batch 32, Adam. skcell chooses its precision; Keras trains in float32; torch is written by
hand, channels-last with fused Adam, in bfloat16 where the processor has it, run eagerly and
compiled. Its augmentation is one random symmetry for a whole batch, which is less work than one
for each image.

`seconds_per_epoch` is the median over the epochs after the first, which pays for tracing (after the
last, skcell estimates the statistics of batch normalisation again, which `seconds` includes);
`images_per_second` follows from it. `seconds` is the whole fit. `share_of_attainable` is the
number of multiply-adds of the fit's convolutions and dense layers per second, divided by that of
one large product of matrices in the same precision and process.

The earlier skcell is a checkout, named by an environment variable; without it that side must be
left out by `--only`:

    git worktree add ../before 1404593
    SKCELL_BEFORE=../before python benchmarks/bench_fit.py --work recommended --size 28
"""

import os
import statistics
import sys
import time
from typing import Any

import _compare
import numpy as np
from _rivals import N_CLASSES, images, plain_cnn, plain_composite, stopwatch

FILTERS = (32, 64, 128)


def result(n: int, epochs: list[float], seconds: float) -> dict[str, float]:
    """Summarise the epochs of one fit."""
    per_epoch = statistics.median(epochs[1:])
    return {
        "seconds_per_epoch": per_epoch,
        "images_per_second": n / per_epoch,
        "seconds": seconds,
        "peak_rss_mib": _compare.peak_rss() / 2**20,
    }


def classifier(work: str, **params: Any) -> Any:
    """Make the classifier of a work."""
    from skcell import ImageAugmenter

    if work == "composite":
        return plain_composite(n_blocks=3, **params)
    if work == "recommended":
        params |= {"batch_norm": True, "augmentation": ImageAugmenter()}
    return plain_cnn(**params)


def skcell(work: str, n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    import skcell  # noqa: F401 # before Keras, so that it can set up TensorFlow

    X, y = images(n, size, seed)
    watch = stopwatch()
    clf = classifier(work, epochs=epochs, callbacks=[watch], random_state=seed)
    began = time.perf_counter()
    clf.fit(X, y)
    found = result(n, watch.seconds, time.perf_counter() - began)
    policy = getattr(clf, "dtype_policy_", "float32")
    done = multiply_adds(clf.to_keras()) * found["images_per_second"]
    attainable = attainable_multiply_adds("bfloat16" if "bfloat16" in policy else "float32")
    return {**found, "share_of_attainable": done / attainable, "bfloat16": "bfloat16" in policy}


def before(work: str, n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    sys.path.insert(0, os.environ["SKCELL_BEFORE"])
    found = skcell(work, n, size, epochs, seed)
    import skcell as imported

    assert os.path.samefile(os.path.dirname(imported.__path__[0]), os.environ["SKCELL_BEFORE"])
    return found


def multiply_adds(model: Any) -> int:
    """Count the multiply-adds of one image in training: forward, and gradients of both factors."""
    from keras import layers

    count = 0
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            places = int(np.prod(layer.output.shape[1:-1]))
            # The first layer needs no gradient of its input.
            count += (3 if count else 2) * int(np.prod(layer.kernel.shape)) * places
    return count


def attainable_multiply_adds(dtype: str, side: int = 2048) -> float:
    """Measure the multiply-adds per second of a product of two square matrices."""
    import tensorflow as tf

    a = tf.cast(tf.random.normal((side, side)), dtype)
    product = tf.function(lambda a: tf.reduce_sum(a @ a), autograph=False)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        product(a).numpy()
        seconds.append(time.perf_counter() - began)
    return side**3 / statistics.median(seconds[2:])


def keras(work: str, n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    import tensorflow  # noqa: F401 # before skcell, which would switch on oneDNN for it

    from skcell._engine import build

    X, y = images(n, size, seed)
    clf = classifier(work, random_state=seed, dtype_policy="float32")
    _, spec = clf._check_X(X, reset=True)
    model = build(clf._make_recipe(spec, N_CLASSES), seed)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    watch = stopwatch()
    began = time.perf_counter()
    model.fit(X, y, epochs=epochs, batch_size=32, callbacks=[watch], verbose=0)
    return result(n, watch.seconds, time.perf_counter() - began)


def torch(work: str, n: int, size: int, epochs: int, seed: int, compiled: bool = False) -> Any:
    import torch
    from archspec.cpu.detect import detected_info
    from torch import nn

    if work == "composite":
        raise SystemExit("torch has no composite network here; leave it out by --only")
    torch.manual_seed(seed)
    batch_norm = work == "recommended"
    parts: list[nn.Module] = []
    channels, side = 3, size
    for filters in FILTERS:
        parts.append(nn.Conv2d(channels, filters, 3, padding=1, bias=not batch_norm))
        parts += [nn.BatchNorm2d(filters)] if batch_norm else []
        parts += [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        channels, side = filters, -(-side // 2)
    parts += [nn.Flatten(), nn.Linear(side * side * channels, 128, bias=not batch_norm)]
    parts += [nn.BatchNorm1d(128)] if batch_norm else []
    net = nn.Sequential(*parts, nn.ReLU(), nn.Linear(128, N_CLASSES))
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    half = "avx512_bf16" in detected_info().features

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(run(x.float() / 255 - 0.5), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = torch.compile(net) if compiled else net
    X, y = images(n, size, seed)
    rng = np.random.default_rng(seed)
    seconds = []
    began = time.perf_counter()
    for _ in range(epochs):
        epoch_began = time.perf_counter()
        order = rng.permutation(n)
        for start in range(0, n, 32):
            batch = order[start : start + 32]
            # (n, H, W, C) seen as (n, C, H, W) is channels-last memory without a copy.
            x = torch.from_numpy(X[batch]).permute(0, 3, 1, 2)
            if batch_norm:
                x = torch.rot90(x, int(rng.integers(4)), (2, 3))
                x = x.flip(3) if rng.random() < 0.5 else x
            loss = step(x.contiguous(memory_format=torch.channels_last), torch.from_numpy(y[batch]))
        assert np.isfinite(float(loss))
        seconds.append(time.perf_counter() - epoch_began)
    return result(n, seconds, time.perf_counter() - began)


def torch_compiled(**settings: Any) -> dict[str, float]:
    return torch(**settings, compiled=True)


if __name__ == "__main__":
    sides = {
        "skcell": skcell,
        "before": before,
        "keras": keras,
        "torch": torch,
        "torch_compiled": torch_compiled,
    }
    _compare.compare(
        __file__,
        __doc__,
        sides,
        {"work": "recommended", "n": 192, "size": 96, "epochs": 5, "seed": 0},
        packages=("torch",),
        name="fit_{work}_{size}",
    )
