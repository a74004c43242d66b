"""ImageSMOTE: exact, bounded, reproducible, and a sampler by both libraries' checks."""

import os
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.utils.estimator_checks import estimator_checks_generator
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcell.resampling import ImageSMOTE, _neighbors
from skcell.resampling._neighbors import nearest_neighbors

CHECKED = [
    ImageSMOTE(random_state=0),
    ImageSMOTE(k_neighbors=2, feature_space=PCA(1), random_state=0),
]
DTYPES = ["uint8", "uint16", "float16", "float32", "float64"]


@parametrize_with_checks(CHECKED)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{estimator}-{check.func.__name__}")
        for checked in CHECKED
        for estimator, check in estimator_checks_generator(checked)
    ],
)
def test_imblearn_checks(estimator, check):
    check(estimator)


def make_images(dtype="uint8", shape=(6, 5, 3), sizes=(30, 12, 7), seed=0):
    """Draw images over the whole range of `dtype`, floats from -3 to 3."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.uniform(-3, 3, (len(y), *shape)).astype(dtype), y
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, (len(y), *shape), dtype=dtype), y


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3), (4, 4, 5), (31,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.thorough
def test_exact(dtype, shape):
    X, y = make_images(dtype, shape)
    X_before, y_before = X.copy(), y.copy()
    smote = ImageSMOTE(random_state=0)
    X_resampled, y_resampled = smote.fit_resample(X, y)

    assert X_resampled.dtype == X.dtype
    assert X_resampled.shape == (90, *shape)
    assert Counter(y_resampled.tolist()) == {0: 30, 1: 30, 2: 30}
    assert_array_equal(X, X_before)
    assert_array_equal(y, y_before)
    assert_array_equal(X_resampled[:49], X)
    assert_array_equal(y_resampled[:49], y)

    synthetic, parents = X_resampled[49:], smote.parents_
    a, b = X[parents[:, 0]], X[parents[:, 1]]
    assert (synthetic >= np.minimum(a, b)).all()
    assert (synthetic <= np.maximum(a, b)).all()
    u = smote.steps_.astype(np.float64).reshape(-1, *(1,) * len(shape))
    wanted = a + u * (b.astype(np.float64) - a)
    atol = 0.5 + 1e-4 if X.dtype.kind == "u" else 8 * np.finfo(X.dtype).eps
    assert_allclose(synthetic, wanted, rtol=0, atol=atol)

    assert_array_equal(smote.sample_indices_[:49], np.arange(49))
    assert_array_equal(smote.sample_indices_[49:], parents[:, 0])
    assert_array_equal(y_resampled, y[smote.sample_indices_])
    assert_array_equal(y[parents[:, 0]], y[parents[:, 1]])
    assert (parents[:, 0] != parents[:, 1]).all()
    assert smote.steps_.min() >= 0
    assert smote.steps_.max() <= 1
    assert smote.n_features_in_ == np.prod(shape)


def test_no_wrap_round():
    """Pixels of 100 to 130 stay within; imbalanced-learn's SMOTE on uint8 does not."""
    rng = np.random.default_rng(0)
    X = rng.integers(100, 131, (60, 8, 8, 3), dtype=np.uint8)
    y = np.repeat([0, 1], [45, 15])
    wrapped = SMOTE(random_state=0).fit_resample(X.reshape(60, -1), y)[0][60:]
    assert wrapped.min() < 50 and wrapped.max() > 200  # noqa: PT018
    synthetic = ImageSMOTE(random_state=0).fit_resample(X, y)[0][60:]
    assert 100 <= synthetic.min() <= synthetic.max() <= 130


