"""What a user of the classifiers relies on, beyond the common checks."""

import copy
import gc
import inspect
import pickle
import subprocess
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    check_cv,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.utils import estimator_html_repr

import skcell
from skcell import CellCNNClassifier, ImageAugmenter, TransferClassifier
from skcell._engine import _data
from skcell.classifiers import clear_model_pool
from skcell.classifiers._training import count_epochs
from skcell.exceptions import ImageReadError, PixelRangeWarning
from skcell.study import PLAIN_SETTINGS


def small(**params):
    return CellCNNClassifier(
        **{
            **PLAIN_SETTINGS,
            "filters": (8, 16),
            "dense_units": 32,
            "epochs": 3,
            "random_state": 0,
            **params,
        }
    )


class Watch(keras.callbacks.Callback):
    """Records what happens; copied with the estimator, it stays itself."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


class Unreached(keras.callbacks.Callback):
    """Fails as soon as training begins."""

    def on_train_begin(self, logs=None):
        raise AssertionError("training began")


# It learns


@pytest.mark.core
def test_learns_drawn_cells(cells):
    clf = small(epochs=15).fit(cells.images[:180], cells.target[:180])
    assert clf.score(cells.images[180:], cells.target[180:]) > 0.6  # chance is about 0.3
    assert clf.n_iter_ == len(clf.history_["loss"]) == 15
    assert clf.history_["loss"][-1] < clf.history_["loss"][0]


@pytest.mark.core
@pytest.mark.parametrize("cls", [CellCNNClassifier, skcell.SEInceptionResNetClassifier])
def test_the_plain_call_works_on_every_backend(cls, cells):
    X, y = cells.images[:64], cells.target[:64]
    clf = cls(epochs=1, random_state=0).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1)


def test_learns_real_cells(real_cells):
    X, y = real_cells
    clf = small(filters=(16, 32, 64), batch_norm=True, epochs=12).fit(X[:450], y[:450])
    assert clf.score(X[450:], y[450:]) > 0.6  # the largest class is 0.2


@pytest.mark.parametrize(
    "params",
    [
        {"batch_norm": True},
        {"extra_filters": (16, 16)},
        {"dropout": 0.5},
        {"l2": 1e-3},
        {"weight_decay": 1e-2},
        {"label_smoothing": 0.1},
        {"loss": "categorical_focal_crossentropy"},
        {"optimizer": "sgd"},
        {"schedule": "cosine"},
        {"schedule": lambda done: 1 - done / 2},
        {"dtype_policy": "mixed_bfloat16"},
        {"dtype_policy": "mixed_float16"},
        {"dtype_policy": "mixed_float16", "weight_decay": 1e-2},
        {"augmentation": ImageAugmenter(rotation=0.1, zoom=0.1, brightness=0.1)},
    ],
    ids=lambda p: next(iter(p)),
)
def test_parameter_changes_the_model_and_still_learns(params, cells):
    X, y = cells.images, cells.target
    plain = small(epochs=5, dtype_policy="float32").fit(X, y)
    clf = small(epochs=5, **{"dtype_policy": "float32", **params}).fit(X, y)
    assert (clf.predict_proba(X) != plain.predict_proba(X)).any()
    assert clf.history_["loss"][-1] < clf.history_["loss"][0]


def test_architecture_is_the_one_that_is_documented(cells):
    clf = small(batch_norm=True, extra_filters=(4,), epochs=1).fit(cells.images, cells.target)
    kinds = [type(layer).__name__ for layer in clf.to_keras().layers]
    linear, pooled = ["Conv2D", "BatchNormalization"], ["MaxPooling2D", "ReLU"]
    assert kinds == [
        *["InputLayer", "Rescaling", "Rescaling"],
        *[*linear, *pooled],
        *[*linear, *pooled],
        *[*linear, "ReLU"],
        *["Flatten", "Dense", "BatchNormalization", "ReLU", "Dense"],
    ]
    assert clf.to_keras().layers[-1].activation is keras.activations.softmax


def test_schedule_lowers_the_rate(cells):
    watch = Watch()
    small(schedule="linear", epochs=4, learning_rate=0.01, callbacks=[watch]).fit(
        cells.images, cells.target
    )
    np.testing.assert_allclose(watch.rates, [0.01, 0.0075, 0.005, 0.0025], rtol=1e-6)


# Weights


@pytest.mark.core
def test_zero_weight_is_absence(cells):
    X, y = cells.images, cells.target
    weights = np.where(np.arange(len(y)) < 160, 1.0, 0.0)
    weighted = small().fit(X, y, sample_weight=weights).predict_proba(X)
    assert weights[-1] == 0, "the caller's weights are untouched"
    np.testing.assert_array_equal(weighted, small().fit(X[:160], y[:160]).predict_proba(X))


def test_class_weight_is_sample_weight(cells):
    X, y = cells.images, cells.target
    by_class = small(class_weight={0: 3.0, 1: 0.5}).fit(X, y).predict_proba(X)
    weights = np.choose(y, [3.0, 0.5, 1.0, 1.0])
    by_sample = small().fit(X, y, sample_weight=weights).predict_proba(X)
    np.testing.assert_array_equal(by_class, by_sample)


def test_balanced_weights_find_more_of_a_rare_class(cells):
    rare = np.flatnonzero(cells.target == 0)[:6]
    rows = np.concatenate([rare, np.flatnonzero(cells.target == 1)])
    X, y = cells.images[rows], cells.target[rows]
    plain, balanced = (
        small(class_weight=w, epochs=4).fit(X, y).predict_proba(cells.images)[:, 0].mean()
        for w in (None, "balanced")
    )
    assert balanced > plain


# Early stopping


@pytest.mark.core
def test_early_stopping_stops_and_keeps_the_best(cells):
    clf = small(early_stopping=True, patience=2, epochs=60, learning_rate=0.01)
    X, y = cells.images[:180], cells.target[:180].copy()
    y[::3] = np.roll(y[::3], 1)  # wrong labels, which cannot be learned but by heart
    clf.fit(X, y, X_val=cells.images[180:], y_val=cells.target[180:])
    losses = clf.history_["val_loss"]
    assert clf.n_iter_ < 60
    assert clf.n_iter_ - 1 - int(np.argmin(losses)) == 2
    probabilities = clf.predict_proba(cells.images[180:])
    loss = -np.log(probabilities[np.arange(60), cells.target[180:]]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-3), "the best epoch's weights are kept"


def test_watched_scores_are_those_of_the_images(cells):
    """The last, incomplete batch neither repeats nor loses images."""
    X_val, y_val = cells.images[:147], cells.target[:147]
    clf = small().fit(cells.images[147:], cells.target[147:], X_val=X_val, y_val=y_val)
    assert clf.history_["val_accuracy"][-1] == pytest.approx(clf.score(X_val, y_val), abs=1e-6)


def test_holdout_never_trains(cells, monkeypatch):
    seen = []

    class Spy(_data.ImageBatches):
        def __init__(self, X, spec, targets, weights, **kwargs):
            seen.append({x.tobytes() for x in X[weights > 0]})
            super().__init__(X, spec, targets, weights, **kwargs)

    monkeypatch.setattr(_data, "ImageBatches", Spy)
    small(early_stopping=True, validation_fraction=0.25).fit(cells.images, cells.target)
    train, held = seen
    assert len(held) == 60
    assert not train & held
    assert len(train | held) == len(np.unique(cells.images, axis=0))


def test_holdout_is_of_whole_groups(cells, monkeypatch):
    groups = np.arange(240) // 8
    tagged = cells.images.copy()
    tagged[:, 0, 0, 0] = groups
    seen = []

    class Spy(_data.ImageBatches):
        def __init__(self, X, spec, targets, weights, **kwargs):
            seen.append(set(X[weights > 0, 0, 0, 0]))
            super().__init__(X, spec, targets, weights, **kwargs)

    monkeypatch.setattr(_data, "ImageBatches", Spy)
    small(early_stopping=True).fit(tagged, cells.target, groups=groups)
    train, held = seen
    assert held
    assert not train & held


# Going on


@pytest.mark.core
def test_partial_fit_epochs_are_those_of_fit(cells):
    X, y = cells.images, cells.target
    clf = small(epochs=1)
    for _ in range(3):
        clf.partial_fit(X, y)
    assert clf.n_iter_ == 3
    np.testing.assert_array_equal(clf.predict_proba(X), small(epochs=3).fit(X, y).predict_proba(X))


@pytest.mark.core
def test_a_fit_starts_from_another_classifier_and_learns_a_class_more(cells):
    X, y = cells.images, cells.target_names[cells.target]
    known = y != y[0]
    old = small(epochs=20).fit(X[known], y[known])
    before = old.predict_proba(X)
    new = small(epochs=20).fit(X, y, init_from=old)
    assert new.classes_.tolist() == sorted(set(y))
    assert new.n_iter_ == 20
    assert (new.predict(X)[~known] == y[0]).mean() > 0.5
    assert new.score(X[known], y[known]) > old.score(X[known], y[known]) - 0.05
    np.testing.assert_array_equal(old.predict_proba(X), before)  # it is as it was
    # Its weights, and no others, are what training starts from.
    kept = small(epochs=1, learning_rate=1e-12).fit(X[known], y[known], init_from=old)
    np.testing.assert_allclose(kept.predict_proba(X), before, atol=1e-4)
    # A class that is missing is still known, and a new one is as likely as the others at first.
    wider = small(epochs=1, learning_rate=1e-12).fit(X[~known], y[~known], init_from=old)
    assert wider.classes_.tolist() == sorted(set(y))
    p = wider.predict_proba(X)[:, np.isin(wider.classes_, old.classes_)]
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), before, atol=1e-3)


def test_classifiers_that_a_fit_cannot_start_from(cells):
    X, y = cells.images[:40], cells.target[:40]
    old = small(epochs=1).fit(X, y)
    with pytest.raises(TypeError, match="must be a fitted CellCNNClassifier, got str"):
        small().fit(X, y, init_from="old.skcell")
    with pytest.raises(NotFittedError):
        small().fit(X, y, init_from=small())
    with pytest.raises(ValueError, match="filters was changed"):
        small(filters=(3, 5)).fit(X, y, init_from=old)
    with pytest.raises(ValueError, match="init_from knows the classes"):
        small().fit(X, cells.target_names[y], init_from=old)
    with pytest.raises(ValueError, match="was fitted on"):
        small().fit(X[:, :8], y, init_from=old)


def test_warm_start_goes_on(cells):
    X, y = cells.images, cells.target
    clf = small(warm_start=True, epochs=2).fit(X, y).fit(X, y)
    assert clf.n_iter_ == 4
    np.testing.assert_array_equal(clf.predict_proba(X), small(epochs=4).fit(X, y).predict_proba(X))


def test_partial_fit_keeps_its_classes(cells):
    clf = small(epochs=1).fit(cells.images, cells.target)
    clf.partial_fit(cells.images, cells.target, classes=np.unique(cells.target))
    with pytest.raises(ValueError, match="differ from those of the first call"):
        clf.partial_fit(cells.images, cells.target, classes=[0, 1, 2, 3, 4, 5])


def test_one_image_alone_is_named(cells):
    clf = small(epochs=1).fit(cells.images, cells.target)
    with pytest.raises(ValueError, match=r"one image.*images\[:1\] instead of images\[0\]"):
        clf.predict(cells.images[0])


def test_partial_fit_wants_all_classes_first(cells):
    first, later = cells.target < 2, cells.target >= 2
    clf = small().partial_fit(cells.images[first], cells.target[first], classes=[0, 1, 2, 3])
    clf.partial_fit(cells.images[later], cells.target[later])
    assert clf.predict_proba(cells.images).shape == (240, 4)
    with pytest.raises(ValueError, match="pass all classes in the first call"):
        small().partial_fit(cells.images[first], cells.target[first]).partial_fit(
            cells.images[later], cells.target[later]
        )


@pytest.mark.core
def test_pickle_goes_on_where_it_was(cells):
    X, y = cells.images, cells.target
    clf = small(epochs=1).partial_fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        copy.partial_fit(X, y).predict_proba(X), clf.partial_fit(X, y).predict_proba(X)
    )


# Compiled programs


@pytest.mark.core
def test_second_fit_of_a_graph_traces_nothing_and_is_a_new_model(cells):
    X, y = cells.images, cells.target
    clear_model_pool()
    params = {"dropout": 0.3, "batch_norm": True, "augmentation": ImageAugmenter(zoom=0.1)}
    first = small(random_state=3, **params).fit(X, y)
    program = first._lease.compiled
    expected = first.predict_proba(X)
    del first
    gc.collect()
    small(random_state=5, learning_rate=0.01, epochs=1, **params).fit(X[:100], y[:100])
    gc.collect()
    again = small(random_state=3, **params).fit(X, y)
    assert again._lease.compiled is program
    np.testing.assert_array_equal(again.predict_proba(X), expected)


def test_live_estimators_take_turns_with_one_compiled_model(cells):
    X, y = cells.images, cells.target
    clear_model_pool()
    one = small(random_state=1, warm_start=True).fit(X, y)
    before, program = one.predict_proba(X), one._lease._compiled
    two = small(random_state=2).fit(X, y)
    assert two._lease._compiled is program, "nothing is traced again"
    expected = two.predict_proba(X)
    np.testing.assert_array_equal(one.predict_proba(X), before)
    np.testing.assert_array_equal(two.predict_proba(X), expected)
    resumed = copy.deepcopy(one).fit(X, y).predict_proba(X)
    two.predict(X[:1])
    np.testing.assert_array_equal(one.fit(X, y).predict_proba(X), resumed)


def test_a_copy_of_the_model_is_not_trained_again(cells):
    X, y = cells.images, cells.target
    clf = small(random_state=1).fit(X, y)
    model = clf.to_keras()
    before = model.predict(X, verbose=0)
    del clf
    gc.collect()
    small(random_state=2).fit(X, y)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_an_error_in_training_leaves_no_trace(cells):
    X, y = cells.images, cells.target
    expected = small().fit(X, y).predict_proba(X)

    def fail(epoch, logs):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        small(callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=fail)]).fit(X, y)
    gc.collect()
    np.testing.assert_array_equal(small().fit(X, y).predict_proba(X), expected)


@pytest.mark.core
def test_half_precision_is_used_again_to_the_bit(cells):
    X, y = cells.images, cells.target
    first, second = (
        small(dtype_policy="mixed_float16", weight_decay=1e-2).fit(X, y).predict_proba(X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.core
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_for_training_alone(policy, cells):
    """An independent network in single precision, and the scores of training, say the same."""
    X, y = cells.images[:100], cells.target[:100]
    X_val, y_val = cells.images[100:], cells.target[100:]
    clf = small(batch_norm=True, standardize=True, dtype_policy=policy, epochs=4)
    clf.fit(X, y, X_val=X_val, y_val=y_val)
    plain = clf.to_keras()
    assert {layer.compute_dtype for layer in plain.layers[1:]} == {"float32"}
    expected = plain.predict(X_val, verbose=0)
    np.testing.assert_allclose(clf.predict_proba(X_val), expected, atol=1e-5)
    assert clf.history_["val_accuracy"][-1] == pytest.approx(clf.score(X_val, y_val))
    halves = {layer.compute_dtype for layer in clf._lease.compiled.model.layers}
    assert policy.removeprefix("mixed_") in halves, "training goes on in half precision"


def test_a_global_policy_is_the_default(cells):
    X, y = cells.images, cells.target
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        clf = small().fit(X, y)
    finally:
        keras.config.set_dtype_policy(policy)
    assert clf.dtype_policy_ == "mixed_float16"
    explicit = small(dtype_policy="mixed_float16").fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), explicit.predict_proba(X))


@pytest.fixture
def choose(monkeypatch):
    """Return a function that stands for a processor with or without bfloat16."""
    return lambda fast: monkeypatch.setattr("skcell._machine.has_fast_bfloat16", lambda: fast)


@pytest.mark.parametrize(
    ("fast", "policy"), [(True, "mixed_bfloat16"), (False, "float32")], ids=["fast", "slow"]
)
def test_default_precision_is_chosen_by_the_machine_and_shown(fast, policy, choose, cells):
    X, y = cells.images, cells.target
    choose(fast)
    clf = small(batch_norm=True).fit(X, y)
    assert clf.dtype_policy_ == policy
    assert clf.dtype_policy is None
    explicit = small(batch_norm=True, dtype_policy=policy).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), explicit.predict_proba(X))
    exact = clf.predict_proba(X).sum(axis=1)
    np.testing.assert_allclose(exact, 1, rtol=0, atol=1e-12)
    assert {str(v.dtype) for v in clf._lease.compiled.model.optimizer.variables[2:]} == {"float32"}


def test_model_moves_to_a_machine_with_another_precision(choose, cells):
    X, y = cells.images, cells.target
    choose(True)
    clf = small(batch_norm=True, warm_start=True).fit(X, y)
    file = pickle.dumps(clf)
    choose(False)
    moved = pickle.loads(file)
    assert moved.dtype_policy_ == "mixed_bfloat16"
    np.testing.assert_array_equal(moved.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_allclose(
        moved.to_keras().predict(X, verbose=0), moved.predict_proba(X), atol=1e-5
    )
    # It resumes there, even if a user's callback takes a model out of the pool before it is used.
    moved = pickle.loads(file)
    moved.set_params(callbacks=[keras.callbacks.LambdaCallback()]).fit(X, y)
    assert moved.dtype_policy_ == "float32"
    assert moved.n_iter_ == 2 * clf.n_iter_
    assert moved.history_["loss"][: clf.n_iter_] == clf.history_["loss"]


def test_resuming_in_another_precision_keeps_weights_and_optimizer(cells):
    X, y = cells.images, cells.target
    clf = small(batch_norm=True, warm_start=True, dtype_policy="mixed_bfloat16").fit(X, y)
    before = clf._lease.compiled.get_state()
    moved = clf._lease.with_policy("float32")
    for old, new in zip(before, moved.compiled.get_state(), strict=True):
        np.testing.assert_array_equal(old, new)
    clf.set_params(dtype_policy="float32").fit(X, y)
    assert clf.dtype_policy_ == "float32"
    with pytest.raises(ValueError, match="dtype_policy was changed from 'float32'"):
        clf.set_params(dtype_policy="mixed_float16").fit(X, y)


def test_threads_may_wake_an_unpickled_model_together(cells):
    X = cells.images[:20]
    clf = small(epochs=1).fit(cells.images, cells.target)
    expected = clf.predict_proba(X)
    for _ in range(3):
        copy = pickle.loads(pickle.dumps(clf))
        with ThreadPoolExecutor(6) as pool:
            for found in pool.map(lambda _, c=copy: c.predict_proba(X), range(6)):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1] * 5, "5 entries for 240"),
        ([1, None] * 120, "lacks the entry of 120"),
        ([1] * 240, "1 group"),
    ],
)
def test_bad_groups_are_named(cells, groups, message):
    with pytest.raises(ValueError, match=message):
        small(early_stopping=True).fit(cells.images, cells.target, groups=np.array(groups, object))


def test_threads_train_apart(cells):
    X, y = cells.images, cells.target
    expected = {seed: small(random_state=seed).fit(X, y).predict_proba(X) for seed in (0, 1, 2)}
    found = {}

    def fit(seed):
        found[seed] = small(random_state=seed).fit(X, y).predict_proba(X)

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, probabilities in expected.items():
        np.testing.assert_array_equal(found[seed], probabilities)


def test_training_images_are_let_go_of(cells):
    X, X_val = cells.images.copy(), cells.images[:40].copy()
    images = weakref.ref(X), weakref.ref(X_val)
    clf = small(epochs=1).fit(X, cells.target, X_val=X_val, y_val=cells.target[:40])
    del X, X_val
    gc.collect()
    assert [image() for image in images] == [None, None]
    assert clf.predict(cells.images[:2]).shape == (2,)


def test_going_on_keeps_the_holdout(cells, monkeypatch):
    held = []

    class Spy(_data.ImageBatches):
        def __init__(self, X, spec, targets, weights, seed=None, **kwargs):
            if seed is None:
                held.append({x.tobytes() for x in X[weights > 0]})
            super().__init__(X, spec, targets, weights, seed=seed, **kwargs)

    monkeypatch.setattr(_data, "ImageBatches", Spy)
    clf = small(early_stopping=True, warm_start=True, random_state=None, epochs=1)
    clf.fit(cells.images, cells.target).fit(cells.images, cells.target)
    assert held[0] == held[1]


def test_the_holdout_copies_no_images():
    X = np.random.default_rng(0).integers(0, 255, (2000, 48, 48, 3), np.uint8)
    y = np.arange(2000) % 2
    clf = small(filters=(2,), dense_units=2, epochs=1, early_stopping=True).fit(X[:64], y[:64])
    tracemalloc.start()
    clf.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 2


def test_images_of_weight_zero_are_not_held_out(cells, monkeypatch):
    seen = []

    class Spy(_data.ImageBatches):
        def __init__(self, X, spec, targets, weights, **kwargs):
            seen.append({x.tobytes() for x in X[weights > 0]})
            super().__init__(X, spec, targets, weights, **kwargs)

    monkeypatch.setattr(_data, "ImageBatches", Spy)
    weights = np.arange(240) % 2
    small(early_stopping=True).fit(cells.images, cells.target, sample_weight=weights)
    absent = {x.tobytes() for x in cells.images[weights == 0]}
    assert not (seen[0] | seen[1]) & absent


def test_changed_networks_cannot_go_on(cells):
    clf = small(warm_start=True, epochs=1).fit(cells.images, cells.target)
    with pytest.raises(ValueError, match=r"dropout was changed from 0\.0 to 0\.5"):
        clf.set_params(dropout=0.5).fit(cells.images, cells.target)


def test_divergence_leaves_a_trained_model_as_it_was(cells):
    clf = small(optimizer="sgd").fit(cells.images, cells.target)
    before = clf.predict_proba(cells.images)
    clf.set_params(learning_rate=1e30)
    with pytest.raises(FloatingPointError):
        clf.partial_fit(cells.images, cells.target)
    np.testing.assert_array_equal(clf.predict_proba(cells.images), before)


@pytest.mark.filterwarnings("error::UserWarning")
def test_history_stays_in_step_where_nothing_was_watched(cells):
    clf = small(early_stopping=True, epochs=2).fit(cells.images, cells.target)
    clf.partial_fit(cells.images, cells.target)
    assert {len(values) for values in clf.history_.values()} == {3}
    assert np.isnan(clf.history_["val_loss"][-1])


@pytest.mark.parametrize("name", ["optimizer__learning_rate", "loss__gamma"])
def test_nested_names_of_plain_parameters_are_refused(name):
    with pytest.raises(ValueError, match="not an estimator with parameters"):
        small().set_params(**{name: 1.0})
    with pytest.raises(ValueError, match="Invalid parameter 'rotatoin'"):
        small(augmentation=ImageAugmenter()).set_params(augmentation__rotatoin=0.1)


# The rest of scikit-learn


def test_folds_are_stratified(cells):
    order = np.argsort(cells.target, kind="stable")  # as a folder per class is read
    X, y = cells.images[order], cells.target[order]
    assert type(check_cv(3, y, classifier=is_classifier(small()))).__name__ == "StratifiedKFold"
    assert cross_val_score(small(epochs=10), X, y, cv=3).min() > 0.45


def test_grid_search_reaches_augmentation(cells):
    search = GridSearchCV(
        small(augmentation=ImageAugmenter(), epochs=1),
        {"augmentation__rotation": [0.0, 0.1], "learning_rate": [1e-3, 1e-2]},
        cv=2,
        error_score="raise",
    ).fit(cells.images, cells.target)
    assert search.best_estimator_.predict(cells.images[:3]).shape == (3,)


def test_ensembles_take_it(cells):
    rows = cells.images.reshape(240, -1)
    clf = small(image_shape=(24, 24, 3), epochs=2)
    others = [("cnn", clf), ("linear", LogisticRegression(max_iter=20))]
    for ensemble in (
        VotingClassifier(others, voting="soft"),
        StackingClassifier(others, cv=2),
        CalibratedClassifierCV(clf, cv=2),
    ):
        assert ensemble.fit(rows, cells.target).predict(rows[:5]).shape == (5,)


def test_curves_and_importances(cells):
    rows = cells.images.reshape(240, -1)[:, :48]
    clf = small(image_shape=(4, 4, 3), epochs=2)
    _, _, test = learning_curve(clf, rows, cells.target, cv=2, train_sizes=[0.5, 1.0])
    assert test.shape == (2, 2)
    found = permutation_importance(clf.fit(rows, cells.target), rows, cells.target, n_repeats=1)
    assert found.importances_mean.shape == (48,)


def test_metadata_routing_carries_groups_and_weights(cells):
    import sklearn

    groups = np.arange(240) // 8
    with sklearn.config_context(enable_metadata_routing=True):
        clf = small(early_stopping=True, epochs=1)
        clf.set_fit_request(groups=True, sample_weight=True).set_score_request(sample_weight=False)
        scores = cross_validate(
            clf,
            cells.images,
            cells.target,
            cv=GroupKFold(2),
            params={"groups": groups, "sample_weight": np.ones(240)},
            error_score="raise",
        )
    assert scores["test_score"].shape == (2,)


def test_html_repr_and_repr():
    clf = small(augmentation=ImageAugmenter())
    assert "CellCNNClassifier" in clf._repr_html_()
    assert repr(clf).startswith("CellCNNClassifier(")
    assert clone(clf).get_params()["augmentation__quarter_turns"] is True


# Files


@pytest.fixture
def files(cells, tmp_path):
    paths = []
    for i, image in enumerate(cells.images[:120]):
        path = tmp_path / f"{i}.png"
        Image.fromarray(image).save(path)
        paths.append(path)
    return paths


def test_files_are_the_images_in_them(files, cells):
    X, y = cells.images[:120], cells.target[:120]
    expected = small().fit(X, y).predict_proba(X)
    clf = small(image_shape=(24, 24, 3)).fit(files, y)
    np.testing.assert_array_equal(clf.predict_proba(files), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    np.testing.assert_array_equal(clf.predict_proba(np.array([str(f) for f in files])), expected)


def test_a_broken_file_is_named(files, cells):
    files[7].write_bytes(files[7].read_bytes()[:100])
    clf = small(image_shape=(24, 24, 3), epochs=1)
    with pytest.raises(ImageReadError, match=r"7\.png: truncated"):
        clf.fit(files, cells.target[:120])
    with pytest.raises(ImageReadError, match=r"7\.png: truncated"):
        clf.fit(cells.images, cells.target).predict(files)


def test_files_of_sixteen_bits_keep_them(cells, tmp_path):
    deep = cells.images[:60].astype(np.uint16) * 257
    paths = [tmp_path / f"{i}.tif" for i in range(60)]
    for path, image in zip(paths, deep, strict=True):
        tifffile.imwrite(path, image)
    clf = small(image_shape=(24, 24, 3)).fit(paths, cells.target[:60])
    expected = small().fit(deep, cells.target[:60]).predict_proba(deep)
    np.testing.assert_array_equal(clf.predict_proba(paths), expected)


@pytest.mark.core
def test_files_cross_validate_and_stop_early(files, cells):
    clf = small(image_shape=(24, 24, 3), early_stopping=True, epochs=2)
    assert cross_val_score(clf, files, cells.target[:120], cv=2).shape == (2,)


@pytest.mark.slow
def test_files_stream_in_bounded_memory(tmp_path):
    """Forty times as many files take no more memory than one time."""
    import subprocess
    import sys

    code = """
