"""The loop over epochs, which calls Keras' callbacks."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np

from skcell._engine._checkpoint import Checkpoint
from skcell._engine._compiled_model import CompiledModel
from skcell._engine._steps import Batches
from skcell._keras import to_numpy

_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class EpochBatches(Batches, Protocol):
    """Batches that are drawn anew for each epoch."""

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch; this is called before the epoch begins."""


class _Diverged(Exception):
    """Training diverged; the message says how this was detected."""


def train(
    compiled: CompiledModel,
    batches: EpochBatches,
    val: EpochBatches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    epochs: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    history: dict[str, list[Any]] | None = None,
    estimate: bool = True,
) -> dict[str, list[Any]]:
    """Train for a number of epochs, as Keras' `fit` does.

    Callbacks are called as by Keras. Under jax, callbacks can read and change the weights and the
    optimizer only between epochs, not between batches.
    """
    history = history or {}
    initial_epoch = len(history.get("loss", ()))
    before = compiled.get_state() if initial_epoch else None
    compiled.model.optimizer.learning_rate = learning_rate
    if compiled.weight_decay is not None:
        compiled.weight_decay.assign(weight_decay)
    try:
        new = _run_epochs(
            compiled,
            batches,
            val,
            callbacks,
            range(initial_epoch, initial_epoch + epochs),
            estimate,
        )
        _check_predictions(compiled, batches)
    except BaseException as error:
        if before is not None:
            compiled.set_state(before)
        if isinstance(error, _Diverged):
            raise FloatingPointError(
                f"Training diverged: {error}. Lower learning_rate (now {learning_rate:g}), or "
                "scale float images to approximately 0..1."
            ) from None
        raise
    finally:
        for callback in callbacks:
            getattr(callback, "close", lambda: None)()
            callback.set_model(None)  # the model may be reused: callbacks must not refer to it
    return _join(history, new)


def _run_epochs(
    compiled: CompiledModel,
    batches: EpochBatches,
    val: EpochBatches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    epochs: range,
    estimate: bool,
) -> dict[str, list[float]]:
    model = compiled.model
    callback_list = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epochs.stop, steps=len(batches), verbose=0
    )
    is_inspected = val is not None or any(_may_use_model(callback) for callback in callbacks)
    uses_batch_hooks = any(_uses_batch_hooks(callback) for callback in callbacks)
    history: dict[str, list[float]] = {}
    optimizer = model.optimizer
    model.stop_training = False
    callback_list.on_train_begin()
    _check_not_compiled(model, optimizer)
    scores: dict[str, float] = {}
    for checkpoint in (c for c in callbacks if isinstance(c, Checkpoint)):
        history = checkpoint.restore(compiled, callbacks)
    for epoch in epochs:
        batches.shuffle(epoch)
        if epoch - epochs.start < len(history.get("loss", ())):
            continue  # it was finished before the fit was resumed
        callback_list.on_epoch_begin(epoch)
        _check_not_compiled(model, optimizer)
        model.reset_metrics()
        steps, begin = compiled.steps.train(batches), 0
        while begin < len(batches) and not model.stop_training:
            if uses_batch_hooks:
                callback_list.on_train_batch_begin(begin)
                _check_not_compiled(model, optimizer)
            last, logs = next(steps)
            if uses_batch_hooks:
                callback_list.on_train_batch_end(last, logs)
            begin = last + 1
        steps.close()
        scores = _scores(model)
        if estimate and (is_inspected or epoch == epochs[-1]):
            compiled.statistics.estimate(batches)
        if val is not None:
            model.reset_metrics()
            for _ in compiled.steps.test(val):
                pass
            scores.update({f"val_{name}": value for name, value in _scores(model).items()})
        if not math.isfinite(scores["loss"]):
            raise _Diverged(f"the loss is {scores['loss']} after epoch {epoch + 1}")
        for name, value in scores.items():
            history.setdefault(name, []).append(value)
        callback_list.on_epoch_end(epoch, scores)
        _check_not_compiled(model, optimizer)
        if model.stop_training:
            break
    _check_weights(model)
    callback_list.on_train_end(scores)
    return history


def _check_not_compiled(model: keras.Model, optimizer: keras.Optimizer) -> None:
    if model.optimizer is not optimizer:
        raise RuntimeError(
            "A callback compiled the model during training, so its loss and optimizer are no "
            "longer those of the classifier. Set loss, optimizer and learning_rate of the "
            "classifier instead of calling model.compile."
        )


def _scores(model: keras.Model) -> dict[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _may_use_model(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback may use the model after an epoch; any user's callback may."""
    return getattr(callback, "uses_model", True)


def _uses_batch_hooks(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback overrides a batch hook; calling empty hooks costs time."""
    default = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(default, hook)
        for hook in _HOOKS
    )


def _check_weights(model: keras.Model) -> None:
    """Check that the norm of the weights is finite.

    Neither the loss nor the predictions need to show it: probabilities are clipped, and weights
    that are huge leave no unit active.
    """
    for variable in model.trainable_variables:
        weights = to_numpy(variable).ravel().astype(np.float32, copy=False)
        if not np.isfinite(np.vdot(weights, weights)):
            raise _Diverged(f"the weights of {variable.path} are not finite or far too large")


def _check_predictions(compiled: CompiledModel, batches: EpochBatches) -> None:
    """Check that predictions are finite after the last update, which no loss reflects yet."""
    images = next(batches.sample(len(batches.targets)))
    if not np.isfinite(compiled.forward(images)).all():
        raise _Diverged("the predicted probabilities are not finite after the last step")


def _join(history: dict[str, list[Any]], new: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Append the new epochs; NaN marks the epochs for which a score was not computed."""
    initial_epoch, more = len(history.get("loss", ())), len(new["loss"])
    return {
        name: history.get(name, [float("nan")] * initial_epoch)
        + new.get(name, [float("nan")] * more)
        for name in {**history, **new}
    }
