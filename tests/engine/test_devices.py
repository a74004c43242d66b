"""One fit on two devices; `tests/test_backends.py` runs these on two that jax makes of the CPU."""

import pickle

import keras
import numpy as np
import pytest

from skcell import CellCNNClassifier, ImageAugmenter, TransferClassifier
from skcell.study import PLAIN_SETTINGS

has_two = keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1
needs_two = pytest.mark.skipif(not has_two, reason="test_backends.py runs it on two jax devices")


@pytest.fixture(scope="module")
def data(cells):
    return cells.images[:90, ::2, ::2], cells.target[:90]


def make(n, **params):
    return CellCNNClassifier(
        **{
            **PLAIN_SETTINGS,
            "filters": (8,),
            "dense_units": 16,
            "batch_norm": True,
            "dropout": 0.2,
            "augmentation": ImageAugmenter(rotation=0.1),
            "epochs": 3,
            "n_devices": n,
            "random_state": 0,
            **params,
        }
    )


@needs_two
def test_two_devices_learn_what_one_does(data):
    X, y = data
    one, two, all_ = (make(n).fit(X, y) for n in (1, 2, -1))
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), rtol=1e-3)
    np.testing.assert_allclose(two.history_["loss"], one.history_["loss"], rtol=1e-4)
    np.testing.assert_array_equal(all_.predict_proba(X), two.predict_proba(X))


@needs_two
def test_each_device_has_all_weights_and_half_of_a_batch(data):
    fitted = make(2).fit(*data)._lease.compiled
    for variable in fitted.model.variables:
        assert len(variable.value.sharding.device_set) == 2
        assert variable.value.is_fully_replicated
    on_device = fitted.steps._place(data[0][:32])
    assert {part.data.shape[0] for part in on_device.addressable_shards} == {16}


@needs_two
def test_holdouts_pickles_and_two_phases(data):
    X, y = data
    stopped = make(2, early_stopping=True).fit(X, y)
    assert len(stopped.history_["val_loss"]) == 3
    again = pickle.loads(pickle.dumps(stopped))
    np.testing.assert_array_equal(again.predict_proba(X), stopped.predict_proba(X))
    tuned = TransferClassifier(
        lambda x: keras.layers.Conv2D(4, 3)(x),
        weights=None,
        epochs=1,
        unfreeze="all",
        fine_tuning_epochs=1,
        cache=False,
        n_devices=2,
        random_state=0,
    ).fit(X, y)
    assert tuned.history_["phase"] == ["head", "fine-tuning"]


@needs_two
@pytest.mark.parametrize(
    ("n", "batch_size", "message"),
    [
        (3, 30, r"n_devices=3, but jax sees 2; set n_devices=2, or -1 for all"),
        (2, 31, r"batch_size=31 cannot be split evenly over n_devices=2; .* such as 32"),
    ],
)
def test_devices_that_cannot_be_used_are_an_error(data, n, batch_size, message):
    with pytest.raises(ValueError, match=message):
        make(n, batch_size=batch_size).fit(*data)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="jax can")
@pytest.mark.parametrize("n", [2, -1])
def test_other_backends_say_what_to_do(data, n):
    with pytest.raises(ValueError, match=rf"n_devices={n} needs Keras' jax backend"):
        make(n).fit(*data)
