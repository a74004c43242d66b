"""Maps show what the network used: against numeric gradients, planted marks and random weights."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcell import (
    CalibratedClassifier,
    CellCNNClassifier,
    ImageSMOTE,
    SEInceptionResNetClassifier,
    TransferClassifier,
    make_pipeline,
)
from skcell.datasets import make_cells
from skcell.inspection import confirm_maps, grad_cam, occlusion_map, spotlight

SMALL = {
    "filters": (8, 16),
    "dense_units": 16,
    "epochs": 8,
    "random_state": 0,
    "augmentation": None,
    "tta": "none",  # which take time to compile
}


@pytest.fixture(scope="module")
def marked():
    """Noise; a dot in the upper left makes class b, one in the lower right class a."""
    rng = np.random.default_rng(0)
    images = rng.integers(100, 140, (160, 32, 32, 3)).astype(np.uint8)
    labels = np.where(np.arange(160) % 2, "b", "a")
    images[labels == "b", 4:11, 4:11] = 250
    images[labels == "a", 22:29, 22:29] = (250, 20, 20)
    return images, labels


@pytest.fixture(scope="module")
def fitted(marked):
    clf = CellCNNClassifier(**SMALL, standardize=False).fit(*marked)
    assert clf.score(*marked) == 1
    return clf


def mass(heat, is_b):
    """Share of a map in the quarter that has the dot."""
    part = heat[:, :16, :16] if is_b else heat[:, 16:, 16:]
    return part.sum(axis=(1, 2)) / heat.sum(axis=(1, 2))


@pytest.mark.core
@pytest.mark.parametrize("label", ["a", "b"])
def test_a_map_is_where_the_class_is_made(fitted, marked, label):
    images, labels = marked
    some = images[labels == label][:20]
    heat = grad_cam(fitted, some, method="hires-cam")
    assert heat.shape == (20, 32, 32)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    highest = heat.max(axis=(1, 2))
    assert ((highest > 0.3) & (highest <= 1)).all(), "each layer's is 1 before it is resized"
    assert mass(heat, label == "b").mean() > 0.5, "twice its share of the area"
    covered = np.maximum(occlusion_map(fitted, some, patch=0.25, stride=0.125), 0)
    assert mass(covered, label == "b").mean() > 0.9


@pytest.mark.core
@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
@pytest.mark.thorough
def test_maps_agree_with_numeric_gradients(fitted, marked, method):
    """The weights are derivatives of the logit; here they are differences."""
    import keras

    images = marked[0][:3]
    model = fitted.to_keras()
    spatial = [layer for layer in model.layers if len(layer.output.shape) == 4]
    last = model.layers[-1]
    front = keras.Model(model.inputs, spatial[-1].output)
    back = keras.Model(spatial[-1].output, last.input)
    activations = keras.ops.convert_to_numpy(front(images)).astype(np.float64)
    codes = fitted.predict_proba(images).argmax(axis=1)
    kernel, bias = (keras.ops.convert_to_numpy(w.value) for w in (last.kernel, last.bias))

    def logit(a):
        features = keras.ops.convert_to_numpy(back(a.astype(np.float32))).astype(np.float64)
        return (features @ kernel + bias)[np.arange(3), codes]

    height, width, channels = activations.shape[1:]
    step = 1e-2
    gradient = np.zeros_like(activations)
    if method == "grad-cam":
        for c in range(channels):
            moved = activations.copy()
            moved[..., c] += step
            gradient[..., c] = ((logit(moved) - logit(activations)) / step / height / width)[
                :, None, None
            ]
    else:
        for y, x, c in np.ndindex(height, width, channels):
            moved = activations.copy()
            moved[:, y, x, c] += step
            gradient[:, y, x, c] = (logit(moved) - logit(activations)) / step
    expected = np.maximum((activations * gradient).sum(axis=3), 0)
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-9)
    inside = [x.name for x in fitted._image_network().layers if len(x.output.shape) == 4]
    found = grad_cam(fitted, images, method=method, layer=inside[-1])
    size = 32 // height
    centres = found.reshape(3, height, size, width, size)[:, :, size // 2, :, size // 2]
    for one, other in zip(centres, expected, strict=True):
        if other.any():
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


@pytest.mark.core
def test_random_weights_change_the_maps(fitted, marked):
    """Adebayo et al. 2018: a map that random weights do not change explains nothing."""
    images = marked[0][:20]
    random = CellCNNClassifier(**{**SMALL, "epochs": 1, "learning_rate": 1e-9})
    random.set_params(standardize=False, random_state=7).fit(*marked)
    before = grad_cam(fitted, images, "a", method="hires-cam")
    after = grad_cam(random, images, "a", method="hires-cam")
    alike = [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(before, after, strict=True)]
    assert np.nanmean(alike) < 0.5
    again = grad_cam(fitted, images, "a", method="hires-cam")
    assert (again == before).all()


def test_classes_have_maps_of_their_own(fitted, marked):
    images, labels = marked
    both = images[labels == "a"][:5].copy()
    both[:, 4:11, 4:11] = 250
    as_a, as_b = (grad_cam(fitted, both, label, method="hires-cam") for label in "ab")
    assert mass(as_a, False).mean() > mass(as_b, False).mean()
    mixed = grad_cam(fitted, both, ["a", "b", "a", "b", "a"], method="hires-cam")
    assert (mixed[0] == as_a[0]).all()
    assert (mixed[1] == as_b[1]).all()


@pytest.mark.thorough
def test_models_around_a_network_are_explained(fitted, marked):
    images, labels = marked
    some = images[:4]
    pipe = make_pipeline(ImageSMOTE(), CellCNNClassifier(**SMALL)).fit(images, labels)
    assert (grad_cam(pipe, some) == grad_cam(pipe[-1], some)).all()
    rows = sklearn_pipeline(
        FunctionTransformer(lambda X: X.reshape(-1, 32, 32, 3)), CellCNNClassifier(**SMALL)
    ).fit(images.reshape(160, -1), labels)
    assert grad_cam(rows, some.reshape(4, -1)).shape == (4, 32, 32)
    calibrated = CalibratedClassifier(CellCNNClassifier(**SMALL), random_state=0)
    calibrated.fit(images, labels)
    assert (grad_cam(calibrated, some) == grad_cam(calibrated.estimator_, some)).all()
    search = GridSearchCV(CellCNNClassifier(**SMALL), {"dropout": [0.0]}, cv=2).fit(images, labels)
    assert (grad_cam(search, some) == grad_cam(search.best_estimator_, some)).all()
    members = [("one", CellCNNClassifier(**SMALL)), ("two", pipe)]
    voting = VotingClassifier(members, voting="soft").fit(images, labels)
    maps = [
        grad_cam(member, some, codes)
        for member in voting.estimators_
        for codes in [voting.predict_proba(some).argmax(axis=1)]
    ]
    assert np.allclose(grad_cam(voting, some), np.mean(maps, axis=0))
    rows = CellCNNClassifier(**SMALL, image_shape=(32, 32, 3))
    bagging = BaggingClassifier(rows, 2, random_state=0).fit(images.reshape(160, -1), labels)
    assert grad_cam(bagging, some.reshape(4, -1)).shape == (4, 32, 32)
    scaled = CalibratedClassifierCV(FrozenEstimator(pipe)).fit(images, labels)
    assert (grad_cam(scaled, some) == grad_cam(pipe, some)).all()


@pytest.mark.parametrize("unfreeze", [pytest.param(None, marks=pytest.mark.core), "all"])
@pytest.mark.thorough
def test_a_pretrained_network_is_explained(marked, unfreeze):
    images, labels = marked
    clf = TransferClassifier(
        backbone="mobilenet_v2",
        weights=None,
        input_size=64,
        unfreeze=unfreeze,
        epochs=1,
        fine_tuning_epochs=1,
        random_state=0,
    )
    clf.fit(images[:40], labels[:40])
    heat = grad_cam(clf, images[:3], "a", method="hires-cam")
    assert heat.shape == (3, 32, 32)
    assert np.isfinite(heat).all()


@pytest.mark.thorough
def test_the_composite_network_and_its_layers(marked):
    clf = SEInceptionResNetClassifier(epochs=1, random_state=0).fit(*marked)
    assert grad_cam(clf, marked[0][:2]).shape == (2, 32, 32)
    with pytest.raises(ValueError, match=r"no layer 'nothing' .* it has "):
        grad_cam(clf, marked[0][:2], layer="nothing")
    shapes = {x.name: x.output.shape for x in clf._image_network().layers}
    inside = [name for name, shape in shapes.items() if len(shape) == 4 and shape[3] > 3][2]
    try:
        assert grad_cam(clf, marked[0][:2], layer=inside).shape == (2, 32, 32)
    except ValueError as error:
        assert "has others beside it" in str(error)  # noqa: PT017 # either is right


def test_the_image_itself_is_no_layer(fitted, marked):
    with pytest.raises(ValueError, match="no layer 'image'"):
        grad_cam(fitted, marked[0][:2], layer="image")


def test_maps_follow_further_training(marked):
    clf = CellCNNClassifier(**{**SMALL, "epochs": 1}).fit(*marked)
    before = grad_cam(clf, marked[0][:3], "a")
    for _ in range(6):
        clf.partial_fit(*marked)
    assert not np.array_equal(grad_cam(clf, marked[0][:3], "a"), before)


@pytest.mark.parametrize("kind", ["colour", "brightness"])
@pytest.mark.thorough
def test_maps_point_to_evidence_at_a_random_place(kind):
    """A mark of 4 x 4 pixels anywhere is all that tells two classes of real-looking cells apart."""
    rng = np.random.default_rng(0)
    made = make_cells(700, n_classes=4, image_size=28, random_state=0).images
    labels, places = rng.integers(0, 2, 700), rng.integers(2, 22, (700, 2))
    colours = {"colour": [(200, 30, 30), (30, 30, 200)], "brightness": [250, 5]}[kind]
    for image, label, (top, left) in zip(made, labels, places, strict=True):
        image[top : top + 4, left : left + 4] = colours[label]
    clf = CellCNNClassifier(
        filters=(16, 32, 64), augmentation="symmetries", epochs=14, random_state=0
    ).fit(made[:600], labels[:600])
    assert clf.score(made[600:], labels[600:]) > 0.95

    def near(maps):
        peaks = np.stack(np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), (28, 28)), 1)
        return np.mean(np.abs(peaks - places[600:] - 1.5).max(axis=1) <= 4)

    maps = grad_cam(clf, made[600:])
    # From seed to seed 0.57 to 1 of them, and 0.1 by chance.
    assert near(maps) > 0.5
    last = [x.name for x in clf._image_network().layers if len(x.output.shape) == 4][-1]
    assert near(grad_cam(clf, made[600:], layer=last)) < near(maps)
    confirmed = confirm_maps(clf, made[600:], maps)
    anywhere = np.roll(maps, 14, axis=(1, 2))
    assert confirmed.mean() > 0.35
    assert confirm_maps(clf, made[600:], anywhere).mean() < 0.2


def test_each_cell_of_a_map_is_enlarged_to_its_pixels():
    """4 cells of 8 pixels reach beyond an image of 28."""
    from skcell._images import ImageSpec
    from skcell.inspection._maps import _enlarge

    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    found = _enlarge(heat, ImageSpec((28, 28, 3), "uint8", "images"))
    assert found.shape == (28, 28)
    weights = found / found.sum()
    assert np.isclose((weights.sum(axis=1) * np.arange(28)).sum(), 11.5, atol=0.1)
    assert np.isclose((weights.sum(axis=0) * np.arange(28)).sum(), 19.5, atol=0.1)


def test_occlusion_explains_any_classifier(marked):
    images, labels = marked
    clf = sklearn_pipeline(
        FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255.0),
        LogisticRegression(max_iter=200),
    ).fit(images, labels)
    some = images[labels == "b"][:5]
    heat = np.maximum(occlusion_map(clf, some, patch=0.25, stride=0.25), 0)
    assert mass(heat, True).mean() > 0.7
    with pytest.raises(TypeError, match=r"no network of skcell.*occlusion_map"):
        grad_cam(clf, some)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"target": "c"}, "does not know the class 'c'; it knows"),
        ({"target": ["a"]}, "target has 1 entries for 2 images"),
        ({"method": "cam"}, "method must be 'grad-cam' or 'hires-cam'"),
    ],
)
def test_wrong_arguments_of_grad_cam(fitted, marked, arguments, match):
    with pytest.raises(ValueError, match=match):
        grad_cam(fitted, marked[0][:2], **arguments)


def test_wrong_arguments_of_occlusion(fitted, marked):
    for arguments, match in (
        ({"patch": 0}, "patch must be"),
        ({"stride": 2}, "stride must be"),
        ({"patch": 0.1, "stride": 0.3}, "leaves out pixels"),
    ):
        with pytest.raises(ValueError, match=match):
            occlusion_map(fitted, marked[0][:2], **arguments)
    with pytest.raises(ValueError, match="got the shape"):
        occlusion_map(fitted, marked[0][:2].reshape(2, -1))


def test_members_that_know_other_classes_are_refused(marked):
    """The members of one-against-rest know "a" or not, so their maps are of other questions."""
    three = np.where(np.arange(160) % 5 == 0, "c", marked[1])
    one_against_rest = OneVsRestClassifier(CellCNNClassifier(**{**SMALL, "epochs": 1}))
    with pytest.raises(TypeError, match="no network of skcell"):
        grad_cam(one_against_rest.fit(marked[0], three), marked[0][:2])


def test_members_that_are_not_averaged_are_refused(marked):
    images, labels = marked
    rows = CellCNNClassifier(**{**SMALL, "epochs": 1}, image_shape=(32, 32, 3))
    boosted = AdaBoostClassifier(rows, n_estimators=2).fit(images.reshape(160, -1), labels)
    with pytest.raises(TypeError, match="no network of skcell"):
        grad_cam(boosted, images[:2].reshape(2, -1))


def test_a_spotlight_is_bright_where_the_map_is():
    image = np.full((8, 8, 3), 200, np.uint8)
    heat = np.zeros((8, 8))
    heat[:4] = 1
    lit = np.asarray(spotlight(image, heat))
    assert (lit[:4] == 200).all()
    assert (lit[4:] == 50).all()
