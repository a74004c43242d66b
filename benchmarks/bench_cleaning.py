"""What `skcell.cleaning` finds of faults that were planted, and how long it takes.

`--data` is a folder of images in classes; `--other` an .npz file of another laboratory, with `X`
and `y`. In each of `--seeds` seeds, faults are planted into images of each data set:

- copies: saved again as JPEG, brighter or darker, moved by two pixels (of 96; one of 28), mirrored
  or turned, and all of these together. Recall is the share of the planted pairs that is found,
  precision the share of the new pairs that was planted. Perceptual hashes (imagehash, if it is
  installed, with a distance of up to 8 bits) are the rival.
- outliers: blurred, blank, noisy, dark, of other colours, and a corner of the image alone.
- labels: a fiftieth of the labels is changed, on images of 28 pixels.
- shortcuts: a mark in the corner of the largest class, a tint of its border, PNG instead of JPEG
  files, and nothing (labels at random).

    python benchmarks/bench_cleaning.py --data cells/ --other other.npz
    python benchmarks/bench_cleaning.py --data cells/ --n-files 50000   # time and memory alone
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from PIL import Image
from scipy import ndimage

N_PLANTED = 200  # copies of each kind
N_OUTLIERS = 60  # images of each kind
MOST = 4000  # images of a data set that faults are planted into
SWAPPED = 0.02  # share of wrong labels

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def recompress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(40, 81)))
    return np.asarray(Image.open(file))


def brighten(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(image * float(rng.choice([0.8, 1.2])), 0, 255).astype(np.uint8)


def move(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pixels = 2 if len(image) >= 48 else 1
    by = rng.choice([-pixels, pixels], 2)
    return ndimage.shift(image, (*by, 0), order=0, mode="nearest")


def turn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    k, mirrored = divmod(int(rng.integers(1, 8)), 2)
    image = np.rot90(image, k)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)


def all_of_them(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    for change in (move, turn, brighten, recompress):
        image = change(image, rng)
    return image


COPIES: dict[str, Change] = {
    "saved again": recompress,
    "brighter or darker": brighten,
    "moved": move,
    "mirrored or turned": turn,
    "all of these": all_of_them,
}

OUTLIERS: dict[str, tuple[str, Change]] = {
    "blurred, 3 % of the height": (
        "blurred",
        lambda x, rng: ndimage.gaussian_filter(x, (0.03 * len(x), 0.03 * len(x), 0)),
    ),
    "blank": (
        "blank",
        lambda x, rng: np.clip(x.reshape(-1, 3).max(0) + rng.normal(0, 2, x.shape), 0, 255).astype(
            np.uint8
        ),
    ),
    "noise": ("noisy", lambda x, rng: rng.integers(0, 256, x.shape).astype(np.uint8)),
    "four tenths of the light": ("dark", lambda x, rng: (x * 0.4).astype(np.uint8)),
    "channels exchanged": ("colour", lambda x, rng: x[..., [1, 2, 0]]),
    "a corner alone": (
        "empty",
        lambda x, rng: np.pad(
            x[: len(x) // 3, : len(x) // 3],
            [(len(x) // 3, len(x) // 3 + 2)] * 2 + [(0, 0)],
            "reflect",
        )[: len(x), : len(x)],
    ),
}


def find_copies(images: np.ndarray, seed: int) -> dict[str, Any]:
    from skcell.cleaning import find_duplicates

    own = {tuple(pair) for pair in find_duplicates(images).pairs.tolist()}
    found: dict[str, Any] = {"pairs in the data themselves": len(own)}
    hashed_own = hash_pairs(images)
    for name, change in COPIES.items():
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(images), min(N_PLANTED, len(images) // 2), replace=False)
        changed = np.stack([change(images[i], rng) for i in chosen])
        everything = np.concatenate([images, changed])
        truth = {(int(i), len(images) + k) for k, i in enumerate(chosen)}
        pairs = {tuple(pair) for pair in find_duplicates(everything).pairs.tolist()}
        found[name] = score(pairs, truth, own)
        if hashed_own is not None:
            found[name]["imagehash"] = score(hash_pairs(everything) or set(), truth, hashed_own)
    return found


def score(pairs: set, truth: set, own: set) -> dict[str, float]:
    """Recall and precision; a copy of an image with copies has several partners."""
    hit = len(truth & pairs)
    new = {pair for pair in pairs - own if not is_explained(pair, truth, own)}
    return {"recall": hit / len(truth), "precision": hit / max(1, hit + len(new))}


def is_explained(pair: tuple[int, int], truth: set, own: set) -> bool:
    """Whether a pair is planted, or links a copy with a copy of its original."""
    if pair in truth:
        return True
    origin = {copy: image for image, copy in truth}
    a, b = sorted(origin.get(i, i) for i in pair)
    return a == b or (a, b) in own


def hash_pairs(images: np.ndarray) -> set | None:
    """Pairs of images whose perceptual hashes differ by at most 8 of 64 bits."""
    try:
        import imagehash
    except ImportError:
        return None
    bits = np.stack([imagehash.phash(Image.fromarray(x)).hash.ravel() for x in images])
    signs = np.where(bits, 1, -1).astype(np.float32)
    pairs = set()
    for start in range(0, len(signs), 512):
        same = signs[start : start + 512] @ signs[start:].T >= 64 - 2 * 8
        for i, j in np.argwhere(same).tolist():
            if j > i:
                pairs.add((start + i, start + j))
    return pairs


def find_outliers(images: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    from skcell.cleaning import find_outliers

    found: dict[str, Any] = {
        "told of the data themselves, per 1,000": 1000
        * len(set(find_outliers(images, labels).indices.tolist()))
        / len(images)
    }
    for name, (_, change) in OUTLIERS.items():
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(images), min(N_OUTLIERS, len(images) // 20), replace=False)
        changed = np.stack([change(images[i], rng) for i in chosen])
        told = find_outliers(
            np.concatenate([images, changed]), np.concatenate([labels, labels[chosen]])
        )
        is_planted = np.unique(told.indices[told.indices >= len(images)])
        found[name] = {"recall": len(is_planted) / len(chosen)}
    return found


def find_labels(images: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    from skcell.cleaning import find_label_issues
    from skcell.workflows import doubt_labels

    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), round(SWAPPED * len(labels)), replace=False)
    classes = np.unique(labels)
    changed = labels.copy()
    for i in wrong:
        changed[i] = rng.choice(classes[classes != labels[i]])
    issues = find_label_issues(changed, doubt_labels(images, changed, None, seed))
    hit = np.isin(issues.indices, wrong)
    first = hit[: len(wrong)]
    return {
        "recall": float(hit.sum() / len(wrong)),
        "precision": float(hit.mean()),
        "precision of the first": float(first.mean()),
        "right suggestions": float((issues.suggested[hit] == labels[issues.indices[hit]]).mean()),
    }


def find_shortcuts(images: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    from skcell.cleaning import check_dataset

    rng = np.random.default_rng(seed)
    names, counts = np.unique(labels, return_counts=True)
    label = names[counts.argmax()]
    of_class = np.flatnonzero(labels == label)
    marked, tinted = images.copy(), images.copy()
    size = max(2, images.shape[1] // 16)
    marked[of_class, -size:, -size:] = 40
    width = max(1, images.shape[1] // 24)
    inner = tinted[of_class, width:-width, width:-width].copy()
    tinted[of_class] = (tinted[of_class] * [1.0, 0.9, 0.9]).astype(np.uint8)
    tinted[of_class, width:-width, width:-width] = inner
    found: dict[str, Any] = {}
    for name, X, y in (
        ("mark in a corner", marked, labels),
        ("tint of the border", tinted, labels),
        ("labels at random", images, rng.permutation(labels)),
    ):
        check = check_dataset(X, y, random_state=seed)
        found[name] = tell(check, label)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i, image in enumerate(images):
            suffix = "png" if labels[i] == label else "jpg"
            files.append(f"{folder}/{i}.{suffix}")
            Image.fromarray(image).save(files[-1], quality=95)
        shape = images.shape[1:]
        found["PNG for one class"] = tell(
            check_dataset(np.array(files), labels, image_shape=shape, random_state=seed), label
        )
    return found


def tell(check: Any, label: Any) -> dict[str, Any]:
    """Return which sources are told, and the area under the curve of the planted class."""
    told = [one for one in check.findings if one.kind == "shortcut"]
    return {
        "told": [f"{one.severity}: {one.message}" for one in told],
        "auc": {s.source: round(s.auc, 3) for s in check.shortcuts if s.label == label},
    }


def measure_time(images: np.ndarray, n: int) -> dict[str, float]:
    """Seconds of `find_duplicates` and `check_dataset` on `n` different images in memory."""
    from skcell.cleaning import check_dataset, find_duplicates

    many = make_different(images, n)
    began = time.perf_counter()
    found = find_duplicates(many)
    seconds = time.perf_counter() - began
    labels = np.arange(n) % 8
    began = time.perf_counter()
    check_dataset(many, labels)
    return {
        "n_images": n,
        "pairs": len(found),
        "find_duplicates_seconds": seconds,
        "check_dataset_seconds": time.perf_counter() - began,
    }


def make_different(images: np.ndarray, n: int) -> np.ndarray:
    """Return `n` images; those beyond the given ones are parts of these, enlarged."""
    rng = np.random.default_rng(0)
    out = np.empty((n, *images.shape[1:]), np.uint8)
    height, width = images.shape[1:3]
    for i in range(n):
        image = images[i % len(images)]
        if i >= len(images):
            side = float(rng.uniform(0.6, 0.8))
            top, left = (int(rng.uniform(0, 1 - side) * length) for length in (height, width))
            part = image[top : top + int(side * height), left : left + int(side * width)]
            image = np.asarray(Image.fromarray(part).resize((width, height)))
        out[i] = image
    return out


def measure_files(images: np.ndarray, n: int) -> dict[str, float]:
    """Seconds and memory of `check_dataset` on `n` files."""
    from skcell.cleaning import check_dataset

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for start in range(0, n, 2000):
            part = make_different(np.roll(images, -start, axis=0), 2 * len(images))
            for i, image in enumerate(part[-min(2000, n - start) :]):
                files.append(f"{folder}/{start + i}.jpg")
                Image.fromarray(image).save(files[-1], quality=90)
        del part
        before = _compare.peak_rss()
        began = time.perf_counter()
        check_dataset(np.array(files), np.arange(n) % 8)
        return {
            "n_files": n,
            "seconds": time.perf_counter() - began,
            "peak_rss_before_mib": before / 2**20,
            "peak_rss_mib": _compare.peak_rss() / 2**20,
        }


def main() -> None:
    from skcell._environment import environment
    from skcell.datasets import load_image_folder, make_cells

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-time", type=int, default=17_000)
    parser.add_argument("--n-files", type=int, default=0)
    options = parser.parse_args()
    cells = load_image_folder(options.data, 96)
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {}
    name = "cleaning"
    if options.n_files:
        name = "cleaning_files"
        some = cells.images[rng.permutation(len(cells.images))[:2000]]
        del cells
        results["files"] = measure_files(some, options.n_files)
    else:
        results["time"] = measure_time(cells.images, options.n_time)
        print(results["time"], flush=True)
        kept = np.sort(rng.permutation(len(cells.images))[:MOST])
        labels = cells.target_names[cells.target][kept]
        small = load_image_folder(options.data, 28).images[kept]
        drawn = make_cells(2000, image_size=64, random_state=0)
        sets = {
            "cells, 96 px": (cells.images[kept], labels),
            "cells, 28 px": (small, labels),
            "drawn cells, 64 px": (drawn.images, drawn.target_names[drawn.target]),
        }
        if options.other is not None:
            with np.load(options.other) as other:
                sets["another laboratory"] = (other["X"], other["y"])
        for key, (images, y) in sets.items():
            results[key] = [
                {
                    "copies": find_copies(images, seed),
                    "outliers": find_outliers(images, y, seed),
                    "shortcuts": find_shortcuts(images, y, seed),
                }
                for seed in range(options.seeds)
            ]
            print(key, results[key][0], flush=True)
        results["labels"] = [find_labels(small, labels, seed) for seed in range(options.seeds)]
    _compare.write(
        Path(__file__).parent / "results" / f"{name}.json",
        {
            "benchmark": name,
            "settings": {
                **vars(options),
                "data": options.data.name,
                "other": options.other and options.other.name,
            },
            "environment": environment(),
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
