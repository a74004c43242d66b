"""The files of a study: tables, configuration and plot, each written completely or not at all."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from skcell._files import replace_file, to_csv
from skcell._sklearn import full_repr
from skcell._text import encode, printable
from skcell.study._plot import draw
from skcell.study._predictions import list_predictions, read_predictions
from skcell.study._records import FoldResult, StudyRecord, Summary, TechniqueResult
from skcell.study._report import make_page

_FORMAT = 3  # version of the format of study.json
_WITH_INTERVALS = ("balanced_accuracy", "f1_macro")
_COLUMNS = ("low", "high", "difference", "difference_low", "difference_high", "p_value")


def write_study(folder: Path, result: StudyRecord) -> list[Path]:
    """Write the files of a study."""
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Callable[[], bytes]] = {
        "results.csv": lambda: to_csv(table_records(result)),
        "folds.csv": lambda: to_csv(_fold_records(result)),
        "predictions.csv": lambda: _predictions_csv(result),
        "study.json": lambda: (json.dumps(study_summary(result), indent=2) + "\n").encode(),
        "study.png": lambda: draw(result),
        "study.html": lambda: encode(make_page(result, study_summary(result))),
    }
    for name, make in contents.items():  # tables before pictures, each as soon as it is ready
        replace_file(folder / name, make())
    return [folder / name for name in contents]


def _predictions_csv(result: StudyRecord) -> bytes:
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


def write_report(path: Path, result: StudyRecord) -> Path:
    """Write the HTML page of a study."""
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, encode(make_page(result, study_summary(result))))
    return path


def study_summary(result: StudyRecord) -> dict[str, Any]:
    """Summarise a study: configuration, data, hardware, versions and results."""
    return {
        "format": _FORMAT,
        "complete": result.complete,
        "started": result.started,
        "finished": result.finished,
        "configuration": result.configuration,
        "data": result.data,
        "environment": result.environment,
        "results": [
            {
                **record,
                "description": technique.description,
                "summaries": {name: _plain_summary(s) for name, s in technique.summaries.items()},
            }
            for record, technique in zip(table_records(result), result.techniques, strict=True)
        ],
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


def table_records(result: StudyRecord) -> list[dict[str, Any]]:
    """Summarise the techniques of a study."""
    return [_technique_record(technique) for technique in result.techniques]


def _technique_record(technique: TechniqueResult) -> dict[str, Any]:
    return {
        "technique": technique.name,
        "accuracy": _round(technique.accuracy),
        **_rounded(technique.summaries["accuracy"]),
        **{name: _round(mean) for name, mean in technique.means.items()},
        **{
            f"{name}_{column}": value
            for name, summary in technique.summaries.items()
            if name in _WITH_INTERVALS
            for column, value in _rounded(summary).items()
        },
        "folds": len(technique.scores),
        "folds_planned": technique.n_folds,
        "fit_seconds": _round(technique.fit_seconds),
        "loss_drop": _round(technique.loss_drop),
        "training_accuracy": _round(technique.training_accuracy),
        "error": technique.error,
        "parameters": to_jsonable(technique.parameters),
    }


def _plain_summary(summary: Summary) -> dict[str, float | None]:
    """Return all values of a summary, unrounded, with None for NaN, which JSON lacks."""
    return {k: None if math.isnan(v) else v for k, v in asdict(summary).items()}


def _rounded(summary: Summary) -> dict[str, float | None]:
    return {name: _round(getattr(summary, name)) for name in _COLUMNS}


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


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _fold_records(result: StudyRecord) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for fold in result.folds for name in fold.scores)
    return [
        {
            "technique": fold.technique,
            "fold": fold.fold,
            "accuracy": _round(fold.accuracy),
            "n_correct": None if fold.error else fold.n_correct,
            "n_test": fold.n_test,
            "n_train": fold.n_train,
            "fit_seconds": _round(fold.fit_seconds),
            "random_state": fold.random_state,
            "loss_drop": _round(fold.loss_drop),
            "training_accuracy": _round(fold.training_accuracy),
            "error": fold.error,
            "finished": fold.finished,
            **{name: _round(fold.scores.get(name, math.nan)) for name in names},
        }
        for fold in result.folds
    ]


def read_study(path: Path) -> StudyRecord:
    """Read a study that `write_study` wrote."""
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
    configuration = found["configuration"]
    folds = [_read_fold(record) for record in found["folds"]]
    images = None
    table = path.with_name("predictions.csv")
    if table.is_file():
        with open(table, newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            techniques = list(lines)
        if techniques:
            columns = {
                name: np.array([technique[name] for technique in techniques])
                for name in lines.fieldnames or ()
            }
            images, folds = read_predictions(columns, folds)
    return StudyRecord(
        techniques=[_read_result(record, folds) for record in found["results"]],
        folds=folds,
        images=images,
        score=configuration["score"],
        confidence_level=configuration["confidence_level"],
        complete=found["complete"],
        configuration=configuration,
        data=found["data"],
        environment=found["environment"],
        started=found["started"],
        finished=found["finished"],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _read_fold(record: dict[str, Any]) -> FoldResult:
    own = {f.name for f in fields(FoldResult)}
    known = {name: value for name, value in record.items() if name in own}
    scores = {k: _number(v) for k, v in record.items() if k not in own and k != "accuracy"}
    for name in ("fit_seconds", "loss_drop", "training_accuracy"):
        known[name] = _number(known.get(name))
    return FoldResult(**{**known, "n_correct": known["n_correct"] or 0, "scores": scores})


def _read_result(record: dict[str, Any], folds: Sequence[FoldResult]) -> TechniqueResult:
    return TechniqueResult(
        name=record["technique"],
        description=record["description"],
        parameters=record["parameters"],
        scores=tuple(
            f.accuracy for f in folds if f.technique == record["technique"] and not f.error
        ),
        n_folds=record["folds_planned"],
        fit_seconds=_number(record["fit_seconds"]),
        summaries={
            name: Summary(**{k: _number(v) for k, v in summary.items()})
            for name, summary in record["summaries"].items()
        },
        error=record["error"],
        loss_drop=_number(record["loss_drop"]),
        training_accuracy=_number(record.get("training_accuracy")),
    )
