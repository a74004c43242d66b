"""Adaptation to another microscope: better there, harmless at home, a full estimator."""

import copy
import pickle
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from skcell import (
    AdaptiveClassifier,
    CellCNNClassifier,
    SEInceptionResNetClassifier,
    TransferClassifier,
    make_pipeline,
)
from skcell.classifiers._adaptation import SOURCE_IMAGES, adapt_head, adapt_statistics
from skcell.classifiers._cell_size import measure_sizes, zoom_images
from skcell.exceptions import AdaptationWarning

SETTINGS = {"filters": (16, 32), "dense_units": 32, "epochs": 15, "tta": "none", "random_state": 0}


def elsewhere(images):
    """A camera with another sensor: noisy, and bluer."""
    noise = np.random.default_rng(0).normal(0, 40, images.shape)
    return np.clip(images * np.array([0.7, 0.8, 1.0]) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data():
    from skcell.datasets import make_cells

    cells = make_cells(400, n_classes=4, image_size=24, noise=0.3, random_state=0)
    return cells.images[:240], cells.target[:240], cells.images[240:], cells.target[240:]


@pytest.fixture(scope="module")
def fitted(data):
    return CellCNNClassifier(**SETTINGS).fit(*data[:2])


def test_unlabelled_images_mend_a_shift_and_do_no_harm_without_one(fitted, data):
    X, y = data[2:]
    before = fitted.score(elsewhere(X), y)
    adapted = fitted.adapt(elsewhere(X))
    assert adapted.score(elsewhere(X), y) > before + 0.05
    assert adapted.adaptation_["move"] > 0.5
    assert fitted.score(elsewhere(X), y) == before, "the original is as it was"
    assert fitted.adapt(X).score(X, y) > fitted.score(X, y) - 0.02


def test_images_of_one_class_alone_do_not_spoil_it(fitted, data):
    X, y = data[2:]
    for label in np.unique(y):
        alone = X[y == label]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AdaptationWarning)
            adapted = fitted.adapt(alone)
        assert adapted.score(X, y) > fitted.score(X, y) - 0.03


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_unequal_classes_do_no_harm_elsewhere(fitted, data, share):
    """As in blood, where most white cells are of one kind; scored on all kinds alike."""
    X, y = elsewhere(data[2]), data[3]
    most = np.bincount(y).argmax()
    rng = np.random.default_rng(0)
    p = np.where(y == most, share / (y == most).sum(), (1 - share) / (y != most).sum())
    chosen = rng.choice(len(y), 150, p=p)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdaptationWarning)
        adapted = fitted.adapt(X[chosen])
    before, after = (balanced_accuracy_score(y, clf.predict(X)) for clf in (fitted, adapted))
    assert after > before + 0.02


def test_an_adapted_classifier_is_one_like_any_other(fitted, data, predict_elsewhere):
    X = elsewhere(data[2])
    adapted = fitted.adapt(X)
    probabilities = adapted.predict_proba(X)
    np.testing.assert_array_equal(fitted.adapt(X).predict_proba(X), probabilities)
    again = pickle.loads(pickle.dumps(adapted))
    np.testing.assert_array_equal(again.predict_proba(X), probabilities)
    assert again.adaptation_ == adapted.adaptation_
    np.testing.assert_allclose(adapted.to_keras().predict(X, verbose=0), probabilities, atol=0.01)
    assert not hasattr(clone(adapted), "adaptation_")
    said = adapted.adaptation_
    assert (said["n_images"], said["n_labelled"]) == (160, 0)
    assert list(said["class_shares"]) == fitted.classes_.tolist()
    np.testing.assert_allclose(
        list(said["class_shares"].values()), probabilities.mean(axis=0), atol=1e-6
    )
    twice = adapted.adapt(data[2])
    assert twice.score(data[2], data[3]) > 0.8, "and back again"


def test_statistics_are_those_of_the_images_with_the_classes_of_training(fitted, data):
    """Against the moments of what goes into the first normalisation."""
    X = elsewhere(data[2])
    model, source = fitted.to_keras(), fitted.to_keras()
    adapted = copy.deepcopy(fitted)
    codes = np.searchsorted(fitted.classes_, fitted.predict(X))
    with adapted._lease.use() as compiled:
        # With the shares that are predicted, each image counts once.
        monkeypatch = pytest.MonkeyPatch()
        with monkeypatch.context() as patch:
            patch.setattr("skcell.classifiers._adaptation.ROUNDS", 1)
            move = adapt_statistics(compiled, X, np.bincount(codes, minlength=4) / len(X))
    assert move == pytest.approx(len(X) / (len(X) + SOURCE_IMAGES), rel=0.02)
    model = adapted.to_keras()
    layer, old = (
        next(x for x in m.layers if isinstance(x, keras.layers.BatchNormalization))
        for m in (model, source)
    )
    inputs = keras.Model(model.inputs, layer.input).predict(X, verbose=0)
    expected = old.moving_mean + move * (inputs.mean(axis=(0, 1, 2)) - old.moving_mean)
    np.testing.assert_allclose(layer.moving_mean, expected, rtol=0.03, atol=0.01)


