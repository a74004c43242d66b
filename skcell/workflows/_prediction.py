"""Predict the classes of image files."""

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skcell._digest import short_digests
from skcell._images import EXTENSIONS, FileDtype, decode_files, fit_image, read_whole
from skcell._optional import import_optional
from skcell._text import cell, printable, read_text
from skcell.calibration import Assessment, CalibratedClassifier, CellCount, ShiftReport
from skcell.classifiers import classifier_of, find_image_spec
from skcell.datasets import CellObject, crop_cells, list_images
from skcell.model_selection import choose_to_label
from skcell.workflows._fields import describe_object, find_all_objects, report_fields

#: Number of files that are read, and predicted, at a time.
CHUNK = 512

#: Number of objects that are compared with the training images, at most.
_COMPARED = 200

#: Colours of classes, those of Okabe and Ito and two more; on light ones, text is black.
_LIGHT = ("#56B4E9", "#E69F00", "#CC79A7")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", *_LIGHT, "#555555", "#8A4FBE")


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
    for paths, images, kept, failures in _read_ahead(model, files):
        found = _predict(model, images, coverage, min_confidence)
        by_index = dict(zip(kept.tolist(), found, strict=True))
        for index, path in enumerate(paths):
            if index in by_index:
                yield Prediction(path, *by_index[index])
            else:
                yield Prediction(path, None, {}, [], None, failures[path])


def _read_ahead(
    model: Any, files: Sequence[str | os.PathLike[str]]
) -> Iterator[tuple[list[str], NDArray[Any], NDArray[np.intp], dict[str, str]]]:
    """Read files as a model takes them, some at a time; the next ones while these are used.

    Yields the paths, the images, the indices of the paths they are of, and why others failed.
    """
    shape, dtype = _find_format(model)
    names = [os.fspath(file) for file in files]
    parts = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(decode_files, some, shape, dtype) for some in parts[:1]]
        for i, paths in enumerate(parts):
            found = waiting.pop().result()
            for some in parts[i + 1 : i + 2]:
                waiting.append(pool.submit(decode_files, some, shape, dtype))
            yield paths, *found


def _find_format(model: Any) -> tuple[tuple[int, int, int], FileDtype]:
    """Return shape and dtype of the images that a model takes, or say that they cannot be files."""
    spec = find_image_spec(model)
    if spec is None or spec.dtype == "float32":
        raise ValueError(
            "The model was not trained on images with integer pixels, as files have them, so it "
            "cannot predict files. Pass arrays to its predict_proba."
        )
    return spec.shape, spec.dtype