import sys, resource, numpy as np
from PIL import Image
from skcell import CellCNNClassifier
noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
Image.fromarray(noise).save("cell.jpg")
paths = np.array(["cell.jpg"] * int(sys.argv[1]))
clf = CellCNNClassifier(filters=(4,), dense_units=4, epochs=1, image_shape=(96, 96, 3))
clf.fit(paths, np.arange(len(paths)) % 2).predict(paths)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    few, many = (
        float(
            subprocess.run(
                [sys.executable, "-c", code, n],
                cwd=tmp_path,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for n in ("100", "4000")
    )
    assert many - few < 60, "MiB; the images would take 105 as bytes, 421 as floats"


@pytest.mark.parametrize("rows", [False, True])
def test_byte_order_is_no_other_dtype(cells, rows):
    deep = cells.images.astype(np.uint16) * 257
    shape = (240, -1) if rows else deep.shape
    params = {"image_shape": (24, 24, 3)} if rows else {}
    found = small(**params).fit(deep.astype(">u2").reshape(shape), cells.target)
    expected = small().fit(deep, cells.target)
    np.testing.assert_array_equal(found.predict_proba(deep), expected.predict_proba(deep))


# Progress


def test_progress_in_a_log_is_one_line_for_each_epoch(cells, capsys):
    small(verbose=1).fit(cells.images, cells.target)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("CellCNNClassifier: epoch 3/3 accuracy")


def test_silent_by_default(cells, capsys):
    small().fit(cells.images, cells.target)
    assert capsys.readouterr() == ("", "")


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: ([], []), "holds no images"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, None), "requires y"),
        (lambda X, y: (X, np.zeros(len(X))), "at least two classes, got 1 class"),
        (lambda X, y: (X, np.arange(len(X))), "Every class has a single image"),
        (lambda X, y: (X, np.linspace(0, 1, len(X))), "Unknown label type"),
        (lambda X, y: (np.where(X > 250, np.nan, X / 255), y), "image 0 has pixels that are not"),
        (lambda X, y: (X.astype(float) * np.inf, y), "not finite"),
        (lambda X, y: (X.astype(np.int64), y), "dtype int64 have no known range"),
        (lambda X, y: (X[0], y), "expected|Expected images of shape|inconsistent"),
        (lambda X, y: ([X[0], X[1, :20]] * 2, [0, 1, 0, 1]), "2 different shapes"),
        (lambda X, y: (["a.png", "b.png"] * 2, [0, 1, 0, 1]), "names no file .4 of 4.: a.png"),
        (lambda X, y: ("cells.png", [0]), "single path"),
        (lambda X, y: (X.reshape(len(X), -1), y), "need image_shape"),
        (lambda X, y: (X, np.where(y > 1, np.nan, y)), "NaN"),
        (lambda X, y: ([Image.fromarray(x).convert("P") for x in X], y), "palette"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input_is_named_before_training(change, message, cells):
    X = cells.images.copy()
    X[0, 0, 0, 0] = 255
    with pytest.raises(ValueError, match=message):
        small(callbacks=[Unreached()]).fit(*change(X, cells.target))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"epochs": 0}, "'epochs' parameter"),
        ({"optimizer": "adm"}, "'optimizer' parameter"),
        ({"learning_rate": -1}, "'learning_rate' parameter"),
        ({"augmentation": "flip"}, "'augmentation' parameter"),
        ({"augmentation": ImageAugmenter(rotation=7)}, "'rotation' parameter"),
        ({"class_weight": {"x": 2}}, "class"),
        ({"class_weight": {0: -1.0}}, "negative"),
        ({"class_weight": dict.fromkeys(range(4), 0)}, "nothing to learn"),
        ({"image_shape": (10, 10, 3)}, "differs from the images' own shape"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "change validation_fraction"),
    ],
)
def test_bad_parameter_is_named_before_training(params, message, cells):
    with pytest.raises(ValueError, match=message):
        small(**params, callbacks=[Unreached()]).fit(cells.images, cells.target)


