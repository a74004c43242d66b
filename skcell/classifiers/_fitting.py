"""One stretch of training of a classifier, with all that its parameters ask for."""

from collections.abc import Hashable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import keras

from skcell.classifiers._callbacks import (
    Divergence,
    EpochProgress,
    LearningRate,
    WatchesClassifier,
)
from skcell.classifiers._data import Labelled
from skcell.networks import Recipe, train

if TYPE_CHECKING:
    from skcell.classifiers._base import BaseCellClassifier

#: Images that are predicted at a time.
PREDICT_BATCH = 128


def run(
    fitted: "BaseCellClassifier",
    data: Labelled,
    held: Labelled | None,
    *,
    epochs: int,
    learning_rate: float,
    history: dict[str, list[Any]],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[Any]]:
    """Train a classifier's network.

    Parameters
    ----------
    fitted : BaseCellClassifier
        The classifier as it is to become; its parameters say how it is trained.
    data : Labelled
        What to train on.
    held : Labelled or None
        What to watch.
    epochs : int
        Passes over the data.
    learning_rate : float
        Learning rate, of the first epoch where there is a schedule.
    history : dict of str to list
        Scores of the epochs before; if there are any and training fails, the network is left as
        it was.
    callbacks : sequence of keras.callbacks.Callback
        Called beside those that the classifier asks for.

    Returns
    -------
    dict of str to list
        Scores of all epochs.
    """
    program, done = fitted._network.program, len(history.get("loss", ()))
    before = program.get_state() if done else None
    program.model.optimizer.learning_rate = learning_rate
    if program.weight_decay is not None:
        program.weight_decay.assign(fitted.weight_decay)
    batches = data.batches(
        batch_size=fitted.batch_size, smoothing=fitted.label_smoothing, seed=fitted._seed
    )
    watched = None if held is None else held.batches(batch_size=PREDICT_BATCH)
    called = [Divergence(learning_rate), *callbacks]
    if fitted.schedule is not None:
        called.append(LearningRate(learning_rate, fitted.schedule, epochs, done))
    if fitted.early_stopping and watched is not None:
        called.append(
            keras.callbacks.EarlyStopping(
                "val_loss", patience=fitted.patience, restore_best_weights=True
            )
        )
    if fitted.verbose:
        called.append(EpochProgress(type(fitted).__name__))
    called += fitted.callbacks or ()
    for callback in called:
        if isinstance(callback, WatchesClassifier):
            callback.classifier = fitted
    try:
        new = train(program, batches, watched, called, epochs=epochs, done=done)
    except BaseException:
        if before is not None:  # a model that goes on is left as it was
            program.set_state(before)
        raise
    finally:
        for callback in called:
            getattr(callback, "close", lambda: None)()
            callback.set_model(None)  # a callback must not keep a model that is lent again
            if isinstance(callback, WatchesClassifier):
                callback.classifier = None
    return _join(history, new)


def sort_arguments(arguments: dict[str, Hashable]) -> tuple[tuple[str, Any], ...]:
    """Bring a network's arguments into the form of a `Recipe`."""
    return tuple(sorted(arguments.items()))


#: What a user set, of a recipe's fields whose names do not tell.
_IN_WORDS = {
    "network": "architecture",
    "arguments": "architecture",
    "input_shape": "shape of the images",
    "dtype": "dtype of the images",
    "decays": "weight_decay, from or to none",
    "shares": "layer_decay or gradual",
}


def check_same_recipe(fitted: Recipe, wanted: Recipe) -> None:
    """Refuse to go on with parameters that a trained network cannot take on."""
    differ = [f.name for f in fields(Recipe) if getattr(fitted, f.name) != getattr(wanted, f.name)]
    changed = sorted({_IN_WORDS.get(name, name) for name in differ if name != "n_devices"})
    if changed:
        raise ValueError(
            f"Parameters that make the network were changed since it was trained ({changed}); "
            "training cannot go on with them. Set them back, or fit anew with warm_start=False."
        )


def _join(history: dict[str, list[Any]], new: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Append epochs; NaN stands where a score was not watched."""
    done, more = len(history.get("loss", ())), len(new["loss"])
    return {
        name: history.get(name, [float("nan")] * done) + new.get(name, [float("nan")] * more)
        for name in {**history, **new}
    }
