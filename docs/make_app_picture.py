"""Draw the picture of the page of `skcell app` that the documentation shows, with generated cells.

Usage: python docs/make_app_picture.py app.jpg [--browser /usr/bin/chromium]
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from skcell.datasets import make_cells


def write_cells(folder: Path) -> None:
    """Write labelled cells, and new ones that are harder, since they are noisier."""
    for part, n, noise, seed in (("cells", 480, 1.0, 0), ("new", 240, 2.0, 1)):
        cells = make_cells(n, image_size=96, noise=noise, random_state=seed)
        for i, (image, k) in enumerate(zip(cells.images, cells.target, strict=True)):
            place = folder / part / (cells.target_names[k] if part == "cells" else "")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"cell-{i:03}.png")


def main() -> None:
    """Train, serve the page, and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    options = parser.parse_args()
    skcell = [sys.executable, "-u", "-m", "skcell.cli"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cells(folder)
        train = ["train", "cells", "-o", "cells.skcell", "--epochs", "12", "--image-size", "48"]
        subprocess.run([*skcell, *train], cwd=folder, check=True)
        command = [*skcell, "app", "cells.skcell", "new", "--no-browser"]
        app = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        address = None
        while address is None:
            address = re.search(r"http://\S+", app.stdout.readline())
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=options.browser, args=["--no-sandbox"]
            )
            page = browser.new_page(
                viewport={"width": 1180, "height": 760}, device_scale_factor=1.5
            )
            page.goto(address[0])
            page.wait_for_selector(".bars")
            for key in ("Enter", "Enter", "3", "Enter", "m"):
                page.keyboard.press(key)
            page.wait_for_selector(".views figure:nth-child(2) img")
            time.sleep(1)
            page.screenshot(path=folder / "app.png")
            browser.close()
        app.terminate()
        app.wait()
        Image.open(folder / "app.png").convert("RGB").save(options.out, quality=80, optimize=True)


if __name__ == "__main__":
    main()