def test_extreme_floats_stay_between_parents():
    """Where a + u * (b - a) rounds past b, the result is b."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((40, 9, 9)) * 10.0 ** rng.integers(-30, 30, (40, 9, 9))).astype("f4")
    y = np.repeat([0, 1], [34, 6])
    smote = ImageSMOTE(random_state=0)
    synthetic = smote.fit_resample(X, y)[0][40:]
    a, b = X[smote.parents_[:, 0]], X[smote.parents_[:, 1]]
    assert ((np.minimum(a, b) <= synthetic) & (synthetic <= np.maximum(a, b))).all()


def test_same_samples_as_imblearn():
    X, y = make_images("float64", (40,), sizes=(60, 25, 11))
    ours = ImageSMOTE(random_state=np.random.RandomState(3)).fit_resample(X, y)
    theirs = SMOTE(random_state=np.random.RandomState(3)).fit_resample(X, y)
    assert_allclose(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    assert_array_equal(ours[1], theirs[1])


@pytest.fixture(params=[(2048, 1), (37, 1), (16, 3), (5, 2)], ids=str)
def plan(request, monkeypatch):
    """Members to a side of a tile, and threads; results must not depend on them."""
    monkeypatch.setattr(_neighbors, "_plan", lambda memory, n_threads: request.param)


def test_same_neighbors_as_sklearn(plan):
    X = make_images("float32", (2500,), sizes=(90,))[0]
    wanted = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X).kneighbors()[1]
    assert_array_equal(nearest_neighbors(X, np.arange(90), 5), wanted)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_neighbors_are_those_of_integer_arithmetic(dtype, plan):
    """96x96x3 extreme pixels, distances past 2**24 that differ by as little as 1."""
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    X = np.where(rng.random((40, 96 * 96 * 3)) < 0.5, 0, top).astype(dtype)
    X[20:] = X[:20]
    for i in range(20, 40):  # near duplicates, of nearly equal distances
        X[i, rng.integers(0, 27_648, i)] ^= 1
    members = rng.permutation(40)
    exact = np.array([((X[members].astype(np.int64) - row) ** 2).sum(axis=1) for row in X[members]])
    exact_far = exact.copy()
    np.fill_diagonal(exact_far, np.iinfo(np.int64).max)
    assert exact.max() > 2**24
    wanted = np.argsort(exact_far, axis=1, kind="stable")[:, :39]
    assert_array_equal(nearest_neighbors(X, members, 39), wanted)


def test_neighbors_of_floats_far_from_zero():
    """A large common offset does not drown small distances."""
    X = np.random.default_rng(0).standard_normal((50, 30)) + 1e7
    far = pairwise_distances(X - 1e7) + np.diag(np.full(50, np.inf))
    wanted = np.argsort(far, axis=1, kind="stable")[:, :5]
    assert_array_equal(nearest_neighbors(X, np.arange(50), 5), wanted)


def test_equal_distances_in_order_of_index(plan):
    X = np.zeros((20, 6), np.uint8)
    neighbors = nearest_neighbors(X, np.arange(20), 3)
    assert_array_equal(neighbors[0], [1, 2, 3])
    assert_array_equal(neighbors[1], [0, 2, 3])
    assert_array_equal(neighbors[19], [0, 1, 2])


def test_few_members_use_all_others():
    X, y = make_images(sizes=(40, 3))
    smote = ImageSMOTE(k_neighbors=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smote.fit_resample(X, y)
    members = np.flatnonzero(y == 1)
    pairs = {(int(a), int(b)) for a, b in smote.parents_}
    assert pairs == {(a, b) for a in members for b in members if a != b}


def test_single_members_are_copied_with_one_warning():
    X, y = make_images(sizes=(20, 1, 6, 1))
    smote = ImageSMOTE(random_state=0)
    with pytest.warns(UserWarning, match=r"have a single member: 1, 3\.") as caught:
        X_resampled, y_resampled = smote.fit_resample(X, y)
    assert len(caught) == 1
    for label in (1, 3):
        assert (y_resampled == label).sum() == 20
        assert (X_resampled[y_resampled == label] == X[y == label]).all()


def test_single_member_of_untouched_class_is_no_matter():
    X, y = make_images(sizes=(20, 1, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageSMOTE(sampling_strategy={2: 9}, random_state=0).fit_resample(X, y)


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("auto", (30, 30, 30)),
        ("not majority", (30, 30, 30)),
        ("all", (30, 30, 30)),
        ("minority", (30, 12, 30)),
        ("not minority", (30, 30, 7)),
        ({2: 9, 0: 33}, (33, 12, 9)),
        ({1: 12}, (30, 12, 7)),
        pytest.param(lambda y: {1: int((y == 1).sum()) + 1}, (30, 13, 7), id="function"),
    ],
    ids=str,
)
def test_sampling_strategy(strategy, wanted):
    X, y = make_images()
    names = np.array(["basophil", "eosinophil", "monocyte"])
    if isinstance(strategy, dict):
        strategy, y = {str(names[key]): size for key, size in strategy.items()}, names[y]
    smote = ImageSMOTE(sampling_strategy=strategy, random_state=0)
    X_resampled, y_resampled = smote.fit_resample(X, y)
    assert tuple(np.unique(y_resampled, return_counts=True)[1]) == wanted
    assert len(X_resampled) == sum(wanted) == len(smote.sample_indices_)
    assert y_resampled.dtype == y.dtype


def test_sampling_strategy_as_a_ratio():
    X, y = make_images(sizes=(40, 10))
    assert len(ImageSMOTE(sampling_strategy=0.5).fit_resample(X, y)[0]) == 60
    with pytest.raises(ValueError, match="float only when the type of target is binary"):
        ImageSMOTE(sampling_strategy=0.5).fit_resample(*make_images())


def test_extra_memory_stays_below_the_output():
    X, y = make_images("uint8", (64, 64, 3), sizes=(700, 420, 300))
    smote = ImageSMOTE(random_state=0)
    smote.fit_resample(X[:40], y[:40])
    tracemalloc.start()
    try:
        X_resampled, _ = smote.fit_resample(X[::-1], y)  # not contiguous: still no second copy
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - X_resampled.nbytes < X_resampled.nbytes / 2


def test_memory_with_a_large_class_of_small_images():
    """Pairs grow with the square of a class: 3000 squared in float64 alone is 72 MB."""
    X, y = make_images("uint8", (24, 24, 3), sizes=(3200, 3000))
    smote = ImageSMOTE(random_state=0)
    tracemalloc.start()
    try:
        X_resampled, _ = smote.fit_resample(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - X_resampled.nbytes < X_resampled.nbytes


def _centre_pixel(images):
    return images[:, images.shape[1] // 2, images.shape[2] // 2]


@pytest.mark.parametrize(
    "feature_space",
    [
        FunctionTransformer(_centre_pixel),
        make_pipeline(FunctionTransformer(_centre_pixel), StandardScaler()),
    ],
    ids=["transformer", "pipeline"],
)
def test_feature_space_is_given_images_and_decides_neighbors(feature_space):
    X, y = make_images("uint8", (5, 5, 3), sizes=(40, 20))
    smote = ImageSMOTE(k_neighbors=1, feature_space=feature_space, random_state=0)
    X_resampled, _ = smote.fit_resample(X, y)
    features = clone(feature_space).fit_transform(X).astype(float)
    members = np.flatnonzero(y == 1)
    nearest = NearestNeighbors(n_neighbors=1).fit(features[members]).kneighbors()[1][:, 0]
    partner = dict(zip(members, members[nearest], strict=True))
    assert [partner[a] for a in smote.parents_[:, 0]] == smote.parents_[:, 1].tolist()
    a, b = X[smote.parents_[:, 0]], X[smote.parents_[:, 1]]
    synthetic = X_resampled[60:]  # interpolated between pixels all the same
    assert ((np.minimum(a, b) <= synthetic) & (synthetic <= np.maximum(a, b))).all()

    plain = ImageSMOTE(k_neighbors=1, random_state=0)
    plain.fit_resample(X, y)
    assert_array_equal(plain.parents_[:, 0], smote.parents_[:, 0])
    assert (plain.parents_[:, 1] != smote.parents_[:, 1]).any()


def test_feature_space_is_cloned_and_given_rows_and_labels():
    X, y = make_images("float32", (5, 5), sizes=(40, 20))
    feature_space = make_pipeline(SelectKBest(k=10), PCA(3))
    smote = ImageSMOTE(feature_space=feature_space, random_state=0)
    smote.fit_resample(X, y)
    assert smote.feature_space_[0].n_features_in_ == 25
    assert not hasattr(feature_space[0], "scores_")
    assert smote.get_params()["feature_space__pca__n_components"] == 3


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda X: X[:-1], "a row of numbers for each of the 49 images"),
        (lambda X: np.full((len(X), 2), np.nan), "returned NaN or infinity"),
        (lambda X: np.full((len(X), 2), "a"), "a row of numbers"),
    ],
)
def test_feature_space_errors(function, message):
    smote = ImageSMOTE(feature_space=FunctionTransformer(function))
    with pytest.raises(ValueError, match=message):
        smote.fit_resample(*make_images())


def test_reproducible_and_free_of_side_effects():
    X, y = make_images()
    state = np.random.get_state()[1].copy()
    first = ImageSMOTE(random_state=7).fit_resample(X, y)
    assert_array_equal(np.random.get_state()[1], state)
    assert_array_equal(ImageSMOTE(random_state=7).fit_resample(X, y)[0], first[0])
    assert (ImageSMOTE(random_state=8).fit_resample(X, y)[0] != first[0]).any()


def test_images_and_rows_agree():
    X, y = make_images("uint8", (8, 8, 3))
    images = ImageSMOTE(random_state=0).fit_resample(X, y)[0]
    rows = ImageSMOTE(random_state=0).fit_resample(X.reshape(len(X), -1), y)[0]
    assert_array_equal(images.reshape(len(images), -1), rows)


def test_a_list_of_images_gives_an_array():
    X, y = make_images()
    X_resampled, _ = ImageSMOTE(random_state=0).fit_resample(list(X), y)
    assert_array_equal(X_resampled, ImageSMOTE(random_state=0).fit_resample(X, y)[0])
    assert X_resampled.dtype == np.uint8


def test_errors_say_what_to_do():
    X, y = make_images()
    with pytest.raises(ValueError, match="given file paths; load the images first"):
        ImageSMOTE().fit_resample(["a.png"] * len(y), y)
    broken = X.astype(np.float32)
    broken[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="image 3 has pixels that are not finite"):
        ImageSMOTE().fit_resample(broken, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ImageSMOTE().fit_resample(X, y[:-1])
    with pytest.raises(ValueError, match="more than 1 class"):
        ImageSMOTE().fit_resample(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="'k_neighbors' parameter of ImageSMOTE"):
        ImageSMOTE(k_neighbors=0).fit_resample(X, y)


@pytest.mark.thorough
def test_real_cells():
    folder = os.environ.get("SKCELL_DATA", Path(__file__).parents[3] / "shared" / "data")
    path = Path(folder) / "pbc_28.npz"
    if not path.is_file():
        pytest.skip("real cells absent: set SKCELL_DATA to the folder that holds pbc_28.npz")
    with np.load(path) as cells:
        chosen = slice(None, None, 8)
        X, y = cells["X"][chosen], cells["y"][chosen]
    smote = ImageSMOTE(random_state=0)
    X_resampled, y_resampled = smote.fit_resample(X, y)
    assert len(set(Counter(y_resampled.tolist()).values())) == 1
    a, b = X[smote.parents_[:, 0]], X[smote.parents_[:, 1]]
    synthetic = X_resampled[len(X) :]
    assert ((np.minimum(a, b) <= synthetic) & (synthetic <= np.maximum(a, b))).all()
    anyone = X[np.random.default_rng(0).integers(len(X), size=len(a))]
    assert np.abs(a.astype(int) - b).mean() < 0.8 * np.abs(a.astype(int) - anyone).mean()
