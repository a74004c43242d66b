"""Growth of time and memory with the number of images, and with the number of fits.

Each point is a process of its own, on 28x28 images. `seconds` is one epoch after one to warm up, or
all fits; `power` is the slope of log(seconds) over log(count): 1 is linear.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import _compare
import numpy as np
from _rivals import images, plain_cnn, stopwatch

from skcell._environment import environment

IMAGES = (1_000, 3_000, 10_000, 30_000, 100_000)
FITS = (10, 40, 100, 400)


def over_images(count: int) -> dict[str, float]:
    """Train on `count` images."""
    X, y = images(count, 28, 0)
    watch = stopwatch()
    before = _compare.peak_rss()
    plain_cnn(epochs=2, batch_size=64, callbacks=[watch], random_state=0).fit(X, y)
    growth = _compare.peak_rss() - before
    return {"seconds": watch.seconds[1], "rss_growth_mib": growth / 2**20}


def over_fits(count: int) -> dict[str, float]:
    """Fit `count` times on 200 images."""
    X, y = images(200, 28, 0)
    plain_cnn(epochs=1, random_state=0).fit(X, y)
    before, began = _compare.peak_rss(), time.perf_counter()
    for i in range(count):
        plain_cnn(epochs=1, random_state=i).fit(X, y)
    growth = _compare.peak_rss() - before
    return {"seconds": time.perf_counter() - began, "rss_growth_mib": growth / 2**20}


CURVES = {"images": (over_images, IMAGES), "fits": (over_fits, FITS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "growth.json")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        curve, count = options.child
        print(json.dumps(CURVES[curve][0](int(count))))
        return
    curves = {}
    for curve, (_, counts) in CURVES.items():
        points = []
        for count in counts:
            command = [sys.executable, __file__, "--child", curve, str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            points.append({"count": count, **json.loads(done.stdout.splitlines()[-1])})
            print(curve, points[-1], flush=True)
        logs = np.log([[p["count"], p["seconds"]] for p in points])
        curves[curve] = {"points": points, "power": float(np.polyfit(*logs.T, 1)[0])}
    _compare.write(
        options.out, {"benchmark": "growth", "environment": environment(), "curves": curves}
    )


if __name__ == "__main__":
    main()
