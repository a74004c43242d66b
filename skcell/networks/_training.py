"""The loop over epochs, with Keras' callbacks."""

from collections.abc import Sequence
from typing import Protocol

import keras

from skcell.networks._program import Program
from skcell.networks._steps import Batches

_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class EpochBatches(Batches, Protocol):
    """Batches that are drawn anew for each epoch."""

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch, before it begins."""


def train(
    program: Program,
    batches: EpochBatches,
    watched: EpochBatches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    epochs: int,
    done: int = 0,
    estimate: bool = True,
) -> dict[str, list[float]]:
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
    done : int
        Epochs before these.
    estimate : bool
        Whether to estimate the statistics of batch normalisation anew, at the end and before
        every look at the model.

    Returns
    -------
    dict of str to list of float
        Scores of each epoch.
    """
    model = program.model
    listeners = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=done + epochs, steps=len(batches), verbose=0
    )
    is_looked_at = watched is not None or any(_looks(callback) for callback in callbacks)
    hears_batches = any(_hears_batches(callback) for callback in callbacks)
    history: dict[str, list[float]] = {}
    optimizer = model.optimizer
    model.stop_training = False
    listeners.on_train_begin()
    _check_not_compiled(model, optimizer)
    scores: dict[str, float] = {}
    for epoch in range(done, done + epochs):
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
        if estimate and (is_looked_at or epoch == done + epochs - 1):
            program.statistics.estimate(batches)
        if watched is not None:
            model.reset_metrics()
            for _ in program.steps.test(watched):
                pass
            scores.update({f"val_{name}": value for name, value in _scores(model).items()})
        for name, value in scores.items():
            history.setdefault(name, []).append(value)
        listeners.on_epoch_end(epoch, scores)
        _check_not_compiled(model, optimizer)
        if model.stop_training:
            break
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
