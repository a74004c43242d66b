"""Write the README's table of speed and memory from the files in results/.

`--check` only says whether the table there is that of the files.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- speed: made by benchmarks/make_table.py -->\n", "<!-- /speed -->\n"


def load(name: str) -> dict[str, Any]:
    """Read the results of one benchmark."""
    return json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))


def times(name: str, side: str, key: str) -> float:
    """Rival's median over ours."""
    medians = load(name)["medians"]
    return medians[side][key] / medians[next(iter(medians))][key]


def rows() -> list[tuple[str, str, str, str]]:
    """Return what was done, the rival, the result, and the file, for each row."""
    table = []

    def add(work: str, rival: str, result: str, name: str) -> None:
        table.append((work, rival, result, f"[{name}](benchmarks/results/{name}.json)"))

    fit = "one long fit, base CNN, 96 px"
    for rival, side in (("the same model, Keras' own `fit`", "keras"), ("skorch, torch", "skorch")):
        add(fit, rival, f"{1 / times('fit', side, 'images_per_second'):.2f} x as fast", "fit")
    for name in ("search_28", "search"):
        found = load(name)
        s = found["settings"]
        work = f"40 fits: {s['n'] * 4 // 5} images, {s['size']} px, {s['epochs']} epoch(s)"
        ratio = times(name, "scikeras", "seconds")
        add(work, "scikeras, `GridSearchCV`", f"{ratio:.1f} x as fast", name)
    memory = load("memory")["medians"]
    add(
        "memory, 200 fits of 4 networks",
        "scikeras",
        f"{memory['skcell']['mib_per_fit']:.2f} against {memory['scikeras']['mib_per_fit']:.1f} "
        "MiB a fit",
        "memory",
    )
    ratio = 1 / times("augmentation", "keras", "images_per_second")
    add("six augmentations, 96 px", "six Keras layers", f"{ratio:.1f} x as fast", "augmentation")
    smote = times("smote", "imbalanced-learn", "fit_resample_seconds")
    peak = times("smote", "imbalanced-learn", "fit_resample_peak_bytes")
    add(
        "SMOTE, 11,144 to 16,384 images, 96 px",
        "imbalanced-learn, float32",
        f"{smote:.1f} x as fast, 1/{peak:.1f} of the memory",
        "smote",
    )
    ratio = times("predict", "keras", "seconds")
    add("predict 10,000 images", "Keras' `predict`", f"{ratio:.2f} x as fast", "predict")
    one = load("predict")["medians"]
    add(
        "predict one image",
        "ONNX Runtime",
        f"{one['skcell']['one_image_ms']:.1f} against {one['onnxruntime']['one_image_ms']:.1f} ms",
        "predict",
    )
    share = 1 / times("files", "arrays", "images_per_second")
    grown = [load(n)["medians"]["files"]["rss_growth_mib"] for n in ("files_10000", "files")]
    add(
        "train from 100,000 JPEG files",
        "arrays in memory",
        f"{100 * share:.0f} % of the speed; {grown[1]:.0f} MiB (10,000 files: {grown[0]:.0f})",
        "files",
    )
    return table


def render() -> str:
    """Lay the table out, with the machine below it."""
    lines = ["| what | rival | skcell | file |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows()]
    machine = load("fit")["environment"]
    versions = machine["versions"]
    lines += [
        "",
        f"On {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}, Keras "
        f"{versions['keras']},\nTensorFlow {versions['tensorflow']}; medians of alternating runs.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    if options.check:
        sys.exit(0 if old == render() else "README.md: the table is not that of the files")
    README.write_text(head + BEGIN + render() + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