def _predict(
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
    for paths, images, kept, failed in _read_ahead(model, files):
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


@dataclass(frozen=True)
class Suggestion:
    """An image to label or to look at.

    Parameters
    ----------
    file : str
        Path of the file.
    predicted : object
        Most probable class.
    probability : float
        Its probability.
    why : {"uncertain", "unknown"}
        Whether its label teaches the model most, or whether it is unlike all that the model was
        trained on.
    """

    file: str
    predicted: Any
    probability: float
    why: Literal["uncertain", "unknown"]


def suggest_files(
    model: CalibratedClassifier,
    files: Sequence[str | os.PathLike[str]],
    n: int = 50,
    *,
    random_state: int = 0,
) -> tuple[list[Suggestion], list[str], dict[str, str]]:
    """Suggest which files to label next, so that a model learns most from few labels.

    Files that the model was trained or tested on are left out. Of the others, doubtful ones that
    differ from each other are chosen, see `skcell.model_selection.choose_to_label`; and apart from
    these, those that are least known.

    Parameters
    ----------
    model : CalibratedClassifier
        The model.
    files : sequence of str or path-like
        Paths of images.
    n : int, default=50
        Number of files to label, and largest number of unknown ones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    suggestions : list of Suggestion
        Files to label, the most doubtful first; then unknown ones, the least known first.
    notes : list of str
        How many were left out, and whether there is a domain shift.
    failures : dict of str to str
        Why other files could not be read.

    Raises
    ------
    TypeError
        If the model is not a `CalibratedClassifier`.
    ValueError
        If no file is left.
    """
    if not isinstance(model, CalibratedClassifier):
        raise TypeError(f"Only a CalibratedClassifier can suggest; got a {type(model).__name__}.")
    clf, names, parts, features = classifier_of(model), list[str](), [], []
    failures: dict[str, str] = {}
    seen, n_seen = np.union1d(model.training_digests_, model.test_digests_), 0
    for paths, images, kept, failed in _read_ahead(model, files):
        failures |= failed
        if not len(images):
            continue
        new = ~np.isin(short_digests(images), seen)
        n_seen += int((~new).sum())
        if new.any():
            names += [paths[i] for i in kept[new]]
            parts.append(model.assess(images[new]))
            features.append(clf.embed(images[new]))
    if not parts:
        raise ValueError(
            f"None of {len(files)} files is new: the model was trained or tested on {n_seen} of "
            f"them, and {len(failures)} cannot be read."
        )
    found = Assessment.join(parts)
    known, strange = np.flatnonzero(~found.unknown), np.flatnonzero(found.unknown)
    chosen = known[:0]
    if len(known):
        chosen = known[
            choose_to_label(
                found.probabilities[known],
                np.concatenate(features)[known],
                n,
                random_state=random_state,
            )
        ]
    least = strange[np.argsort(found.known_scores[strange], kind="stable")][:n]
    suggestions = [
        Suggestion(
            names[i],
            found.labels[i],
            float(found.probabilities[i].max()),
            "unknown" if found.unknown[i] else "uncertain",
        )
        for i in [*chosen.tolist(), *least.tolist()]
    ]
    notes = []
    if n_seen:
        notes.append(f"{n_seen:,} files that the model was trained or tested on are left out.")
    if len(strange):
        notes.append(
            f"{len(strange):,} of {len(names):,} images are unlike all that the model was trained "
            f"on; the {len(least):,} least known ones are listed as unknown."
        )
    if len(names) >= ShiftReport.fewest and (shift := model.detect_shift(found)).shifted:
        notes.append(str(shift))
    return suggestions, notes, failures


def predict_fields(
    model: Any,
    fields: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    *,
    size: int | None = None,
    training: Mapping[str, Any] | None = None,
    coverage: float = 0.9,
    min_confidence: float = 0.0,
    overlay: str | os.PathLike[str] | None = None,
    skip_broken: bool = False,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Predict each object of a folder of fields.

    Parameters
    ----------
    model : estimator
        A fitted `CalibratedClassifier`, or another classifier that `skcell.load` returns.
    fields, masks : str or path-like
        Folder of images with many cells, and their masks or boxes, as for `crop_folder`.
    size : int, default=None
        Height and width of the crops in pixels of the fields. They must show cells as large as the
        training images did; None takes the size of the files that the model was trained on.
    training : mapping, default=None
        What the model's file says about its training, see `skcell.persistence.read_info`.
    coverage, min_confidence : float
        As for `predict_files`.
    overlay : str or path-like, default=None
        Folder for a picture of each field, with the class of each object.
    skip_broken : bool, default=False
        Whether fields and masks that cannot be used are skipped.

    Returns
    -------
    records : list of dict
        Field, number and box of each object, and its prediction as `predict_files` has it. Objects
        at the edge of a field, and tiny ones, have a reason under ``"error"`` and no class.
    notes : list of str
        That the model is not calibrated, or that there is a domain shift.

    Raises
    ------
    ValueError
        If the size of crops is not known, or the model takes no images from files.
    ImageReadError
        If fields or masks cannot be used.
    """
    shape, dtype = _find_format(model)
    if size is None:
        known = ((training or {}).get("data") or {}).get("file_size") or [0, 0]
        if known[0] < 1 or known[0] != known[1]:
            raise ValueError(
                "The model does not say how large its training images were. Pass the height and "
                "width that shows cells as they did, in pixels of the fields, as size "
                "(--crop-size)."
            )
        size = int(known[0])
    objects, failures = find_all_objects(Path(fields).expanduser(), Path(masks).expanduser())
    if failures:
        report_fields(failures, len(objects) + len(failures), skip_broken)
    classes, sample = model.classes_.tolist(), list[NDArray[Any]]()
    records: list[dict[str, Any]] = []
    for file, of_field in objects.items():
        whole = read_whole(file)
        crops, kept, _ = crop_cells(whole, of_field, size)
        images = np.array([fit_image(one, shape, dtype) for one in crops], dtype)
        found = _predict(model, images.reshape(-1, *shape), coverage, min_confidence)
        sample += list(images[: max(0, _COMPARED - len(sample))])
        by_number = {
            one.number: Prediction(file, *fields_of)
            for one, fields_of in zip(kept, found, strict=True)
        }
        for one in of_field:
            missing = Prediction(file, None, {}, [], None, "at the edge of the field, or tiny")
            record = to_record(
                by_number.get(one.number, missing), probabilities=False, classes=classes
            )
            where = describe_object(record.pop("file"), file, one)
            records.append({k: v for k, v in where.items() if k not in ("image", "label")} | record)
        if overlay is not None:
            folder = Path(overlay)
            folder.mkdir(parents=True, exist_ok=True)
            picture = draw_objects(whole, kept, by_number, classes)
            picture.save(folder / f"{Path(file).stem}.png")
    notes = []
    if isinstance(model, CalibratedClassifier):
        notes = [why] if (why := model.why_not_calibrated()) else []
        shift = model.detect_shift(np.array(sample)) if len(sample) >= ShiftReport.fewest else None
        if shift is None:
            notes.append(ShiftReport.too_few)
        elif shift.shifted:
            notes.append(str(shift))
    return records, notes


def draw_objects(
    field: NDArray[Any],
    objects: Sequence[CellObject],
    predictions: Mapping[int, Prediction],
    classes: Sequence[Any],
) -> Image.Image:
    """Draw the boxes of a field, with their classes; unknown objects have a question mark."""
    pixels = fit_image(field, (*field.shape[:2], 3), "uint8")
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    typical = float(np.median([one.extent for one in objects])) if objects else 40.0
    font = ImageFont.load_default(max(10, round(typical / 4)))
    for one in objects:
        found = predictions[one.number]
        colour = _COLOURS[classes.index(found.label) % len(_COLOURS)]
        top, left, bottom, right = one.box
        draw.rectangle(
            (left, top, right, bottom), outline=colour, width=max(1, round(typical / 25))
        )
        text = f"{printable(found.label)}{'?' if found.unknown else ''}"
        box = draw.textbbox((left, top), text, font=font, anchor="lb")
        down, aside = max(0, -box[1]), max(0, box[2] - picture.width)  # so that it can be read
        draw.rectangle((box[0] - aside, box[1] + down, box[2] - aside, box[3] + down), fill=colour)
        place, ink = (left - aside, top + down), "black" if colour in _LIGHT else "white"
        draw.text(place, text, fill=ink, font=font, anchor="lb")
    return picture


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
