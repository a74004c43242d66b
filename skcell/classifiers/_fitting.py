"""One stretch of training of a classifier, with all that its parameters ask for."""

from collections.abc import Hashable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from skcell._digest import digest, has_own_code
from skcell.classifiers._callbacks import (
    Divergence,
    EpochProgress,
    LearningRate,
    WatchesClassifier,
)
from skcell.classifiers._data import Labelled
from skcell.classifiers._feeding import ImageBatches
from skcell.networks import Recipe, train
from skcell.networks._program import Program

if TYPE_CHECKING:
    from skcell.classifiers._base import BaseCellClassifier

#: Images that are predicted at a time.
PREDICT_BATCH = 128

#: Batches of images from which statistics are estimated anew in a call of `partial_fit`.
FEWEST_BATCHES = 4


def run(
    fitted: "BaseCellClassifier",
    data: Labelled,
    held: Labelled | None,
    *,
    epochs: int,
    learning_rate: float,
    history: dict[str, list[Any]],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    estimate: bool = True,
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
    estimate : bool
        Whether to estimate the statistics of batch normalisation anew.

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
    if any(map(is_foreign, fitted.callbacks or ())):
        fitted._network.keep_to_itself()
    if fitted.verbose:
        called.append(EpochProgress(type(fitted).__name__))
    called += fitted.callbacks or ()
    for callback in called:
        if isinstance(callback, WatchesClassifier):
            callback.classifier = fitted
    try:
        new = train(program, batches, watched, called, epochs=epochs, done=done, estimate=estimate)
        _check_predictions(program, batches, learning_rate)
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


def _check_predictions(program: Program, batches: ImageBatches, learning_rate: float) -> None:
    """End a fit with an error whose last update made the network predict no numbers."""
    images = next(iter(batches.sample(len(batches.X))))
    if not np.isfinite(program.forward(images)).all():
        raise FloatingPointError(
            "Training diverged: after the last step the network's probabilities are not numbers. "
            f"Lower learning_rate (now {learning_rate:g}), or scale float images to about 0..1."
        )


def is_foreign(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback runs code of a user, who may do anything to the model."""
    kind = type(callback)
    named = isinstance(callback, keras.callbacks.LambdaCallback)
    return named or not kind.__module__.startswith(("keras.", "skcell."))


def digest_code(*parts: Any) -> str | None:
    """Digest the user's code among the parts of a recipe; None if it cannot be told apart."""
    own = [part for part in parts if callable(part) and has_own_code(part)]
    try:
        return digest(*own) if own else ""
    except Exception:  # whatever pickling raises
        return None


def sort_arguments(arguments: dict[str, Hashable]) -> tuple[tuple[str, Any], ...]:
    """Bring a network's arguments into the form of a `Recipe`."""
    return tuple(sorted(arguments.items()))


#: What a user set, of a recipe's fields whose names do not tell.
_IN_WORDS = {
    "input_shape": "the shape of the images",
    "dtype": "the dtype of the images",
    "n_classes": "the number of classes",
    "decays": "weight_decay, to or from zero",
    "shares": "layer_decay or gradual, to or from none",
    "code": "the code of the loss or of the network",
}


def check_same_recipe(fitted: Recipe, wanted: Recipe) -> None:
    """Refuse to go on with parameters that a trained network cannot take on."""
    old, new = _settings(fitted), _settings(wanted)
    changed = [
        _IN_WORDS.get(name, name)
        + ("" if name in ("code", "decays", "shares") else f" from {old.get(name)!r} to {value!r}")
        for name, value in new.items()
        if old.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"Training cannot be resumed: since the network was trained, {'; '.join(changed)} "
            "was changed. Set it back, or fit anew with warm_start=False."
        )


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return what makes a network, by the names that users know."""
    own = {f.name: getattr(recipe, f.name) for f in fields(Recipe)}
    arguments = dict(own.pop("arguments"))
    own["augmentation"] = own["augmentation"] and dict(own["augmentation"])
    del own["n_devices"]
    return {**own, **arguments}


def _join(history: dict[str, list[Any]], new: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Append epochs; NaN stands where a score was not watched."""
    done, more = len(history.get("loss", ())), len(new["loss"])
    return {
        name: history.get(name, [float("nan")] * done) + new.get(name, [float("nan")] * more)
        for name in {**history, **new}
    }
