"""Blocks compute what their papers' formulas say, worked out here in NumPy."""

import keras
import numpy as np
import pytest
from scipy.ndimage import maximum_filter
from scipy.signal import correlate

from skcell.networks import (
    convolution,
    dense,
    inception,
    residual,
    se_inception_resnet,
    squeeze_excitation,
)

RNG = np.random.default_rng(0)


def network(block, shape, **params):
    """Model of one block, all of its weights random."""
    x = keras.Input(shape)
    model = keras.Model(x, block(x, **params))
    for variable in model.variables:
        if "seed" not in variable.path:
            low = 0.5 if "variance" in variable.path else -0.5
            variable.assign(RNG.uniform(low, 1.0, variable.shape))
    return model


def run(model, x, **kwargs):
    return keras.ops.convert_to_numpy(model(x, **kwargs))


def images(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def arrays(layer):
    return [keras.ops.convert_to_numpy(v.value).astype(float) for v in layer.variables]


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def conv(x, kernel, strides=1):
    """Convolution with as many zeros at the border as keep the sides."""
    size = kernel.shape[0]
    total = max((-(-x.shape[1] // strides) - 1) * strides + size - x.shape[1], 0)
    before = total // 2
    padded = np.pad(x, ((0, 0), *[(before, total - before)] * 2, (0, 0)))
    out = [
        sum(
            correlate(padded[i, :, :, c], kernel[:, :, c, k], mode="valid")
            for c in range(x.shape[3])
        )
        for i in range(len(x))
        for k in range(kernel.shape[3])
    ]
    full = np.array(out).reshape(len(x), kernel.shape[3], *out[0].shape).transpose(0, 2, 3, 1)
    return full[:, ::strides, ::strides]


def norm(x, layer):
    gamma, beta, mean, variance = arrays(layer)
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def same(model, x, expected):
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("activation", [True, False])
def test_convolution(strides, activation):
    x = images(2, 7, 7, 3)
    model = network(
        convolution, (7, 7, 3), filters=4, kernel_size=3, strides=strides, activation=activation
    )
    (linear,) = layers_of(model, keras.layers.Conv2D)
    (batch_norm,) = layers_of(model, keras.layers.BatchNormalization)
    expected = norm(conv(x, arrays(linear)[0], strides), batch_norm)
    same(model, x, relu(expected) if activation else expected)


def test_convolution_without_batch_norm_has_a_bias():
    x = images(2, 6, 6, 2)
    model = network(convolution, (6, 6, 2), filters=3, batch_norm=False)
    kernel, bias = arrays(layers_of(model, keras.layers.Conv2D)[0])
    same(model, x, relu(conv(x, kernel) + bias))


def test_dense():
    x = images(4, 5)
    model = network(dense, (5,), units=3, batch_norm=False)
    kernel, bias = arrays(layers_of(model, keras.layers.Dense)[0])
    same(model, x, relu(x @ kernel + bias))


def test_inception():
    x = images(2, 9, 9, 5)
    model = network(inception, (9, 9, 5), filters=16, batch_norm=False)
    weights = [arrays(layer) for layer in layers_of(model, keras.layers.Conv2D)]
    by_shape = {tuple(kernel.shape): (kernel, bias) for kernel, bias in weights}
    assert len(weights) == 7

    def apply(x, *shape):
        kernel, bias = by_shape[shape]
        return relu(conv(x, kernel) + bias)

    # 16 channels: 4 of 1x1, 8 of 3x3, 2 of 5x5, 2 of pooling.
    ones = [w for w in weights if w[0].shape == (1, 1, 5, 4)]
    twos = [w for w in weights if w[0].shape == (1, 1, 5, 2)]
    fives = [w for w in weights if w[0].shape == (3, 3, 2, 2)]
    assert [len(ones), len(twos), len(fives)] == [2, 2, 2]
    out = run(model, x)
    pooled = maximum_filter(x, size=(1, 3, 3, 1), mode="constant", cval=-np.inf)

    def any_of(choices, expected):
        assert any(np.allclose(choice, expected, rtol=1e-4, atol=1e-4) for choice in choices)

    any_of([relu(conv(x, k) + b) for k, b in ones], out[..., :4])
    any_of([apply(relu(conv(x, k) + b), 3, 3, 4, 8) for k, b in ones], out[..., 4:12])
    first = [relu(conv(x, k) + b) for k, b in twos]
    (k1, b1), (k2, b2) = fives
    any_of(
        [
            relu(conv(relu(conv(x, ka) + ba), kb) + bb)
            for x in first
            for ka, ba, kb, bb in ((k1, b1, k2, b2), (k2, b2, k1, b1))
        ],
        out[..., 12:14],
    )
    any_of([relu(conv(pooled, k) + b) for k, b in twos], out[..., 14:])


def test_inception_needs_filters_to_share():
    with pytest.raises(ValueError, match="at least 8 filters"):
        inception(keras.Input((8, 8, 3)), 4)


@pytest.mark.parametrize("filters", [8, 20, 30, 64])
def test_inception_has_the_channels_asked_for(filters):
    assert inception(keras.Input((8, 8, 3)), filters).shape[-1] == filters


@pytest.mark.parametrize(("ratio", "units"), [(4, 2), (100, 1)])
def test_squeeze_excitation(ratio, units):
    x = images(3, 4, 4, 8)
    model = network(squeeze_excitation, (4, 4, 8), ratio=ratio)
    (k1, b1), (k2, b2) = map(arrays, layers_of(model, keras.layers.Dense))
    assert k1.shape == (8, units)
    logits = relu(x.mean(axis=(1, 2)) @ k1 + b1) @ k2 + b2
    same(model, x, x / (1 + np.exp(-logits))[:, None, None])


def test_residual_of_equal_shapes_adds():
    model = network(lambda x: residual(x, keras.layers.Rescaling(-3.0)(x)), (4, 4, 2))
    x = images(2, 4, 4, 2)
    assert not layers_of(model, keras.layers.Conv2D)
    same(model, x, relu(-2 * x))


def test_residual_projects_where_shapes_differ():
    def block(x):
        return residual(x, convolution(x, 5, 3, strides=2, activation=False))

    model = network(block, (7, 7, 3))
    x = images(2, 7, 7, 3)
    branch, shortcut = layers_of(model, keras.layers.Conv2D)
    if branch.kernel_size == (1, 1):
        branch, shortcut = shortcut, branch
    norms = {
        layer._inbound_nodes[0].arguments.args[0]._keras_history.operation.name: layer
        for layer in layers_of(model, keras.layers.BatchNormalization)
    }
    expected = sum(
        norm(conv(x, arrays(layer)[0], 2), norms[layer.name]) for layer in (branch, shortcut)
    )
    same(model, x, relu(expected))


def test_stochastic_depth_leaves_whole_branches_out():
    def block(x):
        return residual(x, keras.layers.Rescaling(1.0)(x), drop=0.25)

    model = network(block, (3, 3, 2))
    x = np.abs(images(400, 3, 3, 2)) + 0.1
    np.testing.assert_allclose(run(model, x, training=False), 2 * x, rtol=1e-5)
    factor = run(model, x, training=True) / x
    per_image = factor[:, 0, 0, 0]
    one_factor = np.broadcast_to(per_image[:, None, None, None], x.shape)
    np.testing.assert_allclose(factor, one_factor, rtol=1e-5)
    left_out = np.isclose(per_image, 1)
    np.testing.assert_allclose(per_image[~left_out], 1 + 1 / 0.75, rtol=1e-5)
    assert 0.15 < left_out.mean() < 0.35


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_composite_network_doubles_its_channels(n_blocks, pooling):
    x = keras.Input((24, 20, 3))
    out = se_inception_resnet(
        x, n_blocks=n_blocks, filters=8, stem_filters=4, pooling=pooling, dropout=0.1
    )
    model = keras.Model(x, out)
    assert out.shape == (None, 8 * 2 ** (n_blocks - 1))
    assert len(layers_of(model, keras.layers.Add)) == n_blocks
    assert np.isfinite(run(model, images(2, 24, 20, 3))).all()


def test_batches_are_normalised_before_every_activation():
    model = keras.Model(x := keras.Input((16, 16, 3)), se_inception_resnet(x, n_blocks=2))
    for layer in layers_of(model, keras.layers.ReLU):
        (before,) = layer._inbound_nodes[0].parent_nodes
        kind = type(before.operation)
        assert kind in (keras.layers.BatchNormalization, keras.layers.Add)
