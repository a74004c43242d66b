"""The files of a study: tables, configuration and plot, each written completely or not at all."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skcell._files import replace_file, to_csv, to_json, without_nan
from skcell._sklearn import full_repr
from skcell._text import encode, printable
from skcell.study._plot import draw
from skcell.study._predictions import list_predictions, read_predictions
from skcell.study._records import FoldResult, Summary, TechniqueResult
from skcell.study._report import make_page

if TYPE_CHECKING:
    from skcell.study._result import StudyResult

_FORMAT = 3  # version of the format of study.json
_WITH_INTERVALS = ("balanced_accuracy", "f1_macro")
MEASURED = ("fit_seconds", "loss_drop", "training_accuracy")
_PLAIN = ("complete", "started", "finished", "configuration", "data", "environment")
_COLUMNS = ("low", "high", "difference", "difference_low", "difference_high", "p_value")


def write_study(folder: Path, result: "StudyResult") -> list[Path]:
    """Write the files of a study."""
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Callable[[], bytes]] = {
        "results.csv": lambda: to_csv(table_records(result)),
        "folds.csv": lambda: to_csv(_fold_records(result)),
        "predictions.csv": lambda: _predictions_csv(result),
        "study.json": lambda: to_json(_summarise(result)),
        "study.png": lambda: draw(result),
        "study.html": lambda: _make_page(result),
    }
    for name, make in contents.items():  # tables before pictures, each as soon as it is ready
        replace_file(folder / name, make())
    return [folder / name for name in contents]


def _predictions_csv(result: "StudyResult") -> bytes:
    columns = list_predictions(result)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([printable(name) for name in columns])
    shown = [
        [f"{v:.6g}" for v in values] if values.dtype.kind == "f" else map(printable, values)
        for values in columns.values()
    ]
    writer.writerows(zip(*shown, strict=True))
    return encode(text.getvalue())


def write_report(path: Path, result: "StudyResult") -> Path:
    """Write the HTML page of a study."""
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, _make_page(result))
    return path


def _make_page(result: "StudyResult") -> bytes:
    details = {name: getattr(result, name) for name in ("configuration", "environment", "data")}
    return encode(make_page(result, details))


def _summarise(result: "StudyResult") -> dict[str, Any]:
    """Summarise a study: configuration, data, hardware, versions and results."""
    more = [
        {
            "description": technique.description,
            "summaries": {name: asdict(s) for name, s in technique.summaries.items()},
        }
        for technique in result.techniques
    ]
    return {
        "format": _FORMAT,
        **{name: getattr(result, name) for name in _PLAIN},
        "results": [a | b for a, b in zip(table_records(result), more, strict=True)],
        "folds": _fold_records(result),
    }


def to_jsonable(value: Any) -> Any:
    """Convert parameters to JSON types; objects become their text, with every parameter."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "items"):
        return {str(name): to_jsonable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    return full_repr(value)


def table_records(result: "StudyResult") -> list[dict[str, Any]]:
    """List what the table has of each technique."""
    records = []
    for technique in result.techniques:
        columns = {
            ("" if name == "accuracy" else f"{name}_") + column: getattr(summary, column)
            for name, summary in technique.summaries.items()
            if name in ("accuracy", *_WITH_INTERVALS)
            for column in _COLUMNS
        }
        of_accuracy = {name: columns.pop(name) for name in _COLUMNS}
        record = {
            "technique": technique.name,
            "accuracy": technique.accuracy,
            **of_accuracy,
            **technique.means,
            **columns,
            "folds": len(technique.scores),
            "folds_planned": technique.n_folds,
            **{name: getattr(technique, name) for name in MEASURED},
            "error": technique.error,
        }
        records.append(_rounded(record) | {"parameters": to_jsonable(technique.parameters)})
    return records


def reserved_columns(classes: Any) -> set[str]:
    """Return the column names that a user's score cannot have."""
    scores = {"accuracy", *_WITH_INTERVALS, "auc", *(f"recall {label}" for label in classes)}
    return {
        *scores,
        *_COLUMNS,
        *(f"{name}_{column}" for name in scores for column in _COLUMNS),
        *("technique", "fold", "folds", "folds_planned", "n_correct", "n_test", "n_train"),
        *("fit_seconds", "loss_drop", "training_accuracy", "error", "parameters"),
        *("random_state", "finished"),
    }


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    """Round the numbers of a record; NaN becomes None."""
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in record.items()}
    return {**without_nan(rounded)}


def _fold_records(result: "StudyResult") -> list[dict[str, Any]]:
    names = dict.fromkeys(name for fold in result.folds for name in fold.scores)
    columns = ("fit_seconds", "random_state", "loss_drop", "training_accuracy", "error", "finished")
    return [
        _rounded(
            {
                "technique": fold.technique,
                "fold": fold.fold,
                "accuracy": fold.accuracy,
                "n_correct": None if fold.error else fold.n_correct,
                "n_test": fold.n_test,
                "n_train": fold.n_train,
                **{name: getattr(fold, name) for name in columns},
                **{name: fold.scores.get(name, math.nan) for name in names},
            }
        )
        for fold in result.folds
    ]


def read_study(path: Path) -> dict[str, Any]:
    """Read the fields of a study that `write_study` wrote."""
    path = path.expanduser()
    path = path / "study.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_bytes())
        version = found["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a study.json that skcell wrote: {error!r}.") from error
    if version != _FORMAT:
        raise ValueError(
            f"{path} has format {version}, and this version of skcell reads format {_FORMAT}. Run "
            "the study again: fits in its results_file are not repeated."
        )
    folds = [_read_fold(record) for record in found["folds"]]
    images = None
    table = path.with_name("predictions.csv")
    if table.is_file():
        with open(table, newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            predictions = list(lines)
        if predictions:
            names = lines.fieldnames or ()
            columns = {name: np.array([line[name] for line in predictions]) for name in names}
            images, folds = read_predictions(columns, folds)
    return {
        **{name: found[name] for name in _PLAIN},
        **{name: found["configuration"][name] for name in ("score", "confidence_level")},
        "techniques": [_read_result(record, folds) for record in found["results"]],
        "folds": folds,
        "images": images,
    }


def with_nan(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Replace None by NaN in the values that are numbers."""
    return {**values, **{n: math.nan for n in names if values.get(n) is None}}


def _read_fold(record: dict[str, Any]) -> FoldResult:
    own = {f.name for f in fields(FoldResult)}
    known = {name: value for name, value in record.items() if name in own}
    scores = {k: v for k, v in record.items() if k not in own and k != "accuracy"}
    known |= {"n_correct": known["n_correct"] or 0, "scores": with_nan(scores, scores)}
    return FoldResult(**with_nan(known, MEASURED))


def _read_result(record: dict[str, Any], folds: Sequence[FoldResult]) -> TechniqueResult:
    name = record["technique"]
    return TechniqueResult(
        name=name,
        scores=tuple(f.accuracy for f in folds if f.technique == name and not f.error),
        n_folds=record["folds_planned"],
        summaries={
            score: Summary(**with_nan(values, values))
            for score, values in record["summaries"].items()
        },
        **{name: record[name] for name in ("description", "parameters", "error")},
        **with_nan({name: record.get(name) for name in MEASURED}, MEASURED),
    )
