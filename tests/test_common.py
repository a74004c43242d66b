"""Checks of every public estimator, found by discovery."""

import importlib
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.utils.estimator_checks import estimator_checks_generator as imblearn_checks
from joblib import Parallel, delayed
from numpydoc.validate import validate
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import skcell
from skcell.classifiers import clear_model_pool

STOCHASTIC = (
    "batches and their order depend on the number of rows, so that a weight of two is not "
    "bit for bit the same as a row twice"
)
#: Compared with 1e-7: a matrix product's last rows are added up in another order than the others,
#: and a batch of one in another than a batch of many.
FINER_THAN_FLOAT32 = (
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
)
#: Estimator to check to reason; strict, so that a check that passes after all must leave.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    name: {"check_sample_weight_equivalence_on_dense_data": STOCHASTIC}
    for name in ("CellCNNClassifier", "SEInceptionResNetClassifier", "TransferClassifier")
}


def public_estimators():
    """Estimator classes among skcell's public names."""
    objects = (getattr(skcell, name) for name in skcell.__all__)
    return [o for o in objects if isinstance(o, type) and issubclass(o, BaseEstimator)]


def instance(cls):
    """Small instance for the libraries' own checks."""
    if hasattr(cls, "_get_test_params"):
        return cls(**cls._get_test_params())
    if cls.__name__ == "ImageSampler":
        return cls(RandomOverSampler(random_state=0))
    if cls.__name__ == "AdaptiveClassifier":
        return cls(instance(skcell.CellCNNClassifier).set_params(batch_norm=True))
    if cls.__name__ == "CalibratedClassifier":
        return cls(instance(skcell.CellCNNClassifier), validation_fraction=0.3, random_state=0)
    return cls(random_state=0)


ESTIMATORS = [cls for cls in public_estimators() if cls.__name__ != "Pipeline"]
META = [cls for cls in ESTIMATORS if hasattr(instance(cls), "estimator")]
CLASSIFIERS = [c for c in ESTIMATORS if is_classifier(instance(c)) and c not in META]
SAMPLERS = [cls for cls in ESTIMATORS if hasattr(cls, "fit_resample")]
TRANSFORMERS = [cls for cls in ESTIMATORS if hasattr(cls, "transform")]


def test_discovery_finds_the_estimators():
    found = {cls.__name__ for cls in ESTIMATORS}
    assert found >= {"CellCNNClassifier", "ImageAugmenter", "ImageSMOTE", "ImageSampler"}
    assert found >= {"SEInceptionResNetClassifier", "TransferClassifier", "ImageFeatures"}
    assert set(CLASSIFIERS + META + SAMPLERS + TRANSFORMERS) == set(ESTIMATORS)


def expected(estimator):
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


