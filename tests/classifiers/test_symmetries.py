"""Test-time augmentation: exact symmetry, in every use of a classifier."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import VotingClassifier

from skcell import CellCNNClassifier, ImageAugmenter, ImageSMOTE, TransferClassifier, make_pipeline
from skcell.study import PLAIN_SETTINGS

SMALL = PLAIN_SETTINGS | {"filters": (8,), "dense_units": 8, "epochs": 2, "random_state": 0}

LOAD = """
import sys
import keras
import numpy as np

folder = sys.argv[1]
model = keras.models.load_model(f"{folder}/model.keras")
found = model.predict(np.load(f"{folder}/images.npy"), verbose=0)
np.save(f"{folder}/found.npy", found)
assert "skcell" not in sys.modules
"""


def symmetries(image):
    return [np.rot90(m, k) for m in (image, image[:, ::-1]) for k in range(4)]


@pytest.fixture(scope="module")
def fitted(cells):
    return CellCNNClassifier(**SMALL).fit(cells.images, cells.target)


def test_d4_is_the_mean_over_the_eight_symmetries(fitted, cells):
    X = cells.images[:5]
    turned = np.stack([symmetries(x) for x in X])  # (5, 8, H, W, C)
    expected = fitted.predict_proba(turned.reshape(40, *X.shape[1:])).reshape(5, 8, -1).mean(1)
    found = fitted.set_params(tta="d4").predict_proba(X)
    fitted.set_params(tta="none")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - fitted.predict_proba(X)).max() > 1e-4


@pytest.mark.parametrize(("tta", "n_alike"), [("none", 1), ("flips", 4), ("d4", 8)])
def test_predictions_do_not_depend_on_orientation(fitted, cells, tta, n_alike):
    clf = fitted.set_params(tta=tta)
    found = clf.predict_proba(np.stack(symmetries(cells.images[0])))
    clf.set_params(tta="none")
    alike = np.abs(found - found[0]).max(axis=1) < 1e-5
    assert alike.sum() == n_alike


def test_by_default_only_symmetries_that_were_trained_are_averaged_over():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (40, 16, 16, 1), dtype=np.uint8)
    y = np.arange(40) % 2
    X[y == 0, :8] += 150  # the classes are mirror images of each other
    X[y == 1, 8:] += 150
    plain = {**SMALL, "tta": "auto", "epochs": 10}
    clf = CellCNNClassifier(**plain).fit(X, y)
    assert clf.score(X, y) == 1
    for augmentation, like in [
        (None, "none"),
        (ImageAugmenter(vertical_flip=False), "none"),
        ("microscope", "flips"),
    ]:
        found = clf.set_params(augmentation=augmentation, tta="auto").predict_proba(X)
        expected = clf.set_params(tta=like).predict_proba(X)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.core
@pytest.mark.parametrize("tta", ["flips", "d4"])
@pytest.mark.thorough
def test_the_keras_model_averages_too_and_needs_keras_alone(fitted, cells, tmp_path, tta):
    expected = fitted.set_params(tta=tta).predict_proba(cells.images)
    model = fitted.to_keras()
    fitted.set_params(tta="none")
    np.testing.assert_allclose(model.predict(cells.images, verbose=0), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", cells.images)
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-5)


def test_flips_of_images_that_are_not_square_and_an_early_error(cells):
    X, y = cells.images[:60, :20], cells.target[:60]
    assert CellCNNClassifier(**SMALL | {"tta": "flips"}).fit(X, y).predict(X).shape == (60,)
    with pytest.raises(ValueError, match="must be square; these have 20 x 24 pixels"):
        CellCNNClassifier(**SMALL | {"tta": "d4"}).fit(X, y)


def test_rows_and_files_and_features(fitted, cells, tmp_path):
    X, y = cells.images[:60], cells.target[:60]
    clf = CellCNNClassifier(**SMALL | {"tta": "d4"}, image_shape=(24, 24, 3))
    expected = clf.fit(X.reshape(60, -1), y).predict_proba(X.reshape(60, -1))
    for i, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    paths = np.array([str(tmp_path / f"{i}.png") for i in range(60)])
    np.testing.assert_allclose(clf.fit(paths, y).predict_proba(paths), expected, atol=1e-5)
    transfer = TransferClassifier(
        "mobilenet_v2_0.35",
        weights=None,
        input_size=32,
        unfreeze=None,
        cache=False,
        epochs=1,
        random_state=0,
    ).fit(X, y)
    after = transfer.set_params(tta="d4").predict_proba(X[:4])
    np.testing.assert_allclose(
        transfer.predict_proba(np.rot90(X[:4], axes=(1, 2)).copy()), after, atol=1e-4
    )


def test_an_ensemble_is_scikit_learns(cells):
    """Members that share a graph share a compiled model from the pool in turn."""
    members = [
        (str(seed), CellCNNClassifier(**SMALL | {"random_state": seed})) for seed in range(3)
    ]
    ensemble = VotingClassifier(members, voting="soft")
    model = make_pipeline(ImageSMOTE(random_state=0), ensemble).fit(cells.images, cells.target)
    found = model.predict_proba(cells.images)
    each = [member.predict_proba(cells.images) for member in model[-1].estimators_]
    np.testing.assert_allclose(found, np.mean(each, axis=0))
    assert np.abs(each[0] - each[1]).max() > 1e-3
