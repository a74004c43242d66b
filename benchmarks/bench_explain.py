"""Time of 100 explanations beside that of predicting the same images.

Both are run before they are timed, since the first call of each traces the network.
`TransferClassifier` does not cache features here. Its network has random weights, which takes the
same time.

    python benchmarks/bench_explain.py
    KERAS_BACKEND=jax python benchmarks/bench_explain.py --name explain_jax
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np


def main() -> None:
    from skcell import CellCNNClassifier, SEInceptionResNetClassifier, TransferClassifier
    from skcell._environment import environment
    from skcell.datasets import make_cells
    from skcell.inspection import grad_cam

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="explain")
    options = parser.parse_args()
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
    results = {}
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
