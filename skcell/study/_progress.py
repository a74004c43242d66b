"""Progress of a study: a live table in a terminal, or one line per fit in a log."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import keras
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from skcell._text import printable
from skcell.study._records import FoldResult


@dataclass
class Progress:
    """Counts fits, and estimates the time left from those that were timed; shows nothing."""

    techniques: Sequence[str]
    n_folds: int
    title: str = ""
    protocol: str = ""
    folds: dict[str, list[FoldResult]] = field(default_factory=dict)
    epoch: tuple[str, int, int] | None = None  # technique, finished epochs, all epochs
    _seconds: dict[str, list[float]] = field(default_factory=dict)
    _before: dict[str, list[float]] = field(default_factory=dict)  # of fits read from a file
    _started: float = field(default_factory=time.perf_counter)
    _mark: float = field(default_factory=time.perf_counter)

    def __enter__(self) -> Self:
        self._started = self._mark = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing anything."""

    @property
    def n_fits(self) -> int:
        """Number of fits planned."""
        return len(self.techniques) * self.n_folds

    @property
    def n_done(self) -> int:
        """Number of fits scored."""
        return sum(len(folds) for folds in self.folds.values())

    def add(self, result: FoldResult, *, measured: bool = True) -> None:
        """Count a fit that was just scored or, if `measured` is False, in an earlier run."""
        now = time.perf_counter()
        self.folds.setdefault(result.technique, []).append(result)
        if measured:
            self._seconds.setdefault(result.technique, []).append(now - self._mark)
        else:
            self._before.setdefault(result.technique, []).append(np.nan_to_num(result.fit_seconds))
        self._mark, self.epoch = now, None

    def resume(self, results: list[FoldResult], n_others: int, n_odd: int = 0) -> None:
        """Count fits scored before; mention results of other studies and lines without results."""
        for result in results:
            Progress.add(self, result, measured=False)
        told = []
        if results:
            told.append(f"Resuming: {len(results)} of {self.n_fits} fits are done already.")
        if n_others:
            told.append(
                f"The file also holds {n_others} results of other data or settings; they are kept."
            )
        if n_odd:
            told.append(f"{n_odd} lines of the file are not results; they are kept as they are.")
        if told:
            self.message(" ".join(told))

    def message(self, text: str) -> None:
        """Show a message."""

    def mean(self, technique: str) -> float | None:
        """Return the mean accuracy of a technique so far."""
        folds = self.folds.get(technique)
        if not folds or any(fold.error for fold in folds):
            return None
        return float(np.mean([fold.accuracy for fold in folds]))

    def best(self) -> tuple[str, float] | None:
        """Return the technique with the highest mean so far, and this mean."""
        means = [
            (name, float(mean)) for name in self.techniques if (mean := self.mean(name)) is not None
        ]
        return max(means, key=lambda pair: pair[1], default=None)

    def seconds_left(self) -> float | None:
        """Estimate the seconds left; None as long as this would be a guess.

        A missing fit is assumed to take as long as the fits of its technique did on average, in
        this run or else in earlier runs. Techniques differ by more than ten times, so there is no
        estimate before each technique that has fits missing was timed, nor when the fit that runs
        takes longer than all that were expected.
        """
        seconds = {**self._before, **self._seconds}
        left = 0.0
        for technique in self.techniques:
            missing = self.n_folds - len(self.folds.get(technique, []))
            if missing and technique not in seconds:
                return None
            left += missing * float(np.mean(seconds[technique])) if missing else 0.0
        left -= time.perf_counter() - self._mark
        return left if left > 0 else None

    def describe_time(self) -> str:
        """Say how much time is left or, at the end, how much was needed."""
        if self.n_done == self.n_fits:
            return f"all done in {duration(self.elapsed())}"
        seconds = self.seconds_left()
        return "estimating the time left" if seconds is None else f"about {duration(seconds)} left"

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._started


