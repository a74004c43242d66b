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

    Returns
    -------
    dict of str to list of float
        Scores of each epoch.
    """
    model = program.model
    listeners = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=done + epochs, steps=len(batches), verbose=0
    )
    hears_batches = any(_hears_batches(callback) for callback in callbacks)
    history: dict[str, list[float]] = {}
    model.stop_training = False
    listeners.on_train_begin()
    scores: dict[str, float] = {}
    for epoch in range(done, done + epochs):
        batches.shuffle(epoch)
        listeners.on_epoch_begin(epoch)
        model.reset_metrics()
        steps, begin = program.steps.train(batches), 0
        while begin < len(batches) and not model.stop_training:
            if hears_batches:
                listeners.on_train_batch_begin(begin)
            last, logs = next(steps)
            if hears_batches:
                listeners.on_train_batch_end(last, logs)
            begin = last + 1
        steps.close()
        scores = _scores(model)
        if watched is not None:
            model.reset_metrics()
            for _ in program.steps.test(watched):
                pass
            scores.update({f"val_{name}": value for name, value in _scores(model).items()})
        for name, value in scores.items():
            history.setdefault(name, []).append(value)
        listeners.on_epoch_end(epoch, scores)
        if model.stop_training:
            break
    listeners.on_train_end(scores)
    return history


def _scores(model: keras.Model) -> dict[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _hears_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback does anything between batches: calling those that do not takes time."""
    default = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(default, hook)
        for hook in _HOOKS
    )
