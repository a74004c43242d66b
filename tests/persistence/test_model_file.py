"""A model file gives back the model, and nothing else that a file may hold does harm."""

import contextlib
import copy
import hashlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from safetensors.numpy import load as unpack
from safetensors.numpy import save as pack
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import StandardScaler

import skcell
from skcell import (
    AdaptiveClassifier,
    CalibratedClassifier,
    CellCNNClassifier,
    ImageFeatures,
    ImageSampler,
    ImageSMOTE,
    SEInceptionResNetClassifier,
    TransferClassifier,
    make_pipeline,
)
from skcell.exceptions import ModelFileError
from skcell.persistence import read_info

SMALL = {"filters": (8, 16), "dense_units": 16, "epochs": 2, "random_state": 0}
KEPT = Path(__file__).parent / "kept"


@pytest.fixture(scope="module")
def data(cells):
    return cells.images[:80], cells.target_names[cells.target[:80]]


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    """A fitted classifier, and its file."""
    clf = CellCNNClassifier(**SMALL).fit(*data)
    path = tmp_path_factory.mktemp("saved") / "cells.skcell"
    skcell.save(clf, path)
    return clf, path


def models(weights=None):
    made = {
        "cnn": CellCNNClassifier(**SMALL),
        "composite": SEInceptionResNetClassifier(n_blocks=1, epochs=1, random_state=0),
        "smote": make_pipeline(ImageSMOTE(random_state=0), CellCNNClassifier(**SMALL)),
        "sampler": make_pipeline(
            ImageSampler(RandomOverSampler(random_state=np.random.RandomState(0))),
            CellCNNClassifier(**SMALL, class_weight={"basophil": 2.0}),
        ),
        "adaptive": AdaptiveClassifier(CellCNNClassifier(**SMALL)),
        "calibrated": CalibratedClassifier(CellCNNClassifier(**SMALL), random_state=0),
        "voting": VotingClassifier([("a", CellCNNClassifier(**SMALL))], voting="soft"),
    }
    if weights is not None:
        network = {"backbone": "mobilenet_v2_0.35", "weights": weights, "input_size": 32}
        network |= {"cache": False, "random_state": 0}
        made = {
            "frozen": TransferClassifier(**network, epochs=2, unfreeze=None),
            "fine-tuned": TransferClassifier(**network, epochs=1, fine_tuning_epochs=1),
            "features": sklearn_pipeline(
                ImageFeatures(**network), StandardScaler(), LogisticRegression()
            ),
        }
    return made


def check_round_trip(model, data, path):
    X, y = data
    model.fit(X, y)
    skcell.save(model, path)
    loaded = skcell.load(path)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    addresses = re.compile("0x[0-9A-F]+")
    assert addresses.sub("", repr(loaded)) == addresses.sub("", repr(model))
    return loaded


@pytest.mark.parametrize("name", models())
def test_the_file_gives_back_the_model_to_the_bit(name, data, tmp_path):
    check_round_trip(models()[name], data, tmp_path / "model.skcell")


@pytest.mark.parametrize("name", ["frozen", "fine-tuned", "features"])
@pytest.mark.thorough
def test_pretrained_networks_too_without_their_weight_file(name, data, tmp_path, mobilenet_weights):
    weights = tmp_path / "copied.weights.h5"
    weights.write_bytes(mobilenet_weights.read_bytes())
    model = models(str(weights))[name]
    X, y = data
    model.fit(X, y)
    skcell.save(model, tmp_path / "model.skcell")
    weights.unlink()
    loaded = skcell.load(tmp_path / "model.skcell")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_calibrated_model_keeps_all_that_it_knows(data, tmp_path):
    X, _ = data
    model = models()["calibrated"]
    loaded = check_round_trip(model, data, tmp_path / "model.skcell")
    mine, theirs = model.assess(X), loaded.assess(X)
    np.testing.assert_array_equal(theirs.known_scores, mine.known_scores)
    np.testing.assert_array_equal(theirs.prediction_sets, mine.prediction_sets)
    assert loaded.detect_shift(theirs) == model.detect_shift(mine)
    assert loaded.calibration_ == model.calibration_


def test_a_loaded_classifier_is_a_whole_estimator(saved, data):
    clf, path = saved
    X, y = data
    loaded = skcell.load(path)
    assert loaded.get_params() == clf.get_params()
    assert loaded.history_ == clf.history_
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(loaded)).predict_proba(X), clf.predict_proba(X)
    )
    np.testing.assert_array_equal(
        loaded.fit(X, y).predict_proba(X), clf.predict_proba(X), "a fit is the same fit"
    )
    before = len(loaded.history_["loss"])
    loaded.partial_fit(X, y)
    assert len(loaded.history_["loss"]) == before + 1


