"""What is exported predicts as the estimator does, each format in its own runtime."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import skcell
from skcell import CalibratedClassifier, CellCNNClassifier, ImageSMOTE, make_pipeline
from skcell.exceptions import MissingExtraError, ModelFileError
from skcell.persistence import _export

EXAMPLE = Path(__file__).parents[2] / "examples" / "predict_with_onnx.py"


@pytest.fixture(scope="module")
def fitted(cells):
    """Scaling, symmetries, a sampler and calibration: all of it is exported."""
    clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=4, tta="d4", random_state=0)
    model = make_pipeline(ImageSMOTE(random_state=0), clf)
    model = CalibratedClassifier(model, random_state=0)
    return model.fit(cells.images[:160], cells.target_names[cells.target[:160]])


@pytest.mark.parametrize(
    ("file_format", "name"),
    [("onnx", "m.onnx"), ("litert", "m.tflite"), ("openvino", "m.xml"), ("savedmodel", "m")],
)
def test_each_format_predicts_alike(file_format, name, fitted, cells, tmp_path):
    for package in _export._PACKAGES[file_format]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} comes with skcell[{file_format}]")
    assert abs(fitted.temperature_ - 1) > 0.05, "calibration changes something"
    path = skcell.export(fitted, tmp_path / name, file_format, verify=False)
    found = _export._RUNNERS[file_format](path)(cells.images[160:])
    expected = fitted.predict_proba(cells.images[160:])
    np.testing.assert_allclose(found, expected, atol=_export.TOLERANCE)
    description = json.loads(Path(f"{path}.json").read_text())
    assert description["classes"] == fitted.classes_.tolist()
    assert description["image"]["height"] == 24


def test_a_model_that_differs_is_refused(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(_export, "TOLERANCE", -1.0)
    with pytest.raises(ModelFileError, match=r"so .* was not written"):
        skcell.export(fitted, tmp_path / "m", "savedmodel")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="more than an exported model"):
        skcell.export(fitted, tmp_path / "mine", "savedmodel")


def test_what_is_refused_before_any_work(fitted, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        skcell.export(fitted, tmp_path / "m.bin", "onnx")
    with pytest.raises(ValueError, match="one of onnx, litert"):
        skcell.export(fitted, tmp_path / "m", "coreml")
    with pytest.raises(FileNotFoundError, match="no folder"):
        skcell.export(fitted, tmp_path / "absent" / "m.onnx", "onnx")
    with pytest.raises(TypeError, match="LogisticRegression cannot be exported"):
        skcell.export(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m", "savedmodel")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"skcell\[onnx\]"):
        skcell.export(fitted, tmp_path / "m.onnx", "onnx")


def test_the_example_predictor_needs_no_tensorflow(fitted, cells, tmp_path):
    """It runs with onnxruntime, numpy and pillow alone: nothing else can be imported."""
    from PIL import Image

    pytest.importorskip("onnxruntime", reason="onnxruntime comes with skcell[onnx]")
    path = skcell.export(fitted, tmp_path / "m.onnx", "onnx")
    files = []
    for i, image in enumerate(cells.images[160:165]):
        files.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(files[-1])
    (tmp_path / "guard.py").write_text(
        "import sys, runpy\n"
        "for name in ('tensorflow', 'keras', 'skcell', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    run = subprocess.run(
        [sys.executable, str(tmp_path / "guard.py"), str(EXAMPLE), str(path), *files],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split(",") for line in run.stdout.strip().splitlines()]
    assert [line[1] for line in lines] == fitted.predict(cells.images[160:165]).tolist()
    probabilities = fitted.predict_proba(cells.images[160:165]).max(axis=1)
    np.testing.assert_allclose([float(line[2]) for line in lines], probabilities, atol=1e-3)
