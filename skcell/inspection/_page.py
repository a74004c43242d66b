"""The page of a model's test."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skcell._files import replace_file, to_csv, to_json
from skcell._pages import render
from skcell._text import printable
from skcell.cleaning import DatasetCheck, describe_verdict, show_check
from skcell.inspection._card import Card
from skcell.inspection._corruption_report import CorruptionReport
from skcell.inspection._evaluation import Evaluation
from skcell.inspection._figures import MOST_WRONG, Figures
from skcell.metrics import Estimate

_MOST_PROBABILITIES = 8  # classes of an image that are listed


def make_page(
    evaluation: Evaluation,
    figures: Figures,
    *,
    title: str,
    paragraphs: Sequence[str] = (),
    warnings: Sequence[str] = (),
    details: Mapping[str, Any] = {},  # it is not changed
    check: DatasetCheck | None = None,
    card: Card = (),
) -> str:
    """Write an evaluation as one HTML page that opens from disk."""
    found = evaluation
    shift = found.shift
    sets = found.set_coverage
    return render(
        "skcell.inspection",
        "_page.html.jinja",
        title=title,
        n_images=len(found.y_true),
        tiles=_summarise(found, check),
        macro_f1=f"{100 * found.macro_f1:.1f}",
        paragraphs=paragraphs,
        warnings=warnings if check is None else (),
        check=None if check is None else show_check(check),
        shift=shift,
        classes=[
            (str(row["class"]), row["n"], str(row["recall"]), f"{100 * row['precision']:.1f} %")
            for row in found.per_class
        ],
        labels=[str(label) for label in found.classes],
        confusion=_shade(found.confusion),
        confusions=[
            (f"{a}, taken for {b}: {n}", [_cell(found, figures, i) for i in some])
            for a, b, n, some in figures.confusions
        ],
        log_loss=format(found.reliability.log_loss, ".3f"),
        error=found.reliability.error,
        not_calibrated=found.not_calibrated,
        reliability=[
            (f"{100 * c:.0f} %", str(Estimate(a, lo, hi)), f"{n:,}")
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
        set_size=None
        if found.prediction_sets is None
        else f"{found.prediction_sets.sum(axis=1).mean():.2f}",
        unknown=None if found.unknown is None else f"{100 * found.unknown.mean():.1f}",
        groups=[(name, str(score)) for name, score in found.by_group.items()],
        plots=figures.plots,
        corruption=None if figures.corruption is None else _show_corruption(figures.corruption),
        explained=[_cell(found, figures, i) for i in figures.correct if i in figures.heat],
        n_wrong=len(figures.wrong),
        wrong=[_cell(found, figures, i) for i in figures.wrong[:MOST_WRONG]],
        card=card,
        details=json.dumps(details, indent=2, default=str),
    )


def write_evaluation(
    files: tuple[Path, Path, Path],
    evaluation: Evaluation,
    figures: Figures,
    scores: Mapping[str, Any],
    **page: Any,
) -> list[Path]:
    """Write an evaluation to three files: page, table of predictions and scores."""
    contents = (
        make_page(evaluation, figures, **page).encode(),
        to_csv(evaluation.to_records()),
        to_json(scores),
    )
    for file, content in zip(files, contents, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, content)
    return list(files)


def _summarise(found: Evaluation, check: DatasetCheck | None) -> list[tuple[str, str, str, str]]:
    """Return title, value, note and state of each tile: what a reader should know first."""
    there = [row for row in found.per_class if row["n"]]
    worst = min(there, key=lambda row: row["recall"].value)
    reliability = found.reliability
    tiles = [
        ("Accuracy", str(found.accuracy), f"mean of the classes {found.balanced_accuracy}", ""),
        (
            "Worst class",
            str(worst["class"]),
            f"{worst['recall']} of its {worst['n']:,} images are found",
            "",
        ),
    ]
    if found.not_calibrated:
        tiles.append(("Calibration", "not calibrated", "probabilities may mislead", "error"))
    else:
        is_off = reliability.error.low > 0
        note = "probabilities are off" if is_off else "none could be shown"
        state = "warning" if is_off else "good"
        tiles.append(("Calibration error", str(reliability.error), note, state))
    if found.set_coverage is not None:
        target = f"hold the true class; target {100 * found.coverage:.0f} %"
        missed = found.set_coverage.high < found.coverage
        state = "warning" if missed else "good"
        tiles.append(("Prediction sets", str(found.set_coverage), target, state))
    if found.shift is not None:
        known = ("reported", "scores of the training do not hold", "error")
        none = ("none found", "light, colour and sharpness as in training", "good")
        tiles.append(("Domain shift", *(known if found.shift.shifted else none)))
    if check is not None:
        n = sum(one.severity != "note" for one in check.findings)
        words = f"{n} findings" if n != 1 else "1 finding"
        state = "good" if not n else "warning" if check.passed else "error"
        tiles.append(("Data", words if n else "nothing found", describe_verdict(check), state))
    return tiles


def _shade(confusion: Any) -> list[list[tuple[int, float, bool]]]:
    """Return count, share of its row, and whether it is correct, for each cell."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [
        [(int(n), round(float(shares[i, j]), 3), i == j) for j, n in enumerate(row)]
        for i, row in enumerate(confusion)
    ]


def _cell(found: Evaluation, figures: Figures, i: int) -> dict[str, Any]:
    """Return what is shown of one image."""
    name, true, predicted = printable(found.files[i]), found.y_true[i], found.y_pred[i]
    p = found.probabilities[i]
    said = f"{predicted}" if true == predicted else f"{true}, taken for {predicted}"
    groups = sorted({found.classes.index(true), found.classes.index(predicted)})
    return {
        "name": name,
        "alt": str(true),
        "said": f"{said} ({100 * p.max():.0f} %)"
        + ("" if figures.confirmed.get(i, True) else "; map not confirmed"),
        "group": " ".join(map(str, groups)),
        "picture": figures.pictures.get(i, ""),
        "heat": figures.heat.get(i, ""),
        "probabilities": [
            (str(found.classes[c]), f"{100 * p[c]:.1f} %")
            for c in np.argsort(-p, kind="stable")[:_MOST_PROBABILITIES]
        ],
    }


def _show_corruption(report: CorruptionReport) -> dict[str, Any]:
    """Return the sentence and table about corruptions."""
    sentence = (
        f"{report.n_images:,} of the test images were darkened, blurred, stained otherwise and so "
        f"on. As they are, {report.clean_accuracy} of them are "
        f"classified correctly; under corruptions, {100 * report.mean_accuracy:.1f} % in the mean."
    )
    head = ["Corruption", "Kind", *(f"strength {s}" for s in report.strengths)]
    lines = [
        [name, report.kinds[name], *(f"{100 * score.value:.1f} %" for score in scores)]
        for name, scores in report.accuracy.items()
    ]
    return {"sentence": sentence, "table": (head, lines)}