@parametrize_with_checks([instance(cls) for cls in ESTIMATORS], expected_failed_checks=expected)
def test_scikit_learn_check(estimator, check):
    if is_classifier(estimator) and check.func.__name__ in FINER_THAN_FLOAT32:
        pytest.skip("1e-7 is finer than single precision; tested below with 1e-4")
    check(estimator)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_predictions_do_not_depend_on_the_images_beside(cls, cells):
    X, y = cells.images[:60], cells.target[:60]
    clf = small(cls).fit(X, y)
    order = np.random.default_rng(0).permutation(60)
    together = clf.predict_proba(X)
    close = {"rtol": 1e-4, "atol": 1e-6}  # processors sum in another order for another batch
    np.testing.assert_allclose(together[order], clf.predict_proba(X[order]), **close)
    alone = np.concatenate([clf.predict_proba(X[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(together[:10], alone, **close)


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}")
        for cls in SAMPLERS
        for estimator, check in imblearn_checks(instance(cls))
    ],
)
def test_imbalanced_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_checks_are_not_vacuous(cls):
    from sklearn.utils.estimator_checks import estimator_checks_generator

    assert len(list(estimator_checks_generator(instance(cls)))) > 50


# Images


def small(cls, **params):
    """Classifier that trains on images in a second."""
    return clone(instance(cls)).set_params(image_shape=None, epochs=2, **params)


KINDS = {
    "uint8 RGB": lambda x: x,
    "uint8 grey, three dimensions": lambda x: x[..., 0],
    "uint8 one channel": lambda x: x[..., :1],
    "uint8 five channels": lambda x: np.concatenate([x, x[..., :2]], axis=-1),
    "uint16": lambda x: x.astype(np.uint16) * 257,
    "float32": lambda x: (x / 255).astype(np.float32),
    "float64": lambda x: x / 255,
    "not square": lambda x: x[:, :20],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_classifier_takes(cls, kind, cells):
    X = KINDS[kind](cells.images[:80])
    before = X.copy()
    clf = small(cls).fit(X, cells.target[:80])
    probabilities = clf.predict_proba(X[:5])
    assert probabilities.shape == (5, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert clf.n_features_in_ == np.prod(X.shape[1:])
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_same_pixels_in_another_dtype_are_the_same_images(cls, kind, cells):
    X, y = cells.images[:80], cells.target[:80]
    exact = {"dtype_policy": "float32"}  # half precision magnifies the rounding of pixels
    expected = small(cls, **exact).fit(X, y).predict_proba(X)
    other = KINDS[kind](X)
    found = small(cls, **exact).fit(other, y).predict_proba(other)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_rows_and_images_are_the_same(cls, cells):
    X, y = cells.images[:80], cells.target[:80]
    rows = X.reshape(80, -1)
    clf = small(cls).set_params(image_shape=(24, -1, 3)).fit(rows, y)
    expected = small(cls).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(rows), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("labels", ["text", "objects", "negative", "booleans", "floats"])
def test_classifier_returns_the_labels_it_was_given(cls, labels, cells):
    X, codes = cells.images[:80], cells.target[:80]
    y = {
        "text": cells.target_names[codes],
        "objects": cells.target_names[codes].astype(object),
        "negative": codes - 7,
        "booleans": codes > 1,
        "floats": codes.astype(float),
    }[labels]
    clf = small(cls).fit(X, y)
    assert clf.predict(X).dtype == np.unique(y).dtype
    np.testing.assert_array_equal(clf.classes_, np.unique(y))
    assert set(clf.predict(X)) <= set(y)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.core
def test_one_random_state_is_one_model_to_the_bit(cls, cells):
    X, y = cells.images[:80], cells.target[:80]
    # A higher rate saturates a head over plain pixels: all seeds may then agree on one class.
    settings = {"augmentation": skcell.ImageAugmenter(), "learning_rate": 1e-4}
    state = np.random.get_state()[1].copy()
    first = small(cls, **settings).fit(X, y).predict_proba(X)
    second = small(cls, **settings).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    clear_model_pool()
    for _ in range(6):  # so that those of a new program would be counted to 10
        keras.layers.Conv2D(1, 1)
    third = small(cls, **settings).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, third)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    other = small(cls, random_state=1, **settings).fit(X, y)
    assert (other.predict_proba(X) != first).any()


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.thorough
def test_pickle_crosses_processes(cls, cells, predict_elsewhere):
    X, y = cells.images[:80], cells.target[:80]
    clf = small(cls).fit(X, y)
    np.testing.assert_array_equal(predict_elsewhere(clf, X), clf.predict_proba(X))


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.thorough
def test_worker_processes_share_the_cores(cls, cells):
    X, y = cells.images[:80], cells.target[:80]
    expected = small(cls, dtype_policy="float32").fit(X, y).predict_proba(X)

    def fit(clf):
        import tensorflow as tf

        threads = tf.config.threading.get_intra_op_parallelism_threads
        return clf.fit(X, y).predict_proba(X), threads()

    clf = small(cls, dtype_policy="float32")
    found = Parallel(n_jobs=2)(delayed(fit)(clf) for _ in range(2))
    for probabilities, threads in found:
        # The order of sums depends on the number of threads.
        np.testing.assert_allclose(probabilities, expected, atol=0.01)
        assert threads == 1, "each of two workers on two cores gets one"


@pytest.mark.parametrize("cls", SAMPLERS)
def test_sampler_keeps_originals_first(cls, cells):
    X, y = cells.images, cells.target
    before = X.copy()
    X_new, y_new = clone(instance(cls)).fit_resample(X, y)
    assert len(X_new) > len(X)
    assert X_new.dtype == X.dtype
    assert X_new.shape[1:] == X.shape[1:]
    np.testing.assert_array_equal(X_new[: len(X)], before)
    np.testing.assert_array_equal(y_new[: len(y)], y)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_unknown_parameter_is_answered_with_the_nearest(cls):
    known = sorted(instance(cls).get_params(deep=False))[0]
    with pytest.raises(ValueError, match=f"Did you mean '{known}'"):
        instance(cls).set_params(**{known + "x": 1})
    with pytest.raises(TypeError, match=f"Did you mean '{known}'"):
        cls(**{known + "x": 1})


# The package


def test_importing_skcell_is_light():
    code = (
        "import sys, skcell, skcell.pipeline, skcell.datasets, skcell.resampling;"
        "heavy = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules); assert not heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["networks.RandomTransform", "_engine.build", "CellCNNClassifier"])
@pytest.mark.thorough
def test_anything_may_be_imported_first(name):
    """Layers are registered when Keras is imported, which may be in the middle of an import."""
    package, _, thing = f"skcell.{name}".rpartition(".")
    subprocess.run([sys.executable, "-c", f"from {package} import {thing}"], check=True)


def modules():
    return [m.name for m in pkgutil.walk_packages(skcell.__path__, "skcell.")]


@pytest.mark.parametrize("name", modules())
def test_module_imports_and_exports_what_it_names(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None


def public_objects():
    """Dotted names of everything that `__all__` of a package names."""
    for package in ["skcell", *modules()]:
        module = importlib.import_module(package)
        if package.split(".")[-1].startswith("_") or not hasattr(module, "__all__"):
            continue
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing) and getattr(thing, "__module__", "").startswith("skcell"):
                yield f"{package}.{name}"
                if isinstance(thing, type):
                    for method, value in vars(thing).items():
                        if callable(value) and not method.startswith("_") and _ours(thing, method):
                            yield f"{package}.{name}.{method}"


def _ours(cls, method):
    """Whether `method` is not Keras' own, documented there."""
    return not any(
        method in vars(base) for base in cls.__mro__ if base.__module__.startswith("keras")
    )


#: numpydoc's codes that we do not follow: the summary stands on the first line and extended ones
#: are optional; examples and See Also stand on the class, not on each method; `self : object` is
#: scikit-learn's habit.
IGNORED = {"GL01", "GL03", "GL08", "ES01", "SA01", "EX01", "SS05", "SS06", "RT02", "RT03"}
#: Name to codes not asked of it, with the reason.
EXEMPT = {
    # Each subclass documents all parameters, where users meet them.
    "skcell.classifiers.BaseCellClassifier": {"PR01"},
}


@pytest.mark.parametrize("name", sorted(set(public_objects())))
def test_docstring_is_numpydoc(name):
    skipped = IGNORED | EXEMPT.get(name, set())
    errors = [e for e in validate(name)["errors"] if e[0] not in skipped]
    assert not errors
