"""What happens between epochs: learning rates, progress; and how callbacks are copied."""

import copy
import math
import pickle
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate of each epoch.

    Parameters
    ----------
    base : float
        Rate of the first epoch.
    schedule : {"cosine", "linear"} or callable
        How the rate falls: a function from the fraction of epochs done to a factor.
    epochs : int
        Epochs of this training.
    initial_epoch : int
        Epochs before it.
    """

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
        """Set the rate."""
        rate = self.base * float(self.factor((epoch - self.initial_epoch) / self.epochs))
        self.model.optimizer.learning_rate = rate


class LayerwiseLearningRate(keras.callbacks.Callback):
    """Gives each group of layers its share of the learning rate.

    Parameters
    ----------
    lr_scales : keras.Variable of shape (n_trainable_variables,)
        What to set.
    groups : list of list of keras.Layer
        Of the backbone, from input to output; all else has its whole share.
    decay : float
        Factor from one group to that before it.
    gradual_unfreezing : bool
        Whether to begin with the last group, and add others evenly over the epochs.
    epochs : int
        Epochs of this training.
    initial_epoch : int
        Epochs before it.
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
        """Set the shares."""
        reached = len(self.groups)
        if self.gradual_unfreezing:
            reached = math.ceil(reached * (epoch - self.initial_epoch + 1) / self.epochs)
        lr_scale = {
            variable: self.decay**i if i < reached else 0.0
            for i, group in enumerate(self.groups)
            for variable in group
        }
        self.lr_scales.assign([lr_scale.get(id(v), 1.0) for v in self.model.trainable_variables])


class EpochProgress(keras.callbacks.Callback):
    """A bar where the output can redraw it, else one line for each epoch.

    Parameters
    ----------
    title : str
        What is being trained.
    """

    uses_model = False

    def __init__(self, title: str):
        super().__init__()
        self.title = title
        self.console = Console()
        self._bar: Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the empty bar."""
        self._started = time.perf_counter()
        # In a notebook rich needs ipywidgets to redraw; lines read well there.
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
        """Give the terminal back, whatever ended training."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def copy_callback(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Copy a callback for another fit; one that cannot be copied is shared."""
    return _copied(callback, copy.deepcopy) or callback


def portable_callback(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Return a callback as it can be pickled; files and locks that a fit left in it stay here."""
    return _copied(callback, lambda value: pickle.loads(pickle.dumps(value))) or callback


def _copied(callback: Any, duplicate: Callable[[Any], Any]) -> Any:
    """Duplicate a callback; of Keras' own, without what cannot be, as open files."""
    try:
        return duplicate(callback)
    except Exception:  # whatever copying and pickling raise
        if not type(callback).__module__.startswith("keras."):
            return None
    twin = copy.copy(callback)
    for name, value in vars(callback).items():
        try:
            setattr(twin, name, duplicate(value))
        except Exception:  # as above; Keras makes it anew when training begins
            setattr(twin, name, None)
    return twin


def is_foreign(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback runs code of a user, who may do anything to the model."""
    kind = type(callback)
    named = isinstance(callback, keras.callbacks.LambdaCallback)
    return named or not kind.__module__.startswith(("keras.", "skcell."))
