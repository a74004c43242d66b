"""The progress of a study, and an estimate of the time left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from skcell.study._records import FoldResult


@dataclass
class StudyProgress:
    """Counts fits, and estimates the time left from the fits that were timed."""

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

    @property
    def n_fits(self) -> int:
        """Number of fits planned."""
        return len(self.techniques) * self.n_folds

    @property
    def n_done(self) -> int:
        """Number of fits scored."""
        return sum(len(folds) for folds in self.folds.values())

    def start(self) -> None:
        """Start the clock."""
        self._started = self._mark = time.perf_counter()

    def add(self, result: FoldResult, *, measured: bool = True) -> None:
        """Count a fit that was just scored or, if `measured` is False, in an earlier run."""
        now = time.perf_counter()
        self.folds.setdefault(result.technique, []).append(result)
        if measured:
            self._seconds.setdefault(result.technique, []).append(now - self._mark)
        else:
            self._before.setdefault(result.technique, []).append(np.nan_to_num(result.fit_seconds))
        self._mark, self.epoch = now, None

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

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._started

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


def duration(seconds: float) -> str:
    """Format a duration for display: 48 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