def test_a_few_labels_help_more(fitted, data):
    X, y = elsewhere(data[2])[..., ::-1], data[3]
    few = np.concatenate([np.flatnonzero(y == label)[:5] for label in np.unique(y)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    unlabelled, labelled = fitted.adapt(X), fitted.adapt(X, X[few], y[few])
    assert labelled.score(X[rest], y[rest]) >= unlabelled.score(X[rest], y[rest])
    assert labelled.score(X[few], y[few]) > 0.9
    assert labelled.adaptation_["n_labelled"] == 20


def test_labels_belong_to_their_images_however_many_there_are(fitted, data, monkeypatch):
    """Only images without labels are limited in number."""
    X, y = elsewhere(data[2]), data[3]
    monkeypatch.setattr("skcell.classifiers._adaptation.MOST_IMAGES", 50)
    adapted = fitted.adapt(X, X, y)
    assert (adapted.adaptation_["n_images"], adapted.adaptation_["n_labelled"]) == (50, 160)
    assert adapted.score(X, y) > 0.9


def test_the_last_layer_is_that_of_an_independent_solver(fitted, data):
    """A penalty of almost nothing is a logistic regression; a huge one changes nothing.

    All classes weigh the same, though most labels are of one.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score

    X, y = data[2:]
    used = (y == y[0]) | (np.arange(len(y)) % 8 == 0)
    X, y = X[used], y[used]
    model, codes = fitted.to_keras(), np.searchsorted(fitted.classes_, y)
    compiled = fitted._lease.compiled
    kernel, bias = adapt_head(compiled, X, codes, penalty=1e9)
    np.testing.assert_allclose(kernel, model.layers[-1].get_weights()[0], atol=1e-4)
    kernel, bias = adapt_head(compiled, X, codes, penalty=0.3)
    features = keras.Model(model.inputs, model.layers[-1].input).predict(X, verbose=0)
    np.testing.assert_allclose(fitted.embed(X), features, atol=1e-5)
    scores = features @ kernel + bias
    rival = LogisticRegression(C=100, class_weight="balanced", max_iter=3000).fit(features, y)
    found = fitted.classes_[scores.argmax(axis=1)]
    of_rival = balanced_accuracy_score(y, rival.predict(features))
    assert balanced_accuracy_score(y, found) >= of_rival - 0.02


@pytest.mark.parametrize("cls", [CellCNNClassifier, SEInceptionResNetClassifier])
@pytest.mark.thorough
def test_defaults_can_be_adapted(cls, data):
    small = {"filters": (4, 8)} if cls is CellCNNClassifier else {"n_blocks": 1, "filters": 8}
    clf = cls(**small, epochs=1, random_state=0).fit(data[0][:64], data[1][:64])
    assert clf.adapt(data[2]).predict(data[2]).shape == (160,)


def test_what_cannot_be_adapted_is_said(data, fitted):
    X, y, X_other, y_other = data
    plain = CellCNNClassifier(**SETTINGS | {"batch_norm": False, "epochs": 1}).fit(X, y)
    assert plain.adapt(X_other).adaptation_["move"] == 0
    with_labels = plain.adapt(X_other, X_other, y_other)
    assert with_labels.adaptation_["move"] == 0
    assert with_labels.score(X_other, y_other) > plain.score(X_other, y_other)
    frozen = TransferClassifier(
        keras.Sequential([keras.Input((24, 24, 3)), keras.layers.GlobalAveragePooling2D()]),
        input_size=None,
        unfreeze=None,
        cache=False,
        epochs=1,
        random_state=0,
    ).fit(X, y)
    assert frozen.adapt(X_other, X_other, y_other).predict(X_other).shape == (160,)
    with pytest.raises(ValueError, match="passed together"):
        fitted.adapt(X_other, X_other)
    with pytest.raises(ValueError, match="not among the classes"):
        fitted.adapt(X_other, X_other[:2], ["no such cell", "nor this"])
    with pytest.raises(ValueError, match="channel"):
        fitted.adapt(X_other[..., :1])
    with pytest.raises(ValueError, match="Pass images of the other laboratory"):
        fitted.adapt(None)
    with pytest.warns(AdaptationWarning, match="not adapted to 10 images"):
        few = fitted.adapt(X_other[:10])
    np.testing.assert_array_equal(few.predict_proba(X_other), fitted.predict_proba(X_other))
    resized = fitted.adapt(zoom_images(X_other, 1.4))
    with pytest.warns(AdaptationWarning, match="not adapted to 10 images"):
        few = resized.adapt(X_other[:10])  # it keeps what it was adapted to
    np.testing.assert_array_equal(few.predict_proba(X_other), resized.predict_proba(X_other))
    assert few.adaptation_["zoom"] == resized.adaptation_["zoom"] != 1
    alone = X_other[fitted.predict(X_other) == y_other[0]]
    with pytest.warns(AdaptationWarning, match="nearly all of .* images for one class"):
        left = fitted.adapt(np.concatenate([alone, alone]))
    assert (left.adaptation_["zoom"], left.adaptation_["move"]) == (1, 0)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_cells_of_another_size_are_enlarged(fitted, data, factor):
    X, y = data[2:]
    other = zoom_images(X, factor)
    adapted = fitted.adapt(other)
    assert adapted.score(other, y) > fitted.score(other, y) + 0.05
    assert (adapted.adaptation_["zoom"] > 1) == (factor < 1)
    probabilities = adapted.predict_proba(other)
    model = adapted.to_keras()
    # A pixel that is interpolated halfway between two bytes may be rounded to the other one.
    np.testing.assert_allclose(model.predict(other, verbose=0), probabilities, atol=0.01)
    refitted = copy.deepcopy(adapted).set_params(epochs=1).fit(*data[:2])
    assert not hasattr(refitted, "adaptation_")


def test_size_is_measured_whatever_light_and_stain(data):
    images = data[0]
    sizes = measure_sizes(images)
    for change in (elsewhere, lambda x: x // 2, lambda x: x[..., ::-1]):
        np.testing.assert_allclose(np.median(measure_sizes(change(images)) - sizes), 0, atol=0.08)
    for factor in (0.75, 1.3):
        found = np.median(measure_sizes(zoom_images(images, factor)) - sizes)
        np.testing.assert_allclose(found, np.log(factor), atol=0.08)
    assert np.isnan(measure_sizes(np.full((2, 24, 24, 3), 7, np.uint8))).all()


def test_enlarged_images_are_those_of_pillow(data):
    image = data[0][:1]
    ours = zoom_images(image, 1.5)[0]
    box = [(24 - 16) / 2, (24 - 16) / 2, (24 + 16) / 2, (24 + 16) / 2]
    theirs = Image.fromarray(image[0]).resize((24, 24), Image.Resampling.BILINEAR, box=box)
    assert np.abs(ours[2:-2, 2:-2].astype(int) - np.asarray(theirs, int)[2:-2, 2:-2]).max() <= 2
    smooth = np.repeat(np.repeat(image[:, :6, :6], 4, axis=1), 4, axis=2)
    back = zoom_images(zoom_images(smooth, 1.5), 1 / 1.5)
    assert np.abs(back.astype(int) - smooth)[:, 6:18, 6:18].mean() < 6
    assert not zoom_images(image, 0.5, outside="zero")[:, :5].any()


def test_laboratories_are_cross_validated_without_their_labels(data):
    X, y = data[0], data[1]
    laboratory = np.arange(len(y)) % 2
    X = np.where(laboratory[:, None, None, None] == 1, elsewhere(X), X)
    scores = {}
    for name, clf in (
        ("as it is", CellCNNClassifier(**SETTINGS)),
        ("adapted", AdaptiveClassifier(CellCNNClassifier(**SETTINGS))),
    ):
        scores[name] = cross_val_score(clf, X, y, groups=laboratory, cv=LeaveOneGroupOut())
    assert scores["adapted"].mean() > scores["as it is"].mean() + 0.01


def test_adaptive_classifier_is_a_step_and_passes_what_fit_takes(data):
    X, y = data[:2]
    clf = AdaptiveClassifier(CellCNNClassifier(**SETTINGS | {"epochs": 1}))
    assert make_pipeline(clf).fit(X, y).predict(X).shape == y.shape
    weights = np.ones(len(y))
    weights[:100] = 0
    weighted = clone(clf).fit(X, y, sample_weight=weights).estimator_
    alone = CellCNNClassifier(**SETTINGS | {"epochs": 1}).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(weighted.predict_proba(X), alone.predict_proba(X))
    with pytest.raises(TypeError, match="has no method `adapt`"):
        AdaptiveClassifier(clone(make_pipeline(clf))).fit(X, y)
    assert balanced_accuracy_score(y, clf.fit(X, y).predict(X)) > 0
