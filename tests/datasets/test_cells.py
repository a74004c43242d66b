import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcell.datasets import make_cells
from skcell.datasets._cell_rules import CLASSES, HIGH, LOW, PREVALENCE, RESEMBLES, SPREAD, TYPICAL

NAMES = [
    "basophil",
    "eosinophil",
    "erythroblast",
    "ig",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
]


def test_bunch():
    cells = make_cells(40, image_size=32, random_state=0)
    assert cells.images.shape == (40, 32, 32, 3)
    assert cells.images.dtype == np.uint8
    assert cells.images.flags.c_contiguous
    assert cells.target.shape == (40,)
    assert cells.target.dtype == np.int64
    assert cells.target_names.tolist() == NAMES
    assert "40 images of 32 x 32" in cells.DESCR
    assert "never for a claim about real cells" in cells.DESCR


def test_return_X_y():
    images, target = make_cells(10, image_size=16, return_X_y=True, random_state=0)
    cells = make_cells(10, image_size=16, random_state=0)
    assert_array_equal(images, cells.images)
    assert_array_equal(target, cells.target)


@pytest.mark.parametrize("image_size", [16, 28, 64, 96, 97, 224, 512])
def test_any_size_fills_the_range_and_keeps_the_geometry(image_size):
    images, _ = make_cells(8, image_size=image_size, return_X_y=True, random_state=0)
    assert images.shape == (8, image_size, image_size, 3)
    assert images.min() < 100
    assert images.max() > 200
    # The same cells, whatever the number of pixels they are drawn on.
    reference, _ = make_cells(8, image_size=64, return_X_y=True, random_state=0)
    np.testing.assert_allclose(images.mean((1, 2)), reference.mean((1, 2)), atol=2)


def test_same_random_state_same_bits():
    one, two = (make_cells(20, image_size=32, random_state=7).images for _ in range(2))
    assert_array_equal(one, two)
    instance = make_cells(20, image_size=32, random_state=np.random.RandomState(7)).images
    assert_array_equal(one, instance)
    assert not np.array_equal(one, make_cells(20, image_size=32, random_state=8).images)


def test_a_random_state_instance_moves_on():
    rng = np.random.RandomState(7)
    one, two = (make_cells(5, image_size=16, random_state=rng).images for _ in range(2))
    assert not np.array_equal(one, two)


def test_global_random_state_is_untouched():
    before = np.random.get_state()
    make_cells(5, image_size=16, random_state=0)
    make_cells(5, image_size=16, random_state=np.random.RandomState(0))
    for was, now in zip(before, np.random.get_state(), strict=True):
        assert_array_equal(was, now)


def test_without_random_state_draws_differ():
    one, two = (make_cells(5, image_size=16).images for _ in range(2))
    assert not np.array_equal(one, two)


def test_default_proportions_are_those_of_the_real_set():
    total = sum(PREVALENCE.values())
    counts = np.bincount(make_cells(400, image_size=16, random_state=0).target)
    expected = 400 * np.array([PREVALENCE[name] for name in NAMES]) / total
    assert counts.sum() == 400
    assert np.all(np.abs(counts - expected) < 1)


def test_counts_do_not_depend_on_the_random_state():
    counts = [np.bincount(make_cells(50, image_size=16, random_state=s).target) for s in (0, 1)]
    assert_array_equal(*counts)


def test_order_is_shuffled():
    target = make_cells(100, image_size=16, random_state=0).target
    assert np.count_nonzero(np.diff(target)) > 50


@pytest.mark.parametrize(
    ("class_weights", "counts"),
    [
        ("balanced", [4, 3, 3]),
        ([1, 1, 2], [3, 2, 5]),
        (np.array([0.2, 0.2, 0.6]), [2, 2, 6]),
        ([1e-9, 1e-9, 1], [1, 1, 8]),
    ],
)
def test_class_weights(class_weights, counts):
    cells = make_cells(10, 3, image_size=16, class_weights=class_weights, random_state=0)
    assert np.bincount(cells.target).tolist() == counts
    assert cells.target_names.tolist() == NAMES[:3]


@pytest.mark.parametrize("n_samples", [8, 9, 20])
def test_every_class_has_a_sample(n_samples):
    cells = make_cells(n_samples, image_size=16, random_state=0)
    assert np.bincount(cells.target, minlength=8).min() == 1


