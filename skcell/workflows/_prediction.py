"""Predict the classes of image files."""

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell._images import EXTENSIONS, FileDtype, decode_files
from skcell._optional import import_optional
from skcell._text import cell, printable, read_text
from skcell.calibration import Assessment, CalibratedClassifier, CellCount
from skcell.classifiers import find_image_spec
from skcell.datasets import list_images

#: Number of files that are read, and predicted, at a time.
CHUNK = 512


@dataclass(frozen=True)
class Prediction:
    """What a model says about one file.

    Parameters
    ----------
    file : str
        Path of the file.
    label : object
        Most probable class; None if the file could not be read.
    probabilities : dict
        Probability of each class.
    prediction_set : list
        Classes that contain the true one with the stated probability, the most probable first;
        empty if the model is not calibrated for these predictions.
    unknown : bool or None
        Whether the image is nothing that the model was trained on; None if it cannot say.
    error : str
        Why the file could not be read; empty if it could.
    uncertain : bool
        Whether the class is less probable than the limit that was asked for.
    """

    file: str
    label: Any
    probabilities: dict[Any, float]
    prediction_set: list[Any]
    unknown: bool | None
    error: str = ""
    uncertain: bool = False

    @property
    def probability(self) -> float:
        """Probability of the most probable class."""
        return max(self.probabilities.values(), default=float("nan"))


def find_images(sources: Iterable[str], stdin: IO[str] | None = None) -> list[str]:
    """List the image files that names on a command line stand for.

    Parameters
    ----------
    sources : iterable of str
        Folders, whose images are found at any depth; files; patterns such as ``"new/*.png"``; text
        files (``.txt``) with a path on each line; and ``-`` for such lines from `stdin`.
    stdin : file, default=None
        Where ``-`` reads.

    Returns
    -------
    list of str
        Paths, in the order of the sources, each once.

    Raises
    ------
    FileNotFoundError
        If a source stands for nothing.
    """
    found: dict[str, None] = {}
    for source in sources:
        source = os.path.expanduser(source)
        if source == "-":
            lines = [line.rstrip("\r\n") for line in stdin or ()]
        elif source.lower().endswith(".txt") and not os.path.isdir(source):
            lines = _read_list(Path(source))
        elif os.path.isdir(source):
            lines = list_images(source)
        elif os.path.exists(source):
            lines = [source]
        else:
            lines = []
            for name in sorted(glob.glob(os.path.expanduser(source), recursive=True)):
                if os.path.isdir(name):
                    lines += list_images(name)
                elif name.lower().endswith(EXTENSIONS):
                    lines.append(name)
        paths = [line for line in lines if line.strip()]
        if not paths:
            raise FileNotFoundError(f"There is no image {source!r} (in {os.getcwd()!r}).")
        found.update(dict.fromkeys(paths))
    return list(found)


def _read_list(path: Path) -> list[str]:
    """Read the paths in a text file, as they are written on any system."""
    lines = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        name = os.path.expanduser(line.strip().strip("\"'"))
        if not name:
            continue
        if not os.path.exists(name) and "\\" in name:
            name = name.replace("\\", "/")
        if not os.path.exists(name):
            raise FileNotFoundError(
                f"{path}, line {number}: there is no file {name!r} (in {os.getcwd()!r})."
            )
        lines.append(name)
    return lines


def predict_files(
    model: Any,
    files: Sequence[str | os.PathLike[str]],
    *,
    coverage: float = 0.9,
    min_confidence: float = 0.0,
) -> Iterator[Prediction]:
    """Predict image files one after the other, in bounded memory.

    The next files are read while the network predicts. A file that cannot be read has an error
    instead of a class, and the others go on.

    Parameters
    ----------
    model : estimator
        A fitted `CalibratedClassifier`, or another classifier that `skcell.load` returns.
    files : sequence of str or path-like
        Paths of images.
    coverage : float, default=0.9
        Probability with which the prediction set contains the true class.
    min_confidence : float, default=0.0
        Images whose most probable class is less probable than this are uncertain.

    Yields
    ------
    Prediction
        One for each file, in order.
    """
    for paths, images, kept, failures in read_ahead(model, files):
        found = predict_images(model, images, coverage, min_confidence)
        by_index = dict(zip(kept.tolist(), found, strict=True))
        for index, path in enumerate(paths):
            if index in by_index:
                yield Prediction(path, *by_index[index])
            else:
                yield Prediction(path, None, {}, [], None, failures[path])


def read_ahead(
    model: Any, files: Sequence[str | os.PathLike[str]]
) -> Iterator[tuple[list[str], NDArray[Any], NDArray[np.intp], dict[str, str]]]:
    """Read files as a model takes them, some at a time; the next ones while these are used.

    Yields the paths, the images, the indices of the paths they are of, and why others failed.
    """
    shape, dtype = find_format(model)
    names = [os.fspath(file) for file in files]
    parts = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(decode_files, some, shape, dtype) for some in parts[:1]]
        for i, paths in enumerate(parts):
            found = waiting.pop().result()
            for some in parts[i + 1 : i + 2]:
                waiting.append(pool.submit(decode_files, some, shape, dtype))
            yield paths, *found


