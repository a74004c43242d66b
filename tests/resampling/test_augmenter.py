"""Augmentation: exact where it can be, one interpolation where it cannot, labels kept."""

import io

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image
from scipy.ndimage import affine_transform

from skcell import CellCNNClassifier, ImageAugmenter, make_pipeline
from skcell.datasets import make_cells
from skcell.networks import RandomTransform
from skcell.networks._compression import compress
from skcell.networks._light import _dyes
from skcell.networks._position import draw_matrix, resample
from skcell.resampling import PRESETS
from skcell.study import PLAIN_SETTINGS

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
    rng = np.random.default_rng(3)
    a, b, x, c, d, y, *_ = np.asarray(
        draw_matrix(
            lambda low, high: ops.convert_to_tensor(rng.uniform(low, high, 1).astype("float32")),
            (None, None, None),
            height=21,
            width=21,
            rotation=0.2,
            zoom=0.2,
            translation=0.05,
        )
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


def densities(images):
    """Optical densities of all pixels of each image, (n, pixels, channels)."""
    return -np.log(images.astype(np.float64)).reshape(len(images), -1, images.shape[-1])


def logs(images, found):
    """Logarithm of the factor of each pixel."""
    return densities(images) - densities(found)


@pytest.fixture
def grey():
    """Images that no change below can bring to black or white."""
    return np.random.default_rng(0).uniform(0.3, 0.6, (200, 8, 8, 3)).astype(np.float32)


def test_exposure_is_one_factor_of_an_image_and_white_balance_one_of_a_channel(grey):
    factors = logs(grey, changed(grey, exposure=0.25))
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-5
    assert np.log(1.2) < np.abs(factors).max() <= np.log(1.25) + 1e-5
    assert abs(factors.mean()) < 0.03, "darker as often as brighter"
    factors = logs(grey, changed(grey, white_balance=0.25))
    assert np.ptp(factors, axis=1).max() < 1e-5
    assert np.ptp(factors, axis=2).max() > 0.3
    assert np.log(1.2) < np.abs(factors).max() <= np.log(1.25) + 1e-5


def test_gamma_is_an_exponent(grey):
    exponents = densities(changed(grey, gamma=0.3)) / densities(grey)
    assert np.ptp(exponents, axis=(1, 2)).max() < 1e-4
    assert 1 / 1.3 - 1e-4 <= exponents.min() < 0.8
    assert 1.25 < exponents.max() <= 1.3 + 1e-4


def mixtures(images, found):
    """Matrix that maps the densities of each image to the new ones, by least squares."""
    pairs = zip(densities(images), densities(found), strict=True)
    solved = [np.linalg.lstsq(a, b) for a, b in pairs]
    assert max(residual.max() for _, residual, *_ in solved) < 1e-6, "one map for all pixels"
    return np.array([matrix for matrix, *_ in solved])


def test_stain_scales_the_amount_of_each_dye(grey):
    dyes = _dyes(3)
    np.testing.assert_allclose(np.linalg.norm(dyes, axis=1), 1, atol=1e-6)
    amounts = dyes @ mixtures(grey, changed(grey, stain=0.3, clip=False)) @ np.linalg.inv(dyes)
    factors = np.diagonal(amounts, axis1=1, axis2=2)
    off_diagonal = amounts - np.eye(3) * factors[:, None, :]
    assert np.abs(off_diagonal).max() < 1e-3, "the dyes keep their colours"
    assert 1 / 1.3 - 1e-3 <= factors.min() < 0.8
    assert 1.25 < factors.max() <= 1.3 + 1e-3
    assert np.ptp(factors, axis=1).max() > 0.3, "each dye has its own factor"


def test_stain_hue_changes_the_colour_of_each_dye(grey):
    colours = _dyes(3) @ mixtures(grey, changed(grey, stain_hue=0.1, clip=False))
    change = np.linalg.norm(colours - _dyes(3), axis=2)
    assert 0.05 < change.max() <= 0.1 + 1e-3


def test_saturation_keeps_the_mean_density(grey):
    before, after = densities(grey), densities(changed(grey, saturation=0.5, clip=False))
    np.testing.assert_allclose(before.mean(axis=2), after.mean(axis=2), atol=1e-5)
    factors = (after - after.mean(axis=2, keepdims=True)).std(axis=(1, 2)) / (
        before - before.mean(axis=2, keepdims=True)
    ).std(axis=(1, 2))
    assert 1 / 1.5 - 1e-3 <= factors.min() < 0.7
    assert 1.4 < factors.max() <= 1.5 + 1e-3


def test_shading_is_a_slope_of_light_in_each_direction_and_a_vignette(grey):
    factors = logs(grey, changed(grey, shading=0.3, clip=False)).reshape(grey.shape)
    y, x = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 8), indexing="ij")
    terms = np.stack([x, y, x**2 + y**2], axis=-1).reshape(-1, 3)
    found = np.array([np.linalg.lstsq(terms, f[..., 0].ravel())[0] for f in factors])
    np.testing.assert_allclose(
        (found @ terms.T).reshape(factors.shape[:3])[..., None] + 0 * factors, factors, atol=1e-5
    )
    assert np.log(1.25) < np.abs(found).max() <= np.log(1.3) + 1e-5
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.3, "each of its own"


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_light_and_stain_of_any_number_of_channels(channels):
    images = np.random.default_rng(0).uniform(0.3, 0.6, (8, 6, 7, channels)).astype(np.float32)
    found = changed(images, **PRESETS["microscope"])
    assert found.shape == images.shape
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_what_is_not_light_is_left_alone():
    """Floats may be negative; black stays black."""
    images = np.array([-3.0, -0.5, 0.0, 0.2, 1.5], np.float32).reshape(1, 1, 5, 1)
    found = changed(images, exposure=0.5, gamma=0.5, clip=False)
    np.testing.assert_allclose(found[0, 0, :3, 0], images[0, 0, :3, 0], atol=0.02)
    assert np.isfinite(found).all()


