"""ImageSMOTE against imbalanced-learn's SMOTE: 11,144 to 16,384 images of 96x96x3.

Both sides do the same work: uint8 images in, uint8 images out. imbalanced-learn's SMOTE wraps round
on uint8, so that side flattens, converts to float32, resamples, rounds and converts back; the time
and memory of its `fit_resample` alone, float32 input given, are recorded too.

Each run is a fresh process, and the two sides take turns. In the process the images are generated
in small blocks, both sides are warmed up on 160 small images, and then

- `seconds` is the wall time of the work;
- `peak_bytes` is how far the process's peak resident memory (`ru_maxrss`) rises above where it
  stood before: all that is needed beyond the input, the output included;
- `fit_resample_seconds` and `fit_resample_peak_bytes` leave out the conversions and the float32
  input.

    python benchmarks/bench_smote.py                       # some minutes; 8 GB of memory
    python benchmarks/bench_smote.py --n 1500 --size 28    # a rehearsal
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import _compare
import numpy as np

FULL, LARGEST = 11_144, 2_048  # so that eight equal classes make 16,384
# Training images per class in the PBC data, but for the largest, 2,330.
OTHERS = np.array([852, 2181, 1085, 2027, 849, 994, 1643])


def make_images(n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw smooth images with a little noise, in eight unequal classes."""
    rng = np.random.default_rng(seed)
    largest = round(n * LARGEST / FULL)
    others = np.minimum((OTHERS / OTHERS.sum() * (n - largest)).astype(int), largest)
    y = np.repeat(np.arange(8), [largest, *others])
    y = rng.permutation(np.concatenate([y, np.full(n - len(y), 1)]))
    # Coarse grids of 8x8, different in mean by class, brought to full size linearly.
    at = np.linspace(0, 7, size)[:, None]
    enlarge = np.clip(1 - np.abs(at - np.arange(8)), 0, 1).astype(np.float32)
    class_grids = rng.normal(128, 30, (8, 8, 8, 3)).astype(np.float32)
    X = np.empty((n, size, size, 3), np.uint8)
    for start in range(0, n, 64):
        labels = y[start : start + 64]
        grids = class_grids[labels] + 25 * rng.standard_normal((len(labels), 8, 8, 3), np.float32)
        images = np.einsum("hi,nijc,wj->nhwc", enlarge, grids, enlarge, optimize=True)
        images += rng.integers(-6, 7, images.shape, dtype=np.int8)
        X[start : start + 64] = np.clip(images, 0, 255)
    return X, y


def run_skcell(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Resample; return the images and the time and memory of `fit_resample`."""
    from skcell.resampling import ImageSMOTE

    before, start = _compare.peak_rss(), time.perf_counter()
    resampled, _ = ImageSMOTE(random_state=0).fit_resample(X, y)
    return resampled, time.perf_counter() - start, _compare.peak_rss() - before


def run_imblearn(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Resample by way of float32; return the images and the time and memory of `fit_resample`."""
    from imblearn.over_sampling import SMOTE

    rows = X.reshape(len(X), -1).astype(np.float32)
    before, start = _compare.peak_rss(), time.perf_counter()
    resampled, _ = SMOTE(random_state=0).fit_resample(rows, y)
    seconds, peak = time.perf_counter() - start, _compare.peak_rss() - before
    del rows
    np.rint(resampled, out=resampled)
    return resampled.astype(np.uint8).reshape(-1, *X.shape[1:]), seconds, peak


def measure(run: Callable[..., Any], n: int, size: int, seed: int) -> dict[str, float]:
    """Run one side once."""
    run(*make_images(160, 16, seed))
    X, y = make_images(n, size, seed)
    before, start = _compare.peak_rss(), time.perf_counter()
    resampled, alone, alone_peak = run(X, y)
    seconds, peak = time.perf_counter() - start, _compare.peak_rss() - before
    assert resampled.dtype == np.uint8
    assert np.array_equal(resampled[:n], X)
    return {
        "seconds": seconds,
        "peak_bytes": peak,
        "fit_resample_seconds": alone,
        "fit_resample_peak_bytes": alone_peak,
        "n_resampled": len(resampled),
    }


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {
            "skcell": partial(measure, run_skcell),
            "imbalanced-learn": partial(measure, run_imblearn),
        },
        {"n": FULL, "size": 96, "seed": 0},
        repeats=5,
    )
