"""The study's table in a terminal."""

import math

from rich.table import Table
from rich.text import Text

from skcell.study._records import StudyRecord, Summary, TechniqueResult
from skcell.study._text import printable

_STILL_FALLING = 0.05  # share of the loss, in one epoch


def result_table(result: StudyRecord, width: int = 80) -> Table:
    """Lay out the results of a study.

    Parameters
    ----------
    result : StudyRecord
        What a study found.
    width : int
        Of the terminal, in letters; a second score stands where there is room.

    Returns
    -------
    rich.table.Table
        One line for each technique, accuracies in per cent.
    """
    data, techniques = result.data, result.techniques
    title = f"{data['name']}: {data['n_images']:,} images, {data['n_classes']} classes"
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("Technique", overflow="fold", min_width=10)  # gives way in a narrow terminal
    table.add_column(_SHORT.get(result.score, readable(result.score)), justify="right")
    table.add_column(f"{100 * result.confidence_level:g} % interval", justify="right", no_wrap=True)
    compared = any(not math.isnan(technique.difference) for technique in techniques)
    if compared:
        table.add_column(
            Text(f"vs. {printable(techniques[0].name)}"), justify="right", no_wrap=True
        )
        table.add_column("p", justify="right", no_wrap=True)
    beside = other_score(result) if width >= _ROOMY else None
    if beside is not None:
        table.add_column(_SHORT[beside], justify="right", no_wrap=True)
    table.add_column("Folds", justify="right", no_wrap=True)
    table.add_column("Fit", justify="right", no_wrap=True)
    best = best_technique(result)
    for technique in techniques:
        style = "bold green" if technique is best else ""
        if technique.error:
            style = "red"
        main = summary_of(technique, result.score)
        table.add_row(
            Text(printable(technique.name), style=style),
            Text("failed" if technique.error else figure(main.mean, result.score), style=style),
            interval(main, result.score),
            *((difference(main, result.score), p_value(main)) if compared else ()),
            *((figure(summary_of(technique, beside).mean, beside),) if beside else ()),
            Text(
                f"{len(technique.scores)}/{technique.n_folds}",
                style="" if technique.complete else "yellow",
            ),
            "" if math.isnan(technique.fit_seconds) else f"{technique.fit_seconds:.1f} s",
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


def other_score(result: StudyRecord) -> str:
    """Name the score that stands beside the one that decides."""
    return "balanced_accuracy" if result.score == "accuracy" else "accuracy"


def best_technique(result: StudyRecord) -> TechniqueResult | None:
    """Find the technique that is best by the score that decides, of those with all folds."""
    known = [
        technique
        for technique in result.techniques
        if technique.complete and not math.isnan(summary_of(technique, result.score).mean)
    ]
    return max(known, key=lambda technique: summary_of(technique, result.score).mean, default=None)


def summary_of(technique: TechniqueResult, score: str) -> Summary:
    """Return a technique's summary of a score; of nothing but NaN where there is none."""
    return technique.summaries.get(score) or Summary(math.nan)


def in_percent(score: str) -> bool:
    """Whether a score is a share of images, shown in per cent."""
    return score in ("accuracy", "balanced_accuracy") or score.startswith("recall ")


def figure(value: float, score: str) -> str:
    """Write a score; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{100 * value:.1f} %" if in_percent(score) else f"{value:.3f}"


def interval(summary: Summary, score: str) -> str:
    """Write an interval; "none" where images cannot tell any, nothing without a score."""
    if math.isnan(summary.mean):
        return ""
    if math.isnan(summary.low):
        return "none"
    if in_percent(score):
        return f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"
    return f"{summary.low:.3f} to {summary.high:.3f}"


def difference(summary: Summary, score: str) -> str:
    """Write the difference from the first technique, in points of per cent where these are used."""
    if math.isnan(summary.difference):
        return ""
    return f"{100 * summary.difference:+.1f}" if in_percent(score) else f"{summary.difference:+.3f}"


def difference_interval(summary: Summary, score: str) -> str:
    """Write the interval of that difference."""
    if math.isnan(summary.difference_low):
        return ""
    low, high = summary.difference_low, summary.difference_high
    if in_percent(score):
        return f"{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{low:+.3f} to {high:+.3f}"


def p_value(summary: Summary) -> str:
    """Write the p value of that difference."""
    if math.isnan(summary.p_value):
        return ""
    return "<0.001" if summary.p_value < 0.001 else f"{summary.p_value:.3f}"


def caption(result: StudyRecord) -> str:
    """State protocol, kind of interval and what is missing.

    Parameters
    ----------
    result : StudyRecord
        What a study found.

    Returns
    -------
    str
        A few sentences.
    """
    several = any(technique.n_folds > 1 for technique in result.techniques)
    kind = (
        "corrected resampled t (Nadeau & Bengio), at least Wilson's"
        if several
        else "Wilson's, of one split"
    )
    if result.data["n_groups"]:
        kind += f" of an effective number of images, for {result.data['n_groups']} groups"
    text = f"Scores of validation images; {result.protocol}. Intervals: {kind}."
    shown = [summary_of(technique, result.score) for technique in result.techniques]
    if any(math.isnan(summary.low) and not math.isnan(summary.mean) for summary in shown):
        text += " None where the images of one split, or of one group, cannot tell any."
    if any(not math.isnan(technique.p_value) for technique in result.techniques):
        text += (
            f" Differences from {result.techniques[0].name!r}: paired; p and intervals corrected "
            f"for overlapping folds and {len(result.techniques) - 1} comparison(s)."
        )
    if len(set(result.data["classes"].values())) == 1:
        text += (
            " All classes are of one size, so that class weights and SMOTE have next to nothing to "
            "do: what differs with them is chance."
        )
    falling = [
        technique.name for technique in result.techniques if technique.loss_drop > _STILL_FALLING
    ]
    if falling:
        text += (
            f" The loss still fell by more than {100 * _STILL_FALLING:g} % in the last epoch of "
            f"{', '.join(falling)}: more epochs may change the order."
        )
    failed = [technique for technique in result.techniques if technique.error]
    for technique in failed:
        text += f" {technique.name} failed: {technique.error}"
    for sentence in result.data.get("duplicates", ()):
        text += f" {sentence}"
    if not result.complete:
        text += " Interrupted: techniques and folds are missing."
    return printable(text)
