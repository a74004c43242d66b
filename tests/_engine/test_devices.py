"""One fit on two devices; `tests/test_backends.py` runs these on two that jax makes of the CPU."""

import contextlib
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


@contextlib.contextmanager
def devices(n):
    """Set Keras' distribution, and restore it."""
    before = keras.distribution.distribution()
    names = keras.distribution.list_devices()[:n]
    keras.distribution.set_distribution(
        None if n == 1 else keras.distribution.DataParallel(devices=names)
    )
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def fit(n, data, **params):
    clf = CellCNNClassifier(
        **{
            **PLAIN_SETTINGS,
            "filters": (8,),
            "dense_units": 16,
            "batch_norm": True,
            "dropout": 0.2,
            "augmentation": ImageAugmenter(rotation=0.1),
            "epochs": 3,
            "random_state": 0,
            **params,
        }
    )
    with devices(n):
        return clf.fit(*data)


@needs_two
def test_two_devices_learn_what_one_does(data):
    X = data[0]
    one, two = (fit(n, data) for n in (1, 2))
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), rtol=1e-3)
    np.testing.assert_allclose(two.history_["loss"], one.history_["loss"], rtol=1e-4)


@needs_two
def test_each_device_has_all_weights_and_half_of_a_batch(data):
    fitted = fit(2, data)._lease.compiled
    for variable in fitted.model.variables:
        assert len(variable.value.sharding.device_set) == 2
        assert variable.value.is_fully_replicated
    on_device = fitted.steps._place(data[0][:32])
    assert {part.data.shape[0] for part in on_device.addressable_shards} == {16}


@needs_two
def test_holdouts_pickles_and_two_phases(data):
    X, y = data
    stopped = fit(2, data, early_stopping=True)
    assert len(stopped.history_["val_loss"]) == 3
    again = pickle.loads(pickle.dumps(stopped))  # on one device
    np.testing.assert_allclose(again.predict_proba(X), stopped.predict_proba(X), atol=1e-5)
    tuned = TransferClassifier(
        lambda x: keras.layers.Conv2D(4, 3)(x),
        weights=None,
        epochs=1,
        unfreeze="all",
        fine_tuning_epochs=1,
        cache=False,
        random_state=0,
    )
    with devices(2):
        tuned.fit(X, y)
    assert tuned.history_["phase"] == ["head", "fine-tuning"]


@needs_two
def test_a_batch_that_cannot_be_divided_is_an_error(data):
    with pytest.raises(ValueError, match="batch_size=31 cannot be split evenly over the 2 devices"):
        fit(2, data, batch_size=31)


@needs_two
def test_a_network_that_is_divided_over_devices_is_refused(data):
    mesh = keras.distribution.DeviceMesh((1, 2), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
    )
    try:
        with pytest.raises(ValueError, match="must be a DataParallel, got ModelParallel"):
            CellCNNClassifier().fit(*data)
    finally:
        keras.distribution.set_distribution(None)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="jax can")
def test_other_backends_say_what_to_do(data):
    with devices(1):
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0"]))
        with pytest.raises(ValueError, match="under Keras' jax backend alone"):
            CellCNNClassifier().fit(*data)
