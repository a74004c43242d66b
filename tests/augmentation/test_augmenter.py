"""Augmentation: exact where it can be, one interpolation where it cannot, labels kept."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import affine_transform

from skcell import CellCNNClassifier, ImageAugmenter, make_pipeline
from skcell.networks import RandomTransform

OFF = {"horizontal_flip": False, "vertical_flip": False, "quarter_turns": False}


@pytest.fixture
def images():
    return np.random.default_rng(0).random((400, 9, 9, 2), np.float32)


def changed(images, **params):
    return np.asarray(RandomTransform(**{**OFF, **params}, seed=0)(images, training=True))


def symmetries(image):
    """The eight symmetries of the square, by numpy."""
    return [np.rot90(m, k) for m in (image, image[:, ::-1]) for k in range(4)]


def which(image, found):
    hits = [i for i, m in enumerate(symmetries(image)) if np.array_equal(m, found)]
    assert len(hits) == 1, "every pixel is one of the image's own, moved and not interpolated"
    return hits[0]


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"horizontal_flip": True}, {0, 4}),
        ({"vertical_flip": True}, {0, 6}),
        ({"quarter_turns": True}, {0, 1, 2, 3}),
        ({"horizontal_flip": True, "vertical_flip": True}, {0, 2, 4, 6}),
        ({"horizontal_flip": True, "quarter_turns": True}, set(range(8))),
        ({"horizontal_flip": True, "vertical_flip": True, "quarter_turns": True}, set(range(8))),
    ],
)
def test_flips_and_turns_are_exact_and_equally_likely(images, params, allowed):
    found = [which(a, b) for a, b in zip(images, changed(images, **params), strict=True)]
    counts = np.bincount(found, minlength=8)
    assert set(np.flatnonzero(counts)) == allowed
    expected = len(images) / len(allowed)
    assert np.abs(counts[list(allowed)] - expected).max() < 4 * np.sqrt(expected)


def test_turns_of_images_that_are_not_square_are_half_turns(images):
    wide = images[:, :6]
    for image, found in zip(wide, changed(wide, quarter_turns=True), strict=True):
        assert np.array_equal(found, image) or np.array_equal(found, image[::-1, ::-1])


def test_symmetries_folded_into_the_affine_map_are_the_same(images):
    """A zoom too small to see goes through the affine path."""
    moved = changed(images, horizontal_flip=True, vertical_flip=True, quarter_turns=True, zoom=1e-7)
    for image, found in zip(images, moved, strict=True):
        errors = [np.abs(m - found).max() for m in symmetries(image)]
        assert min(errors) < 1e-4


def test_affine_map_is_that_of_an_independent_formula():
    image = np.random.default_rng(1).random((1, 21, 21, 1), np.float32)
    layer = RandomTransform(**OFF, rotation=0.2, zoom=0.2, translation=0.05, seed=3)
    a, b, x, c, d, y, *_ = np.asarray(
        layer._draw_matrix(ops.convert_to_tensor(image), *[None] * 3)
    )[0]
    found = np.asarray(
        ops.image.affine_transform(
            image, np.array([[a, b, x, c, d, y, 0, 0]], np.float32), fill_mode="constant"
        )
    )
    expected = affine_transform(image[0, ..., 0], [[d, c], [b, a]], [y, x], order=1)
    np.testing.assert_allclose(found[0, 6:-6, 6:-6, 0], expected[6:-6, 6:-6], atol=1e-4)
    angle, scale = np.arctan2(c, a) / (2 * np.pi), 1 / np.hypot(a, c)
    assert abs(angle) <= 0.2
    assert 0.8 <= scale <= 1.2


def test_same_distribution_as_the_composed_keras_layers():
    """Mean and spread over many draws, against Keras' own layers one after another."""
    rng = np.random.default_rng(0)
    image = rng.random((1, 12, 12, 1), np.float32)
    image = np.kron(image[0, :, :, 0], np.ones((4, 4), np.float32))[None, :, :, None]
    many = np.repeat(image, 3000, axis=0)
    ours = changed(
        many, horizontal_flip=True, rotation=0.05, translation=0.05, brightness=0.1, contrast=0.2
    )
    layers = [
        keras.layers.RandomFlip("horizontal", seed=1),
        keras.layers.RandomRotation(0.05, seed=2),
        keras.layers.RandomTranslation(0.05, 0.05, seed=3),
        keras.layers.RandomContrast(0.2, value_range=(0, 1), seed=4),
        keras.layers.RandomBrightness(0.1, value_range=(0, 1), seed=5),
    ]
    theirs = many
    for layer in layers:
        theirs = np.asarray(layer(theirs, training=True))
    inner = (slice(None), slice(6, -6), slice(6, -6))
    for moment in (np.mean, np.std):
        difference = moment(ours[inner], axis=0) - moment(theirs[inner], axis=0)
        # 3,000 draws of standard deviation 0.25 leave 0.007 to chance at each pixel.
        assert np.sqrt(np.mean(difference**2)) < 0.012
        assert np.abs(difference).max() < 0.035


