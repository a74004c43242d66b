"""The study as one page for a browser."""

import base64
import html
import json
import math
from datetime import datetime
from typing import Any

from skcell.study._plot import draw
from skcell.study._records import StudyRecord
from skcell.study._table import (
    best_row,
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
from skcell.study._text import printable

_RECALL = "recall "

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 76rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 48rem; } .quiet { color: #555; } .headline { font-size: 1.15rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid #ddd;
         white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; overflow-wrap: break-word; min-width: 3rem; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff;
         white-space: normal; min-width: 6rem; }
tr.best td { font-weight: 600; } td.none { color: #b00020; font-weight: 600; }
.plot { max-width: none; overflow-x: auto; }
img { width: 60rem; max-width: 100%; min-width: 36rem; height: auto; }
pre { overflow-x: auto; background: #f6f6f6; padding: 1rem; }
@media (prefers-color-scheme: dark) {
  body, th:first-child, td:first-child { color: #ddd; background: #181818; } .quiet { color: #aaa; }
  th, td { border-color: #444; } td.none { color: #ff8a80; } pre { background: #242424; }
  img { filter: invert(.906) hue-rotate(180deg); }
}
"""


def make_page(result: StudyRecord, description: dict[str, Any]) -> str:
    """Write a study as HTML, with nothing to load from elsewhere.

    Parameters
    ----------
    result : StudyRecord
        What a study found.
    description : dict
        Its configuration, hardware and versions.

    Returns
    -------
    str
        The page.
    """
    title = f"Study of {result.data['name']}"
    picture = base64.b64encode(draw(result)).decode()
    classes = ", ".join(f"{name} {n:,}" for name, n in result.data["classes"].items())
    rows = "".join(
        f"<li><b>{_text(row.name)}</b>: {_text(row.description)}</li>"
        for row in result.techniques
        if row.description
    )
    details = {key: description[key] for key in ("configuration", "environment", "data")}
    kept_apart = (
        f"Images of one group (of {result.data['n_groups']}) were never on both sides of a split."
        if result.data["n_groups"]
        else "Images of one patient or slide are alike. No groups were given, so that accuracies "
        "are those on patients that were seen: expect less on others'."
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<p class="quiet">{result.data["n_images"]:,} images: {_text(classes)}.<br>
{_when(result.started)} to {_when(result.finished)}</p>
{_headline(result)}
<h2>{_text(readable(result.score))}</h2>
<div class="wide">{_main_scores(result)}</div>
<p>{_text(caption(result))}</p>
<p class="plot"><img alt="{_text(readable(result.score))} of each row, with its interval and folds"
src="data:image/png;base64,{picture}"></p>
<h2>Other scores</h2>
<div class="wide">{_other_scores(result)}</div>
<p>Means over the folds. AUC: mean over classes, each against the rest.</p>
<h2>Recall: share of each class's images that was found</h2>
<div class="wide">{_recalls(result)}</div>
<h2>Rows</h2>
<ul>{rows}</ul>
<h2>What to keep in mind</h2>
<ul>
<li>The best of several rows was lucky as well as good: expect a little less of it on new
images.</li>
<li>{kept_apart}</li>
<li>Cells of another laboratory, stain or camera were not measured.</li>
</ul>
<h2>Settings, hardware and versions</h2>
<details><summary>All of them</summary><pre>{_text(json.dumps(details, indent=2))}</pre></details>
</body>
</html>
"""


def _headline(result: StudyRecord) -> str:
    """Say in a sentence what was best, how sure that is, and whether it beats the first row."""
    best = best_row(result)
    if best is None:
        return ""
    summary = summary_of(best, result.score)
    text = f"<b>{_text(best.name)}</b> has the highest {_text(readable(result.score).lower())}: "
    text += f"<b>{figure(summary.mean, result.score)}</b>"
    if not math.isnan(summary.low):
        level = f"{100 * result.confidence:g} % interval"
        text += f" ({level} {interval(summary, result.score)})"
    if best is not result.techniques[0] and not math.isnan(summary.p_value):
        sure = summary.p_value < 1 - result.confidence
        text += (
            f"; {difference(summary, result.score)} against {_text(result.techniques[0].name)}, "
        )
        text += f"p {p_value(summary)}{'' if sure else ', which may be chance'}"
    return f'<p class="headline">{text}.</p>'


def _when(moment: str) -> str:
    """Write a moment of time for people."""
    return datetime.fromisoformat(moment).strftime("%-d %B %Y, %H:%M UTC")


def _main_scores(result: StudyRecord) -> str:
    score, beside = result.score, other_score(result)
    head = [
        "Row",
        readable(score),
        f"{100 * result.confidence:g} % interval",
        f"vs. {result.techniques[0].name}",
        "Its interval",
        "p",
        readable(beside),
        "Its interval",
        "p",
        "Folds",
        "Fit",
    ]
    best = best_row(result)
    lines = []
    for row in result.techniques:
        main, second = summary_of(row, score), summary_of(row, beside)
        cells = [
            row.name,
            "failed" if row.error else figure(main.mean, score),
            interval(main, score),
            difference(main, score),
            difference_interval(main, score),
            p_value(main),
            figure(second.mean, beside),
            interval(second, beside),
            p_value(second),
            f"{len(row.scores)}/{row.n_folds}",
            "" if math.isnan(row.fit_seconds) else f"{row.fit_seconds:.1f} s",
        ]
        lines.append((cells, row is best))
    return _table(head, lines)


def _other_scores(result: StudyRecord) -> str:
    shown = {result.score, other_score(result)}
    names = [n for n in result.techniques[0].means if not n.startswith(_RECALL) and n not in shown]
    return _means(result, {name: readable(name) for name in names})


def _recalls(result: StudyRecord) -> str:
    names = [name for name in result.techniques[0].means if name.startswith(_RECALL)]
    return _means(result, {name: name.removeprefix(_RECALL) for name in names})


def _means(result: StudyRecord, names: dict[str, str]) -> str:
    lines = []
    for row in result.techniques:
        means = [row.means.get(name, math.nan) for name in names]
        lines.append(([row.name, *("" if math.isnan(m) else f"{m:.3f}" for m in means)], False))
    return _table(["Row", *names.values()], lines)


def _table(head: list[str], lines: list[tuple[list[str], bool]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=none' if cell == '0.000' else ''}>{_text(cell)}</{tag}>"
            for cell in cells
        )

    body = "".join(
        f"<tr{' class=best' if best else ''}>{line(cells, 'td')}</tr>" for cells, best in lines
    )
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    return html.escape(printable(value))
