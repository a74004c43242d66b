"""Where explanations point, and their time beside that of predicting the same images.

Where they point: a mark on a generated cell at a random place, or a gap in a pattern, is all that
distinguishes two classes; counted is how often the peak of a map lies within 4 pixels of it.

Time: both are run before they are timed, since the first call of each traces the network.
`TransferClassifier` does not cache features here. Its network has random weights, which takes the
same time.

    python benchmarks/bench_explain.py
    KERAS_BACKEND=jax python benchmarks/bench_explain.py --name explain_jax
    python benchmarks/bench_explain.py --planted --name explain_planted
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np

REACH = 4  # pixels from the middle of the mark


def draw_planted(
    kind: str, n: int, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generate images whose class 1 has the evidence, and where this is: (n, 2)."""
    from skcell.datasets import make_cells

    seed = int(rng.integers(2**31))
    cells = make_cells(n, n_classes=4, image_size=size, random_state=seed)
    images = cells.images[rng.permutation(n)].astype(float)
    labels = np.arange(n) % 2
    places = rng.integers(REACH, size - REACH, (n, 2))
    if kind == "absent":  # a grid of dots, of which one is missing
        images = rng.normal(150, 12, images.shape)
        grid = np.arange(3, size - 3, 7)  # the same in mirror images, over which is averaged
        for down, right in np.ndindex(5, 5):
            images[:, (grid - 2 + down)[:, None], grid - 2 + right] -= 100
        places = rng.choice(grid, (n, 2))
    for image, label, (row, column) in zip(images, labels, places, strict=True):
        if not label:
            continue
        if kind == "absent":
            image[row - 2 : row + 3, column - 2 : column + 3] += 100
        else:
            colour = {"dark": (-70, -70, -70), "bright": (70, 70, 70), "red": (60, -40, -40)}[kind]
            image[row - 2 : row + 3, column - 2 : column + 3] += colour
    return images.clip(0, 255).astype(np.uint8), labels, places


def measure_planted(size: int, n_train: int, n_test: int) -> dict[str, Any]:
    """Count how often maps peak at the evidence, by network, method and kind of evidence."""
    from skcell import CellCNNClassifier, SEInceptionResNetClassifier
    from skcell.inspection import confirm_maps, grad_cam, occlusion_map

    results: dict[str, Any] = {}
    for kind in ("dark", "bright", "red", "absent"):
        rng = np.random.default_rng(0)
        X, y, _ = draw_planted(kind, n_train, size, rng)
        some, labels, places = draw_planted(kind, n_test, size, rng)
        classifiers = {
            "CellCNNClassifier": CellCNNClassifier(augmentation=None, random_state=0),
            "SEInceptionResNetClassifier": SEInceptionResNetClassifier(
                augmentation=None, random_state=0
            ),
        }
        for name, clf in classifiers.items():
            clf.fit(X, y)
            accuracy = float(clf.score(some, labels))
            correct = (clf.predict(some) == labels) & (labels == 1)
            network = clf.set_params(tta="none").to_keras()
            last = [one.name for one in network.layers if len(one.output.shape) == 4][-1]
            maps = {
                "default": grad_cam(clf, some),
                "hires-cam, last layer": grad_cam(clf, some, layer=last),
                "grad-cam, last layer": grad_cam(clf, some, method="grad-cam", layer=last),
                "occlusion": occlusion_map(clf, some, patch=5 / size, stride=2 / size),
            }
            found = {key: _share_at(heat, places, correct) for key, heat in maps.items()}
            y_, x_ = np.mgrid[:size, :size]
            near = [np.maximum(abs(y_ - r), abs(x_ - c)) <= REACH for r, c in places[correct]]
            found["chance"] = float(np.mean(near))
            sure = np.asarray(confirm_maps(clf, some, maps["default"]))[correct]
            found["confirmed"] = float(np.mean(sure))
            results[f"{name}, {kind}"] = {"accuracy": accuracy, **found}
            print(name, kind, results[f"{name}, {kind}"], flush=True)
    return results


def _share_at(heat: np.ndarray, places: np.ndarray, chosen: np.ndarray) -> float:
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in heat]
    return float(np.mean((np.abs(np.array(peaks) - places).max(axis=1) <= REACH)[chosen]))


def main() -> None:
    from skcell import CellCNNClassifier, SEInceptionResNetClassifier, TransferClassifier
    from skcell.datasets import make_cells
    from skcell.inspection import grad_cam

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="explain")
    parser.add_argument("--planted", action="store_true", help="where maps point, not their time")
    options = parser.parse_args()
    if options.planted:
        options.image_size = 28
        results = measure_planted(28, 1200, 400)
        write_results(options, results)
        return
    cells = make_cells(200, n_classes=4, image_size=options.image_size, random_state=0)
    classifiers: dict[str, Any] = {
        "CellCNNClassifier": CellCNNClassifier(epochs=1, random_state=0),
        "SEInceptionResNetClassifier": SEInceptionResNetClassifier(epochs=1, random_state=0),
        "TransferClassifier": TransferClassifier(
            backbone="mobilenet_v2",
            weights=None,
            unfreeze=None,
            cache=False,
            epochs=1,
            random_state=0,
        ),
    }
    results: dict[str, Any] = {}
    for name, clf in classifiers.items():
        clf.fit(cells.images, cells.target)
        seconds: dict[str, list[float]] = {"predict_proba": [], "grad_cam": []}
        for repeat in range(options.repeats + 1):
            seed = 10 + repeat
            images = make_cells(
                options.n, n_classes=4, image_size=options.image_size, random_state=seed
            ).images
            codes = np.zeros(len(images), np.intp)
            for side in seconds:
                began = time.perf_counter()
                if side == "predict_proba":
                    clf.predict_proba(images)
                else:
                    grad_cam(clf, images, codes)
                if repeat:
                    seconds[side].append(time.perf_counter() - began)
        medians = {side: statistics.median(values) for side, values in seconds.items()}
        ratio = medians["grad_cam"] / medians["predict_proba"]
        results[name] = {"seconds": seconds, "medians": medians, "ratio": ratio}
        print(name, medians, f"{ratio:.2f}", flush=True)
    write_results(options, results)


def write_results(options: argparse.Namespace, results: dict[str, Any]) -> None:
    from skcell._environment import environment

    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": options.name,
            "settings": vars(options),
            "environment": environment(),
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
