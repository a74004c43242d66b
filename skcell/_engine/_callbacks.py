"""Callbacks for learning rates and progress, and functions that copy callbacks."""

import copy
import math
import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from skcell._keras import find_layers
from skcell.networks import RandomTransform


class LearningRate(keras.callbacks.Callback):
    """Callback that sets the learning rate of each epoch."""

    uses_model = False

    _named: dict[str, Callable[[float], float]] = {
        "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
        "linear": lambda done: 1.0 - done,
    }

    def __init__(
        self, base: float, schedule: str | Callable[[float], float], epochs: int, initial_epoch: int
    ):
        super().__init__()
        self.base, self.epochs, self.initial_epoch = base, epochs, initial_epoch
        self.factor = self._named[schedule] if isinstance(schedule, str) else schedule

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the learning rate of this epoch."""
        rate = self.base * float(self.factor((epoch - self.initial_epoch) / self.epochs))
        self.model.optimizer.learning_rate = rate


class PlainEpochs(keras.callbacks.Callback):
    """Callback that ends random changes, except flips and turns, before the last epochs."""

    uses_model = False

    def __init__(self, fraction: float, epochs: int, initial_epoch: int):
        super().__init__()
        self.first = initial_epoch + (1 - fraction) * epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the strength of the changes in this epoch."""
        self._set_strength(1.0 if epoch < self.first else 0.0)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Set the full strength, for training that is resumed."""
        self._set_strength(1.0)

    def _set_strength(self, strength: float) -> None:
        for layer in find_layers(self.model):
            if isinstance(layer, RandomTransform) and layer.plain_epochs:
                layer.strength.assign(strength)


class LayerwiseLearningRate(keras.callbacks.Callback):
    """Callback that sets the learning-rate scale of each group of layers.

    Counted from the last group, group `i` has the scale ``decay ** i``. Groups that are still
    frozen have the scale 0.
    """

    uses_model = False

    def __init__(
        self,
        lr_scales: keras.Variable,
        groups: list[list[keras.Layer]],
        *,
        decay: float,
        gradual_unfreezing: bool,
        epochs: int,
        initial_epoch: int,
    ):
        super().__init__()
        self.lr_scales, self.decay, self.gradual_unfreezing = lr_scales, decay, gradual_unfreezing
        self.epochs, self.initial_epoch = epochs, initial_epoch
        tuned = [[id(v) for layer in group for v in layer.trainable_variables] for group in groups]
        self.groups = [group for group in reversed(tuned) if group]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the learning-rate scales of this epoch."""
        reached = len(self.groups)
        if self.gradual_unfreezing:
            reached = math.ceil(reached * (epoch - self.initial_epoch + 1) / self.epochs)
        lr_scale = {
            variable: self.decay**i if i < reached else 0.0
            for i, group in enumerate(self.groups)
            for variable in group
        }
        self.lr_scales.assign([lr_scale.get(id(v), 1.0) for v in self.model.trainable_variables])


class SlowTraining(keras.callbacks.Callback):
    """Callback that says once in a session that training is long, if a person may be reading."""

    uses_model = False
    seconds = 10.0  # of silence
    _has_spoken = multiprocessing.parent_process() is not None  # worker processes are silent

    def __init__(self, title: str):
        super().__init__()
        self.title = title

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._started, self._n_done = time.perf_counter(), 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say how long training takes, at the end of the first epoch after `seconds`."""
        self._n_done += 1
        spent = time.perf_counter() - self._started
        n_left = self.params["epochs"] - epoch - 1
        if SlowTraining._has_spoken or spent < self.seconds or not n_left:
            return
        console = Console(stderr=True)
        if console.is_terminal or console.is_jupyter:
            SlowTraining._has_spoken = True
            seconds = spent / self._n_done * n_left
            left = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
            text = (
                f"{self.title}: epoch {epoch + 1} of {self.params['epochs']} is done; at most "
                f"{left} left. Set verbose=1 to see each epoch."
            )
            print(text, file=sys.stderr, flush=True)


class EpochProgress(keras.callbacks.Callback):
    """Callback that shows a progress bar on a terminal, and otherwise one line for each epoch."""

    uses_model = False

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self.console = Console()
        self._bar: Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the empty bar."""
        self._started = time.perf_counter()
        # In a notebook, rich needs ipywidgets to redraw a bar; plain lines work without it.
        if self.console.is_terminal and not self.console.is_jupyter:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("epoch {task.completed:g}/{task.total:g}"),
                TextColumn("{task.fields[scores]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.console)
            self._task = self._bar.add_task(self.title, total=self.params["epochs"], scores="")
            self._bar.start()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance by one epoch and show its scores."""
        scores = " ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch + 1, scores=scores)
        else:
            spent = time.perf_counter() - self._started
            print(
                f"{self.title}: epoch {epoch + 1}/{self.params['epochs']} {scores} {spent:.1f} s",
                flush=True,
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the last state of the bar on the screen."""
        self.close()

    def close(self) -> None:
        """Release the terminal, also if training ended with an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def copy_callback(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Copy a callback for another fit; a callback that cannot be copied is returned itself."""
    return _copied(callback, copy.deepcopy) or callback


def portable_callback(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Copy a callback without the files and locks of a fit, so that it can be pickled."""
    return _copied(callback, lambda value: pickle.loads(pickle.dumps(value))) or callback


def _copied(callback: Any, duplicate: Callable[[Any], Any]) -> Any:
    """Duplicate a callback, or return None if that fails.

    For callbacks of Keras, attributes that cannot be duplicated (such as open files) become None.
    """
    try:
        return duplicate(callback)
    except Exception:  # copying and pickling may raise anything
        if not type(callback).__module__.startswith("keras."):
            return None
    twin = copy.copy(callback)
    for name, value in vars(callback).items():
        try:
            setattr(twin, name, duplicate(value))
        except Exception:  # as above; Keras creates the attribute again when training begins
            setattr(twin, name, None)
    return twin


def is_foreign(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback runs the user's code, which may change the model in any way."""
    kind = type(callback)
    named = isinstance(callback, keras.callbacks.LambdaCallback)
    return named or not kind.__module__.startswith(("keras.", "skcell."))
