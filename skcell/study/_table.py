"""The study's table in a terminal."""

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from skcell.study._records import Summary
from skcell.study._text import printable

if TYPE_CHECKING:
    from skcell.study._records import RowResult
    from skcell.study._study import Study

_STILL_FALLING = 0.05  # share of the loss, in one epoch


def rows_table(study: "Study", width: int = 80) -> Table:
    """Lay out the results of a study.

    Parameters
    ----------
    study : Study
        A study that was run.
    width : int
        Of the terminal, in letters; a second score stands where there is room.

    Returns
    -------
    rich.table.Table
        One line for each row, accuracies in per cent.
    """
    data, rows = study.data_, study.rows_
    title = f"{data['name']}: {data['n_images']:,} images, {data['n_classes']} classes"
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("Row", overflow="fold", min_width=10)  # gives way in a narrow terminal
    table.add_column(_SHORT.get(study.score_, readable(study.score_)), justify="right")
    table.add_column(f"{100 * study.confidence:g} % interval", justify="right", no_wrap=True)
    compared = any(not math.isnan(row.difference) for row in rows)
    if compared:
        table.add_column(Text(f"vs. {printable(rows[0].name)}"), justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
    beside = other_score(study) if width >= _ROOMY else None
    if beside is not None:
        table.add_column(_SHORT[beside], justify="right", no_wrap=True)
    table.add_column("Folds", justify="right", no_wrap=True)
    table.add_column("Fit", justify="right", no_wrap=True)
    best = best_row(study)
    for row in rows:
        style = "bold green" if row is best else ""
        if row.error:
            style = "red"
        main = summary_of(row, study.score_)
        table.add_row(
            Text(printable(row.name), style=style),
            Text("failed" if row.error else figure(main.mean, study.score_), style=style),
            interval(main, study.score_),
            *((difference(main, study.score_), p_value(main)) if compared else ()),
            *((figure(summary_of(row, beside).mean, beside),) if beside else ()),
            Text(f"{len(row.scores)}/{row.n_folds}", style="" if row.complete else "yellow"),
            "" if math.isnan(row.fit_seconds) else f"{row.fit_seconds:.1f} s",
        )
    return table


_ROOMY = 95  # letters
_SHORT = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced"}
_READABLE = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "Macro F1",
    "auc": "AUC",
}


def readable(score: str) -> str:
    """Name a score for people."""
    return _READABLE.get(score, printable(score))


def other_score(study: "Study") -> str:
    """Name the score that stands beside the one that decides."""
    return "balanced_accuracy" if study.score_ == "accuracy" else "accuracy"


def best_row(study: "Study") -> "RowResult | None":
    """Find the row that is best by the score that decides, of those with all folds."""
    known = [
        row
        for row in study.rows_
        if row.complete and not math.isnan(summary_of(row, study.score_).mean)
    ]
    return max(known, key=lambda row: summary_of(row, study.score_).mean, default=None)


def summary_of(row: "RowResult", score: str) -> "Summary":
    """Return a row's summary of a score; of nothing but NaN where there is none."""
    return row.summaries.get(score) or Summary(math.nan)


def in_percent(score: str) -> bool:
    """Whether a score is a share of images, shown in per cent."""
    return score in ("accuracy", "balanced_accuracy") or score.startswith("recall ")


def figure(value: float, score: str) -> str:
    """Write a score; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{100 * value:.1f} %" if in_percent(score) else f"{value:.3f}"


def interval(summary: "Summary", score: str) -> str:
    """Write an interval; "none" where images cannot tell any, nothing without a score."""
    if math.isnan(summary.mean):
        return ""
    if math.isnan(summary.low):
        return "none"
    if in_percent(score):
        return f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"
    return f"{summary.low:.3f} to {summary.high:.3f}"


def difference(summary: "Summary", score: str) -> str:
    """Write the difference from the first row, in points of per cent where these are used."""
    if math.isnan(summary.difference):
        return ""
    return f"{100 * summary.difference:+.1f}" if in_percent(score) else f"{summary.difference:+.3f}"


def difference_interval(summary: "Summary", score: str) -> str:
    """Write the interval of that difference."""
    if math.isnan(summary.difference_low):
        return ""
    low, high = summary.difference_low, summary.difference_high
    if in_percent(score):
        return f"{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{low:+.3f} to {high:+.3f}"


def p_value(summary: "Summary") -> str:
    """Write the p value of that difference."""
    if math.isnan(summary.p_value):
        return ""
    return "<0.001" if summary.p_value < 0.001 else f"{summary.p_value:.3f}"


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
    if study.data_["n_groups"]:
        kind += f" of an effective number of images, for {study.data_['n_groups']} groups"
    text = (
        f"Scores of validation images; {study.protocol_}; {study.epochs} epochs, seed "
        f"{study.random_state}. Intervals: {kind}."
    )
    shown = [summary_of(row, study.score_) for row in study.rows_]
    if any(math.isnan(summary.low) and not math.isnan(summary.mean) for summary in shown):
        text += " None where the images of one split, or of one group, cannot tell any."
    if any(not math.isnan(row.p_value) for row in study.rows_):
        text += (
            f" Differences from {study.rows_[0].name!r}: paired; p and intervals corrected for "
            f"overlapping folds and {len(study.rows_) - 1} comparison(s)."
        )
    if len(set(study.data_["classes"].values())) == 1:
        text += (
            " All classes are of one size, so that class weights and SMOTE have next to nothing to "
            "do: what differs with them is chance."
        )
    falling = [row.name for row in study.rows_ if row.loss_drop > _STILL_FALLING]
    if falling:
        text += (
            f" The loss still fell by more than {100 * _STILL_FALLING:g} % in the last epoch of "
            f"{', '.join(falling)}: more epochs may change the order."
        )
    failed = [row for row in study.rows_ if row.error]
    for row in failed:
        text += f" {row.name} failed: {row.error}"
    for sentence in study.data_.get("duplicates", ()):
        text += f" {sentence}"
    if not study.complete_:
        text += " Interrupted: rows and folds are missing."
    return printable(text)