def test_the_guard_notices_training(cells):
    with pytest.raises(AssertionError, match="training began"):
        small(callbacks=[Unreached()]).fit(cells.images, cells.target)


def test_prediction_wants_what_was_fitted(cells):
    clf = small(epochs=1).fit(cells.images, cells.target)
    with pytest.raises(ValueError, match="fitted on uint8 pixels but was given float32"):
        clf.predict(cells.images / 255)
    with pytest.raises(ValueError, match=r"shape \(24, 24, 3\) .* shape \(24, 24, 1\)"):
        clf.predict(cells.images[..., :1])
    with pytest.raises(ValueError, match="resize the images"):
        clf.predict(cells.images[:, :12])


@pytest.mark.core
def test_divergence_is_an_error_not_a_score(cells):
    with pytest.raises(FloatingPointError, match="Lower learning_rate"):
        small(optimizer="sgd", learning_rate=1e30).fit(cells.images, cells.target)


def test_raw_floats_are_warned_about(cells):
    with pytest.warns(PixelRangeWarning, match="between 4 and 255"):
        small(epochs=1).fit(cells.images.astype(np.float32), cells.target)


@pytest.mark.parametrize(
    ("n", "epochs"), [(5, 150), (100, 78), (1000, 36), (12000, 16), (10**7, 10)]
)
def test_auto_epochs_are_more_for_fewer_images(n, epochs):
    assert count_epochs("auto", SimpleNamespace(n_present=n)) == epochs
    assert count_epochs(7, SimpleNamespace(n_present=n)) == 7


