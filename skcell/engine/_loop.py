"""The loop over epochs, with Keras' callbacks."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np

from skcell._keras import to_numpy
from skcell.engine._compiled_model import Program
from skcell.engine._steps import Batches

_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class EpochBatches(Batches, Protocol):
    """Batches that are drawn anew for each epoch."""

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch, before it begins."""


class _Diverged(Exception):
    """What shows that training diverged."""


def train(
    program: Program,
    batches: EpochBatches,
    watched: EpochBatches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    epochs: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    history: dict[str, list[Any]] | None = None,
    estimate: bool = True,
) -> dict[str, list[Any]]:
    """Train for some epochs, as Keras' `fit` does.

    Callbacks are called as by Keras. Under jax, weights and optimizer are theirs to read and to
    change between epochs, not between batches.

    Parameters
    ----------
    program : Program
        What to train.
    batches : EpochBatches
        Images to train on.
    watched : EpochBatches or None
        Images to score after each epoch.
    callbacks : sequence of keras.callbacks.Callback
        What to call.
    epochs : int
        How many.
    learning_rate : float
        Learning rate, which a callback may change.
    weight_decay : float
        Size of the weight decay, where the recipe has one.
    history : dict of str to list or None
        Scores of the epochs before. If there are any and training fails, the model is left as it
        was.
    estimate : bool
        Whether to estimate the statistics of batch normalisation anew, at the end and before
        every look at the model.

    Returns
    -------
    dict of str to list
        Scores of each epoch, those before included.

    Raises
    ------
    FloatingPointError
        If training diverged.
    """
    history = history or {}
    done = len(history.get("loss", ()))
    before = program.get_state() if done else None
    program.model.optimizer.learning_rate = learning_rate
    if program.weight_decay is not None:
        program.weight_decay.assign(weight_decay)
    try:
        new = _run_epochs(
            program, batches, watched, callbacks, range(done, done + epochs), estimate
        )
        _check_predictions(program, batches)
    except BaseException as error:
        if before is not None:
            program.set_state(before)
        if isinstance(error, _Diverged):
            raise FloatingPointError(
                f"Training diverged: {error}. Lower learning_rate (now {learning_rate:g}), or "
                "scale float images to about 0..1."
            ) from None
        raise
    finally:
        for callback in callbacks:
            getattr(callback, "close", lambda: None)()
            callback.set_model(None)  # a callback must not keep a model that is lent again
    return _join(history, new)


def _run_epochs(
    program: Program,
    batches: EpochBatches,
    watched: EpochBatches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    epochs: range,
    estimate: bool,
) -> dict[str, list[float]]:
    model = program.model
    listeners = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epochs.stop, steps=len(batches), verbose=0
    )
    is_looked_at = watched is not None or any(_looks(callback) for callback in callbacks)
    hears_batches = any(_hears_batches(callback) for callback in callbacks)
    history: dict[str, list[float]] = {}
    optimizer = model.optimizer
    model.stop_training = False
    listeners.on_train_begin()
    _check_not_compiled(model, optimizer)
    scores: dict[str, float] = {}
    for epoch in epochs:
        batches.shuffle(epoch)
        listeners.on_epoch_begin(epoch)
        _check_not_compiled(model, optimizer)
        model.reset_metrics()
        steps, begin = program.steps.train(batches), 0
        while begin < len(batches) and not model.stop_training:
            if hears_batches:
                listeners.on_train_batch_begin(begin)
                _check_not_compiled(model, optimizer)
            last, logs = next(steps)
            if hears_batches:
                listeners.on_train_batch_end(last, logs)
            begin = last + 1
        steps.close()
        scores = _scores(model)
        if estimate and (is_looked_at or epoch == epochs[-1]):
            program.statistics.estimate(batches)
        if watched is not None:
            model.reset_metrics()
            for _ in program.steps.test(watched):
                pass
            scores.update({f"val_{name}": value for name, value in _scores(model).items()})
        if not math.isfinite(scores["loss"]):
            raise _Diverged(f"the loss is {scores['loss']} after epoch {epoch + 1}")
        for name, value in scores.items():
            history.setdefault(name, []).append(value)
        listeners.on_epoch_end(epoch, scores)
        _check_not_compiled(model, optimizer)
        if model.stop_training:
            break
    _check_weights(model)
    listeners.on_train_end(scores)
    return history


def _check_not_compiled(model: keras.Model, optimizer: keras.Optimizer) -> None:
    if model.optimizer is not optimizer:
        raise RuntimeError(
            "A callback compiled the model while it was being trained, so that neither its loss "
            "nor its steps are the ones asked for. Set loss, optimizer and learning_rate of the "
            "classifier instead of calling model.compile."
        )


def _scores(model: keras.Model) -> dict[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _looks(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback may use the model after an epoch, as any of a user's may."""
    return getattr(callback, "uses_model", True)


def _hears_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback does anything between batches: calling those that do not takes time."""
    default = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(default, hook)
        for hook in _HOOKS
    )


def _check_weights(model: keras.Model) -> None:
    """Look at the weights: clipped probabilities can hide from the loss what became of them."""
    if not all(np.isfinite(to_numpy(variable)).all() for variable in model.trainable_variables):
        raise _Diverged("weights are not finite")


def _check_predictions(program: Program, batches: EpochBatches) -> None:
    """End a fit with an error whose last update made the network predict no numbers."""
    images = next(batches.sample(len(batches.targets)))
    if not np.isfinite(program.forward(images)).all():
        raise _Diverged("after the last step the network's probabilities are not numbers")


def _join(history: dict[str, list[Any]], new: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Append epochs; NaN stands where a score was not watched."""
    done, more = len(history.get("loss", ())), len(new["loss"])
    return {
        name: history.get(name, [float("nan")] * done) + new.get(name, [float("nan")] * more)
        for name in {**history, **new}
    }
