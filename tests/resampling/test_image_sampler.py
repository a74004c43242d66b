"""ImageSampler: imbalanced-learn's samplers on images of every dtype."""

from collections import Counter

import numpy as np
import pytest
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.under_sampling import (
    AllKNN,
    ClusterCentroids,
    CondensedNearestNeighbour,
    EditedNearestNeighbours,
    InstanceHardnessThreshold,
    NearMiss,
    NeighbourhoodCleaningRule,
    OneSidedSelection,
    RandomUnderSampler,
    RepeatedEditedNearestNeighbours,
    TomekLinks,
)
from imblearn.utils.estimator_checks import estimator_checks_generator
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcell.resampling import ImageSampler, ImageSMOTE

CHECKED = [
    ImageSampler(RandomOverSampler(random_state=0)),
    ImageSampler(RandomUnderSampler(random_state=0)),
    ImageSampler(SMOTE(random_state=0)),
    ImageSampler(TomekLinks()),
]
SELECTING = [  # these return images that they were given
    RandomOverSampler(random_state=0),
    RandomUnderSampler(random_state=0),
    AllKNN(),
    CondensedNearestNeighbour(random_state=0),
    EditedNearestNeighbours(),
    InstanceHardnessThreshold(estimator=LogisticRegression(), cv=2, random_state=0),
    NearMiss(),
    NeighbourhoodCleaningRule(),
    OneSidedSelection(random_state=0),
    RepeatedEditedNearestNeighbours(),
    TomekLinks(),
]
KMEANS = MiniBatchKMeans(2, n_init=1, random_state=0)
GENERATING = [  # these make new ones
    ADASYN(random_state=0),
    BorderlineSMOTE(random_state=0),
    ClusterCentroids(estimator=MiniBatchKMeans(n_init=1, random_state=0), random_state=0),
    KMeansSMOTE(kmeans_estimator=KMEANS, cluster_balance_threshold=0.01, random_state=0),
    SMOTE(random_state=0),
    SMOTEENN(random_state=0),
    SMOTETomek(random_state=0),
    SVMSMOTE(random_state=0),
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


def make_images(dtype="uint8", shape=(6, 5, 3), sizes=(30, 15), seed=0):
    """Draw overlapping classes over most of the range of `dtype`, floats from 0 to 1."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = np.clip(
        rng.normal(0.35 + 0.1 * y.reshape(-1, *(1,) * len(shape)), 0.3, (len(y), *shape)), 0, 1
    )
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (X * top).astype(dtype), y


def _name(sampler):
    return type(sampler).__name__


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampler", SELECTING, ids=_name)
@pytest.mark.thorough
def test_selected_images_are_bit_identical(sampler, dtype):
    X, y = make_images(dtype)
    resampler = ImageSampler(sampler)
    X_resampled, y_resampled = resampler.fit_resample(X, y)
    assert X_resampled.dtype == X.dtype
    assert_array_equal(X_resampled, X[resampler.sample_indices_])
    assert_array_equal(y_resampled, y[resampler.sample_indices_])
    rows = X.reshape(len(X), -1).astype(np.float64)
    wanted = clone(sampler).fit(rows, y)
    wanted.fit_resample(rows, y)
    if dtype != "float16":  # whose equal distances may be ordered otherwise
        assert_array_equal(resampler.sample_indices_, wanted.sample_indices_)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampler", GENERATING, ids=_name)
def test_new_images_keep_dtype_and_range(sampler, dtype):
    X, y = make_images(dtype)
    resampler = ImageSampler(sampler)
    X_resampled, y_resampled = resampler.fit_resample(X, y)
    assert X_resampled.dtype == X.dtype
    assert X_resampled.shape[1:] == X.shape[1:]
    assert len(X_resampled) == len(y_resampled)
    assert len(set(y_resampled.tolist())) == 2
    assert not hasattr(resampler, "sample_indices_")
    rows, _ = clone(sampler).fit_resample(X.reshape(len(X), -1).astype("f8"), y)
    assert rows.shape[0] == len(X_resampled)
    assert np.abs(rows.mean() - X_resampled.astype(float).mean()) < 0.01 * X.max()


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 4), (30,)], ids=str)
def test_shapes(shape):
    X, y = make_images(shape=shape)
    for sampler in (SMOTE(random_state=0), RandomUnderSampler(random_state=0)):
        assert ImageSampler(sampler).fit_resample(X, y)[0].shape[1:] == shape


def test_no_wrap_round():
    rng = np.random.default_rng(0)
    X = rng.integers(100, 131, (60, 8, 8, 3), dtype=np.uint8)
    y = np.repeat([0, 1], [45, 15])
    X_resampled, _ = ImageSampler(SMOTE(random_state=0)).fit_resample(X, y)
    assert 100 <= X_resampled.min() <= X_resampled.max() <= 130
    assert_array_equal(X_resampled[:60], X)


def test_rounded_not_truncated_and_clipped():
    def shift(X, y):
        return X + np.float32(10.6), y

    X = np.array([[0, 100], [7, 250]], dtype=np.uint8).reshape(2, 2, 1)
    X_resampled, _ = ImageSampler(FunctionSampler(func=shift)).fit_resample(X, [0, 1])
    assert_array_equal(X_resampled.reshape(2, 2), [[11, 111], [18, 255]])
    assert X_resampled.dtype == np.uint8


def test_smoothed_bootstrap_is_not_a_selection():
    """RandomOverSampler with shrinkage tells indices and yet changes pixels."""
    X, y = make_images("float32", (3, 3))
    resampler = ImageSampler(RandomOverSampler(shrinkage=1.0, random_state=0))
    X_resampled, _ = resampler.fit_resample(X, y)
    assert_array_equal(X_resampled[: len(X)], X)
    assert (X_resampled[len(X) :] != X[resampler.sample_indices_[len(X) :]]).any()


def test_refit_forgets_indices():
    X, y = make_images()
    resampler = ImageSampler(RandomOverSampler(random_state=0))
    resampler.fit_resample(X, y)
    assert hasattr(resampler, "sample_indices_")
    resampler.set_params(sampler=SMOTE(random_state=0)).fit_resample(X, y)
    assert not hasattr(resampler, "sample_indices_")


def test_parameters_are_reachable_and_the_sampler_is_cloned():
    X, y = make_images(sizes=(40, 4))
    sampler = SMOTE(k_neighbors=20, random_state=0)
    resampler = ImageSampler(sampler).set_params(sampler__k_neighbors=2)
    resampler.fit_resample(X, y)
    assert resampler.sampler_.nn_k_.n_neighbors == 3
    assert not hasattr(sampler, "nn_k_")
    assert resampler.sampling_strategy_ == {1: 36}


def test_own_sampler_inside():
    X, y = make_images(sizes=(20, 9, 5))
    resampler = ImageSampler(ImageSMOTE(random_state=0))
    X_resampled, _ = resampler.fit_resample(X, y)
    rows, _ = ImageSMOTE(random_state=0).fit_resample(X.reshape(len(X), -1).astype("f4"), y)
    assert_array_equal(X_resampled.reshape(len(rows), -1), np.rint(rows))
    assert len(resampler.sample_indices_) == 60


def test_sampling_strategy_by_class_name():
    X, y = make_images(sizes=(20, 9, 5))
    names = np.array(["basophil", "eosinophil", "monocyte"])[y]
    sampler = RandomOverSampler(sampling_strategy={"monocyte": 11}, random_state=0)
    _, labels = ImageSampler(sampler).fit_resample(X, names)
    assert Counter(labels.tolist()) == {"basophil": 20, "eosinophil": 9, "monocyte": 11}


@pytest.mark.parametrize("wrong", [LogisticRegression(), None, "smote", SMOTE], ids=str)
def test_what_is_no_sampler(wrong):
    X, y = make_images()
    for method in ("fit", "fit_resample"):
        with pytest.raises(TypeError, match="takes an instance of an imbalanced-learn sampler"):
            getattr(ImageSampler(wrong), method)(X, y)
