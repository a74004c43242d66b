"""The HTML page of a study."""

import base64
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skcell._pages import render
from skcell.study._plot import draw
from skcell.study._table import (
    Shown,
    best_technique,
    caption,
    fit_time,
    fold_count,
    other_score,
    readable,
)

if TYPE_CHECKING:
    from skcell.study._result import StudyResult

_RECALL = "recall "

#: Header, and for each line its cells and whether it is the best.
_Table = tuple[list[str], list[tuple[list[str], bool]]]


def make_page(result: "StudyResult", details: dict[str, Any]) -> str:
    """Write a study as one self-contained HTML page."""
    shown = {result.score, other_score(result)}
    others = [name for name in result.techniques[0].means if name not in shown]
    recalls = [name for name in others if name.startswith(_RECALL)]
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
        other_scores=_means(result, {n: readable(n) for n in others if n not in recalls}),
        recalls=_means(result, {name: name.removeprefix(_RECALL) for name in recalls}),
        techniques=[(t.name, t.description) for t in result.techniques if t.description],
        details=json.dumps(details, indent=2),
    )


def _best(result: "StudyResult") -> dict[str, str]:
    """Describe the best technique, its interval, and its difference from the first technique."""
    best, first = best_technique(result), result.techniques[0]
    if best is None:
        return {}
    shown = Shown.of(best, result.score)
    told = {"name": best.name, "score": readable(result.score).lower(), "figure": shown.mean}
    if shown.interval != "none":
        told["interval"] = f"{100 * result.confidence_level:g} % interval {shown.interval}"
    if best is not first and shown.p_value:
        sure = shown.summary.p_value < 1 - result.confidence_level
        told["difference"] = (
            f"{shown.difference} against {first.name}, p {shown.p_value}"
            f"{'' if sure else ', which may be chance'}"
        )
    return told


def _when(moment: str) -> str:
    """Format a point in time for display."""
    time = datetime.fromisoformat(moment)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _main_scores(result: "StudyResult") -> _Table:
    score, beside = result.score, other_score(result)
    head = ["Technique", readable(score), f"{100 * result.confidence_level:g} % interval"]
    head += [f"vs. {result.techniques[0].name}", "Its interval", "p"]
    head += [readable(beside), "Its interval", "p", "Folds", "Fit"]
    best = best_technique(result)
    lines = []
    for technique in result.techniques:
        main, second = Shown.of(technique, score), Shown.of(technique, beside)
        cells = [technique.name, main.mean, main.interval, main.difference]
        cells += [main.difference_interval, main.p_value]
        cells += [second.mean, second.interval, second.p_value]
        cells += [fold_count(technique), fit_time(technique)]
        lines.append((cells, technique is best))
    return head, lines


def _means(result: "StudyResult", names: dict[str, str]) -> _Table:
    lines = []
    for technique in result.techniques:
        means = [technique.means.get(name, math.nan) for name in names]
        cells = [technique.name, *("" if math.isnan(m) else f"{m:.3f}" for m in means)]
        lines.append((cells, False))
    return ["Technique", *names.values()], lines
