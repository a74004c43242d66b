"""What happens between epochs: learning rates, a stop at divergence, progress."""

import copy
import math
import pickle
import time
from collections.abc import Callable
from inspect import signature
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class WatchesClassifier(keras.callbacks.Callback):
    """Is shown the classifier in training, which predicts with the weights of the moment.

    For callbacks of one's own: between epochs, ``self.classifier.predict(X)`` is what the fitted
    classifier would predict if training ended now.

    Attributes
    ----------
    classifier : BaseCellClassifier or None
        The classifier, while it is trained.
    """

    classifier: Any = None


class EpochTasks(WatchesClassifier):
    """Makes each epoch a task that scikit-learn's callbacks hear of.

    Parameters
    ----------
    task : CallbackContext
        Of the whole fit.
    shown : dict
        What callbacks are told: the estimator, `X`, `y`, `metadata`.
    """

    def __init__(self, task: Any, shown: dict[str, Any]):
        super().__init__()
        self.task, self.shown = task, shown
        hooks = [c.on_fit_task_end for c in getattr(shown["estimator"], "_skl_callbacks", ())]
        self.uses_model = any("fitted_estimator" in signature(hook).parameters for hook in hooks)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the task."""
        self.epoch = self.task.subcontext(task_name="epoch").call_on_fit_task_begin(**self.shown)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End the task, and training if a callback wants it."""
        if self.epoch.call_on_fit_task_end(
            **self.shown, reconstruction_attributes=lambda: vars(self.classifier)
        ):
            self.model.stop_training = True


class Divergence(keras.callbacks.Callback):
    """Ends training with an error when the loss is no longer a number.

    Parameters
    ----------
    learning_rate : float
        Named in the error.
    """

    uses_model = False

    def __init__(self, learning_rate: float):
        super().__init__()
        self.learning_rate = learning_rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the epoch's loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss} after epoch {epoch + 1}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Look at the weights: clipped probabilities can hide from the loss what became of them."""
        weights = (v.value for v in self.model.trainable_variables)
        if not all(np.isfinite(keras.ops.convert_to_numpy(w)).all() for w in weights):
            self._stop("weights are not finite")

    def _stop(self, what: str) -> None:
        raise FloatingPointError(
            f"Training diverged: {what}. Lower learning_rate (now {self.learning_rate:g}), or "
            "scale float images to about 0..1."
        )


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
    done : int
        Epochs before it.
    """

    uses_model = False

    _named: dict[str, Callable[[float], float]] = {
        "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
        "linear": lambda done: 1.0 - done,
    }

    def __init__(
        self, base: float, schedule: str | Callable[[float], float], epochs: int, done: int
    ):
        super().__init__()
        self.base, self.epochs, self.done = base, epochs, done
        self.factor = self._named[schedule] if isinstance(schedule, str) else schedule

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rate."""
        rate = self.base * float(self.factor((epoch - self.done) / self.epochs))
        self.model.optimizer.learning_rate = rate


class LayerRates(keras.callbacks.Callback):
    """Gives each group of layers its share of the learning rate.

    Parameters
    ----------
    shares : keras.Variable of shape (n_trainable_variables,)
        What to set.
    groups : list of list of keras.Layer
        Of the backbone, from input to output; all else has its whole share.
    decay : float
        Factor from one group to that before it.
    gradual : bool
        Whether to begin with the last group, and add others evenly over the epochs.
    epochs : int
        Epochs of this training.
    done : int
        Epochs before it.
    """

    uses_model = False

    def __init__(
        self,
        shares: keras.Variable,
        groups: list[list[keras.Layer]],
        *,
        decay: float,
        gradual: bool,
        epochs: int,
        done: int,
    ):
        super().__init__()
        self.shares, self.decay, self.gradual = shares, decay, gradual
        self.epochs, self.done = epochs, done
        tuned = [[id(v) for layer in group for v in layer.trainable_variables] for group in groups]
        self.groups = [group for group in reversed(tuned) if group]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the shares."""
        reached = len(self.groups)
        if self.gradual:
            reached = math.ceil(reached * (epoch - self.done + 1) / self.epochs)
        share = {
            variable: self.decay**i if i < reached else 0.0
            for i, group in enumerate(self.groups)
            for variable in group
        }
        self.shares.assign([share.get(id(v), 1.0) for v in self.model.trainable_variables])


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
