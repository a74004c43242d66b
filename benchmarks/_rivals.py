"""Data and the plain networks that benchmarks compare with."""

import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

N_CLASSES = 8


def images(n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images and labels; speed does not depend on what is in them."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % N_CLASSES)
    return rng.integers(0, 256, (n, size, size, 3), np.uint8), y


def plain_cnn(**parameters: Any) -> Any:
    """Make skcell's classifier with the base CNN, which rivals build by hand."""
    from skcell import CellCNNClassifier, study

    # An earlier skcell, which some benchmarks compare with, had these settings as its defaults.
    return CellCNNClassifier(**{**getattr(study, "PLAIN_SETTINGS", {}), **parameters})


def plain_composite(**parameters: Any) -> Any:
    """Make skcell's classifier with the composite network alone."""
    from skcell import SEInceptionResNetClassifier

    known = SEInceptionResNetClassifier().get_params()
    plain = {
        "standardize": False,
        "augmentation": None,
        "schedule": None,
        "n_blocks": 1,
        "tta": "none",
    }
    plain = {name: value for name, value in plain.items() if name in known}
    return SEInceptionResNetClassifier(**{**plain, **parameters})


def keras_cnn(
    size: int, learning_rate: float = 1e-3, dense_units: int = 128, dropout: float = 0.0
) -> Any:
    """Build the base CNN in plain Keras, compiled as on a CPU it is fastest."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((size, size, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            *(
                layer
                for filters in (32, 64, 128)
                for layer in (
                    layers.Conv2D(
                        filters,
                        3,
                        padding="same",
                        activation="relu",
                        kernel_initializer="he_normal",
                    ),
                    layers.MaxPooling2D(2, padding="same"),
                )
            ),
            layers.Flatten(),
            layers.Dense(dense_units, activation="relu", kernel_initializer="he_normal"),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(N_CLASSES, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def stopwatch() -> Any:
    """Keras callback that keeps the seconds of each epoch in `.seconds`."""
    import keras

    class Stopwatch(keras.callbacks.Callback):
        uses_model = False  # tells skcell that nothing is needed of the model after an epoch

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self._began)

    return Stopwatch()
