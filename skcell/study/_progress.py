"""Progress of a study: a live table in a terminal, or one line per fit in a log."""

from types import TracebackType
from typing import Any, Self

import keras
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from skcell._text import printable
from skcell.study._records import FoldResult
from skcell.study._study_progress import StudyProgress, duration


class Reporter:
    """Follows the progress of a study; this base class shows nothing."""

    def __init__(self, progress: StudyProgress):
        self.progress = progress

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def epoch(self, technique: str, done: int, epochs: int) -> None:
        """Record that an epoch ended, or that the first epoch of a fit started."""
        self.progress.epoch = technique, done, epochs

    def fold(self, result: FoldResult) -> None:
        """Record a fit that was scored."""
        self.progress.add(result)

    def resume(self, results: list[FoldResult], n_others: int, n_odd: int = 0) -> None:
        """Record fits scored before; mention results of other studies and lines without results."""
        for result in results:
            self.progress.add(result, measured=False)
        known = f"Resuming: {len(results)} of {self.progress.n_fits} fits are done already. "
        others = (
            f"The file also holds {n_others} results of other data or settings; they are kept. "
        )
        odd = f"{n_odd} lines of the file are not results; they are kept as they are."
        self.message(
            (known if results else "") + (others if n_others else "") + (odd if n_odd else "")
        )

    def message(self, text: str) -> None:
        """Show a message, unless it is empty."""


class LogReporter(Reporter):
    """Prints one line for each fit."""

    def message(self, text: str) -> None:
        """Print a message."""
        if text:
            _say(text.strip())

    def __enter__(self) -> Self:
        progress = self.progress
        _say(f"Study of {progress.title}; {progress.protocol}")
        n_techniques = len(progress.techniques)
        _say(f"{n_techniques} techniques x {progress.n_folds} split(s) = {progress.n_fits} fits")
        return super().__enter__()

    def fold(self, result: FoldResult) -> None:
        """Record a fit that was scored, and print its line."""
        super().fold(result)
        progress = self.progress
        what = (
            f"failed: {result.error.rstrip('.')}"
            if result.error
            else f"accuracy {result.accuracy:.3f} ({result.n_correct}/{result.n_test}), "
            f"fit {result.fit_seconds:.1f} s"
        )
        width = len(str(progress.n_fits))
        _say(
            f"[{progress.n_done:{width}}/{progress.n_fits}] {result.technique}, "
            f"fold {result.fold + 1}/{progress.n_folds}: {what}, {_eta(progress)}"
        )


class LiveReporter(Reporter):
    """Shows a table that is updated while the study runs, and removed at its end."""

    def __init__(self, progress: StudyProgress, console: Console):
        super().__init__(progress)
        self._said = ""
        self._live = Live(
            get_renderable=self.render, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        super().__enter__()
        self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop using the terminal."""
        self._live.stop()

    def message(self, text: str) -> None:
        """Show a message below the table."""
        self._said = text.strip()

    def render(self) -> Group:
        """Draw the current state."""
        progress = self.progress
        title = Text(printable(progress.title))
        table = Table(title=title, caption=Text(progress.protocol), title_justify="left")
        table.caption_justify = "left"
        table.add_column("Technique", no_wrap=True)
        table.add_column("Folds", no_wrap=True)
        table.add_column("Mean so far", justify="right", no_wrap=True)
        table.add_column("Fit", justify="right", no_wrap=True)
        table.add_column("Now", width=24, no_wrap=True)
        best = progress.best()
        for technique in progress.techniques:
            folds = progress.folds.get(technique, [])
            mean = progress.mean(technique)
            seconds = [fold.fit_seconds for fold in folds if not fold.error]
            failed = any(fold.error for fold in folds)
            style = "bold green" if best and best[0] == technique else ""
            table.add_row(
                Text(printable(technique), style=style),
                f"{len(folds)}/{progress.n_folds}",
                Text("failed", style="red")
                if failed
                else Text("" if mean is None else f"{100 * mean:.1f} %", style=style),
                f"{sum(seconds) / len(seconds):.1f} s" if seconds else "",
                self._now(technique),
            )
        leader = f"; best so far: {printable(best[0])}, {100 * best[1]:.1f} %" if best else ""
        line = (
            f"{progress.n_done} of {progress.n_fits} fits in {duration(progress.elapsed())}, "
            f"{_eta(progress)}{leader}"
        )
        hint = f"{self._said} Ctrl-C stops the study and keeps the finished fits.".strip()
        return Group(table, Text(line), Text(hint, style="dim"))

    def _now(self, technique: str) -> Table | str:
        progress = self.progress
        epoch = progress.epoch
        if epoch is None or epoch[0] != technique:
            return ""
        now = Table.grid(padding=(0, 1, 0, 0))
        now.add_row(
            f"epoch {epoch[1]}/{epoch[2]}",
            ProgressBar(total=epoch[2], completed=epoch[1], width=10),
        )
        return now


def make_reporter(progress: StudyProgress, verbose: int | bool) -> Reporter:
    """Choose how to show the progress of a study."""
    console = Console()
    if not verbose:
        return Reporter(progress)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveReporter(progress, console)
    return LogReporter(progress)


class EpochWatch(keras.callbacks.Callback):
    """Callback that reports the epochs of one technique's fits to a reporter.

    scikit-learn copies parameters for every fit; a copy of this callback is the callback itself, so
    that it still reaches its reporter. In another process it reports nothing.
    """

    uses_model = False

    def __init__(self, technique: str, reporter: Reporter | None):
        super().__init__()
        self.technique, self.reporter = technique, reporter

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reporter": None, "_model": None}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Report that a fit starts."""
        if self.reporter is not None:
            self.reporter.epoch(self.technique, 0, self.params["epochs"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the number of epochs that have ended."""
        if self.reporter is not None:
            self.reporter.epoch(self.technique, epoch + 1, self.params["epochs"])


def _eta(progress: StudyProgress) -> str:
    if progress.n_done == progress.n_fits:
        return f"all done in {duration(progress.elapsed())}"
    seconds = progress.seconds_left()
    return "estimating the time left" if seconds is None else f"about {duration(seconds)} left"


def _say(line: str) -> None:
    print(printable(line), flush=True)
