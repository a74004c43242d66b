"""The study's table in a terminal."""

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from skcell.study._records import RowResult
    from skcell.study._study import Study


def rows_table(study: "Study") -> Table:
    """Lay out the results of a study.

    Parameters
    ----------
    study : Study
        A study that was run.

    Returns
    -------
    rich.table.Table
        One line for each row, accuracies in per cent.
    """
    data, rows = study.data_, study.rows_
    title = f"{data['name']}: {data['n_images']:,} images, {data['n_classes']} classes"
    table = Table(title=title, title_justify="left")
    table.add_column("Row", overflow="fold")  # gives way where the terminal is narrow
    table.add_column("Accuracy", justify="right", no_wrap=True)
    table.add_column(f"{100 * study.confidence:g} % interval", justify="right", no_wrap=True)
    compared = any(not math.isnan(row.difference) for row in rows)
    if compared:
        table.add_column(f"vs. {rows[0].name}", justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
    table.add_column("Folds", justify="right", no_wrap=True)
    table.add_column("Fit", justify="right", no_wrap=True)
    best = max((row.accuracy for row in rows if row.complete), default=None)
    for row in rows:
        style = "bold green" if row.complete and row.accuracy == best else ""
        table.add_row(
            Text(row.name, style=style),
            Text(f"{100 * row.accuracy:.1f} %", style=style),
            f"{100 * row.low:.1f} to {100 * row.high:.1f}",
            *((difference(row), p_value(row)) if compared else ()),
            Text(f"{len(row.scores)}/{row.n_folds}", style="" if row.complete else "yellow"),
            f"{row.fit_seconds:.1f} s",
        )
    return table


def difference(row: "RowResult") -> str:
    """Write the difference of a row from the first, in points of per cent."""
    return "" if math.isnan(row.difference) else f"{100 * row.difference:+.1f}"


def p_value(row: "RowResult") -> str:
    """Write the p value of that difference."""
    if math.isnan(row.p_value):
        return ""
    return "<0.001" if row.p_value < 0.001 else f"{row.p_value:.3f}"


def caption(study: "Study") -> str:
    """State protocol, kind of interval and what is missing.

    Parameters
    ----------
    study : Study
        A study that was run.

    Returns
    -------
    str
        A few sentences.
    """
    several = any(row.n_folds > 1 for row in study.rows_)
    kind = (
        "corrected resampled t (Nadeau & Bengio), at least Wilson's"
        if several
        else "Wilson's, of one split"
    )
    text = (
        f"Validation accuracy; {study.protocol_}; {study.epochs} epochs, seed "
        f"{study.random_state}. Intervals: {kind}."
    )
    if any(not math.isnan(row.p_value) for row in study.rows_):
        text += (
            " p: of the paired difference, corrected for overlapping folds and many rows (Holm)."
        )
    if len(set(study.data_["classes"].values())) == 1:
        text += " All classes are of one size: class weights and SMOTE change nothing."
    if not study.complete_:
        text += " Interrupted: rows and folds are missing."
    return text
