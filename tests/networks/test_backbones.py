"""The table of backbones: sizes, scaling of pixels, groups of layers, weights."""

import dataclasses
import importlib

import keras
import numpy as np
import pytest

from skcell.networks import BACKBONES, list_backbones
from skcell.networks import _backbones as backbones
from skcell.networks._backbone_graph import choose_input_size

#: Module of `keras.applications` with the scaling, and parameters without the top, as published.
PUBLISHED = {
    "inception_v3": ("inception_v3", 21_802_784),
    "resnet50_v2": ("resnet_v2", 23_564_800),
    "densenet121": ("densenet", 7_037_504),
    "mobilenet": ("mobilenet", 3_228_864),
    "mobilenet_v2": ("mobilenet_v2", 2_257_984),
    "vgg16": ("vgg16", 14_714_688),
    "xception": ("xception", 20_861_480),
}


def smallest(name):
    side = BACKBONES[name].smallest_size
    return (side, side, 3)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.thorough
def test_pixels_are_scaled_as_keras_does(name):
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(np.float32)
    module = importlib.import_module(f"keras.applications.{PUBLISHED[name][0]}")
    expected = module.preprocess_input(x.copy())
    inputs = keras.Input((5, 5, 3))
    model = keras.Model(inputs, backbones.preprocess(inputs, BACKBONES[name].pixels))
    scaled = keras.ops.convert_to_numpy(model(x / 255))
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["inception_v3", "mobilenet", "mobilenet_v2", "vgg16"])
def test_it_is_the_published_network(name):
    model = backbones.build_backbone(name, smallest(name), None)
    assert model.count_params() == PUBLISHED[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_entry_builds_and_divides_into_groups(name):
    model = backbones.build_backbone(name, smallest(name), None)
    if name in PUBLISHED:
        assert model.count_params() == PUBLISHED[name][1]
    check_groups(model, BACKBONES[name].groups)


@pytest.mark.parametrize(
    ("name", "n_groups"), [("inception_v3", 11), ("mobilenet_v2", 19), ("vgg16", 5)]
)
def test_groups(name, n_groups):
    model = backbones.build_backbone(name, smallest(name), None)
    assert len(check_groups(model, BACKBONES[name].groups)) == n_groups


def check_groups(model, pattern):
    groups = backbones.layer_groups(model, pattern)
    assert sorted(layer.name for group in groups for layer in group) == sorted(
        layer.name for layer in model.layers
    )
    assert all(any(layer.weights for layer in group) for group in groups)
    assert 4 <= len(groups) <= 60
    return groups


def test_groups_of_any_model_are_its_layers_with_weights():
    model = keras.Sequential(
        [keras.Input((4,)), *(keras.layers.Dense(3) for _ in range(3)), keras.layers.ReLU()]
    )
    groups = backbones.layer_groups(model)
    assert [len(group) for group in groups] == [1, 1, 2]


def test_names_are_found_by_pattern():
    assert "mobilenet_0.75" in list_backbones("*mobilenet*")
    assert list_backbones("*b?") == [f"efficientnet_v2_b{i}" for i in range(4)]
    assert list_backbones() == list(BACKBONES)
    for name, backbone in BACKBONES.items():
        assert backbone.name == name
        assert hasattr(keras.applications, backbone.builder) or name == "efficientnet_lite0"
        assert backbone.licence
        assert backbone.paper


def test_a_network_that_keras_lacks_is_an_error(monkeypatch):
    unknown = dataclasses.replace(BACKBONES["vgg16"], builder="NoSuchNetwork")
    monkeypatch.setitem(BACKBONES, "vgg16", unknown)
    with pytest.raises(AttributeError, match="NoSuchNetwork"):
        backbones.build_backbone("vgg16", (32, 32, 3), None)


def test_too_small_images_are_named_with_the_smallest_size():
    with pytest.raises(ValueError, match=r"at least 75 pixels.*input_size=299"):
        backbones.build_backbone("inception_v3", (74, 96, 3), None)


def test_weights_of_another_network_are_refused(mobilenet_weights):
    with pytest.raises(ValueError, match="do not fit MobileNetV2"):
        backbones.build_backbone("mobilenet_v2", (32, 32, 3), mobilenet_weights)


def test_missing_weights_are_named():
    with pytest.raises(FileNotFoundError, match=r"no weight file 'nowhere.h5'.*imagenet"):
        backbones.build_backbone("mobilenet_v2", (32, 32, 3), "nowhere.h5")


def test_weights_are_loaded(mobilenet_weights):
    one, same = (
        backbones.build_backbone("mobilenet_v2_0.35", (32, 32, 3), mobilenet_weights)
        for _ in range(2)
    )
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_network_is_an_error_that_says_where_to_put_the_file(tmp_path, monkeypatch):
    """Behind a proxy that refuses, on this machine, as behind a hospital's firewall."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"could not be loaded: .*save it as .*\.h5") as error:
        backbones.build_backbone("mobilenet_v2_0.35", (96, 96, 3), "imagenet")
    assert "weights=" in str(error.value)


@pytest.mark.parametrize(
    ("backbone", "size", "input_size", "expected"),
    [
        ("mobilenet_v2", (28, 28), "auto", (224, 224)),
        ("inception_v3", (60, 80), "auto", (168, 224)),
        ("mobilenet_v2", (100, 300), "auto", (100, 300)),
        ("mobilenet_v2", (224, 224), "auto", (224, 224)),
        ("mobilenet_v2", (60, 80), None, (60, 80)),
        ("mobilenet_v2", (60, 80), 96, (96, 96)),
        (lambda x: x, (28, 28), "auto", (28, 28)),
    ],
)
def test_small_images_are_enlarged_for_named_backbones(backbone, size, input_size, expected):
    assert choose_input_size(backbone, size, input_size) == expected
