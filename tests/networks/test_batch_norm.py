"""The fused batch normalisation, and the folded one, compute what Keras' own layer computes."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from skcell import CellCNNClassifier
from skcell._engine import Recipe, build
from skcell.networks import cnn, se_inception_resnet
from skcell.networks._batch_norm import fuse_batch_norm
from skcell.networks._folding import fold_batch_norm

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow has the fused operation"
)


def single(shape, policy="float32", **arguments):
    """Return a model of one layer with settings that are not those of a new layer."""
    inputs = keras.Input(shape)
    x = layers.BatchNormalization(dtype=policy, **arguments)(inputs)
    model = keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 2, weight.shape))
    return model


def is_fused(layer):
    return "call" in vars(layer)


def images(*shape):
    return np.random.default_rng(1).normal(3, 2, shape).astype(np.float32)


def run(model, x, training):
    """Return outputs, gradients of input and weights, and moving statistics."""
    import tensorflow as tf

    towards = tf.constant(images(*x.shape)[::-1].copy())
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        outputs = model(x, training=training)
        loss = tf.reduce_sum(outputs * towards)
    found = tape.gradient(loss, [x, *model.trainable_weights])
    return [np.array(v) for v in (outputs, *found, *(w.value for w in model.weights))]


@tensorflow_only
@pytest.mark.core
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((6, 5, 4), {}),
        ((7,), {}),
        ((9, 4), {}),
        ((6, 5, 4), {"momentum": 0.9, "epsilon": 1e-5 * 1.1, "axis": 3}),
        ((6, 5, 4), {"scale": False}),
        ((6, 5, 4), {"center": False}),
        ((6, 5, 4), {"trainable": False}),
    ],
    ids=str,
)
def test_fused_layer_equals_that_of_keras(shape, arguments, policy, training):
    expected = run(single(shape, policy, **arguments), images(16, *shape), training)
    model = single(shape, policy, **arguments)
    fuse_batch_norm(model)
    assert is_fused(model.layers[1])
    found = run(model, images(16, *shape), training)
    # Outputs and gradients have the precision of the policy, statistics single precision.
    rough = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 3e-3}[policy]
    names = [w.name for w in model.weights]
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        is_statistic = i >= len(found) - len(names)
        tolerance = 1e-5 if is_statistic else rough
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@tensorflow_only
@pytest.mark.parametrize("n", [1, 2])
def test_variance_of_a_single_value_is_zero_as_in_keras(n):
    plain, fused = single((4,)), single((4,))
    fuse_batch_norm(fused)
    for a, b in zip(run(fused, images(n, 4), True), run(plain, images(n, 4), True), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


@tensorflow_only
@pytest.mark.parametrize("arguments", [{"axis": 1}, {"epsilon": 1e-6}], ids=str)
def test_what_the_operation_cannot_do_is_left_to_keras(arguments):
    model = single((6, 5, 4), **arguments)
    fuse_batch_norm(model)
    assert not is_fused(model.layers[1])


@tensorflow_only
def test_nested_layers_are_fused_too():
    inner = single((6, 5, 4))
    outer = keras.Model(x := keras.Input((6, 5, 4)), inner(x))
    fuse_batch_norm(outer)
    assert is_fused(inner.layers[1])


@pytest.mark.thorough
def test_checkpoint_of_a_fit_is_loaded_by_keras_alone(tmp_path, cells):
    file = tmp_path / "cells.keras"
    clf = CellCNNClassifier(
        filters=(8,),
        augmentation=None,
        epochs=2,
        tta="none",
        random_state=0,
        dtype_policy="float32",
    )
    clf.set_params(callbacks=[keras.callbacks.ModelCheckpoint(file)])
    clf.fit(cells.images, cells.target)
    np.save(tmp_path / "X.npy", cells.images[:20])
    code = (
        "import keras, numpy as np, sys; model = keras.models.load_model('cells.keras');"
        "np.save('p.npy', model.predict(np.load('X.npy'), verbose=0));"
        "assert type(model.optimizer) is keras.optimizers.Adam; assert 'skcell' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    expected = clf.predict_proba(cells.images[:20])
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, atol=1e-5)


def test_network_for_images_of_any_size_is_left_as_it_is():
    inputs = keras.Input((None, None, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    model = trained(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    x = np.random.default_rng(0).uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    expected, found = (
        ops.convert_to_numpy(m(x, training=False)) for m in (model, fold_batch_norm(model))
    )
    np.testing.assert_array_equal(found, expected)


def trained(model):
    """Give the weights and statistics values that are far from those of a new model."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "beta", "bias", "moving_mean", "moving_variance"):
            variable.assign(rng.uniform(0.2, 2, variable.shape))
    return model


def backbone():
    """Return a small network with the kinds of convolutions that pretrained backbones have."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=True)(inputs)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(layers.ReLU()(x))
    x = layers.BatchNormalization(center=False)(x)
    x = layers.Conv2D(8, 1, dilation_rate=1)(layers.ReLU()(x))
    y = layers.BatchNormalization()(x)
    inner = keras.Model(inputs, layers.Add()([x, y]))  # one output goes two ways
    outer = keras.Input((24, 24, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inner(outer, training=False))  # not linear
    return keras.Model(outer, layers.BatchNormalization()(x))


@pytest.mark.core
@pytest.mark.parametrize(
    ("make", "folded"),
    [
        (lambda: build(Recipe(cnn, (("batch_norm", True),), (32, 32, 3), "float32", 3), 0), 1),
        (lambda: build(Recipe(se_inception_resnet, (), (32, 32, 3), "float32", 3), 0), 9),
        (backbone, 3),
    ],
    ids=["cnn", "se_inception_resnet", "backbone"],
)
def test_folded_prediction_equals_the_model(make, folded):
    model = trained(make())
    twin = fold_batch_norm(model)
    count = [type(layer).__name__ for layer in twin._flatten_layers()].count("_FoldedConvolution")
    assert count == folded
    x = np.random.default_rng(0).uniform(0, 1, (5, *model.input_shape[1:])).astype(np.float32)
    expected, found = (ops.convert_to_numpy(m(x, training=False)) for m in (model, twin))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    # Both have the same variables, so what training changes is changed in both.
    assert {id(v) for v in twin.variables} == {id(v) for v in model.variables}
    for variable in model.trainable_variables:
        variable.assign(variable.value * 1.1)
    changed, found = (ops.convert_to_numpy(m(x, training=False)) for m in (model, twin))
    assert np.abs(changed - expected).max() > 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(found, changed, rtol=1e-4, atol=1e-5 * np.abs(changed).max())
