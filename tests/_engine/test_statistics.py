"""Statistics of batch normalisation are those of the network as it is."""

import keras
import numpy as np
import pytest

from skcell import CellCNNClassifier, ImageAugmenter, SEInceptionResNetClassifier
from skcell._engine import CompiledModel, ImageBatches, Recipe
from skcell._engine._statistics import find_normalisers
from skcell._images._contract import ImageSpec
from skcell.classifiers import ClassifierCallback
from skcell.networks import cnn


def program(momentum=0.9, **arguments):
    arguments = {"batch_norm": True, "dense_units": 8, "filters": (4,), **arguments}
    made = CompiledModel(
        Recipe(cnn, tuple(sorted(arguments.items())), (8, 8, 1), "uint8", 3), seed=3
    )
    for layer in find_normalisers(made.model):
        layer.momentum = momentum
    return made


def batches(n, size):
    X = np.random.default_rng(1).integers(0, 256, (n, 8, 8, 1), np.uint8)
    targets = np.eye(3, dtype=np.float32)[np.arange(n) % 3]
    spec = ImageSpec((8, 8, 1), "uint8", "images")
    return ImageBatches(X, spec, targets, np.ones(n, np.float32), batch_size=size, seed=0)


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
@pytest.mark.core
def test_they_are_mean_and_variance_over_all_batches(momentum):
    made, fed = program(momentum), batches(64, 16)
    made.statistics.estimate(fed)
    first = find_normalisers(made.model)[0]
    before = keras.Model(made.model.inputs, first.input)
    images = np.concatenate(list(fed.sample(64)))
    assert len(images) == 64
    seen = to_numpy(before(images))
    np.testing.assert_allclose(
        to_numpy(first.moving_mean.value), seen.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(first.moving_variance.value), seen.var(axis=(0, 1, 2)), rtol=1e-4
    )


@pytest.mark.core
def test_estimating_changes_nothing_else_and_is_the_same_again():
    made, fed = program(dropout=0.5), batches(40, 8)
    kept = {id(v) for n in find_normalisers(made.model) for v in n.non_trainable_variables}
    others = [v for v in made.model.variables if id(v) not in kept]
    before = [to_numpy(v.value).copy() for v in others]
    made.statistics.estimate(fed)
    once = made.get_state()
    made.statistics.estimate(fed)
    for a, b in zip(once, made.get_state(), strict=True):
        np.testing.assert_array_equal(a, b)
    for value, variable in zip(before, others, strict=True):
        np.testing.assert_array_equal(value, to_numpy(variable.value))


class Scan(ClassifierCallback):
    """Predicts after each epoch."""

    def __init__(self, X):
        super().__init__()
        self.X, self.seen = X, []

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.classifier.predict_proba(self.X))


@pytest.mark.parametrize("cls", [CellCNNClassifier, SEInceptionResNetClassifier])
@pytest.mark.thorough
def test_looking_changes_no_bit_and_sees_what_the_end_would_be(cells, cls):
    X, y = cells.images[:120], cells.target[:120]
    small = {"filters": (4,), "dense_units": 8, "batch_norm": True}
    if cls is SEInceptionResNetClassifier:
        small = {"n_blocks": 1, "filters": 8, "stem_filters": 4}
    params = {**small, "augmentation": ImageAugmenter(), "dropout": 0.3, "random_state": 0}
    looks = Scan(X)
    watched = cls(epochs=3, callbacks=[looks], **params).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(watched, cls(epochs=3, **params).fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(looks.seen[-1], watched)
    np.testing.assert_allclose(
        looks.seen[0], cls(epochs=1, **params).fit(X, y).predict_proba(X), atol=1e-6
    )


def test_predictions_follow_the_weights(real_cells):
    """The composite network, whose moving averages lag most, at a rate that moves weights fast."""
    X, y = real_cells
    clf = SEInceptionResNetClassifier(
        n_blocks=1,
        filters=16,
        stem_filters=8,
        standardize=False,
        augmentation=None,
        schedule=None,
        tta="none",
        epochs=4,
        learning_rate=3e-3,
        random_state=0,
    )
    clf.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    model = clf._lease.compiled.model
    trained = to_numpy(model(X[:400], training=True)).argmax(axis=1)
    in_training = (clf.classes_[trained] == y[:400]).mean()
    assert clf.score(X[:400], y[:400]) > in_training - 0.05
    assert clf.history_["val_accuracy"][-1] == pytest.approx(clf.score(X[400:], y[400:]), abs=1e-6)


@pytest.mark.core
def test_a_stream_of_few_images_keeps_the_moving_average(cells):
    X, y = cells.images, cells.target
    params = {"filters": (4,), "dense_units": 8, "augmentation": None, "random_state": 0}
    clf = CellCNNClassifier(**params)
    clf.partial_fit(X, y)
    layer = find_normalisers(clf._lease.compiled.model)[0]
    before = to_numpy(layer.moving_mean.value).copy()
    clf.partial_fit(X[:4], y[:4])
    moved = np.abs(to_numpy(layer.moving_mean.value) - before)
    own = np.abs(before)
    assert (moved < own).all(), "four images do not replace what 240 said"


@pytest.mark.thorough
def test_own_networks_see_pixels_about_zero(cells):
    for cls in (CellCNNClassifier, SEInceptionResNetClassifier):
        for standardize in (False, True):
            clf = cls(epochs=1, augmentation=None, standardize=standardize, tta="none")
            model = clf.fit(cells.images[:40], cells.target[:40]).to_keras()
            first = next(x for x in model.layers if isinstance(x, keras.layers.Conv2D))
            seen = keras.Model(model.inputs, first.input)
            white = np.full((1, 24, 24, 3), 255, np.uint8)
            for image, value in ((white, 0.5), (0 * white, -0.5)):
                expected = 0.0 if standardize else value
                np.testing.assert_allclose(to_numpy(seen(image)), expected, atol=1e-3)
            if standardize:
                pixels = to_numpy(seen(cells.images[:5]))
                np.testing.assert_allclose(pixels.mean(axis=(1, 2)), 0, atol=1e-4)
                np.testing.assert_allclose(pixels.std(axis=(1, 2)), 1, atol=0.02)