def test_zoom_and_shift_are_those_of_an_independent_formula():
    rng = np.random.default_rng(1)
    images = rng.random((20, 15, 19, 1), np.float32)
    drawn = []

    def draw(low, high, shape=()):
        drawn.append(rng.uniform(low, high, (20, *shape)).astype(np.float32))
        return ops.convert_to_tensor(drawn[-1])

    settings = {"zoom": 0.4, "translation": 0.1, "blur": 0.0}
    found = np.asarray(resample(draw, images, **settings, fill_mode="reflect"))
    zoom, down, across = (values.ravel() for values in drawn)
    enlarged = np.flatnonzero(zoom > 0)  # a smaller image is also averaged
    for i in enlarged:
        z = 1 + 0.4 * zoom[i]
        centre = np.array([7.0, 9.0])
        shift = 0.1 * np.array([down[i] * 15, across[i] * 19])
        expected = affine_transform(
            images[i, ..., 0], np.eye(2) / z, centre + shift - centre / z, order=1, mode="reflect"
        )
        np.testing.assert_allclose(found[i, ..., 0], expected, atol=1e-5)


def test_a_smaller_image_keeps_its_mean_where_points_would_not():
    """A pattern of single pixels becomes grey, as when a smaller image is resized by Pillow."""
    board = np.indices((32, 32)).sum(axis=0) % 2
    images = np.repeat(board[None, :, :, None].astype(np.float32), 50, axis=0)
    draw = lambda low, high, shape=(): ops.full((50, *shape), -1.0)  # noqa: E731 # the lower limit
    found = np.asarray(
        resample(draw, images, zoom=0.5, translation=0.0, blur=0.0, fill_mode="reflect")
    )
    np.testing.assert_allclose(found[:, 11:-11, 11:-11], 0.5, atol=1e-5)


def test_blur_has_the_width_it_says():
    images = np.zeros((300, 41, 41, 1), np.float32)
    images[:, 20, 20] = 1
    found = changed(images, blur=0.05, clip=False)[..., 0].astype(np.float64)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, atol=1e-4)
    distance = np.square(np.arange(41) - 20.0)
    std = np.sqrt((found.sum(axis=2) * distance).sum(axis=1))
    assert std.min() < 0.3
    assert 1.9 < std.max() <= 0.05 * 41 + 0.1