def test_auto_epochs_count_the_images_that_train(cells):
    weights = np.zeros(240)
    weights[:64] = 1
    clf = small(filters=(2,), dense_units=2, epochs="auto")
    assert clf.fit(cells.images, cells.target, sample_weight=weights).n_iter_ == 90
    early = clf.set_params(early_stopping=True, patience=1000).fit(cells.images, cells.target)
    assert early.n_iter_ == count_epochs("auto", SimpleNamespace(n_present=216))


# What the user's configuration and a notebook do


@pytest.mark.thorough
def test_the_order_of_channels_in_the_users_configuration_changes_nothing(cells, tmp_path):
    code = (
        "import keras, numpy as np\n"
        "from skcell import CellCNNClassifier, SEInceptionResNetClassifier, ImageAugmenter\n"
        "from skcell import TransferClassifier\n"
        "from skcell.datasets import make_cells\n"
        "cells = make_cells(60, n_classes=3, image_size=24, random_state=0)\n"
        "keras.config.set_image_data_format(FORMAT)\n"
        "out = {}\n"
        "common = {'epochs': 2, 'random_state': 0, 'tta': 'none'}\n"
        "turn = ImageAugmenter(rotation=0.2, zoom=0.1)\n"
        "for clf in (\n"
        "    CellCNNClassifier(filters=(4, 8), batch_norm=True, augmentation=turn, **common),\n"
        "    SEInceptionResNetClassifier(n_blocks=1, filters=8, stem_filters=8,\n"
        "                                augmentation=None, **common),\n"
        "    TransferClassifier('mobilenet_v2_0.35', weights=None, input_size=32, unfreeze=1,\n"
        "                       fine_tuning_epochs=1, cache=False, augmentation=None, **common),\n"
        "):\n"
        "    clf.fit(cells.images, cells.target)\n"
        "    out[type(clf).__name__] = clf.predict_proba(cells.images)\n"
        "    out[type(clf).__name__ + ' weights'] = clf.count_params()\n"
        "copies, _ = turn.set_params(random_state=0).fit_resample(cells.images, cells.target)\n"
        "np.savez(FORMAT, copies=copies, **out)\n"
        "assert keras.config.image_data_format() == FORMAT\n"
    )
    found = {}
    for order in ("channels_last", "channels_first"):
        script = code.replace("FORMAT", repr(order))
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=300)
        found[order] = np.load(tmp_path / f"{order}.npz")
    last, first = found.values()
    assert len(last.files) == 7
    for name in last.files:
        np.testing.assert_array_equal(first[name], last[name], err_msg=name)


