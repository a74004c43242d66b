"""Training of a classifier's network, as the classifier's parameters require."""

from collections.abc import Sequence
from typing import Any

import keras

from skcell._digest import digest, digest_files
from skcell._engine import (
    Checkpoint,
    EpochProgress,
    LearningRate,
    PlainEpochs,
    SlowTraining,
    TrainingData,
    is_foreign,
    train,
)
from skcell.classifiers._callbacks import ClassifierCallback

#: Number of images that are predicted at a time.
PREDICT_BATCH = 128

#: Fewest batches from which `partial_fit` re-estimates the statistics of batch normalisation.
FEWEST_BATCHES = 4

#: With epochs="auto", n images are seen this often, divided by the cube root of n: by a new
#: network, by the head of a frozen one, and with fine_tuning_epochs="auto"; and at most so often.
AUTO_EPOCHS = 360, 150
AUTO_HEAD_EPOCHS = 720, 300
AUTO_FINE_TUNING_EPOCHS = 180, 300


def count_epochs(epochs: int | str, data: TrainingData, auto: tuple[int, int] = AUTO_EPOCHS) -> int:
    """Return the number of epochs; "auto" is fewer, the more training images there are.

    So a small data set gets enough steps to be learned, and a large one does not take forever.
    """
    if isinstance(epochs, str):
        often, most = auto
        return min(most, max(10, round(often / data.n_present ** (1 / 3))))
    return int(epochs)


def train_classifier(
    fitted: Any,
    data: TrainingData,
    val: TrainingData | None,
    *,
    epochs: int,
    learning_rate: float,
    history: dict[str, list[Any]],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    estimate: bool = True,
) -> dict[str, list[Any]]:
    """Train a classifier's network."""
    called = list(callbacks)
    initial_epoch = len(history.get("loss", ()))
    augmenter = fitted._augmenter()
    if augmenter is not None and augmenter.plain_epochs:
        called.append(PlainEpochs(augmenter.plain_epochs, epochs, initial_epoch))
    if fitted.schedule is not None:
        called.append(LearningRate(learning_rate, fitted.schedule, epochs, initial_epoch))
    if fitted.early_stopping and val is not None:
        called.append(
            keras.callbacks.EarlyStopping(
                "val_loss", patience=fitted.patience, restore_best_weights=True
            )
        )
    progress = EpochProgress if fitted.verbose else SlowTraining
    called.append(progress(type(fitted).__name__))
    if any(map(is_foreign, fitted.callbacks or ())):
        fitted._lease.detach_model()  # user code may change what a reset does not undo
    called += fitted.callbacks or ()
    if kept := [callback for callback in called if isinstance(callback, Checkpoint)]:
        fit_key = _digest_fit(fitted, data, val, epochs)
        for checkpoint in kept:
            checkpoint.fit_key = fit_key
    watching = [callback for callback in called if isinstance(callback, ClassifierCallback)]
    for callback in watching:
        callback.classifier = fitted
    try:
        with fitted._lease.use() as compiled:
            return train(
                compiled,
                data.batches(
                    batch_size=fitted.batch_size,
                    smoothing=fitted.label_smoothing,
                    seed=fitted._seed,
                ),
                None if val is None else val.batches(batch_size=PREDICT_BATCH),
                called,
                epochs=epochs,
                learning_rate=learning_rate,
                weight_decay=fitted.weight_decay,
                history=history,
                estimate=estimate,
            )
    finally:
        for callback in watching:
            callback.classifier = None


def _digest_fit(fitted: Any, data: TrainingData, val: TrainingData | None, epochs: int) -> str:
    """Return a digest of all that a fit depends on; the same fit after a crash has the same."""
    params = {
        name: value
        for name, value in fitted.get_params(deep=False).items()
        if name not in ("callbacks", "verbose", "random_state", "cache")
    }
    if fitted.random_state is not None:  # else a fit that was killed had another seed
        params |= {"seed": fitted._seed, "weights": fitted._lease.get_weights()}
    parts = [part for part in (data, val) if part is not None]
    content = [
        digest_files(part.images) if part.images.ndim == 1 else part.images for part in parts
    ]
    labels = [(part.classes, part.codes, part.weights) for part in parts]
    return digest(type(fitted).__name__, params, epochs, content, labels)
