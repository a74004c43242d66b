"""The study as one page for a browser."""

import base64
import html
import json
import math
from typing import TYPE_CHECKING, Any

from skcell.study._plot import draw
from skcell.study._table import caption, difference, p_value

if TYPE_CHECKING:
    from skcell.study._study import Study

_RECALL = "recall "

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 48rem; } .quiet { color: #555; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } tr.best td { font-weight: 600; }
img { max-width: 100%; height: auto; } pre { overflow-x: auto; background: #f6f6f6; padding: 1rem; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; } .quiet { color: #aaa; }
  th, td { border-color: #444; } pre { background: #242424; } img { background: #fff; }
}
"""


def make_page(study: "Study", description: dict[str, Any]) -> str:
    """Write a study as HTML, with nothing to load from elsewhere.

    Parameters
    ----------
    study : Study
        A study that was run.
    description : dict
        Its configuration, hardware and versions.

    Returns
    -------
    str
        The page.
    """
    title = f"Study of {study.data_['name']}"
    picture = base64.b64encode(draw(study)).decode()
    classes = ", ".join(f"{name} {n:,}" for name, n in study.data_["classes"].items())
    rows = "".join(
        f"<li><b>{_text(row.name)}</b>: {_text(row.description)}</li>"
        for row in study.rows_
        if row.description
    )
    details = {key: description[key] for key in ("configuration", "environment", "data")}
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
<p class="quiet">{study.data_["n_images"]:,} images: {_text(classes)}.<br>
{_text(study.started_)} to {_text(study.finished_)}</p>
<h2>Accuracy</h2>
<div class="wide">{_accuracies(study)}</div>
<p>{_text(caption(study))}</p>
<p><img alt="Accuracy of each row, with its interval and its folds"
src="data:image/png;base64,{picture}"></p>
<h2>Other scores</h2>
<div class="wide">{_other_scores(study)}</div>
<p>Means over the folds. AUC: mean over classes, each against the rest.</p>
<h2>Recall: share of each class's images that was found</h2>
<div class="wide">{_recalls(study)}</div>
<h2>Rows</h2>
<ul>{rows}</ul>
<h2>What to keep in mind</h2>
<ul>
<li>The best of several rows was lucky as well as good: expect a little less of it on new
images.</li>
<li>Images of one patient or slide are alike. Unless whole groups were kept together, accuracies are
those on patients that were seen.</li>
<li>Cells of another laboratory, stain or camera were not measured.</li>
</ul>
<h2>Settings, hardware and versions</h2>
<details><summary>All of them</summary><pre>{_text(json.dumps(details, indent=2))}</pre></details>
</body>
</html>
"""


def _accuracies(study: "Study") -> str:
    head = [
        "Row",
        "Accuracy",
        f"{100 * study.confidence:g} % interval",
        f"vs. {study.rows_[0].name}",
        "Its interval",
        "p",
        "Folds",
        "Fit",
    ]
    best = max((row.accuracy for row in study.rows_ if row.complete), default=None)
    lines = []
    for row in study.rows_:
        ends = f"{100 * row.difference_low:+.1f} to {100 * row.difference_high:+.1f}"
        cells = [
            row.name,
            f"{100 * row.accuracy:.1f} %",
            f"{100 * row.low:.1f} to {100 * row.high:.1f}",
            difference(row),
            "" if "nan" in ends else ends,
            p_value(row),
            f"{len(row.scores)}/{row.n_folds}",
            f"{row.fit_seconds:.1f} s",
        ]
        lines.append((cells, row.complete and row.accuracy == best))
    return _table(head, lines)


def _other_scores(study: "Study") -> str:
    names = [name for name in study.rows_[0].means if not name.startswith(_RECALL)]
    readable = {"balanced_accuracy": "Balanced accuracy", "f1_macro": "Macro F1", "auc": "AUC"}
    return _means(study, {name: readable.get(name, name) for name in names})


def _recalls(study: "Study") -> str:
    names = [name for name in study.rows_[0].means if name.startswith(_RECALL)]
    return _means(study, {name: name.removeprefix(_RECALL) for name in names})


def _means(study: "Study", names: dict[str, str]) -> str:
    lines = []
    for row in study.rows_:
        means = [row.means.get(name, math.nan) for name in names]
        lines.append(([row.name, *("" if math.isnan(m) else f"{m:.3f}" for m in means)], False))
    return _table(["Row", *names.values()], lines)


def _table(head: list[str], lines: list[tuple[list[str], bool]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in cells)

    body = "".join(
        f"<tr{' class=best' if best else ''}>{line(cells, 'td')}</tr>" for cells, best in lines
    )
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    return html.escape(str(value))
