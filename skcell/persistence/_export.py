"""Export classifiers to runtimes that need no skcell, and check that they predict alike."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skcell._images import ImageSpec, load_images
from skcell._optional import import_optional
from skcell.classifiers import BaseCellClassifier
from skcell.exceptions import ModelFileError
from skcell.persistence._convert import FORMATS

#: Largest difference of a probability that is taken for rounding.
TOLERANCE = 1e-4

#: Number of generated images with which an export is checked, if none are given.
_N_CHECKED = 8

#: Packages that write and run each format, by the extra that installs them.
_PACKAGES = {
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino",),
    "savedmodel": (),
}
_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml", "savedmodel": ""}

_Runner = Callable[[NDArray[Any]], NDArray[Any]]


#: Highest value of a pixel.
_HIGHEST = {"uint8": 255, "uint16": 65535, "float32": 1}

#: What TensorFlow writes into the folder of a model.
_SAVED_MODEL = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "keras_metadata.pb"}


def export(
    estimator: BaseEstimator,
    path: str | os.PathLike[str],
    format: Literal["onnx", "litert", "openvino", "savedmodel"] = "onnx",
    *,
    verify: bool = True,
    X: ArrayLike | None = None,
) -> Path:
    """Write a fitted classifier for a runtime that needs neither skcell nor Python.

    The exported model takes pixels as the classifier does, so that integer pixels are scaled
    inside it, and returns the probabilities of `predict_proba`: calibrated, and averaged over
    symmetries, if the classifier does so. Beside it, a JSON file with ``.json`` added to its name
    says what images it takes and which classes the probabilities are of; an ONNX file also holds
    this as metadata.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier of skcell, a `CalibratedClassifier` of one, or a pipeline of samplers
        and one of these.
    path : str or path-like
        The file; for "savedmodel", a folder.
    format : {"onnx", "litert", "openvino", "savedmodel"}, default="onnx"
        "onnx" runs in ONNX Runtime [1]_; "litert", formerly TensorFlow Lite, on phones and small
        devices [2]_; "openvino" on Intel's processors [3]_; "savedmodel" in TensorFlow Serving.
        The first three need the extra of their name: ``pip install 'skcell[onnx]'``.
    verify : bool, default=True
        Whether the exported model is run in its own runtime, and its probabilities are compared.
    X : array-like, default=None
        Images to compare them on; None generates some. Cells are a better check than noise.

    Returns
    -------
    pathlib.Path
        The file or folder.

    Raises
    ------
    MissingExtraError
        If the packages of the format are not installed.
    TypeError
        If the estimator cannot be exported.
    ModelFileError
        If the probabilities differ by more than 1e-4.

    References
    ----------
    .. [1] https://onnxruntime.ai
    .. [2] https://ai.google.dev/edge/litert
    .. [3] https://docs.openvino.ai

    Examples
    --------
    >>> import tempfile
    >>> import skcell
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = skcell.CellCNNClassifier(filters=(8, 8), epochs=2, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skcell.export(clf, f"{folder}/cells", "savedmodel", X=cells.images[:8]).name
    'cells'
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {format!r}.")
    for package in _PACKAGES[format]:
        import_optional(package, purpose=f"Exporting to {format}", extra=format)
    check_is_fitted(estimator)
    path = Path(path).expanduser()
    suffix = _SUFFIXES[format]
    if suffix and path.suffix != suffix:
        raise ValueError(f"The name of a file of the format {format} ends in {suffix}; got {path}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r}.")
    if path.is_dir():
        strange = sorted(set(os.listdir(path)) - _SAVED_MODEL)
        if strange or not (path / "saved_model.pb").is_file():
            more = f" ({strange[0]!r})" if strange else ""
            raise FileExistsError(
                f"{path} is a folder that holds more than an exported model{more}; use another "
                "name."
            )
    elif path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is no regular file; use another name.")
    model, classifier = to_portable_model(estimator)
    spec = classifier._spec
    images = _sample(spec) if X is None else _load(classifier, X)
    description = describe(estimator, spec)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        written = Path(folder, path.name)
        _convert(model, written, format)
        if format == "onnx":
            _add_metadata(written, description)
        text = json.dumps(description, indent=2) + "\n"
        written.with_name(path.name + ".json").write_text(text, encoding="utf-8")
        if verify:
            expected = estimator.predict_proba(images)
            found = _RUNNERS[format](written)(images)
            largest = float(np.abs(found - expected).max())
            if not largest <= TOLERANCE:
                raise ModelFileError(
                    f"The probabilities of the exported model differ from those of "
                    f"{type(estimator).__name__} by up to {largest:.2g}, so {path} was not "
                    "written."
                )
        if path.is_dir():
            shutil.rmtree(path)
        for part in Path(folder).iterdir():
            os.replace(part, path.with_name(part.name))
    return path


def to_portable_model(estimator: Any) -> tuple[keras.Model, BaseCellClassifier]:
    """Return a Keras model that predicts as an estimator does, and the classifier inside."""
    if isinstance(estimator, BaseCellClassifier):
        return estimator.to_keras(), estimator
    if hasattr(estimator, "temperature_"):
        model, classifier = to_portable_model(estimator.estimator_)
        probabilities = keras.ops.clip(model.outputs[0], 1e-30, 1.0)
        scaled = keras.ops.softmax(keras.ops.log(probabilities) / estimator.temperature_)
        return keras.Model(model.inputs, scaled), classifier
    steps = getattr(estimator, "steps", ())
    if steps and all(
        hasattr(step, "fit_resample") or step == "passthrough" for _, step in steps[:-1]
    ):
        return to_portable_model(steps[-1][1])
    raise TypeError(
        f"{type(estimator).__name__} cannot be exported; pass a classifier of skcell, a "
        "CalibratedClassifier of one, or a pipeline of samplers and one of these."
    )


def describe(estimator: Any, spec: ImageSpec) -> dict[str, Any]:
    """Describe input and output of an exported model, for those who use it without skcell."""
    height, width, channels = spec.shape
    return {
        "classes": [str(label) for label in estimator.classes_.tolist()],
        "image": {
            "height": height,
            "width": width,
            "channels": channels,
            "dtype": spec.dtype,
            "range": [0, _HIGHEST[spec.dtype]],
            "alpha": "the fourth channel"
            if channels == 4
            else "blended over white before the image is resized",
            "depth": "8-bit values are multiplied by 257 for uint16; 16-bit values are divided by "
            "257 and rounded for uint8; contrast is never stretched",
            "grey": "after the image is resized, repeated to three channels; colour becomes 0.299 "
            "red + 0.587 green + 0.114 blue for one channel",
            "order": "(n, height, width, channels); colours in the order red, green, blue",
            "resize": "bicubic with antialiasing, to height and width, without keeping proportions",
        },
        "output": "probability of each class, in the order of classes",
    }


def _sample(spec: ImageSpec) -> NDArray[Any]:
    """Generate images with smooth structure and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.random((_N_CHECKED, 4, 4, spec.shape[2]))
    fine = coarse.repeat(-(-spec.shape[0] // 4), 1).repeat(-(-spec.shape[1] // 4), 2)
    fine = fine[:, : spec.shape[0], : spec.shape[1]] * 0.8
    fine += 0.2 * rng.random(fine.shape)
    return (fine * _HIGHEST[spec.dtype]).astype(spec.dtype)


def _load(classifier: BaseCellClassifier, X: Any) -> NDArray[Any]:
    images, spec = classifier._check_X(X, reset=False)
    return load_images(images, slice(None), spec, n_jobs=-1)


def _convert(model: keras.Model, path: Path, file_format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.keras")
        model.save(source)
        command = [sys.executable, "-m", "skcell.persistence._convert", source, path, file_format]
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-15:]
        raise ModelFileError(
            f"Keras cannot export this model to {file_format}:\n" + "\n".join(last)
        )


def _add_metadata(path: Path, description: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(path)
    for key, value in description.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, path)


def _run_onnx(path: Path) -> _Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _run_litert(path: Path) -> _Runner:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(images: NDArray[Any]) -> NDArray[Any]:
        interpreter.resize_tensor_input(entry["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], images)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(result["index"]))

    return run


def _run_openvino(path: Path) -> _Runner:
    import openvino

    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32"},  # as elsewhere, not the CPU's own choice
    )
    return lambda images: np.array(compiled(images)[0])


def _run_savedmodel(path: Path) -> _Runner:
    import tensorflow as tf

    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda images: next(iter(served(tf.constant(images)).values())).numpy()


_RUNNERS: dict[str, Callable[[Path], _Runner]] = {
    "onnx": _run_onnx,
    "litert": _run_litert,
    "openvino": _run_openvino,
    "savedmodel": _run_savedmodel,
}
