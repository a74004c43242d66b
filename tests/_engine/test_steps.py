"""Steps of training: what Keras' own fit would do, whatever way the images take."""

import functools

import keras
import numpy as np
import pytest

from skcell._engine import CompiledModel, ImageBatches, Recipe
from skcell._engine import _steps as steps_module
from skcell._engine import train as train_at
from skcell._images._contract import ImageSpec
from skcell.networks import cnn

only_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="images stay on a device under jax only"
)

pytestmark = pytest.mark.core

train = functools.partial(train_at, learning_rate=1e-3)


def program(seed=3, **changes):
    params = {
        "network": cnn,
        "kwargs": (("batch_norm", True), ("dense_units", 8), ("filters", (4,))),
        "input_shape": (8, 8, 1),
        "dtype": "uint8",
        "n_classes": 3,
        **changes,
    }
    return CompiledModel(Recipe(**params), seed)


def batches(n=50, batch_size=8, seed=0):
    rng = np.random.default_rng(1)
    X = rng.integers(0, 256, (n, 8, 8, 1), np.uint8)
    weights = rng.uniform(0.5, 2, n).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[np.arange(n) % 3]
    spec = ImageSpec((8, 8, 1), "uint8", "images")
    return ImageBatches(X, spec, targets, weights, batch_size=batch_size, seed=seed)


def weights_of(program):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in program.model.variables]


def test_training_steps_are_those_of_keras():
    ours, theirs = program(), program()
    fed = batches()
    history = train(ours, fed, batches(n=20, seed=None), [], epochs=3, estimate=False)
    expected: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for epoch in range(3):
        fed.shuffle(epoch)
        X, y, w = (np.concatenate(parts) for parts in zip(*fed, strict=True))
        scores = theirs.model.fit(X, y, sample_weight=w, batch_size=8, shuffle=False, verbose=0)
        for name in expected:
            expected[name] += scores.history[name]
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4)
    for mine, their in zip(weights_of(ours), weights_of(theirs), strict=True):
        np.testing.assert_allclose(mine, their, rtol=1e-3, atol=1e-5)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_steps_score_every_image_once():
    p, watched = program(), batches(n=21, seed=None)
    X, y, w = watched.X, watched.targets.argmax(axis=1), watched.weights
    for _ in p.steps.test(watched):
        pass
    right = p.forward(X).argmax(axis=1) == y
    scores = p.model.get_metrics_result()
    assert float(scores["accuracy"]) == pytest.approx(np.average(right, weights=w), abs=1e-6)


class Hears(keras.callbacks.Callback):
    """Writes down what it is called for, and may stop training."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.seen, self.stop_at = [], stop_at

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(("begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        assert np.isfinite(logs["loss"])
        self.seen.append(("end", batch))
        if batch == self.stop_at:
            self.model.stop_training = True


def test_callbacks_hear_of_steps():
    hears = Hears()
    train(program(), batches(n=20), None, [hears], epochs=1)
    assert hears.seen == [(what, i) for i in range(3) for what in ("begin", "end")]


def test_a_callback_stops_training_between_steps():
    hears = Hears(stop_at=1)
    history = train(program(), batches(n=50), None, [hears], epochs=5)
    assert hears.seen[-1] == ("end", 1)
    assert len(history["loss"]) == 1


def test_steps_keep_what_was_learned_before_an_error():
    class Fails(ImageBatches):
        def _make(self, index):
            if index == 2:
                raise OSError("the disk is gone")
            return super()._make(index)

    whole, broken = batches(), batches()
    broken.__class__ = Fails
    p = program()
    before = weights_of(p)
    with pytest.raises(OSError, match="the disk is gone"):
        train(p, broken, None, [], epochs=1)
    after = weights_of(p)
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    train(p, whole, None, [], epochs=1)


@only_jax
def test_steps_with_images_on_the_device_are_the_same():
    fed, on_device = program(), program()
    there = batches(), batches(n=20, seed=None)
    for part in there:
        part.on_device = tuple(steps_module._upload(a) for a in (part.images, part.targets))
    one = train(fed, batches(), batches(n=20, seed=None), [], epochs=3)
    many = train(on_device, *there, [], epochs=3)
    for name, values in one.items():
        np.testing.assert_allclose(many[name], values, rtol=1e-4)
    for a, b in zip(weights_of(fed), weights_of(on_device), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "jax" or len(keras.distribution.list_devices()) < 2,
    reason="test_backends.py runs it on two jax devices",
)
def test_steps_with_images_on_two_devices_are_the_same():
    one, two = program(), program(devices=tuple(keras.distribution.list_devices()[:2]))
    part = batches()
    part.on_device = tuple(
        two.steps._place(steps_module._upload(a), axis=None) for a in (part.images, part.targets)
    )
    assert train(two, part, None, [], epochs=2)["loss"] == pytest.approx(
        train(one, batches(), None, [], epochs=2)["loss"], rel=1e-4
    )
    for a, b in zip(weights_of(one), weights_of(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=5e-5)


@only_jax
def test_steps_on_the_device_do_not_depend_on_the_number_of_images():
    p = program()
    for n in (50, 53, 56):
        part = batches(n=n)
        part.on_device = tuple(steps_module._upload(a) for a in (part.images, part.targets))
        train(p, part, None, [], epochs=1)
    assert p.steps._many["train"]._cache_size() == 1


@only_jax
@pytest.mark.parametrize("n", [1, 7, 100, 4095, 4097, 9000])
def test_uploaded_steps_of_images_are_whole(n):
    X = np.random.default_rng(0).integers(0, 256, (n, 3), np.uint8)
    there = np.asarray(steps_module._upload(X))
    np.testing.assert_array_equal(there[:n], X)
    assert n <= len(there) <= 1.26 * n + 1