def test_showing_a_fitted_estimator_changes_nothing(cells):
    X, y = cells.images[:60], cells.target[:60]
    clear_model_pool()
    clf = small().fit(X, y)
    predicted = clf.predict_proba(X)
    for look in (repr, str, lambda e: e._repr_html_(), estimator_html_repr, dir, vars):
        assert look(clf)
    inspect.getmembers(clf)
    np.testing.assert_array_equal(clf.predict_proba(X), predicted)
    model = clf._lease.compiled
    del clf
    gc.collect()
    assert small(random_state=1).fit(X, y)._lease.compiled is model, "used again"


def test_the_last_update_may_not_explode_in_silence(cells):
    X, y = cells.images[:32], cells.target[:32]
    boom = {"optimizer": "sgd", "learning_rate": 1e30, "epochs": 1}
    with pytest.raises(FloatingPointError, match="Lower learning_rate"):
        small(**boom).fit(X, y)
    with pytest.raises(FloatingPointError, match="Lower learning_rate"):
        small(**boom).partial_fit(X, y)
    with pytest.raises(FloatingPointError, match="Lower learning_rate"):
        TransferClassifier(
            keras.Sequential(
                [
                    keras.Input((24, 24, 3)),
                    keras.layers.Conv2D(4, 3),
                    keras.layers.Conv2D(4, 3),
                    keras.layers.GlobalAveragePooling2D(),
                ]
            ),
            input_size=None,
            cache=False,
            unfreeze=True,
            fine_tuning_learning_rate=1e30,
            fine_tuning_epochs=1,
            **{**boom, "learning_rate": 0.01},
        ).fit(X, y)
    trained = small(warm_start=True, epochs=1).fit(X, y)
    before = trained.predict_proba(X)
    with pytest.raises(FloatingPointError):
        trained.set_params(learning_rate=1e30).fit(X, y)
    np.testing.assert_array_equal(trained.predict_proba(X), before)


