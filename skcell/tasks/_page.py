"""The page of a model's test."""

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skcell._files import replace_file, to_csv
from skcell._pages import render
from skcell._text import encode, printable
from skcell.tasks._evaluation import Evaluation

#: Number of wrong images on a page, and their size in pixels.
MOST_PICTURES = 60
PICTURE_SIZE = 96

#: A difference from home below this many standard deviations is not listed.
_SMALL = 0.3


def make_page(
    evaluation: Evaluation,
    *,
    title: str,
    paragraphs: Sequence[str] = (),
    warnings: Sequence[str] = (),
    details: Mapping[str, Any] = {},  # it is not changed
    image_root: str | None = None,
) -> str:
    """Write an evaluation as one HTML page that opens from disk.

    Parameters
    ----------
    evaluation : Evaluation
        The figures.
    title : str
        Title of the page.
    paragraphs : sequence of str
        How the model was made.
    warnings : sequence of str
        What is wrong with the data.
    details : mapping
        Settings, shown at the end.
    image_root : str, default=None
        Folder that the names of the images start from, for pictures of the wrong ones.

    Returns
    -------
    str
        The page.
    """
    found = evaluation
    shift = found.shift
    sets = found.set_coverage
    return render(
        "skcell.tasks",
        "_page.html.jinja",
        title=title,
        n_images=len(found.y_true),
        accuracy=found.accuracy,
        balanced=found.balanced_accuracy,
        macro_f1=f"{100 * found.macro_f1:.1f}",
        paragraphs=paragraphs,
        warnings=warnings,
        shift=None if shift is None or not shift.shifted else describe_shift(shift.differences),
        has_shift=shift is not None,
        classes=[
            (str(row["class"]), row["n"], str(row["recall"]), f"{100 * row['precision']:.1f} %")
            for row in found.per_class
        ],
        labels=[str(label) for label in found.classes],
        confusion=_shade(found.confusion),
        error=f"{100 * found.reliability.error:.1f}",
        error_interval=[f"{100 * value:.1f}" for value in found.reliability.interval],
        reliability=[
            (f"{100 * c:.0f} %", f"{100 * a:.0f} % ({100 * lo:.0f} to {100 * hi:.0f})", f"{n:,}")
            for c, a, lo, hi, n in zip(
                found.reliability.confidence,
                found.reliability.accuracy,
                found.reliability.low,
                found.reliability.high,
                found.reliability.counts,
                strict=True,
            )
        ],
        abstaining=[
            (f"{100 * limit:.0f} %", f"{100 * share:.1f} %", f"{100 * accuracy:.1f} %")
            for limit in (0.5, 0.8, 0.9, 0.95, 0.99)
            for share, accuracy in [found.accuracy_above(limit)]
            if share
        ],
        sets=sets,
        wanted=f"{100 * found.coverage:.0f}",
        set_size=None if found.plausible is None else f"{found.plausible.sum(axis=1).mean():.2f}",
        unknown=None if found.unknown is None else f"{100 * found.unknown.mean():.1f}",
        groups=[(name, str(score)) for name, score in found.by_group.items()],
        n_wrong=int((found.y_true != found.y_pred).sum()),
        wrong=_wrong(found, image_root),
        details=json.dumps(details, indent=2, default=str),
    )


def write_report(
    folder: Path,
    evaluation: Evaluation,
    figures: Mapping[str, Any],
    *,
    table: str,
    **page: Any,
) -> list[Path]:
    """Write an evaluation as a page, a table of predictions and figures.

    Parameters
    ----------
    folder : Path
        Where to write; it is created.
    evaluation : Evaluation
        The figures.
    figures : mapping
        What is written to ``metrics.json``.
    table : str
        Name of the table.
    **page : object
        Passed to `make_page`.

    Returns
    -------
    list of pathlib.Path
        The page, the table and the figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.html": make_page(evaluation, **page).encode(),
        table: to_csv(evaluation.to_records()),
        "metrics.json": encode(json.dumps(figures, indent=2) + "\n"),
    }
    for name, content in contents.items():
        replace_file(folder / name, content)
    return [folder / name for name in contents]


def describe_shift(differences: Mapping[str, float]) -> str:
    """Say in words how images differ from those at home.

    Parameters
    ----------
    differences : mapping of str to float
        Differences in standard deviations, the largest first.

    Returns
    -------
    str
        The three largest, as a part of a sentence.
    """
    large = [(n, d) for n, d in differences.items() if abs(d) > _SMALL][:3]
    words = [f"{name} {abs(d):.1f} {'above' if d > 0 else 'below'}" for name, d in large]
    return ", ".join(words) + " (in standard deviations of the training images)"


def _shade(confusion: Any) -> list[list[tuple[int, float, bool]]]:
    """Return count, share of its row, and whether it is right, for each cell."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [
        [(int(n), round(float(shares[i, j]), 3), i == j) for j, n in enumerate(row)]
        for i, row in enumerate(confusion)
    ]


def _wrong(found: Evaluation, root: str | None) -> list[dict[str, str]]:
    """Return the wrong images, the most certain first, with pictures if the files are there."""
    shown = []
    for record in found.to_records()[:MOST_PICTURES]:
        if record["right"] == "yes":
            break
        picture = None if root is None else _thumbnail(os.path.join(root, record["file"]))
        shown.append(
            {
                "file": printable(record["file"]),
                "true": str(record["true"]),
                "predicted": str(record["predicted"]),
                "probability": f"{100 * record['probability']:.0f} %",
                "picture": picture or "",
            }
        )
    return shown


def _thumbnail(file: str) -> str | None:
    try:
        with Image.open(file) as image:
            small = image.convert("RGB")
            small.thumbnail((PICTURE_SIZE, PICTURE_SIZE))
    except Exception:  # a page without a picture is better than none
        return None
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode()
