"""A fit that was killed goes on, and ends as if it had not been."""

import keras
import numpy as np
import pytest

from skcell import CellCNNClassifier, TransferClassifier
from skcell.classifiers import Checkpoint


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends a fit after a number of epochs, as a power failure does."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def __deepcopy__(self, memo):
        return self

    def on_epoch_begin(self, epoch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise Killed


def flatten(x):
    return keras.layers.Dense(8)(keras.layers.Flatten()(x))


MODELS = {
    "cnn": lambda: CellCNNClassifier(
        filters=(8,), dense_units=8, epochs=5, dropout=0.2, random_state=0
    ),
    "early stopping": lambda: CellCNNClassifier(
        filters=(8,), dense_units=8, epochs=8, early_stopping=True, patience=2, random_state=0
    ),
    "transfer": lambda: TransferClassifier(
        flatten, epochs=3, fine_tuning_epochs=3, n_views=1, random_state=0, cache=False
    ),
}


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("cnn", 1),
        ("cnn", 4),
        pytest.param("early stopping", 1, marks=pytest.mark.core),
        ("early stopping", 4),
        ("transfer", 1),
        ("transfer", 4),
    ],
)
@pytest.mark.thorough
def test_a_killed_fit_ends_as_one_that_was_not(name, after, cells, tmp_path):
    X, y = cells.images[:96], cells.target[:96]
    whole = MODELS[name]().fit(X, y)
    killed = MODELS[name]().set_params(callbacks=[Checkpoint(tmp_path), Kill(after)])
    with pytest.raises(Killed):
        killed.fit(X, y)
    checkpoint = Checkpoint(tmp_path)
    resumed = MODELS[name]().set_params(callbacks=[checkpoint]).fit(X, y)
    assert checkpoint.resumed
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_equal(resumed.history_, whole.history_)


def test_other_images_or_parameters_are_refused(cells, tmp_path):
    X, y = cells.images[:96], cells.target[:96]
    MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path, "a")]).fit(X, y)
    with pytest.raises(ValueError, match="other images, labels or parameters"):
        MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path, "b")]).fit(X, y)


@pytest.mark.parametrize("damage", ["short", "empty", "text", "no member", "foreign"])
def test_a_damaged_state_is_explained(damage, cells, tmp_path):
    X, y = cells.images[:96], cells.target[:96]
    MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    path = tmp_path / "phase-1.npz"
    content = path.read_bytes()
    if damage == "no member":
        np.savez(path, other=1)
    elif damage == "foreign":
        np.savez(path, told=np.array({"key": 1}, dtype=object))
    else:
        path.write_bytes({"short": content[:-900], "empty": b"", "text": b"state"}[damage])
    with pytest.raises(ValueError, match=r"phase-1.npz is damaged.* Remove the folder"):
        MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path)]).fit(X, y)


def test_a_fold_does_not_get_the_model_of_another(cells, tmp_path):
    """One folder for several folds: the next fold would start from a model that knows its test."""
    X, y = cells.images[:96], cells.target[:96]
    clf = MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path)])
    clf.fit(X[:64], y[:64])
    for images, labels, params in [
        (X[32:], y[32:], {}),
        (X[:64], y[:64][::-1], {}),
        (X[:64], y[:64], {"dropout": 0.3}),
        (X[:64], y[:64], {"random_state": 1}),
    ]:
        again = MODELS["cnn"]().set_params(callbacks=[Checkpoint(tmp_path)], **params)
        with pytest.raises(ValueError, match="give this fit another folder"):
            again.fit(images, labels)