def test_the_same_model_makes_the_same_file(saved, tmp_path):
    clf, path = saved
    skcell.save(clf, tmp_path / "again.skcell")
    assert (tmp_path / "again.skcell").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.thorough
def test_other_backends_predict_alike(backend, saved, data, tmp_path):
    clf, path = saved
    np.save(tmp_path / "images.npy", data[0])
    code = (
        "import sys, numpy as np, skcell; folder = sys.argv[2];"
        "found = skcell.load(sys.argv[1]).predict_proba(np.load(folder + '/images.npy'));"
        "np.save(folder + '/found.npy', found)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    if f"No module named '{backend}'" in run.stderr:
        pytest.skip(f"{backend} is not installed")
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, clf.predict_proba(data[0]), atol=1e-5)


def test_what_the_file_says(saved, tmp_path):
    clf, _ = saved
    path = tmp_path / "model.skcell"
    skcell.save(clf, path, training={"accuracy": 0.9, "by": ["me"]})
    found = read_info(path)
    assert found.classes == clf.classes_.tolist()
    assert (found.image_shape, found.dtype) == ((24, 24, 3), "uint8")
    assert found.training == {"accuracy": 0.9, "by": ["me"]}
    assert found.software["keras"] == keras.__version__
    code = f"import sys; from skcell.persistence import read_info; read_info({str(path)!r});"
    code += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def square(x):
    return keras.layers.Flatten()(x)


def my_loss(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (CellCNNClassifier(**SMALL, loss=my_loss), "CellCNNClassifier.loss"),
        (TransferClassifier(square, epochs=1, random_state=0), "TransferClassifier.backbone"),
        (
            CellCNNClassifier(**{**SMALL, "schedule": lambda done: 1 - done}),
            "CellCNNClassifier.schedule",
        ),
    ],
)
def test_code_of_a_user_is_refused(model, said, data, tmp_path):
    model.fit(*data)
    with pytest.raises(ModelFileError, match=f"{said} is a builtins.function.*joblib"):
        skcell.save(model, tmp_path / "model.skcell")
    assert not list(tmp_path.iterdir())


def test_callbacks_are_left_out_and_this_is_said(data, tmp_path):
    clf = CellCNNClassifier(**SMALL, callbacks=[keras.callbacks.TerminateOnNaN()]).fit(*data)
    with pytest.warns(UserWarning, match="callbacks of CellCNNClassifier are not stored"):
        skcell.save(clf, tmp_path / "model.skcell")
    assert skcell.load(tmp_path / "model.skcell").callbacks is None


def test_what_cannot_be_saved(data, tmp_path):
    path = tmp_path / "model.skcell"
    with pytest.raises(NotFittedError):
        skcell.save(CellCNNClassifier(), path)
    with pytest.raises(TypeError, match="fitted estimator, got a int"):
        skcell.save(3, path)
    with pytest.raises(ModelFileError, match="no estimator of skcell"):
        skcell.save(LogisticRegression().fit([[0], [1]], [0, 1]), path)
    with pytest.raises(FileNotFoundError):
        skcell.load(path)


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(members.pop("skcell.json")), members


