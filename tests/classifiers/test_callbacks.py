"""Callbacks of Keras and of scikit-learn: heard, copied, pickled, and without after-effects."""

import contextlib
import csv
import gc
import pickle
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score

from skcell import CellCNNClassifier, ImageAugmenter, ImageSMOTE, TransferClassifier, make_pipeline
from skcell.study import PLAIN_SETTINGS


def small(**params):
    return CellCNNClassifier(
        **{
            **PLAIN_SETTINGS,
            "filters": (4,),
            "dense_units": 8,
            "dropout": 0.2,
            "epochs": 2,
            "random_state": 0,
            **params,
        }
    )


class Meddles(keras.callbacks.Callback):
    """Changes something of the model that is no variable."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def on_train_begin(self, logs=None):
        model = self.model
        if self.what == "trainable":
            model.layers[-1].trainable = False
        elif self.what == "rate":
            next(x for x in model.layers if isinstance(x, keras.layers.Dropout)).rate = 0.9
        elif self.what == "clipnorm":
            model.optimizer.clipnorm = 1e-3
        elif self.what == "regulariser":
            dense = next(x for x in model.layers if isinstance(x, keras.layers.Dense))
            dense.kernel_regularizer = keras.regularizers.L2(1.0)


class Compiles(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.model.compile(loss="mse")


# What foreign code did to a model ends with the fit


@pytest.mark.parametrize("what", ["trainable", "rate", "clipnorm", "regulariser"])
@pytest.mark.core
@pytest.mark.thorough
def test_what_a_callback_changed_is_not_seen_by_later_fits(cells, what):
    X, y = cells.images, cells.target
    before = cross_val_score(small(), X, y, cv=3, scoring="neg_log_loss")
    refused = ValueError if (what, keras.backend.backend()) == ("trainable", "jax") else ()
    with contextlib.suppress(refused):  # by Keras: jax counts the variables that are trained
        small(callbacks=[Meddles(what)]).fit(X, y)
    gc.collect()  # the model goes wherever it goes
    assert cross_val_score(small(), X, y, cv=3, scoring="neg_log_loss").tolist() == before.tolist()


@pytest.mark.core
def test_compile_in_a_callback_is_an_error_and_the_next_fit_is_sound(cells):
    X, y = cells.images[:60], cells.target[:60]
    before = small().fit(X, y).history_["loss"]
    with pytest.raises(RuntimeError, match="compile"):
        small(callbacks=[Compiles()]).fit(X, y)
    assert small().fit(X, y).history_["loss"] == before


# Callbacks that hold what cannot be copied


def test_a_callback_with_an_open_file_can_be_cloned_pickled_and_cross_validated(cells, tmp_path):
    X, y = cells.images[:90], cells.target[:90]
    file = tmp_path / "log.csv"
    clf = small(callbacks=[keras.callbacks.CSVLogger(str(file))]).fit(X, y)
    with open(file) as log:
        assert [row["epoch"] for row in csv.DictReader(log)] == ["0", "1"]
    assert cross_val_score(clone(clf), X, y, cv=3, error_score="raise").shape == (3,)
    assert cross_val_score(clf, X, y, cv=3, error_score="raise").shape == (3,)
    restored = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(restored.predict_proba(X), clf.predict_proba(X))
    restored.fit(X, y)
    assert isinstance(restored.callbacks[0], keras.callbacks.CSVLogger)


class HoldsALock(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.lock, self.epochs = threading.Lock(), 0

    def on_epoch_end(self, epoch, logs=None):
        with self.lock:
            self.epochs += 1


def test_a_callback_with_a_lock_is_shared_by_clones(cells):
    X, y = cells.images[:90], cells.target[:90]
    counts = HoldsALock()
    cross_val_score(small(callbacks=[counts]), X, y, cv=3, error_score="raise")
    assert counts.epochs == 6


@pytest.mark.parametrize(
    "callback",
    [
        lambda folder: keras.callbacks.ModelCheckpoint(str(folder / "m.keras")),
        lambda folder: keras.callbacks.ReduceLROnPlateau(monitor="loss"),
        lambda folder: keras.callbacks.EarlyStopping(monitor="loss"),
        lambda folder: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        lambda folder: keras.callbacks.BackupAndRestore(str(folder / "backup")),
    ],
)
def test_callbacks_of_keras_survive_cross_validation_and_cloning(cells, tmp_path, callback):
    X, y = cells.images[:90], cells.target[:90]
    clf = small(callbacks=[callback(tmp_path)]).fit(X, y)
    assert np.isfinite(cross_val_score(clf, X, y, cv=2, error_score="raise")).all()
    assert clone(clf).fit(X, y).n_iter_ >= 1


# Files of models


@pytest.mark.parametrize("early", [True, False], ids=["skcell first", "keras first"])
@pytest.mark.thorough
def test_a_checkpoint_of_a_fit_loads_where_skcell_was_imported(cells, tmp_path, early):
    X, y = cells.images[:60], cells.target[:60]
    file = tmp_path / "best.keras"
    clf = small(
        augmentation=ImageAugmenter(rotation=0.1),
        weight_decay=1e-3,
        callbacks=[keras.callbacks.ModelCheckpoint(str(file))],
        dtype_policy="float32",  # the file computes in the precision of the training
    ).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    imports = "import skcell, keras" if early else "import keras, skcell"
    code = (
        f"{imports}; import numpy as np; model = keras.saving.load_model({str(file)!r});"
        "np.save('p.npy', model.predict(np.load('X.npy'), verbose=0))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), clf.predict_proba(X), atol=1e-5)


def test_a_checkpoint_of_fine_tuning_with_layer_decay_loads(cells, tmp_path):
    file = tmp_path / "best.keras"
    backbone = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    clf = TransferClassifier(
        backbone,
        weights=None,
        input_size=24,
        unfreeze=True,
        layer_decay=0.5,
        weight_decay=1e-3,
        epochs=1,
        fine_tuning_epochs=1,
        augmentation=ImageAugmenter(rotation=0.1),
        tta="none",
        callbacks=[keras.callbacks.ModelCheckpoint(str(file))],
        random_state=0,
    ).fit(cells.images[:60], cells.target[:60])
    model = keras.saving.load_model(file)
    np.testing.assert_allclose(
        model.predict(cells.images[:9], verbose=0), clf.predict_proba(cells.images[:9]), atol=1e-5
    )


# scikit-learn's callbacks


callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has none")


def test_a_monitor_scores_each_epoch_as_the_fit_would_end_there(cells):
    X, y = cells.images[:90], cells.target[:90]
    monitor = callback.ScoringMonitor(scoring="neg_log_loss")
    small(epochs=3).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 3
    for epochs, row in enumerate(rows, start=1):
        ended = small(epochs=epochs).fit(X, y)
        assert row["neg_log_loss"] == pytest.approx(-log_loss(y, ended.predict_proba(X)))


def test_a_progress_bar_goes_through_pipeline_and_epochs(cells, capfd):
    X, y = cells.images[:60], cells.target[:60]
    model = make_pipeline(ImageSMOTE(random_state=0), small())
    model.set_callbacks(callback.ProgressBar()).fit(X, y)
    out = "".join(capfd.readouterr())
    assert "CellCNNClassifier" in out
