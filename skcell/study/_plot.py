"""The plot of a study."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from skcell._text import printable
from skcell.study._table import Shown, in_percent, readable, title_of

if TYPE_CHECKING:
    from skcell.study._result import StudyResult

# Okabe and Ito's palette can be distinguished by colour-blind readers and in greyscale.
_BASE, _OTHER, _FOLD = "#555555", "#0072B2", "#E69F00"


def plot_techniques(result: "StudyResult", ax: Any = None) -> Any:
    """Plot the deciding score with intervals and folds, one line for each technique."""
    techniques, score = result.techniques, result.score
    scale = 100 if in_percent(score) else 1
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=figure_size(len(techniques)), layout="constrained")
    ax.axvline(
        scale * techniques[0].summaries[score].mean,
        color=_BASE,
        linestyle="--",
        linewidth=1,
        zorder=0,
        label=printable(techniques[0].name),
    )
    for place, technique in enumerate(techniques):
        color = _BASE if place == 0 else _OTHER
        shown = Shown.of(technique, score)
        summary = shown.summary
        mean = scale * summary.mean
        ends = np.nan_to_num([[mean - scale * summary.low], [scale * summary.high - mean]])
        ax.errorbar(
            mean,
            place,
            xerr=np.maximum(ends, 0),
            fmt="o",
            color=color,
            markerfacecolor=color if technique.complete else "white",
            markersize=7,
            capsize=4,
            linewidth=1.8,
            zorder=3,
            label=("mean and interval" if place == 0 else None),
        )
        scores = [fold.score(score) for fold in result.folds if fold.technique == technique.name]
        if len(scores) > 1:
            ax.scatter(
                scale * np.array(scores),
                np.full(len(scores), place + 0.24),
                s=14,
                color=_FOLD,
                edgecolors="black",
                linewidths=0.4,
                zorder=2,
                label=("single folds" if place == 0 else None),
            )
        ax.annotate(
            shown.mean,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            color="0.2",
        )
    names = [
        technique.name
        if technique.complete
        else f"{technique.name}\n({len(technique.scores)} of {technique.n_folds} folds)"
        for technique in techniques
    ]
    ax.set_yticks(range(len(techniques)), [printable(name) for name in names])
    ax.set_ylim(len(techniques) - 0.4, -0.6)
    unit = " (%)" if in_percent(score) else ""
    what = f"validation {readable(score)[0].lower()}{readable(score)[1:]}"
    ax.set_xlabel(f"{what}{unit}, {100 * result.confidence_level:g} % interval")
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    name = printable(title_of(result.data)) + ("" if result.complete else " (interrupted)")
    title = ax.set_title(f"{name}\n", loc="left", fontweight="bold", fontsize=11)
    ax.text(0, 1.02, result.protocol, transform=ax.transAxes, fontsize=9)
    # Below the axis label, at a distance in font sizes that does not depend on the plot's height.
    legend = ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=5,
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    for text in (*ax.texts, *ax.get_yticklabels(), *legend.get_texts(), title):
        text.set_parse_math(False)  # a name may hold a dollar sign
    return ax


def figure_size(n_techniques: int) -> tuple[float, float]:
    """Return the size of the plot for a number of techniques."""
    return 8.0, 2.0 + 0.5 * n_techniques


def draw(result: "StudyResult") -> bytes:
    """Draw the plot of a study."""
    from matplotlib.figure import Figure  # uses Agg, and does not touch pyplot

    figure = Figure(figsize=figure_size(len(result.techniques)), layout="constrained")
    plot_techniques(result, figure.subplots())
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()
