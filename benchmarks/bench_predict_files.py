"""Speed of predicting image files, beside that of predicting the same images from memory.

Both say everything that `skcell predict` writes. `--data` is a folder of images, which are used
again and again if there are fewer than `--n`:

    python benchmarks/bench_predict_files.py --data cells/ --n 10000
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np


def main() -> None:
    from skcell import CalibratedClassifier, CellCNNClassifier
    from skcell._environment import environment
    from skcell.datasets import list_images, load_image_folder
    from skcell.workflows import predict_files

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cells = load_image_folder(options.data, options.image_size)
    rng = np.random.default_rng(0)
    some = rng.permutation(len(cells.images))[:400]
    clf = CalibratedClassifier(CellCNNClassifier(epochs=1, random_state=0), random_state=0)
    clf.fit(cells.images[some], cells.target[some])
    files = list(np.resize(np.array(list_images(options.data)), options.n))
    images = cells.images[np.resize(np.arange(len(cells.images)), options.n)]

    def from_memory() -> Any:
        return clf.assess(images)

    def from_files() -> Any:
        return sum(1 for _ in predict_files(clf, files))

    seconds: dict[str, list[float]] = {"memory": [], "files": []}
    clf.assess(images[:600])
    for _ in range(options.repeats):
        for name, run in (("memory", from_memory), ("files", from_files)):
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
            print(name, f"{options.n / seconds[name][-1]:.0f} images/s", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    _compare.write(
        Path(__file__).parent / "results" / "predict_files.json",
        {
            "benchmark": "predict_files",
            "settings": {**vars(options), "data": options.data.name},
            "environment": environment(),
            "seconds": seconds,
            "speed_of_files_relative_to_memory": medians["memory"] / medians["files"],
        },
    )


if __name__ == "__main__":
    main()