def find_format(model: Any) -> tuple[tuple[int, int, int], FileDtype]:
    """Return shape and dtype of the images that a model takes, or say that they cannot be files."""
    spec = find_image_spec(model)
    if spec is None or spec.dtype == "float32":
        raise ValueError(
            "The model was not trained on images with integer pixels, as files have them, so it "
            "cannot predict files. Pass arrays to its predict_proba."
        )
    return spec.shape, spec.dtype


def predict_images(
    model: Any, images: NDArray[Any], coverage: float, min_confidence: float
) -> Iterator[tuple[Any, ...]]:
    """Return the fields of each prediction after its file."""
    if not len(images):
        return
    classes = model.classes_.tolist()
    if isinstance(model, CalibratedClassifier):
        found = model.assess(images, coverage, min_confidence=min_confidence)
        for label, row, likely, unknown, uncertain in zip(
            found.labels.tolist(),
            found.probabilities.tolist(),
            found.list_prediction_sets() or [[]] * len(images),
            found.unknown.tolist(),
            found.uncertain.tolist(),
            strict=True,
        ):
            yield label, dict(zip(classes, row, strict=True)), likely, unknown, "", uncertain
        return
    for row in model.predict_proba(images).tolist():
        uncertain = max(row) < min_confidence
        label = classes[int(np.argmax(row))]
        yield label, dict(zip(classes, row, strict=True)), [], None, "", uncertain


def count_files(
    model: CalibratedClassifier,
    files: Sequence[str | os.PathLike[str]],
    *,
    groups: Sequence[Any] | None = None,
    confidence_level: float = 0.95,
) -> tuple[CellCount, dict[str, str]]:
    """Count the classes of image files, in bounded memory; see `CalibratedClassifier.count`.

    Parameters
    ----------
    model : CalibratedClassifier
        The model.
    files : sequence of str or path-like
        Paths of images.
    groups : sequence, default=None
        Patient or slide of each file.
    confidence_level : float, default=0.95
        Probability with which an interval covers a share.

    Returns
    -------
    count : CellCount
        Counts and shares of the files that could be read.
    failures : dict of str to str
        Why the others could not be read.

    Raises
    ------
    TypeError
        If the model is not a `CalibratedClassifier`.
    ValueError
        If no file can be read, or the model is not calibrated for what it predicts now.
    """
    if not isinstance(model, CalibratedClassifier):
        raise TypeError(
            f"Only a CalibratedClassifier knows what it confuses; this is a {type(model).__name__}."
        )
    if why := model.why_not_calibrated():
        raise ValueError(why)
    parts, used, n_read = [], [], 0
    failures: dict[str, str] = {}
    for paths, images, kept, failed in read_ahead(model, files):
        failures |= failed
        used += [n_read + int(i) for i in kept]
        n_read += len(paths)
        if len(images):
            parts.append(model.assess(images))
    if not parts:
        why = next(iter(failures.values()), "there is none")
        raise ValueError(f"None of the {n_read} files can be read: {why}.")
    of_used = None if groups is None else [groups[i] for i in used]
    found = Assessment.join(parts)
    return model.count(found, groups=of_used, confidence_level=confidence_level), failures


def to_record(prediction: Prediction, *, probabilities: bool, classes: Sequence[Any]) -> dict:
    """Return a prediction as a line of a table."""
    failed = prediction.label is None
    record: dict[str, Any] = {
        "file": printable(prediction.file),
        "class": None if failed else _plain(prediction.label),
        "probability": None if failed else round(prediction.probability, 6),
        "prediction_set": "|".join(map(printable, prediction.prediction_set)),
        "unknown": "" if prediction.unknown is None else ("yes" if prediction.unknown else "no"),
        "uncertain": "yes" if prediction.uncertain else "no",
        "error": prediction.error,
    }
    if probabilities:
        for name in classes:
            value = prediction.probabilities.get(name)
            record[f"p({printable(name)})"] = None if value is None else round(value, 6)
    return record


def _plain(label: Any) -> Any:
    return printable(label) if isinstance(label, str) else label


def write_predictions(
    records: Iterable[dict[str, Any]],
    file: IO[Any],
    file_format: Literal["csv", "jsonl", "parquet"] = "csv",
) -> None:
    """Write lines of a table as they come."""
    if file_format == "parquet":
        pandas = import_optional("pandas", purpose="Parquet", extra="parquet")
        import_optional("pyarrow", purpose="Parquet", extra="parquet")
        pandas.DataFrame(list(records)).convert_dtypes().to_parquet(file, index=False)
        return
    writer: Any = None
    for record in records:
        if file_format == "jsonl":
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        else:
            if writer is None:
                writer = csv.DictWriter(file, list(record), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: cell(value) for name, value in record.items()})
        file.flush()
