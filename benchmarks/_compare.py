"""Rivals in one run: each in fresh processes that take turns, medians and ratios to a file."""

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Measured = dict[str, float]
Side = Callable[..., Measured]


def write(path: str | Path, payload: dict[str, Any]) -> None:
    """Write `payload` as JSON, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(payload, indent=2) + "\n", encoding="utf-8")
    print("written:", path.name)


def write_study(path: str | Path, name: str, settings: dict[str, Any], study: Any) -> None:
    """Print a study's table, and write its results."""
    from skcell._environment import environment

    study.result_.show()
    keep = ("name", "accuracy", "low", "high", "scores", "fit_seconds")
    techniques = [dataclasses.asdict(technique) for technique in study.result_.techniques]
    write(
        path,
        {
            "benchmark": name,
            "settings": {key: value for key, value in settings.items() if key != "out"},
            "environment": environment(),
            "protocol": study.result_.configuration["protocol"],
            "techniques": [{key: t[key] for key in keep} for t in techniques],
        },
    )


def data_parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Make the parser of a script on real images, with the options that all of them have."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", default=name, help="of the file in results/")
    parser.add_argument("--image-size", type=int, default=96, help="for a folder")
    return parser


def load(data: Path, image_size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Load images and labels of both parts."""
    if data.is_file():
        with np.load(data) as arrays:
            return {
                part: (arrays["X"][arrays["split"] == part], arrays["y"][arrays["split"] == part])
                for part in ("train", "val")
            }
    from skcell.datasets import load_image_folder

    found = {part: load_image_folder(data / part, image_size) for part in ("train", "val")}
    return {part: (c.images, c.target_names[c.target]) for part, c in found.items()}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize images as the data set's own were, with cubic interpolation."""
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC))
            for x in images
        ]
    )


def peak_rss() -> int:
    """Peak resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def compare(
    script: str,
    doc: str,
    sides: dict[str, Side],
    defaults: dict[str, int | str],
    *,
    repeats: int = 3,
    packages: Iterable[str] = (),
    summary: Callable[[dict[str, Measured]], dict[str, Any]] | None = None,
    name: str = "{script}",
) -> None:
    """Run all sides as the command line says, and write what they measured.

    Parameters
    ----------
    script : str
        `__file__` of the benchmark; its results file is named after it.
    doc : str
        Its docstring.
    sides : dict
        Name to function; each takes the settings as keyword arguments, and returns numbers. The
        first side is ours: ratios are the others' numbers over its.
    defaults : dict
        Settings, with the values of the full run.
    repeats : int
        Processes for each side.
    packages : iterable of str
        Whose versions are recorded beside the usual ones.
    summary : callable or None
        From medians by side to further figures for the file.
    name : str
        Name of the file, with settings in braces; by default that of the script.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for setting, value in defaults.items():
        parser.add_argument(f"--{setting.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--only", nargs="*", choices=sides, help="leave out other sides")
    parser.add_argument("--out", help="file of the results, instead of one in results/")
    parser.add_argument("--child", choices=sides, help=argparse.SUPPRESS)
    options = parser.parse_args()
    settings = {setting: getattr(options, setting) for setting in defaults}
    name = name.format(script=Path(script).stem.removeprefix("bench_"), **settings)
    if options.child:
        print(json.dumps(sides[options.child](**settings)))
        return
    chosen = options.only or list(sides)
    runs: dict[str, list[Measured]] = {side: [] for side in chosen}
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
    for _ in range(options.repeats):
        for side in chosen:
            command = [sys.executable, script, f"--child={side}", *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(side, {k: round(v, 4) for k, v in runs[side][-1].items()}, flush=True)
    medians = {
        side: {key: statistics.median(run[key] for run in done) for key in done[0]}
        for side, done in runs.items()
    }
    ours = medians[chosen[0]]
    ratios = {
        side: {k: median[k] / ours[k] for k in median if k in ours and ours[k] > 0}
        for side, median in medians.items()
        if side != chosen[0]
    }
    # Imported last, since it is an earlier skcell, or none, that some sides run, and since skcell
    # sets variables of the environment that they would be given.
    from skcell._environment import environment

    write(
        options.out or Path(script).parent / "results" / f"{name}.json",
        {
            "benchmark": name,
            "settings": {**settings, "repeats": options.repeats},
            "environment": environment(packages),
            "runs": runs,
            "medians": medians,
            f"ratios_to_{chosen[0]}": ratios,
            **(summary(medians) if summary else {}),
        },
    )
    for side, figures in ratios.items():
        print(side, "over", chosen[0], {k: round(v, 3) for k, v in figures.items()})
