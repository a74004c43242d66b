"""TransferClassifier: frozen backbones seen once, fine-tuning in two phases."""

import pickle
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skcell import ImageAugmenter, TransferClassifier
from skcell._engine import _pool
from skcell.classifiers import ClassifierCallback
from skcell.networks import RandomTransform
from skcell.networks._backbone_graph import find_backbone, fingerprint_model


def small(**params):
    """A backbone of random weights that trains in seconds."""
    return TransferClassifier(
        **{
            "backbone": "mobilenet_v2_0.35",
            "weights": None,
            "input_size": 32,
            "epochs": 2,
            "unfreeze": None,
            "augmentation": None,
            "n_views": None,
            "tta": "none",
            "fine_tuning_epochs": 2,
            "fine_tuning_learning_rate": 1e-4,
            "train_batch_norm": False,
            "cache": False,
            "random_state": 0,
            **params,
        }
    )


def own_backbone():
    """A model of three convolutions, one of them with batches normalised."""
    inputs = keras.Input((24, 24, 3))
    x = inputs
    for i in range(3):
        drawn = keras.initializers.HeNormal(seed=i)
        x = keras.layers.Conv2D(4, 3, strides=2, kernel_initializer=drawn, name=f"conv_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"bn_{i}")(x) if i == 1 else x
        x = keras.layers.ReLU(name=f"relu_{i}")(x)
    return keras.Model(inputs, x)


def weights_of(layer):
    return {v.path: keras.ops.convert_to_numpy(v.value).copy() for v in layer.variables}


def changed(clf, start):
    """Names of the backbone's layers of which a weight is no longer, to the bit, as given."""
    layers = {}
    for layer in find_backbone(clf.to_keras()).layers:
        for v in layer.variables:
            same = np.array_equal(keras.ops.convert_to_numpy(v.value), start[v.path])
            layers[layer.name] = layers.get(layer.name, False) or not same
    return {name for name, differs in layers.items() if differs}


@pytest.fixture
def data(cells):
    return cells.images[:60], cells.target[:60]


# Frozen


@pytest.mark.thorough
def test_real_weights_tell_real_cells_apart(real_cells, mobilenet_weights):
    X, y = real_cells
    clf = small(
        weights=mobilenet_weights, input_size=96, epochs=30, learning_rate=0.005, cache="memory"
    )
    pretrained = cross_val_score(clf, X, y, cv=3).mean()
    untrained = cross_val_score(clf.set_params(weights=None), X, y, cv=3).mean()
    assert pretrained > 0.75
    assert pretrained > untrained + 0.1


def test_each_image_goes_through_the_backbone_once(data, tmp_path, computed):
    X, y = data
    clf = small(cache=tmp_path / "features.sqlite")
    GridSearchCV(clf, {"learning_rate": [0.1, 0.01], "dropout": [0.0, 0.5]}, cv=3).fit(X, y)
    assert sum(computed) == len(np.unique(X, axis=0))


@pytest.mark.parametrize("augmentation", [None, ImageAugmenter()], ids=["kept", "drawn anew"])
@pytest.mark.core
def test_a_frozen_backbone_is_unchanged_to_the_bit(data, augmentation):
    net = own_backbone()
    start = weights_of(net)
    params = {"dropout": 0.0, "epochs": 4, "learning_rate": 0.01}
    clf = small(backbone=net, input_size=None, augmentation=augmentation, **params)
    clf.fit(*data)
    assert changed(clf, start) == set()
    assert weights_of(net).keys() == start.keys()
    assert clf.history_["phase"] == ["head"] * 4
    assert clf.history_["loss"][-1] < clf.history_["loss"][0]


def test_the_assembled_model_predicts_the_same(data):
    clf = small(dense_units=16).fit(*data)
    predicted = clf.predict_proba(data[0])
    model = clf.to_keras()
    assert model is not clf.to_keras()
    np.testing.assert_allclose(model.predict(data[0], verbose=0), predicted, atol=1e-5)
    np.testing.assert_array_equal(clf.predict_proba(data[0]), predicted)


def test_views_are_computed_once_and_drawn_one_each_epoch(data, tmp_path, computed):
    X, y = data
    X = np.unique(X, axis=0)
    y = y[: len(X)]
    turn = ImageAugmenter(rotation=0.5)
    clf = small(
        cache=tmp_path / "features.sqlite", augmentation=turn, n_views=3, early_stopping=True
    )
    first = clf.fit(X, y).predict_proba(X)
    assert sum(computed) == 4 * len(X), "three views, and the images themselves"
    clf.set_params(epochs=3).fit(X[::-1], y[::-1])
    # Whatever else is in the batch, but for a pixel that is rounded to the other side.
    assert sum(computed) <= 4 * len(X) + 3
    plain = small(cache=False).fit(X, y).predict_proba(X)
    assert (first != plain).any()


def test_without_augmentation_there_is_one_view(data, computed):
    views = small(n_views=3).fit(*data).predict_proba(data[0])
    assert sum(computed) == 2 * len(data[0]), "once for training, once for prediction"
    np.testing.assert_array_equal(small().fit(*data).predict_proba(data[0]), views)


@pytest.mark.thorough
def test_the_defaults_fine_tune_the_whole_backbone(data, mobilenet_weights):
    X, y = data
    clf = TransferClassifier(
        "mobilenet_v2_0.35",
        weights=mobilenet_weights,
        input_size=32,
        epochs=2,
        fine_tuning_epochs=1,
        cache=False,
        random_state=0,
    ).fit(X, y)
    assert clf.history_["phase"] == ["head", "head", "fine-tuning"]
    clf.set_params(tta="none")  # so that the Keras model is the network alone
    given = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    given.load_weights(mobilenet_weights)
    start = {v.path.partition("/")[2]: v for v in given.trainable_variables}
    for v in find_backbone(clf.to_keras()).trainable_variables:
        old = start.get(v.path.partition("/")[2])
        assert old is None or not np.array_equal(
            keras.ops.convert_to_numpy(v.value), keras.ops.convert_to_numpy(old.value)
        )
    assert clf.adapt(X).adaptation_["n_images"] == len(X)


def test_a_backbone_may_change_images_at_random_itself(data):
    """Plain epochs end the changes of the classifier's augmentation, and leave the backbone's."""
    backbone = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            RandomTransform(),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    clf = small(
        backbone=backbone,
        input_size=None,
        unfreeze="all",
        augmentation=ImageAugmenter.from_preset("microscope", plain_epochs=0.5),
    ).fit(*data)
    assert clf.n_iter_ == 4


@pytest.mark.parametrize(("n", "expected"), [(30, (232, 58)), (1000, (72, 18)), (10**6, (10, 10))])
def test_epochs_by_data_size(n, expected):
    found = TransferClassifier()._count_epochs(SimpleNamespace(n_present=n))
    assert found == expected
    assert TransferClassifier(unfreeze=None)._count_epochs(SimpleNamespace(n_present=n))[1] == 0


@pytest.mark.thorough
def test_more_channels_are_projected_by_weights_that_are_trained(data):
    X = np.concatenate([data[0]] * 2, axis=3)
    clf = small(learning_rate=0.01).fit(X, data[1])
    kernel = clf.to_keras().get_layer("to_three_channels").kernel
    assert kernel.shape == (1, 1, 6, 3)
    assert np.ptp(keras.ops.convert_to_numpy(kernel.value)) > 0, "it started equal"
    assert clf.predict(X).shape == (60,)


def test_grey_images_are_repeated(data):
    grey = data[0][..., :1]
    clf = small().fit(grey, data[1])
    colour = small().fit(np.repeat(grey, 3, axis=3), data[1])
    np.testing.assert_allclose(clf.predict_proba(grey), colour.predict_proba(grey.repeat(3, 3)))


def test_too_small_images_are_an_error_at_once(data):
    with pytest.raises(ValueError, match=r"at least 75 pixels.*input_size=299"):
        TransferClassifier(weights=None, input_size=None).fit(*data)


# Fine-tuning


@pytest.mark.parametrize(
    ("unfreeze", "tuned"),
    [
        (1, {"conv_2"}),
        (2, {"conv_2"}),
        (3, {"conv_1", "conv_2"}),
        (0.5, {"conv_2"}),
        ("conv_1", {"conv_1", "conv_2"}),
        ("all", {"conv_0", "conv_1", "conv_2"}),
    ],
)
@pytest.mark.core
@pytest.mark.thorough
def test_exactly_what_is_unfrozen_is_trained(data, unfreeze, tuned):
    net = own_backbone()
    start = weights_of(net)
    clf = small(
        backbone=net, input_size=None, unfreeze=unfreeze, fine_tuning_learning_rate=0.01
    ).fit(*data)
    assert changed(clf, start) == tuned, "batch normalisation stays in inference mode"
    assert clf.history_["phase"] == ["head"] * 2 + ["fine-tuning"] * 2
    assert clf.n_iter_ == len(clf.history_["loss"]) == 4
    np.testing.assert_array_equal(next(iter(weights_of(net).values())), next(iter(start.values())))


@pytest.mark.core
def test_batch_norm_is_trained_where_asked(data):
    net = own_backbone()
    start = weights_of(net)
    clf = small(backbone=net, input_size=None, unfreeze=2, train_batch_norm=True).fit(*data)
    assert changed(clf, start) == {"conv_2", "bn_1"}


@pytest.mark.thorough
def test_fine_tuning_starts_from_the_trained_head(data):
    frozen = small(epochs=5, learning_rate=0.01).fit(*data)
    tuned = small(
        epochs=5,
        learning_rate=0.01,
        unfreeze=1,
        fine_tuning_epochs=1,
        fine_tuning_learning_rate=1e-12,
    ).fit(*data)
    np.testing.assert_allclose(
        tuned.predict_proba(data[0]), frozen.predict_proba(data[0]), atol=1e-4
    )


class Remember(keras.callbacks.Callback):
    """Keeps the kernels of the backbone after each epoch."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def on_epoch_end(self, epoch, logs=None):
        layers = {layer.name: layer for layer in self.model.layers}
        if "backbone" in layers:
            inner = (layers["backbone"].get_layer(f"conv_{i}") for i in range(3))
            self.kernels.append([keras.ops.convert_to_numpy(v.kernel.value).copy() for v in inner])

    def __deepcopy__(self, memo):
        return self


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_gradual_unfreezing_adds_group_by_group(data, weight_decay):
    seen = Remember()
    small(
        backbone=own_backbone(),
        input_size=None,
        unfreeze="all",
        gradual_unfreezing=True,
        weight_decay=weight_decay,
        fine_tuning_epochs=4,  # of four groups: convolutions, and one that normalises
        fine_tuning_learning_rate=0.01,
        train_batch_norm=True,
        callbacks=[seen],
    ).fit(*data)
    begin = [k.copy() for k in seen.kernels[0]]
    moved = [[bool((k != b).any()) for k, b in zip(ks, begin, strict=True)] for ks in seen.kernels]
    assert moved[1] == [False, False, True]
    assert moved[2] == [False, True, True]
    assert moved[3] == [True, True, True]


def test_layer_decay_is_a_factor_from_group_to_group(data):
    net = own_backbone()
    start = [keras.ops.convert_to_numpy(net.get_layer(f"conv_{i}").kernel.value) for i in (0, 1, 2)]
    seen = Remember()
    small(
        backbone=net,
        input_size=None,
        unfreeze="all",
        layer_decay=0.1,
        optimizer="lion",  # moves each weight by just the learning rate
        batch_size=60,
        fine_tuning_epochs=1,
        fine_tuning_learning_rate=0.01,
        callbacks=[seen],
    ).fit(*data)
    steps = [np.abs(a - b).max() for a, b in zip(seen.kernels[0], start, strict=True)]
    np.testing.assert_allclose(steps, [0.0001, 0.001, 0.01], rtol=0.01)


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (9, r"unfreeze=9, but the backbone has 4 groups"),
        ("conv2", r"no layer 'conv2'; its groups begin with \['.*conv_1'"),
        (0, r"'unfreeze' parameter"),
        (1.5, r"'unfreeze' parameter"),
    ],
)
def test_what_cannot_be_unfrozen_is_said_before_training(data, unfreeze, message):
    clf = small(backbone=own_backbone(), input_size=None, unfreeze=unfreeze)
    with pytest.raises(ValueError, match=message):
        clf.fit(*data)
    assert not hasattr(clf, "history_")


@pytest.mark.core
def test_a_reused_program_is_a_new_one_to_the_bit(data):
    params = {"unfreeze": 2, "augmentation": ImageAugmenter(), "layer_decay": 0.5, "dropout": 0.3}
    params |= {"backbone": own_backbone(), "input_size": None}
    _pool.clear_model_pool()
    first = small(**params).fit(*data).predict_proba(data[0])
    small(**{**params, "random_state": 1}).fit(*data)
    again = small(**params).fit(*data).predict_proba(data[0])
    np.testing.assert_array_equal(again, first)


def test_clones_of_a_model_share_one_program(data, monkeypatch):
    made = []
    original = _pool.CompiledModel

    def program(*arguments):
        made.append(1)
        return original(*arguments)

    monkeypatch.setattr(_pool, "CompiledModel", program)
    clf = small(backbone=own_backbone(), input_size=None, unfreeze=1)
    for _ in range(3):
        clone(clf).fit(*data)
    assert len(made) == 2, "one for the head, one for fine-tuning"


@pytest.mark.thorough
def test_early_stopping_ends_each_phase(data):
    clf = small(early_stopping=True, patience=1, epochs=50, learning_rate=0.5, unfreeze=1)
    clf.fit(*data)
    assert clf.history_["phase"].count("head") < 50
    assert "fine-tuning" in clf.history_["phase"]
    assert len(clf.history_["val_loss"]) == clf.n_iter_


@pytest.mark.parametrize("unfreeze", [None, 1])
@pytest.mark.thorough
def test_going_on_is_with_the_last_phase(data, unfreeze):
    clf = small(warm_start=True, unfreeze=unfreeze).fit(*data)
    n = clf.n_iter_
    clf.fit(*data)
    last = "head" if unfreeze is None else "fine-tuning"
    assert clf.history_["phase"][n:] == [last] * 2
    clf.partial_fit(*data)
    assert clf.history_["phase"][n + 2 :] == [last]


@pytest.mark.parametrize("unfreeze", [None, 1])
@pytest.mark.thorough
def test_a_fit_starts_from_another_with_its_last_phase(data, unfreeze):
    X, y = data
    known = y != y[0]
    old = small(unfreeze=unfreeze).fit(X[known], y[known])
    new = small(unfreeze=unfreeze).fit(X, y, init_from=old)
    assert set(new.history_["phase"]) == {"head" if unfreeze is None else "fine-tuning"}
    assert new.predict_proba(X).shape == (len(X), len(np.unique(y)))
    assert new.to_keras().output_shape[-1] == len(np.unique(y))


@pytest.mark.thorough
def test_partial_fit_begins_with_an_epoch_of_each_phase(data):
    clf = small(unfreeze=1).partial_fit(*data)
    assert clf.history_["phase"] == ["head", "fine-tuning"]


# Pickles


@pytest.mark.parametrize(
    "params", [{}, {"unfreeze": 1}, {"augmentation": ImageAugmenter()}], ids=str
)
@pytest.mark.thorough
def test_a_pickle_holds_the_backbone_once_and_needs_no_file(
    data, params, tmp_path, mobilenet_weights
):
    copied = tmp_path / "net.weights.h5"
    copied.write_bytes(mobilenet_weights.read_bytes())
    clf = small(weights=str(copied), **params).fit(*data)
    before = clf.predict_proba(data[0])
    assert clf.to_keras() is not None
    stored = pickle.dumps(clf)
    n = sum(int(np.prod(v.shape)) for v in clf.to_keras().variables)
    assert 4 * n < len(stored) < 4 * n * 1.5 + (4 * n * 2 if params.get("unfreeze") else 0)
    copied.unlink()
    (tmp_path / "clf.pickle").write_bytes(stored)
    np.save(tmp_path / "X.npy", data[0])
    code = (
        "import pickle, sys, numpy as np; from pathlib import Path; d = Path(sys.argv[1]);"
        "clf = pickle.loads((d / 'clf.pickle').read_bytes());"
        "np.save(d / 'out.npy', clf.predict_proba(np.load(d / 'X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), before, rtol=1e-4, atol=1e-6)


# Models of the user's


@pytest.mark.parametrize("unfreeze", [None, "all"])
def test_a_function_over_a_model_leaves_the_model_alone(data, unfreeze):
    net = own_backbone()
    start = weights_of(net)
    clf = small(
        backbone=lambda x: net(x * 2.0),
        input_size=None,
        unfreeze=unfreeze,
        fine_tuning_learning_rate=0.01,
    )
    first = clone(clf).fit(*data)
    predicted = first.predict_proba(data[0])
    np.testing.assert_array_equal(clone(clf).fit(*data).predict_proba(data[0]), predicted)
    np.testing.assert_array_equal(first.predict_proba(data[0]), predicted)
    for path, value in weights_of(net).items():
        np.testing.assert_array_equal(value, start[path])
    assert net.trainable


@pytest.mark.thorough
def test_model_is_that_of_the_last_fit_and_does_as_it_likes(data):
    X, y = data
    clf = small(warm_start=True, learning_rate=0.05).fit(X, y)
    assert clf.to_keras() is not None
    clf.fit(X, y)
    predicted = clf.predict_proba(X)
    np.testing.assert_allclose(clf.to_keras().predict(X, verbose=0), predicted, atol=1e-5)
    np.testing.assert_array_equal(clf.predict_proba(X), predicted)


@pytest.mark.parametrize("params", [{"layer_decay": 0.5}, {"weight_decay": 0.01}], ids=str)
@pytest.mark.thorough
def test_the_model_can_be_saved_and_loaded(data, params, tmp_path):
    clf = small(unfreeze=1, **params).fit(*data)
    expected = clf.predict_proba(data[0])
    clf.to_keras().save(tmp_path / "cells.keras")
    model = keras.models.load_model(tmp_path / "cells.keras")
    np.testing.assert_allclose(model.predict(data[0], verbose=0), expected, atol=1e-5)


def test_layers_that_differ_in_what_their_names_say_are_told_apart():
    def net(kind):
        inputs = keras.Input((2,), name="in")
        return keras.Model(inputs, keras.layers.Activation(kind, name=kind)(inputs))

    assert fingerprint_model(net("relu")) != fingerprint_model(net("tanh"))
    assert fingerprint_model(net("relu")) == fingerprint_model(net("relu"))


# InceptionV3


@pytest.mark.thorough
def test_inception_v3_is_built_saved_loaded_and_trained(tmp_path):
    keras.utils.set_random_seed(0)
    net = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
    assert net.count_params() == 21_802_784
    file = tmp_path / "inception.weights.h5"
    net.save_weights(file)
    X = np.random.default_rng(0).integers(0, 256, (12, 75, 75, 3), np.uint8)
    y = np.arange(12) % 2
    clf = TransferClassifier(
        weights=file,
        input_size=None,
        augmentation=None,
        epochs=1,
        unfreeze=1,
        fine_tuning_epochs=1,
        train_batch_norm=False,
        tta="none",
        batch_size=4,
        cache=False,
    )
    clf.fit(X, y)
    first = find_backbone(clf.to_keras()).layers[1].kernel
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(first.value), net.layers[1].get_weights()[0]
    )
    frozen = clone(clf).set_params(unfreeze=None).fit(X, y)
    expected = keras.ops.convert_to_numpy(
        net(keras.applications.inception_v3.preprocess_input(X.astype(np.float32)))
    )
    np.testing.assert_allclose(
        frozen._state.features.transform(X), expected.mean(axis=(1, 2)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.thorough
def test_a_pickle_is_of_the_model_as_it_was(data, predict_elsewhere):
    X, y = data
    model = own_backbone()
    clf = small(backbone=model, input_size=None).fit(X, y)
    expected = clf.predict_proba(X)
    model.set_weights([w * -2 for w in model.get_weights()])
    np.testing.assert_allclose(predict_elsewhere(clf, X), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "change", [{"input_size": 64}, {"backbone": "mobilenet_v2_0.5"}, {"weights": "other.h5"}]
)
def test_a_frozen_backbone_cannot_be_changed_on_the_way(data, change):
    clf = small(warm_start=True).fit(*data)
    with pytest.raises((ValueError, OSError), match="was changed"):
        clf.set_params(**change).fit(*data)


@keras.saving.register_keras_serializable("skcell-tests")
class Block(keras.layers.Layer):
    def __init__(self, **params):
        super().__init__(**params)
        self.norm = keras.layers.BatchNormalization()

    def call(self, x, training=None):
        return self.norm(x, training=training)


def test_batches_inside_a_layer_of_ones_own_are_not_normalised_anew(data):
    def backbone(x):
        return Block(name="block")(keras.layers.Conv2D(4, 3)(x))

    tuned = small(backbone=backbone, input_size=None, unfreeze="all").fit(*data)
    block = find_backbone(tuned.to_keras()).get_layer("block")
    assert not block.norm.trainable
    assert not keras.ops.convert_to_numpy(block.norm.moving_mean).any()


@pytest.mark.thorough
def test_a_callback_sees_the_model_of_the_moment(data):
    X, y = data
    apart = []

    class Look(ClassifierCallback):
        def on_epoch_end(self, epoch, logs=None):
            seen = self.classifier.to_keras().predict(X, verbose=0)
            apart.append(np.abs(seen - self.classifier.predict_proba(X)).max())

    small(epochs=3, learning_rate=0.05, callbacks=[Look()]).fit(X, y)
    assert len(apart) == 3
    assert max(apart) < 1e-5


def test_true_unfreezes_everything(data):
    net = own_backbone()
    start = weights_of(net)
    params = {"backbone": net, "input_size": None, "fine_tuning_learning_rate": 0.01}
    clf = small(unfreeze=True, train_batch_norm=True, **params).fit(*data)
    assert changed(clf, start) == {"conv_0", "conv_1", "bn_1", "conv_2"}
    start = weights_of(net)
    clf = small(unfreeze=False, **params).fit(*data)
    assert changed(clf, start) == set()
    assert set(clf.history_["phase"]) == {"head"}


@pytest.mark.thorough
def test_the_best_of_both_phases_is_kept(cells):
    X, y = cells.images, cells.target
    clf = small(
        unfreeze=True,
        early_stopping=True,
        patience=3,
        epochs=15,
        learning_rate=0.01,
        fine_tuning_epochs=3,
        fine_tuning_learning_rate=0.5,
    )
    clf.fit(X[:180], y[:180], X_val=X[180:], y_val=y[180:])
    losses, phases = np.array(clf.history_["val_loss"]), np.array(clf.history_["phase"])
    assert losses[phases == "head"].min() < losses[phases == "fine-tuning"].min(), "head is best"
    proba = clf.predict_proba(X[180:])
    kept = -np.log(proba[np.arange(60), y[180:]]).mean()
    assert kept == pytest.approx(losses.min(), rel=0.02)


@pytest.mark.thorough
def test_skops_keeps_it(data, tmp_path):
    skops = pytest.importorskip("skops.io", reason="skops comes with skcell[tests]")
    for clf in (small().fit(*data), small(unfreeze=1, fine_tuning_epochs=1).fit(*data)):
        file = tmp_path / "clf.skops"
        skops.dump(clf, file)
        trusted = skops.get_untrusted_types(file=file)
        restored = skops.load(file, trusted=trusted)
        np.testing.assert_array_equal(restored.predict_proba(data[0]), clf.predict_proba(data[0]))
