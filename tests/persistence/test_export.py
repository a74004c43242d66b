"""What is exported predicts as the estimator does, each format in its own runtime."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

import skcell
from skcell import CalibratedClassifier, CellCNNClassifier, ImageSMOTE, make_pipeline
from skcell.exceptions import MissingExtraError, ModelFileError
from skcell.persistence import _export
from skcell.workflows import predict_files

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
@pytest.mark.thorough
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


@pytest.mark.thorough
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


def run_example(tmp_path, *arguments):
    """Run it with onnxruntime, numpy and pillow alone: nothing else can be imported."""
    (tmp_path / "guard.py").write_text(
        "import sys, runpy\n"
        "for name in ('tensorflow', 'keras', 'skcell', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, str(tmp_path / "guard.py"), str(EXAMPLE), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.thorough
def test_the_example_predictor_reads_the_pixels_that_skcell_reads(
    channels, fitted, cells, tmp_path
):
    """Files of each mode, larger than the model's images: a wrong pixel would change the output."""
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with skcell[onnx]")
    model = fitted
    if channels == 1:
        grey = cells.images[:160].mean(axis=3).round().astype(np.uint8)
        model = CellCNNClassifier(filters=(8,), epochs=4, random_state=0)
        model.fit(grey, cells.target_names[cells.target[:160]])
    path = skcell.export(model, tmp_path / "m.onnx", "onnx")
    colour = Image.fromarray(cells.images[160]).resize((40, 30))
    transparent = colour.copy()
    transparent.putalpha(Image.linear_gradient("L").resize((40, 30)))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = colour.convert("P", palette=Image.Palette.ADAPTIVE)
    kinds = {
        "1.png": (colour.convert("1"), {}),
        "L.png": (colour.convert("L"), {}),
        "LA.png": (transparent.convert("LA"), {}),
        "P.png": (palette, {}),
        "P-transparent.png": (palette, {"transparency": 3}),
        "RGB.png": (colour, {}),
        "RGB.jpg": (colour, {"exif": turned}),
        "RGB-transparent.png": (colour, {"transparency": colour.getpixel((20, 15))}),
        "RGBA.png": (transparent, {}),
        "CMYK.tif": (colour.convert("CMYK"), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(tmp_path / name, **options)
    files = [str(tmp_path / name) for name in kinds]
    run = run_example(tmp_path, path, *files)
    assert run.returncode == 0, run.stderr
    lines = [line.split(",") for line in run.stdout.strip().splitlines()]
    expected = list(predict_files(model, files))
    assert [line[1] for line in lines] == [one.label for one in expected]
    probabilities = [one.probability for one in expected]
    np.testing.assert_allclose([float(line[2]) for line in lines], probabilities, atol=1e-3)
    assert len(set(probabilities)) > 4


@pytest.mark.thorough
def test_the_example_predictor_refuses_what_it_would_read_wrongly(fitted, cells, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with skcell[onnx]")
    path = skcell.export(fitted, tmp_path / "m.onnx", "onnx")
    deep = cells.images[160].mean(axis=2).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    run = run_example(tmp_path, path, tmp_path / "deep.png")
    assert run.returncode == 1
    assert "has more than 8 bits" in run.stderr
    model = CellCNNClassifier(filters=(8,), epochs=1, random_state=0)
    model.fit(cells.images[:64].astype(np.uint16) * 257, cells.target[:64])
    path = skcell.export(model, tmp_path / "deep.onnx", "onnx")
    run = run_example(tmp_path, path, tmp_path / "deep.png")
    assert run.returncode == 1
    assert "reads images of 8 bits" in run.stderr


@pytest.mark.thorough
def test_the_package_for_bioimageio_is_valid(fitted, cells, tmp_path):
    skcell.export(fitted, tmp_path / "m.onnx", verify=False)
    Image.fromarray(cells.images[0]).save(tmp_path / "cell.png")
    script = EXAMPLE.with_name("package_for_bioimageio.py")
    done = subprocess.run(
        [sys.executable, script, "m.onnx", "cell.png", "m.zip"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "valid-format\n"
    with zipfile.ZipFile(tmp_path / "m.zip") as package:
        package.extractall(tmp_path / "out")
    expected = fitted.predict_proba(cells.images[:1])
    found = np.load(tmp_path / "out" / "output.npy")
    np.testing.assert_allclose(found, expected, atol=_export.TOLERANCE)
