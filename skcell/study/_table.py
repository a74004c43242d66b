"""The table of a study in a terminal, and how its numbers are written everywhere."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from skcell._text import printable
from skcell.study._records import Summary, TechniqueResult

if TYPE_CHECKING:
    from skcell.study._result import StudyResult

_STILL_FALLING = 0.05  # fraction of the loss, in one epoch
_BEHIND = 0.05  # in accuracy, behind the best technique, and even on the training images
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


def in_percent(score: str) -> bool:
    """Return whether a score is a fraction of images, which is shown in per cent."""
    return score in ("accuracy", "balanced_accuracy") or score.startswith("recall ")


@dataclass(frozen=True)
class Shown:
    """A technique's summary of one score, as text; a value that is not known is empty."""

    summary: Summary
    score: str
    error: str = ""

    @classmethod
    def of(cls, technique: TechniqueResult, score: str) -> "Shown":
        """Return the summary of a technique; all its values are NaN if there is none."""
        summary = technique.summaries.get(score) or Summary(math.nan)
        return cls(summary, score, technique.error)

    def _write(self, *values: float, sign: str = "") -> str:
        if any(map(math.isnan, values)):
            return ""
        scale, digits = (100, 1) if in_percent(self.score) else (1, 3)
        return " to ".join(f"{scale * value:{sign}.{digits}f}" for value in values)

    @property
    def mean(self) -> str:
        """The mean, with its unit."""
        text = self._write(self.summary.mean)
        unit = " %" if text and in_percent(self.score) else ""
        return "failed" if self.error else text + unit

    @property
    def interval(self) -> str:
        """The interval of the mean; "none" if it cannot be computed."""
        missing = "" if math.isnan(self.summary.mean) else "none"
        return self._write(self.summary.low, self.summary.high) or missing

    @property
    def difference(self) -> str:
        """The difference from the first technique, as percentage points if in per cent."""
        return self._write(self.summary.difference, sign="+")

    @property
    def difference_interval(self) -> str:
        """The interval of this difference."""
        return self._write(self.summary.difference_low, self.summary.difference_high, sign="+")

    @property
    def p_value(self) -> str:
        """The p value of this difference."""
        p = self.summary.p_value
        if math.isnan(p):
            return ""
        return "<0.001" if p < 0.001 else f"{p:.3f}"


def title_of(data: Mapping[str, Any]) -> str:
    """Return the name and the size of the data of a study."""
    return "{name}: {n_images:,} images, {n_classes} classes".format(**data)


def result_table(result: "StudyResult", width: int = 80) -> Table:
    """Make a table of the results of a study."""
    techniques = result.techniques
    table = Table(title=Text(printable(title_of(result.data))), title_justify="left")
    table.add_column("Technique", overflow="fold", min_width=10)  # shrinks in a narrow terminal
    beside = other_score(result) if width >= _ROOMY else None
    compared = any(not math.isnan(technique.difference) for technique in techniques)
    table.add_column(_SHORT.get(result.score, readable(result.score)), justify="right")
    heads: list[str | Text] = [f"{100 * result.confidence_level:g} % interval"]
    heads += [Text(f"vs. {printable(techniques[0].name)}"), "p"] if compared else []
    heads += [_SHORT[beside]] if beside else []
    for head in (*heads, "Folds", "Fit"):
        table.add_column(head, justify="right", no_wrap=True)
    best = best_technique(result)
    for technique in techniques:
        style = "bold green" if technique is best else ""
        style = "red" if technique.error else style
        main = Shown.of(technique, result.score)
        table.add_row(
            Text(printable(technique.name), style=style),
            Text(main.mean, style=style),
            main.interval,
            *((main.difference, main.p_value) if compared else ()),
            *((Shown.of(technique, beside).mean,) if beside else ()),
            Text(fold_count(technique), style="" if technique.complete else "yellow"),
            fit_time(technique),
        )
    return table


def fold_count(technique: TechniqueResult) -> str:
    """Return how many of the planned folds were fitted."""
    return f"{len(technique.scores)}/{technique.n_folds}"


def fit_time(technique: TechniqueResult) -> str:
    """Return the mean duration of a fit."""
    return "" if math.isnan(technique.fit_seconds) else f"{technique.fit_seconds:.1f} s"


def other_score(result: "StudyResult") -> str:
    """Return the name of the score that is shown beside the deciding one."""
    return "balanced_accuracy" if result.score == "accuracy" else "accuracy"


def best_technique(result: "StudyResult") -> TechniqueResult | None:
    """Return the best technique by the deciding score, among those with all folds."""

    def mean(technique: TechniqueResult) -> float:
        return Shown.of(technique, result.score).summary.mean

    known = [one for one in result.techniques if one.complete and not math.isnan(mean(one))]
    return max(known, key=mean, default=None)


def caption(result: "StudyResult") -> str:
    """Describe the protocol, the kind of interval and what is missing."""
    techniques, data = result.techniques, result.data
    kind = "Wilson's, for one split"
    if any(technique.n_folds > 1 for technique in techniques):
        kind = "Wilson's, by the variance between images and between folds"
    if data["n_groups"]:
        kind += f", with an effective number of images, for {data['n_groups']} groups"
    told = [f"Scores are those of validation images; {result.protocol}. Intervals: {kind}."]
    shown = [Shown.of(technique, result.score) for technique in techniques]
    if any(one.interval == "none" for one in shown):
        told.append('An interval is "none" if one split or one group is not enough to compute it.')
    if any(not math.isnan(technique.p_value) for technique in techniques):
        told.append(
            f"Differences from {techniques[0].name!r} are paired; p values and intervals are "
            f"corrected for overlapping folds and {len(techniques) - 1} comparison(s)."
        )
    if len(set(data["classes"].values())) == 1 and any(map(_balances, techniques)):
        told.append(
            "All classes have the same size, so class weights and SMOTE have almost no effect; "
            "differences with them are due to chance."
        )
    falling = [technique.name for technique in techniques if technique.loss_drop > _STILL_FALLING]
    if falling:
        told.append(
            f"The loss still fell by more than {100 * _STILL_FALLING:g} % in the last epoch of "
            f"{', '.join(falling)}; more epochs may change the order."
        )
    known = [t for t in techniques if not math.isnan(t.accuracy)]
    enough = max((technique.accuracy for technique in known), default=0.0) - _BEHIND
    told += [
        f"{technique.name} had an accuracy of only {100 * technique.training_accuracy:.0f} % on "
        "its training images, too, in the last epoch: it needs more epochs, or a larger network."
        for technique in known
        if technique.accuracy < enough and technique.training_accuracy < enough
    ]
    told += [f"{one.name} failed: {one.error}" for one in techniques if one.error]
    told += data.get("duplicates", ())
    if not result.complete:
        told.append("The study was interrupted; techniques or folds are missing.")
    return printable(" ".join(told))


def _balances(technique: TechniqueResult) -> bool:
    """Return whether a technique weights classes or adds images to some."""
    return any(
        value is not None and value != "passthrough"
        for name, value in technique.parameters.items()
        if name == "smote" or name.endswith("class_weight")
    )