class LogProgress(Progress):
    """Prints one line for each fit."""

    def message(self, text: str) -> None:
        """Print a message."""
        print(printable(text), flush=True)

    def __enter__(self) -> Self:
        self.message(f"Study of {self.title}; {self.protocol}")
        n_techniques = len(self.techniques)
        self.message(f"{n_techniques} techniques x {self.n_folds} split(s) = {self.n_fits} fits")
        return super().__enter__()

    def add(self, result: FoldResult, *, measured: bool = True) -> None:
        """Count a fit, and print its line."""
        super().add(result, measured=measured)
        what = (
            f"failed: {result.error.rstrip('.')}"
            if result.error
            else f"accuracy {result.accuracy:.3f} ({result.n_correct}/{result.n_test}), "
            f"fit {result.fit_seconds:.1f} s"
        )
        width = len(str(self.n_fits))
        self.message(
            f"[{self.n_done:{width}}/{self.n_fits}] {result.technique}, "
            f"fold {result.fold + 1}/{self.n_folds}: {what}, {self.describe_time()}"
        )


class LiveProgress(Progress):
    """Shows a table that is updated while the study runs, and removed at its end."""

    _said = ""

    def __enter__(self) -> Self:
        super().__enter__()
        self._live = Live(get_renderable=self.render, refresh_per_second=4, transient=True)
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop using the terminal."""
        self._live.stop()

    def message(self, text: str) -> None:
        """Show a message below the table."""
        self._said = f"{text} "

    def render(self) -> Group:
        """Draw the current state."""
        table = Table(title=Text(printable(self.title)), caption=Text(self.protocol))
        table.title_justify = table.caption_justify = "left"
        for head in ("Technique", "Folds", "Mean so far", "Fit"):
            justify: Any = "right" if head in ("Mean so far", "Fit") else "left"
            table.add_column(head, justify=justify, no_wrap=True)
        table.add_column("Now", width=24, no_wrap=True)
        best = self.best()
        for technique in self.techniques:
            folds = self.folds.get(technique, [])
            mean = self.mean(technique)
            seconds = [fold.fit_seconds for fold in folds if not fold.error]
            style = "bold green" if best and best[0] == technique else ""
            shown = Text("" if mean is None else f"{100 * mean:.1f} %", style=style)
            if any(fold.error for fold in folds):
                shown = Text("failed", style="red")
            table.add_row(
                Text(printable(technique), style=style),
                f"{len(folds)}/{self.n_folds}",
                shown,
                f"{sum(seconds) / len(seconds):.1f} s" if seconds else "",
                self._now(technique),
            )
        leader = f"; best so far: {printable(best[0])}, {100 * best[1]:.1f} %" if best else ""
        line = (
            f"{self.n_done} of {self.n_fits} fits in {duration(self.elapsed())}, "
            f"{self.describe_time()}{leader}"
        )
        hint = f"{self._said}Ctrl-C stops the study and keeps the finished fits."
        return Group(table, Text(line), Text(hint, style="dim"))

    def _now(self, technique: str) -> Table | str:
        epoch = self.epoch
        if epoch is None or epoch[0] != technique:
            return ""
        now = Table.grid(padding=(0, 1, 0, 0))
        now.add_row(
            f"epoch {epoch[1]}/{epoch[2]}",
            ProgressBar(total=epoch[2], completed=epoch[1], width=10),
        )
        return now


def choose_progress(verbose: int | bool) -> type[Progress]:
    """Choose how to show the progress of a study."""
    console = Console()
    if not verbose:
        return Progress
    return LiveProgress if console.is_terminal and not console.is_dumb_terminal else LogProgress


class EpochWatch(keras.callbacks.Callback):
    """Callback that reports the epochs of one technique's fits.

    scikit-learn copies parameters for every fit; a copy of this callback is the callback itself, so
    that it still reaches the progress. In another process it reports nothing.
    """

    uses_model = False

    def __init__(self, technique: str, progress: Progress | None):
        super().__init__()
        self.technique, self.progress = technique, progress

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "progress": None, "_model": None}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Report that a fit starts."""
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the number of epochs that have ended."""
        if self.progress is not None:
            self.progress.epoch = self.technique, epoch + 1, self.params["epochs"]


def duration(seconds: float) -> str:
    """Format a duration for display: 48 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