@pytest.mark.parametrize("mode", ["reflect", "nearest", "constant", "wrap"])
def test_borders_are_filled_as_numpy_fills_them(mode):
    image = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    draw = lambda low, high, shape=(): ops.full((1, *shape), 1.0)  # noqa: E731 # the upper limit
    found = np.asarray(resample(draw, image, zoom=0.0, translation=0.25, blur=0.0, fill_mode=mode))
    numpy_mode = {"reflect": "symmetric", "nearest": "edge", "constant": "constant"}.get(mode, mode)
    padded = np.pad(image[0, ..., 0], 2, mode=numpy_mode)
    np.testing.assert_allclose(found[0, ..., 0], padded[4:12, 4:12], atol=1e-5)


def test_erasing_fills_a_rectangle_with_the_mean_colour():
    images = np.random.default_rng(0).random((400, 24, 32, 3), np.float32)
    found = changed(images, erasing=0.3)
    shares, proportions = [], []
    for before, after in zip(images, found, strict=True):
        erased = (before != after).any(axis=-1)
        rows, columns = np.flatnonzero(erased.any(axis=1)), np.flatnonzero(erased.any(axis=0))
        assert erased[np.ix_(rows, columns)].all()
        assert erased.sum() == len(rows) * len(columns)
        np.testing.assert_allclose(
            after[erased] - before.mean(axis=(0, 1)), 0 * after[erased], atol=1e-5
        )
        shares.append(erased.mean())
        whole = len(rows) and rows[0] > 0 and rows[-1] < 23 and columns[0] > 0 and columns[-1] < 31
        if whole and len(rows) > 5:
            proportions.append((len(rows) / 24) / (len(columns) / 32))
    assert 0.25 < max(shares) < 0.33
    assert min(shares) < 0.02
    assert 0.4 < min(proportions) < 0.65
    assert 1.5 < max(proportions) < 2.5


@pytest.mark.parametrize(("quality", "strength"), [(50, 1.0), (25, 2.0), (10, 5.0)])
@pytest.mark.parametrize("size", [28, 45])
def test_compression_loses_what_a_file_of_pillow_loses(quality, strength, size):
    images = make_cells(6, n_classes=2, image_size=size, random_state=0).images
    read = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        read.append(np.asarray(Image.open(file), np.float32))
    unit = images.astype(np.float32) / 255
    ours = np.asarray(compress(unit, np.full((6, 1, 1), strength, np.float32))).clip(0, 1) * 255
    lost = np.abs(np.stack(read) - images).mean()
    # Pillow interpolates the colour that it reads, and rounds.
    assert np.abs(ours - read).mean() < 0.35 * lost


def test_compression_leaves_some_images_and_one_channel_is_brightness(grey):
    found = changed(grey, compression=4.0, probability=0.5)
    same = (np.abs(found - grey) < 1e-6).all(axis=(1, 2, 3))
    assert 0.4 < same.mean() < 0.6
    one = grey[..., :1]
    strength = np.full((len(grey), 1, 1), 2.0, np.float32)
    alone, among = compress(one, strength), compress(np.repeat(one, 3, axis=3), strength)
    np.testing.assert_allclose(among[..., :1], alone, atol=2e-3)


def test_noise_has_the_strength_it_says(grey):
    found = changed(grey, noise=0.05, clip=False) - grey
    std = found.std(axis=(1, 2, 3))
    assert std.min() < 0.005
    assert 0.045 < std.max() < 0.056
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.3


def test_each_change_has_its_probability(grey):
    found = changed(grey, probability=0.3, exposure=0.5, zoom=0.2, noise=0.1, clip=False)
    same = np.abs(found - grey).max(axis=(1, 2, 3)) < 1e-5
    assert 0.23 < same.mean() < 0.45, "0.7 ** 3 is 0.34"
    exposed = logs(grey, changed(grey, probability=0.3, exposure=0.5, clip=False))[:, 0, 0]
    assert 0.2 < (np.abs(exposed) > 1e-4).mean() < 0.4
    turned = changed(grey, probability=0.01, horizontal_flip=True)
    flipped = (np.abs(turned - grey).max(axis=(1, 2, 3)) > 0).mean()
    assert 0.35 < flipped < 0.65, "flips are not changed by it"