@pytest.mark.parametrize("scale", [1e-3, 1 / 60, 50.0])
@pytest.mark.core
def test_only_ratios_of_weights_count(cells, scale):
    X, y = cells.images[:60], cells.target[:60]
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 60)
    params = {"optimizer": "sgd", "learning_rate": 0.05, "epochs": 4}
    one = small(**params).fit(X, y, sample_weight=weights)
    other = small(**params).fit(X, y, sample_weight=weights * scale)
    np.testing.assert_allclose(one.history_["loss"], other.history_["loss"], rtol=1e-4)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-4)


def test_balanced_weights_know_no_image_of_weight_zero(cells):
    X, y = cells.images[:80], cells.target[:80] % 2
    weights = np.ones(80)
    weights[np.flatnonzero(y == 1)[:20]] = 0
    absent = small(class_weight="balanced").fit(X, y, sample_weight=weights)
    there = weights > 0
    without = small(class_weight="balanced").fit(X[there], y[there])
    np.testing.assert_array_equal(absent.predict_proba(X), without.predict_proba(X))


def test_a_weighted_holdout_is_what_stops_early(cells):
    X, y = cells.images, cells.target
    weights = np.where(y == 0, 10.0, 1.0)
    clf = small(early_stopping=True).fit(
        *(X[:180], y[:180]), X_val=X[180:], y_val=y[180:], sample_weight_val=weights[180:]
    )
    proba = clf.predict_proba(X[180:])
    lost = -np.log(proba[np.arange(60), y[180:]])
    best = np.argmin(clf.history_["val_loss"])
    expected = np.average(lost, weights=weights[180:])
    assert clf.history_["val_loss"][best] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["initialize", "current_epoch", "feature_encoder", "target_encoder", "scorer", "model_"]
)
def test_what_scikeras_leaves_is_gone(name, cells):
    clf = small(epochs=1)
    assert not hasattr(clf, name)
    assert not hasattr(clf.fit(cells.images[:60], cells.target[:60]), name)


def test_one_image_at_a_time_teaches_batch_normalisation_nothing(cells):
    clf = CellCNNClassifier(filters=(4,), dense_units=4, epochs=1, batch_size=1, random_state=0)
    with pytest.raises(ValueError, match="Set batch_size to 2 or more"):
        clf.fit(cells.images[:8], cells.target[:8])
    clf.set_params(batch_norm=False).fit(cells.images[:8], cells.target[:8])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"filters": ("a",)}, "filters must be a list or tuple"),
        ({"filters": (2**20,)}, "filters must be a list or tuple"),
        ({"extra_filters": set()}, "extra_filters"),
        ({"callbacks": [1]}, "callbacks must be callbacks of Keras"),
        ({"batch_size": True}, "batch_size=True must be a number"),
        ({"dtype_policy": "cpu"}, "dtype_policy"),
        ({"convolutions": 2**63}, "convolutions"),
        ({"dense_units": 2**31}, "dense_units"),
    ],
)
def test_values_that_no_network_can_have_are_refused_at_once(cells, params, said):
    with pytest.raises(ValueError, match=said):
        CellCNNClassifier(**params).fit(cells.images[:20], cells.target[:20])