def test_light_changes_within_their_bounds(images):
    brighter = changed(images * 0.5 + 0.25, brightness=0.1) - (images * 0.5 + 0.25)
    assert np.ptp(brighter, axis=(1, 2, 3)).max() < 1e-5, "one amount for each image"
    assert 0.09 < np.abs(brighter).max() <= 0.1 + 1e-6
    harder = changed(images, contrast=0.3, clip=False)
    np.testing.assert_allclose(harder.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1e-5)
    gain = harder.std(axis=(1, 2)) / images.std(axis=(1, 2))
    assert 0.7 <= gain.min() < 0.72
    assert 1.28 < gain.max() <= 1.3 + 1e-5


def test_off_at_prediction(images):
    layer = RandomTransform(rotation=0.3, brightness=0.5, seed=0)
    np.testing.assert_array_equal(layer(images, training=False), images)


def test_every_epoch_is_drawn_anew(images):
    layer = RandomTransform(seed=0)
    first, second = (np.asarray(layer(images, training=True)) for _ in range(2))
    assert (first != second).any()


def test_layer_can_be_saved(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), RandomTransform(rotation=0.1)])
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").layers[0].rotation == 0.1


# As a sampler


def test_copies_balance_the_classes(cells):
    X, y = ImageAugmenter(n_copies=None, random_state=0).fit_resample(cells.images, cells.target)
    assert len(set(np.bincount(y))) == 1
    assert X.dtype == np.uint8


@pytest.mark.parametrize("n_copies", [1, 3])
def test_n_copies_of_each_image(cells, n_copies):
    augmenter = ImageAugmenter(n_copies=n_copies, random_state=0)
    X, y = augmenter.fit_resample(cells.images, cells.target)
    assert len(X) == 240 * (1 + n_copies)
    np.testing.assert_array_equal(y, cells.target[augmenter.sample_indices_])
    for i in (240, len(X) - 1):
        source = cells.images[augmenter.sample_indices_[i]]
        assert any(np.array_equal(X[i], m) for m in symmetries(source))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_dtype_and_range_are_kept(cells, dtype):
    X = cells.images[:40].astype(dtype)
    X = X * 257 if dtype == np.uint16 else X / 255 if X.dtype.kind == "f" else X
    X = X.astype(dtype)
    augmenter = ImageAugmenter(n_copies=1, rotation=0.1, brightness=0.5, random_state=0)
    found, _ = augmenter.fit_resample(X, cells.target[:40])
    assert found.dtype == dtype
    if X.dtype.kind == "u":
        assert np.abs(found[40:].astype(float).mean() / X.mean() - 1) < 0.2


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_turned_pixels_keep_all_sixteen_bits(policy):
    X = np.random.default_rng(0).integers(0, 65536, (20, 8, 8, 1)).astype(np.uint16)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        found, _ = ImageAugmenter(n_copies=1, random_state=0).fit_resample(X, np.arange(20) % 2)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(np.sort(found[20:].reshape(20, -1)), np.sort(X.reshape(20, -1)))


def test_sampler_is_reproducible_and_leaves_global_state(cells):
    state = np.random.get_state()[1].copy()
    first, second, other = (
        ImageAugmenter(rotation=0.1, random_state=s).fit_resample(cells.images, cells.target)[0]
        for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_paths_and_rows_without_shape_are_named(cells):
    with pytest.raises(ValueError, match="load the images first"):
        ImageAugmenter().fit_resample(["a.png"] * 4, [0, 0, 0, 1])
    with pytest.raises(ValueError, match="needs image_shape"):
        ImageAugmenter().fit_resample(cells.images.reshape(240, -1), cells.target)


def test_as_a_step_it_adds_copies_by_default_and_never_nothing_in_silence(cells):
    order = np.argsort(cells.target, kind="stable")
    rows = np.concatenate([order[cells.target[order] == c][:20] for c in range(4)])
    X, y = cells.images[rows], cells.target[rows]
    grown, _ = ImageAugmenter(random_state=0).fit_resample(X, y)
    assert len(grown) == 2 * len(X)
    with pytest.warns(UserWarning, match="ImageAugmenter adds no image"):
        same, _ = ImageAugmenter(n_copies=None, random_state=0).fit_resample(X, y)
    assert len(same) == len(X)
    model = {"filters": (4,), "dense_units": 8, "epochs": 3, "random_state": 0}
    plain = CellCNNClassifier(**model).fit(X, y)
    augmented = make_pipeline(ImageAugmenter(random_state=0), CellCNNClassifier(**model)).fit(X, y)
    assert (plain.predict_proba(X) != augmented.predict_proba(X)).any()
