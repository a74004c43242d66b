"""The trials that one process runs; it may share a study with other processes."""

import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, TrialPruned, UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from skcell.model_selection._storage import has_heartbeat, relevant_trials, wait_for_others
from skcell.model_selection._trials import Objective

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class _Surplus(Exception):
    """Raised to end a trial that is not needed, because other workers started enough."""


@dataclass
class Runner:
    """Runs trials until there are enough and other workers have finished theirs."""

    study: optuna.Study
    objective: Objective
    n_trials: int
    timeout: float | None
    seed: int | None
    shared: bool
    heartbeat_interval: int
    raises: bool
    verbose: int
    _left_over: set[int] = field(default_factory=set)  # running trials left by dead processes
    _first_error: list[Exception] = field(default_factory=list)
    _last_trial: int = -1  # number of the last trial of this process
    _waited_for: set[int] = field(default_factory=set)
    _remaining: int = 0  # trials needed when the last one started; reading a storage takes time

    def optimize(self) -> None:
        """Run trials."""
        study, began = self.study, time.monotonic()
        if not has_heartbeat(study):
            running = (t for t in relevant_trials(study) if t.state == TrialState.RUNNING)
            self._left_over = {trial.number for trial in running}
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        try:
            while self.timeout is None or time.monotonic() - began < self.timeout:
                if self._first_error and self.raises:
                    break
                if self._remaining > 1 or self._is_missing():
                    self._run_one()
                    if getattr(study, "_stop_flag", False):  # by the sampler or a callback
                        break
                elif self.shared and self._is_any(TrialState.RUNNING):
                    wait_for_others(study, min(1.0, self.heartbeat_interval), self._waited_for)
                else:
                    break
        finally:
            optuna.logging.set_verbosity(verbosity)
        if self._first_error and self.raises:
            raise self._first_error[0]
        finished = [t.state for t in relevant_trials(study) if t.state in FINISHED]
        if self._first_error and set(finished) == {TrialState.FAIL}:
            error = self._first_error[0]
            error.add_note(f"Each of {len(finished)} trials failed; this is the first error.")
            raise error

    def _is_missing(self) -> bool:
        trials = relevant_trials(self.study, self._left_over)
        return len(trials) < self.n_trials or self._is_any(TrialState.WAITING)

    def _is_any(self, state: TrialState) -> bool:
        return any(trial.state == state for trial in relevant_trials(self.study, self._left_over))

    def _run_one(self) -> None:
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(Exception,))
        except (UpdateFinishedTrialError, ValueError):
            # Another worker took this one for dead, as after a sleep, and got its trial: continue.
            if not self.study.get_trials(deepcopy=False)[self._last_trial].state.is_finished():
                raise
        except AssertionError as error:
            # Optuna raises this if its storage cannot record even the failure, which is the cause.
            if isinstance(error.__context__, StorageInternalError):
                raise error.__context__  # noqa: B904 # with its own cause
            raise
        if self.verbose:
            self._say()

    def _objective(self, trial: Trial) -> Any:
        self._last_trial = trial.number
        if self.shared:  # other workers may have started enough in the meantime
            began_before = relevant_trials(self.study, self._left_over)
            self._remaining = self.n_trials - sum(t.number < trial.number for t in began_before)
            if self._remaining < 1:
                raise _Surplus
        if self.seed is not None:  # depends on the trial, not on the worker
            self.study.sampler = optuna.samplers.TPESampler(
                seed=(self.seed + trial.number) % 2**32, constant_liar=self.shared
            )
        try:
            return self.objective(trial)
        except (TrialPruned, UpdateFinishedTrialError):
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            if not self._first_error:
                traceback.clear_frames(error.__traceback__)  # frames keep the data alive
                self._first_error.append(error)
            raise

    def _say(self) -> None:
        trial = self.study.get_trials(deepcopy=False)[self._last_trial]
        done = sum(t.state in FINISHED for t in relevant_trials(self.study, self._left_over))
        value = "" if not trial.values else " ".join(f"{v:.4f}" for v in trial.values)
        error = trial.user_attrs.get("error", "")
        state = trial.state.name.lower()
        trial_is = f"trial {self._last_trial} {state} {value}{error}"
        print(f"[{done}/{self.n_trials}] {trial_is}", flush=True)