def test_fewer_samples_than_classes():
    cells = make_cells(1, image_size=16, random_state=0)
    assert cells.target.shape == (1,)
    assert cells.target_names.tolist() == NAMES


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_samples": 0}, r"'n_samples' .* \[1, inf\). Got 0"),
        ({"n_classes": 1}, r"'n_classes' .* \[2, 8\]. Got 1"),
        ({"n_classes": 9}, r"'n_classes' .* \[2, 8\]. Got 9"),
        ({"image_size": 15}, r"'image_size' .* \[16, 512\]. Got 15"),
        ({"image_size": 513}, r"'image_size' .* \[16, 512\]. Got 513"),
        ({"image_size": 96.0}, r"'image_size' .* must be an int"),
        ({"noise": -0.1}, r"'noise' .* \[0.*, 4.*\]. Got -0.1"),
        ({"noise": float("nan")}, "'noise' .* Got nan"),
        ({"random_state": "seven"}, "'random_state'"),
        ({"class_weights": "unequal"}, "'class_weights' .* {'balanced'}"),
        ({"class_weights": [1, 2]}, "class_weights must be 8 positive numbers"),
        ({"class_weights": [0, 1, 1, 1, 1, 1, 1, 1]}, "class_weights must be 8 positive numbers"),
        ({"class_weights": [np.nan] * 8}, "class_weights must be 8 positive numbers"),
    ],
)
def test_errors(params, message):
    with pytest.raises(ValueError, match=message):
        make_cells(**{"n_samples": 10, **params})


def _variation_within_classes(cells):
    """Standard deviation of coarse images within a class, averaged."""
    coarse = cells.images.reshape(len(cells.images), 8, 4, 8, 4, 3).mean((2, 4))
    return np.mean([coarse[cells.target == c].std(0).mean() for c in range(8)])


def test_noise_adds_variation():
    variation = [
        _variation_within_classes(make_cells(160, image_size=32, noise=noise, random_state=0))
        for noise in (0, 1, 2)
    ]
    assert variation[0] < 0.8 * variation[1] < 0.8 * variation[2]


def test_noise_adds_grain():
    def grain(noise):
        images = make_cells(20, noise=noise, random_state=0).images.astype(float)
        corners = images[:, :6, :6]
        return np.median(np.abs(np.diff(corners, axis=1)))

    assert grain(0) < 1 <= grain(1)


@pytest.mark.parametrize("noise", [0, 4])
def test_extreme_noise_still_makes_images(noise):
    images, _ = make_cells(30, image_size=64, noise=noise, return_X_y=True, random_state=0)
    assert images.std((1, 2, 3)).min() > 5


def _features(images):
    """Colour histograms and mean gradients in rings around the centre: blind to orientation."""
    images = images.astype(np.float32) / 255
    axis = np.linspace(-1, 1, images.shape[1])
    rings = (np.hypot(axis, axis[:, None]) * 6).astype(int)
    smooth = gaussian_filter(images, (0, 1, 1, 0))
    gradient = np.hypot(*np.gradient(smooth, axis=(1, 2)))
    columns = [
        statistic
        for ring in range(6)
        for pixels in (smooth[:, rings == ring], gradient[:, rings == ring])
        for statistic in (pixels.mean(1), pixels.std(1))
    ]
    return np.concatenate(columns, axis=1)


@pytest.fixture(scope="module")
def train_and_test():
    options = {"image_size": 32, "class_weights": "balanced"}
    return make_cells(600, **options, random_state=0), make_cells(400, **options, random_state=1)


def test_every_class_can_be_told_from_the_others(train_and_test):
    train, test = train_and_test
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
    model.fit(_features(train.images), train.target)
    recalls = recall_score(test.target, model.predict(_features(test.images)), average=None)
    assert recalls.mean() > 0.7
    assert recalls.min() > 0.4


def test_mean_colour_does_not_give_the_class_away(train_and_test):
    train, test = (c.images.mean((1, 2)) for c in train_and_test)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(train, train_and_test[0].target)
    assert 0.2 < model.score(test, train_and_test[1].target) < 0.55


def test_memory_is_bounded():
    make_cells(10, random_state=0)
    extra = []
    for n_samples in (60, 240):
        tracemalloc.start()
        images = make_cells(n_samples, random_state=0).images
        extra.append(tracemalloc.get_traced_memory()[1] - images.nbytes)
        tracemalloc.stop()
    assert max(extra) < 60e6
    assert extra[1] - extra[0] < 2e6


def test_rules_are_complete_and_within_limits():
    assert list(CLASSES) == list(PREVALENCE) == list(RESEMBLES) == NAMES
    assert np.all((LOW <= TYPICAL) & (TYPICAL <= HIGH))
    assert np.all(SPREAD >= 0)
    assert set(sum(RESEMBLES.values(), ())) <= set(NAMES)
