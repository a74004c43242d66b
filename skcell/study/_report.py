"""The HTML page of a study."""

import base64
import json
import math
from datetime import datetime
from typing import Any

from skcell._pages import render
from skcell.study._plot import draw
from skcell.study._records import StudyRecord
from skcell.study._table import (
    best_technique,
    caption,
    difference,
    difference_interval,
    figure,
    interval,
    other_score,
    p_value,
    readable,
    summary_of,
)

_RECALL = "recall "

#: Header, and for each line its cells and whether it is the best.
_Table = tuple[list[str], list[tuple[list[str], bool]]]


def make_page(result: StudyRecord, description: dict[str, Any]) -> str:
    """Write a study as one self-contained HTML page."""
    details = {key: description[key] for key in ("configuration", "environment", "data")}
    return render(
        "skcell.study",
        "_page.html.jinja",
        title=f"Study of {result.data['name']}",
        n_images=result.data["n_images"],
        n_groups=result.data["n_groups"],
        classes=", ".join(f"{name} {n:,}" for name, n in result.data["classes"].items()),
        started=_when(result.started),
        finished=_when(result.finished),
        best=_best(result),
        score=readable(result.score),
        main_scores=_main_scores(result),
        caption=caption(result),
        picture=base64.b64encode(draw(result)).decode(),
        other_scores=_other_scores(result),
        recalls=_recalls(result),
        techniques=[(t.name, t.description) for t in result.techniques if t.description],
        details=json.dumps(details, indent=2),
    )


def _best(result: StudyRecord) -> dict[str, str]:
    """Describe the best technique, its interval, and its difference from the first technique."""
    best = best_technique(result)
    if best is None:
        return {}
    summary = summary_of(best, result.score)
    said = {
        "name": best.name,
        "score": readable(result.score).lower(),
        "figure": figure(summary.mean, result.score),
    }
    if not math.isnan(summary.low):
        level = f"{100 * result.confidence_level:g} % interval"
        said["interval"] = f"{level} {interval(summary, result.score)}"
    if best is not result.techniques[0] and not math.isnan(summary.p_value):
        sure = summary.p_value < 1 - result.confidence_level
        said["difference"] = (
            f"{difference(summary, result.score)} against {result.techniques[0].name}, "
            f"p {p_value(summary)}{'' if sure else ', which may be chance'}"
        )
    return said


def _when(moment: str) -> str:
    """Format a point in time for display."""
    time = datetime.fromisoformat(moment)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _main_scores(result: StudyRecord) -> _Table:
    score, beside = result.score, other_score(result)
    head = [
        "Technique",
        readable(score),
        f"{100 * result.confidence_level:g} % interval",
        f"vs. {result.techniques[0].name}",
        "Its interval",
        "p",
        readable(beside),
        "Its interval",
        "p",
        "Folds",
        "Fit",
    ]
    best = best_technique(result)
    lines = []
    for technique in result.techniques:
        main, second = summary_of(technique, score), summary_of(technique, beside)
        cells = [
            technique.name,
            "failed" if technique.error else figure(main.mean, score),
            interval(main, score),
            difference(main, score),
            difference_interval(main, score),
            p_value(main),
            figure(second.mean, beside),
            interval(second, beside),
            p_value(second),
            f"{len(technique.scores)}/{technique.n_folds}",
            "" if math.isnan(technique.fit_seconds) else f"{technique.fit_seconds:.1f} s",
        ]
        lines.append((cells, technique is best))
    return head, lines


def _other_scores(result: StudyRecord) -> _Table:
    shown = {result.score, other_score(result)}
    names = [n for n in result.techniques[0].means if not n.startswith(_RECALL) and n not in shown]
    return _means(result, {name: readable(name) for name in names})


def _recalls(result: StudyRecord) -> _Table:
    names = [name for name in result.techniques[0].means if name.startswith(_RECALL)]
    return _means(result, {name: name.removeprefix(_RECALL) for name in names})


def _means(result: StudyRecord, names: dict[str, str]) -> _Table:
    lines = []
    for technique in result.techniques:
        means = [technique.means.get(name, math.nan) for name in names]
        lines.append(
            ([technique.name, *("" if math.isnan(m) else f"{m:.3f}" for m in means)], False)
        )
    return ["Technique", *names.values()], lines