def write(path, manifest, members, compression=zipfile.ZIP_STORED):
    """Write a file whose hashes are right, as an attacker would."""
    manifest["members"] = {
        name: {"bytes": len(m), "sha256": hashlib.sha256(m).hexdigest()}
        for name, m in members.items()
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("skcell.json", json.dumps(manifest))
        for name, member in members.items():
            archive.writestr(name, member)


def later_format(manifest, members):
    manifest["format"] += 1


def other_class(manifest, members):
    manifest["model"]["class"] = "ModelLease"


def foreign_class(manifest, members):
    manifest["model"] |= {"kind": "sklearn", "module": "subprocess", "class": "Popen"}


def function_of_sklearn(manifest, members):
    manifest["model"] |= {"kind": "sklearn", "module": "sklearn.base", "class": "clone"}


def unknown_kind(manifest, members):
    manifest["model"]["kind"] = "pickle"


def shadowed_method(manifest, members):
    manifest["model"]["state"].append(["predict", 1])


def lost_parameter(manifest, members):
    manifest["model"]["state"] = manifest["model"]["state"][1:]


def wrong_parameter(manifest, members):
    state = dict(manifest["model"]["state"])
    manifest["model"]["state"] = [*({**state, "epochs": -3}).items()]


def climbing_member(manifest, members):
    members["../evil"] = b""


def lost_weights(manifest, members):
    tensors = unpack(members["weights.safetensors"])
    del tensors["array-3"]
    members["weights.safetensors"] = pack(tensors)


def other_shape(manifest, members):
    tensors = unpack(members["weights.safetensors"])
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    members["weights.safetensors"] = pack({**tensors, name: np.zeros((3, 3, 3, 9), np.float32)})


def recipe(manifest):
    return dict(manifest["model"]["state"])["_lease"]["recipe"]


def enormous_network(manifest, members):
    recipe(manifest)["n_classes"] = 10**12


def endless_network(manifest, members):
    for pair in recipe(manifest)["kwargs"]["items"]:
        if pair["items"][0] == "convolutions":
            pair["items"][1] = 10**9


def negative_layers(manifest, members):
    for pair in recipe(manifest)["kwargs"]["items"]:
        if pair["items"][0] == "convolutions":
            pair["items"][1] = -1


def many_stages(manifest, members):
    for pair in recipe(manifest)["kwargs"]["items"]:
        if pair["items"][0] == "filters":
            pair["items"][1]["items"] = [8] * 20_000


def weights_that_are_no_numbers(manifest, members):
    from safetensors.numpy import load, save

    tensors = load(members["weights.safetensors"])
    tensors = {k: np.full_like(v, np.nan) if v.dtype.kind == "f" else v for k, v in tensors.items()}
    members["weights.safetensors"] = save(tensors)


def other_classes(manifest, members):
    classes = dict(manifest["model"]["state"])["classes_"]
    classes["items"] = classes["items"][:1] * len(classes["items"])


def format_that_is_true(manifest, members):
    manifest["format"] = True


def enormous_images(manifest, members):
    recipe(manifest)["input_shape"]["items"] = [10**6, 10**6, 3]


def deep_json(manifest, members):
    nested = []
    for _ in range(900):
        nested = [nested]
    manifest["model"]["state"].append(["_deep", nested])


ATTACKS = [
    (later_format, "format is 2.*Install a newer"),
    (other_class, "'ModelLease', which is no estimator"),
    (foreign_class, "subprocess.Popen, which is no estimator"),
    (function_of_sklearn, "sklearn.base.clone, which is no estimator"),
    (unknown_kind, "unknown kind 'pickle'"),
    (shadowed_method, "no attribute 'predict' that is fitted"),
    (lost_parameter, "lacks its parameters"),
    (wrong_parameter, "'epochs' parameter"),
    (climbing_member, "'../evil', which no model has"),
    (lost_weights, "does not describe a model"),
    (other_shape, "do not fit"),
    (enormous_network, "do not fit|too large"),
    (endless_network, "convolutions=1000000000"),
    (negative_layers, "convolutions=-1"),
    (many_stages, "more than it could have"),
    (weights_that_are_no_numbers, "not finite"),
    (other_classes, "not unique labels"),
    (format_that_is_true, "no format number"),
    (enormous_images, "too large"),
    (deep_json, "cannot be loaded|nested"),
]


@pytest.mark.parametrize(("attack", "said"), ATTACKS, ids=lambda a: getattr(a, "__name__", ""))
def test_a_hostile_file_is_refused_with_a_sentence(attack, said, saved, tmp_path):
    manifest, members = parts_of(saved[1])
    attack(manifest, members)
    path = tmp_path / "hostile.skcell"
    write(path, manifest, members)
    with pytest.raises(ModelFileError, match=said):
        skcell.load(path)


def test_damaged_files_are_refused(saved, tmp_path):
    content, path = saved[1].read_bytes(), tmp_path / "damaged.skcell"
    rng = np.random.default_rng(0)
    for i in range(300):
        changed = bytearray(content)
        if i % 3 == 0:
            del changed[int(rng.integers(len(changed))) :]
        else:
            for place in rng.integers(len(changed), size=1 + i % 5):
                changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        with contextlib.suppress(ModelFileError):  # no other error
            skcell.load(path)
            assert len(changed) == len(content), "a byte that means nothing, such as a date"


def test_a_compressed_file_is_refused_before_it_is_read(saved, tmp_path):
    manifest, members = parts_of(saved[1])
    members["weights.safetensors"] += bytes(50 << 20)
    path = tmp_path / "bomb.skcell"
    write(path, manifest, members, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="compressed"):
        skcell.load(path)


def test_another_file_is_no_model(tmp_path):
    path = tmp_path / "x.skcell"
    path.write_text("hello")
    with pytest.raises(ModelFileError, match="not a model of skcell"):
        skcell.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello", "x")
    with pytest.raises(ModelFileError, match=r"without skcell\.json"):
        read_info(path)


def many_copies(manifest, members):
    again = {"kind": "array", "name": "array-2"}
    manifest["model"]["state"].append(["_copies", [again] * 100_000])


def long_strings(manifest, members):
    strings = {"kind": "strings", "dtype": "<U100000", "shape": [1000]}
    strings["items"] = ["a" * 100_000] + [""] * 999
    manifest["model"]["state"].append(["_strings", strings])


@pytest.mark.parametrize("attack", [many_copies, long_strings])
def test_a_small_file_needs_little_memory(attack, saved, tmp_path):
    import tracemalloc

    manifest, members = parts_of(saved[1])
    attack(manifest, members)
    write(tmp_path / "bomb.skcell", manifest, members)
    tracemalloc.start()
    with pytest.raises(ModelFileError):
        skcell.load(tmp_path / "bomb.skcell")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


def test_strings_of_numpy_and_paths_of_caches(data, tmp_path):
    X, y = data
    weights = dict(zip(np.unique(y), [1.0, 2.0, 1.0, 1.0], strict=True))
    clf = CellCNNClassifier(**SMALL, class_weight=weights).fit(X, y)
    skcell.save(clf, tmp_path / "a.skcell")
    assert skcell.load(tmp_path / "a.skcell").class_weight == weights


def test_skops_parts_with_other_types_are_refused(data, tmp_path):
    import skops.io

    model = models()["sampler"].fit(*data)
    path = tmp_path / "model.skcell"
    skcell.save(model, path)
    manifest, members = parts_of(path)
    name = next(name for name in members if name.startswith("part"))
    members[name] = skops.io.dumps({"f": os.system}, compression=zipfile.ZIP_STORED)
    write(path, manifest, members)
    with pytest.raises(ModelFileError, match="no estimator"):
        skcell.load(path)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
    members[name] = stream.getvalue()
    write(path, manifest, members)
    with pytest.raises(ModelFileError, match="compressed"):
        skcell.load(path)


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.skcell")), ids=lambda path: path.stem)
def test_files_of_every_format_can_be_loaded_for_ever(path):
    """`kept` has a file of each format, and images with the probabilities it gave for them."""
    with np.load(path.with_suffix(".npz")) as arrays:
        found = skcell.load(path).predict_proba(arrays["images"])
        np.testing.assert_allclose(found, arrays["probabilities"], atol=1e-5)


def test_a_file_of_this_format_is_kept():
    from skcell.persistence._container import FORMAT

    assert (KEPT / f"format-{FORMAT}.skcell").is_file()


def test_an_interrupted_write_leaves_the_old_file(saved, tmp_path, monkeypatch):
    clf, _ = saved
    path = tmp_path / "model.skcell"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        skcell.save(clf, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.skcell"]
    assert path.read_text() == "old"


def test_a_pickle_of_another_version_is_refused_with_a_sentence(saved, monkeypatch):
    pickled = pickle.dumps(saved[0])
    monkeypatch.setattr("skcell.classifiers._base.__version__", "9.9")
    with pytest.raises(
        ModelFileError, match=r"pickled by skcell .*, and this is 9\.9.*skcell\.save"
    ):
        pickle.loads(pickled)


def test_labels_that_are_narrower_than_their_array_are_kept(data, tmp_path):
    """A subset of an array of text keeps the width of the longest text of the whole."""
    X, y = data
    wide = y.astype("<U30")
    clf = CellCNNClassifier(**SMALL).fit(X, wide)
    skcell.save(clf, tmp_path / "model.skcell")
    loaded = skcell.load(tmp_path / "model.skcell")
    assert loaded.classes_.tolist() == clf.classes_.tolist()


def test_labels_that_no_file_can_hold_are_refused_before_training(data):
    X, _ = data
    dates = np.array(["2026-01-01", "2026-01-02"] * 40, "datetime64[D]")
    with pytest.raises(ValueError, match=r"cannot be a label\. Convert it to text"):
        CellCNNClassifier(**SMALL).fit(X, dates)


def test_what_cannot_be_loaded_again_does_not_replace_a_model(saved, tmp_path):
    clf = copy.deepcopy(saved[0])
    path = tmp_path / "model.skcell"
    skcell.save(clf, path)
    before = path.read_bytes()
    clf.classes_ = np.repeat(clf.classes_[:1], len(clf.classes_))
    with pytest.raises(ModelFileError, match=r"not written .* could not be loaded again"):
        skcell.save(clf, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("temperature", [0.0, float("nan"), -1.0])
def test_a_temperature_that_is_none_is_refused(data, tmp_path, temperature):
    model = CalibratedClassifier(CellCNNClassifier(**SMALL), random_state=0).fit(*data)
    path = tmp_path / "model.skcell"
    skcell.save(model, path)
    manifest, members = parts_of(path)
    state = dict(manifest["model"]["state"])
    state["temperature_"] = {"kind": "float", "value": repr(temperature)}
    manifest["model"]["state"] = [*state.items()]
    write(path, manifest, members)
    with pytest.raises(ModelFileError, match="calibration is none"):
        skcell.load(path)


def test_a_pipe_and_a_list_without_end_are_no_models(saved, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is no file"):
        read_info(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is no file"):
        skcell.load("/dev/zero")
    path = tmp_path / "many.skcell"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(12_000):
            archive.writestr(f"part-{i}.skops", b"")
    with pytest.raises(ModelFileError, match="more members"):
        read_info(path)
