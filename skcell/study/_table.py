"""The table of a study in a terminal."""

import math

from rich.table import Table
from rich.text import Text

from skcell._text import printable
from skcell.study._records import StudyRecord, Summary, TechniqueResult

_STILL_FALLING = 0.05  # fraction of the loss, in one epoch
_BEHIND = 0.05  # in accuracy, behind the best technique, and even on the training images


def _balances(technique: TechniqueResult) -> bool:
    """Return whether a technique weights classes or adds images to some."""
    return any(
        value is not None and value != "passthrough"
        for name, value in technique.parameters.items()
        if name == "smote" or name.endswith("class_weight")
    )


def result_table(result: StudyRecord, width: int = 80) -> Table:
    """Make a table of the results of a study."""
    data, techniques = result.data, result.techniques
    title = f"{data['name']}: {data['n_images']:,} images, {data['n_classes']} classes"
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("Technique", overflow="fold", min_width=10)  # shrinks in a narrow terminal
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


_ROOMY = 95  # characters
_SHORT = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced"}
_READABLE = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "Macro F1",
    "auc": "AUC",
}


def readable(score: str) -> str:
    """Return the name of a score for display."""
    return _READABLE.get(score, printable(score))


def other_score(result: StudyRecord) -> str:
    """Return the name of the score that is shown beside the deciding one."""
    return "balanced_accuracy" if result.score == "accuracy" else "accuracy"


def best_technique(result: StudyRecord) -> TechniqueResult | None:
    """Return the best technique by the deciding score, among those with all folds."""
    known = [
        technique
        for technique in result.techniques
        if technique.complete and not math.isnan(summary_of(technique, result.score).mean)
    ]
    return max(known, key=lambda technique: summary_of(technique, result.score).mean, default=None)


def summary_of(technique: TechniqueResult, score: str) -> Summary:
    """Return a technique's summary of a score; all values are NaN if there is none."""
    return technique.summaries.get(score) or Summary(math.nan)


def in_percent(score: str) -> bool:
    """Return whether a score is a fraction of images, which is shown in per cent."""
    return score in ("accuracy", "balanced_accuracy") or score.startswith("recall ")


def figure(value: float, score: str) -> str:
    """Format a score; NaN gives an empty string."""
    if math.isnan(value):
        return ""
    return f"{100 * value:.1f} %" if in_percent(score) else f"{value:.3f}"


def interval(summary: Summary, score: str) -> str:
    """Format an interval; "none" if it cannot be computed, empty if there is no score."""
    if math.isnan(summary.mean):
        return ""
    if math.isnan(summary.low):
        return "none"
    if in_percent(score):
        return f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"
    return f"{summary.low:.3f} to {summary.high:.3f}"


def difference(summary: Summary, score: str) -> str:
    """Format the difference from the first technique, as percentage points if in per cent."""
    if math.isnan(summary.difference):
        return ""
    return f"{100 * summary.difference:+.1f}" if in_percent(score) else f"{summary.difference:+.3f}"


def difference_interval(summary: Summary, score: str) -> str:
    """Format the interval of the difference from the first technique."""
    if math.isnan(summary.difference_low):
        return ""
    low, high = summary.difference_low, summary.difference_high
    if in_percent(score):
        return f"{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{low:+.3f} to {high:+.3f}"


def p_value(summary: Summary) -> str:
    """Format the p value of the difference from the first technique."""
    if math.isnan(summary.p_value):
        return ""
    return "<0.001" if summary.p_value < 0.001 else f"{summary.p_value:.3f}"


def caption(result: StudyRecord) -> str:
    """Describe the protocol, the kind of interval and what is missing."""
    several = any(technique.n_folds > 1 for technique in result.techniques)
    kind = (
        "Wilson's, by the variance between images and between folds"
        if several
        else "Wilson's, for one split"
    )
    if result.data["n_groups"]:
        kind += f", with an effective number of images, for {result.data['n_groups']} groups"
    text = f"Scores are those of validation images; {result.protocol}. Intervals: {kind}."
    shown = [summary_of(technique, result.score) for technique in result.techniques]
    if any(math.isnan(summary.low) and not math.isnan(summary.mean) for summary in shown):
        text += ' An interval is "none" if one split or one group is not enough to compute it.'
    if any(not math.isnan(technique.p_value) for technique in result.techniques):
        text += (
            f" Differences from {result.techniques[0].name!r} are paired; p values and intervals "
            f"are corrected for overlapping folds and {len(result.techniques) - 1} comparison(s)."
        )
    if len(set(result.data["classes"].values())) == 1 and any(map(_balances, result.techniques)):
        text += (
            " All classes have the same size, so class weights and SMOTE have almost no effect; "
            "differences with them are due to chance."
        )
    falling = [
        technique.name for technique in result.techniques if technique.loss_drop > _STILL_FALLING
    ]
    if falling:
        text += (
            f" The loss still fell by more than {100 * _STILL_FALLING:g} % in the last epoch of "
            f"{', '.join(falling)}; more epochs may change the order."
        )
    known = [t for t in result.techniques if not math.isnan(t.accuracy)]
    enough = max((technique.accuracy for technique in known), default=0.0) - _BEHIND
    for technique in known:
        trained = technique.training_accuracy
        if technique.accuracy < enough and trained < enough:
            text += (
                f" {technique.name} had an accuracy of only {100 * trained:.0f} % on its training "
                "images, too, in the last epoch: it needs more epochs, or a larger network."
            )
    failed = [technique for technique in result.techniques if technique.error]
    for technique in failed:
        text += f" {technique.name} failed: {technique.error}"
    for sentence in result.data.get("duplicates", ()):
        text += f" {sentence}"
    if not result.complete:
        text += " The study was interrupted; techniques or folds are missing."
    return printable(text)