def test_presets_are_settings_that_can_be_changed():
    assert ImageAugmenter.from_preset("symmetries").get_params() == ImageAugmenter().get_params()
    augmenter = ImageAugmenter.from_preset("microscope", noise=0.0)
    assert augmenter.get_params()["exposure"] == PRESETS["microscope"]["exposure"]
    assert augmenter.noise == 0
    with pytest.raises(ValueError, match=r"no preset .* Did you mean .microscope"):
        ImageAugmenter.from_preset("microscop")


def test_a_preset_is_named_by_a_string(cells):
    model = PLAIN_SETTINGS | {"filters": (4,), "dense_units": 8, "epochs": 2, "random_state": 0}
    del model["augmentation"]
    X, y = cells.images[:60], cells.target[:60]
    named, made = (
        CellCNNClassifier(augmentation=augmentation, **model).fit(X, y).predict_proba(X)
        for augmentation in ("microscope", ImageAugmenter.from_preset("microscope"))
    )
    np.testing.assert_array_equal(named, made)
    with pytest.raises(ValueError, match="'augmentation' parameter"):
        CellCNNClassifier(augmentation="microscop", **model).fit(X, y)


def test_views_of_one_image_do_not_depend_on_the_others(cells):
    augmenter = ImageAugmenter.from_preset("microscope")
    digests = [bytes([i]) * 8 for i in range(6)]
    together = augmenter.make_view(cells.images[:6], digests, 1)
    alone = augmenter.make_view(cells.images[3:4], digests[3:4], 1)
    np.testing.assert_allclose(together[3:4].astype(int), alone.astype(int), atol=1)


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
    model = PLAIN_SETTINGS | {"filters": (4,), "dense_units": 8, "epochs": 3, "random_state": 0}
    plain = CellCNNClassifier(**model).fit(X, y)
    augmented = make_pipeline(ImageAugmenter(random_state=0), CellCNNClassifier(**model)).fit(X, y)
    assert (plain.predict_proba(X) != augmented.predict_proba(X)).any()


@pytest.mark.core
def test_the_last_epochs_are_plain(cells):
    """Of each epoch, the layer's strength; without strength, pixels are moved and not changed."""
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            (layer,) = (x for x in self.model.layers if isinstance(x, RandomTransform))
            batch = cells.images[:8].astype(np.float32) / 255
            found = keras.ops.convert_to_numpy(layer(batch, training=True))
            moved = all(
                any(np.allclose(a, m, atol=1e-6) for m in symmetries(b))
                for a, b in zip(found, batch, strict=True)
            )
            seen.append((float(keras.ops.convert_to_numpy(layer.strength)), moved))

    augmenter = ImageAugmenter.from_preset("microscope", probability=1.0, plain_epochs=0.4)
    settings = {**PLAIN_SETTINGS, "filters": (4,), "dense_units": 4, "random_state": 0}
    clf = CellCNNClassifier(**settings | {"augmentation": augmenter}, epochs=5)
    clf.set_params(callbacks=[Watch()]).fit(cells.images, cells.target)
    assert seen == [(1.0, False)] * 3 + [(0.0, True)] * 2
    (layer,) = (x for x in clf._lease.compiled.model.layers if isinstance(x, RandomTransform))
    assert float(keras.ops.convert_to_numpy(layer.strength)) == 1, "for training that is resumed"
    seen.clear()
    clf.partial_fit(cells.images, cells.target)
    assert seen == [(1.0, False)]
    assert clf.count_params() == clf.to_keras().count_params()


def test_plain_epochs_do_not_change_the_sampler(cells):
    X, y = cells.images[:20], cells.target[:20]
    plain, same = (
        ImageAugmenter.from_preset("microscope", random_state=0, plain_epochs=share)
        for share in (0.0, 0.5)
    )
    np.testing.assert_array_equal(plain.fit_resample(X, y)[0], same.fit_resample(X, y)[0])
