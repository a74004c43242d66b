"""MixUp and CutMix: pixels, targets and weights are mixed alike."""

import numpy as np
import pytest

from skcell import CellCNNClassifier, ImageAugmenter, TransferClassifier
from skcell.engine import Mixing
from skcell.study import PLAIN_SETTINGS

N = 64


def mix(images, weights=None, seed=0, **settings):
    """Mix images that have a class each, so that targets tell what was mixed."""
    n = len(images)
    weights = np.ones(n, np.float32) if weights is None else weights
    rng = np.random.default_rng(seed)
    return Mixing(**settings)(images, np.eye(n, dtype=np.float32), weights, rng)


@pytest.fixture(params=["uint8", "uint16", "float32"])
def images(request):
    rng = np.random.default_rng(0)
    if request.param == "float32":
        return rng.random((N, 9, 12, 3), np.float32)
    return rng.integers(0, np.iinfo(request.param).max, (N, 9, 12, 3)).astype(request.param)


def test_mixup_mixes_pixels_as_targets(images):
    mixed, targets, weights = mix(images, mixup=0.4)
    expected = np.tensordot(targets.astype(np.float64), images.astype(np.float64), axes=1)
    tolerance = 1e-6 if images.dtype == np.float32 else 0.52
    np.testing.assert_allclose(mixed, expected, rtol=1e-6, atol=tolerance)
    assert mixed.dtype == images.dtype
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights, 1, rtol=1e-6)


def test_shares_are_drawn_from_the_beta_distribution():
    shares = []
    for seed in range(40):
        _, targets, _ = mix(np.zeros((N, 2, 2, 1), np.uint8), seed=seed, mixup=0.3)
        shares.append(np.diag(targets)[np.diag(targets) < 1])
    shares = np.concatenate(shares)
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    # Beta(a, a) has the variance 1 / (4 * (2 * a + 1)).
    assert shares.var() == pytest.approx(1 / (4 * 1.6), rel=0.05)


def test_cutmix_replaces_a_rectangle_of_the_size_in_the_targets(images):
    mixed, targets, _ = mix(images, cutmix=1.0)
    n_cut = 0
    for i in range(N):
        others = np.flatnonzero(np.delete(targets[i], i))
        if not len(others):
            continue
        (other,) = others + (others >= i)
        inside = (mixed[i] == images[other]).all(axis=-1)
        outside = (mixed[i] == images[i]).all(axis=-1)
        assert (inside | outside).all()
        assert targets[i, other] == pytest.approx(inside.mean(), abs=1e-6)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        assert inside[np.ix_(rows, columns)].all()
        assert (np.diff(rows) == 1).all()
        assert (np.diff(columns) == 1).all()
        n_cut += 1
    assert n_cut > N / 2


def test_weights_are_mixed_with_their_images():
    weights = np.random.default_rng(1).random(N).astype(np.float32)
    weights[:8] = 0  # as images that fill up a batch
    _, plain, _ = mix(np.zeros((N, 2, 2, 1), np.uint8), mixup=1.0)
    _, targets, mixed = mix(np.zeros((N, 2, 2, 1), np.uint8), weights, mixup=1.0)
    np.testing.assert_allclose(mixed, plain @ weights, rtol=1e-5)
    np.testing.assert_allclose(targets * mixed[:, None], plain * weights, rtol=1e-5, atol=1e-7)


def test_both_together_take_turns():
    blank = np.zeros((N, 8, 8, 1), np.uint8)
    blank[: N // 2] = 200
    kinds = set()
    for seed in range(20):
        mixed, _, _ = mix(blank, seed=seed, mixup=1.0, cutmix=1.0)
        kinds.add(bool(np.isin(mixed, [0, 200]).all()))
    assert kinds == {True, False}


SMALL = {**PLAIN_SETTINGS, "filters": (4,), "dense_units": 8, "epochs": 4, "random_state": 0}


@pytest.mark.parametrize("settings", [{"mixup": 0.4}, {"cutmix": 1.0}], ids=str)
def test_a_fit_with_mixing_is_reproducible_and_another_one(cells, settings):
    X, y = cells.images, cells.target
    plain = CellCNNClassifier(**SMALL).fit(X, y)
    one, same = (CellCNNClassifier(**SMALL, **settings).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(X), same.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), plain.predict_proba(X))
    assert one.history_["loss"][-1] > plain.history_["loss"][-1]  # targets are mixtures


def test_features_can_be_mixed_and_not_cut(cells):
    settings = {"weights": None, "unfreeze": None, "epochs": 2, "random_state": 0}
    clf = TransferClassifier("mobilenet_v2_0.35", input_size=32, cache=False, **settings)
    clf.set_params(mixup=0.4).fit(cells.images, cells.target)
    with pytest.raises(ValueError, match=r"cutmix=0\.5 cuts images, but the features"):
        clf.set_params(cutmix=0.5).fit(cells.images, cells.target)
    clf.set_params(augmentation=ImageAugmenter(), n_views=None).fit(
        cells.images[:40], cells.target[:40]
    )
