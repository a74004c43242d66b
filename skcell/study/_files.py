"""The study's files: tables, configuration and plot, each written as a whole or not at all."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skcell.study._fits import study_pipeline
from skcell.study._plot import draw
from skcell.study._records import RowResult, Summary
from skcell.study._report import make_page
from skcell.study._rows import find_rows
from skcell.study._text import encode, printable

if TYPE_CHECKING:
    from skcell.study._study import Study

_FORMAT = 2  # of study.json
_WITH_INTERVALS = ("balanced_accuracy", "f1_macro")
_COLUMNS = ("low", "high", "difference", "difference_low", "difference_high", "p_value")


def write_study(folder: Path, study: "Study") -> list[Path]:
    """Write the files of a study.

    Parameters
    ----------
    folder : Path
        Where to; made if it does not exist.
    study : Study
        A study that was run.

    Returns
    -------
    list of Path
        The files.
    """
    folder = folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Callable[[], bytes]] = {
        "results.csv": lambda: to_csv(table_records(study)),
        "folds.csv": lambda: to_csv(_fold_records(study)),
        "predictions.csv": lambda: _predictions_csv(study),
        "study.json": lambda: (json.dumps(describe(study), indent=2) + "\n").encode(),
        "study.png": lambda: draw(study),
        "study.html": lambda: encode(make_page(study, describe(study))),
    }
    for name, make in contents.items():  # numbers before pictures, each as soon as it is made
        replace_file(folder / name, make())
    return [folder / name for name in contents]


def _predictions_csv(study: "Study") -> bytes:
    columns = study.predictions_
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([printable(name) for name in columns])
    shown = [
        [f"{v:.6g}" for v in values] if values.dtype.kind == "f" else map(printable, values)
        for values in columns.values()
    ]
    writer.writerows(zip(*shown, strict=True))
    return encode(text.getvalue())


def write_report(path: Path, study: "Study") -> Path:
    """Write the page of a study.

    Parameters
    ----------
    path : Path
        The file; its folder is made if it does not exist.
    study : Study
        A study that was run.

    Returns
    -------
    Path
        The file.
    """
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, encode(make_page(study, describe(study))))
    return path


def describe(study: "Study") -> dict[str, Any]:
    """Sum up a study: configuration, data, hardware, versions and results.

    Parameters
    ----------
    study : Study
        A study that was run.

    Returns
    -------
    dict
        Ready for JSON.
    """
    return {
        "format": _FORMAT,
        "complete": study.complete_,
        "started": study.started_,
        "finished": study.finished_,
        "configuration": {
            "score": study.score_,
            "protocol": study.protocol_,
            "cv": plain(study.cv),
            "repeats": study.repeats,
            "epochs": study.epochs,
            "batch_size": study.batch_size,
            "confidence": study.confidence,
            "random_state": study.random_state,
            "pipeline": plain(study_pipeline()),
            "rows": [
                {
                    "name": row.name,
                    "description": row.description,
                    "parameters": plain(row.parameters),
                }
                for row in find_rows(study.rows)
            ],
        },
        "data": study.data_,
        "environment": study.environment_,
        "results": table_records(study),
        "folds": _fold_records(study),
    }


def plain(value: Any) -> Any:
    """Reduce parameters to what JSON knows; of objects, their text in one line.

    Parameters
    ----------
    value : object
        A parameter's value, or a mapping or sequence of such.

    Returns
    -------
    object
        Numbers, texts, None, lists and dicts.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "items"):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return " ".join(repr(value).split())


def table_records(study: "Study") -> list[dict[str, Any]]:
    """Sum up the rows of a study.

    Parameters
    ----------
    study : Study
        A study that was run.

    Returns
    -------
    list of dict
        One for each row; None where there is no figure.
    """
    return [_row_record(row) for row in study.rows_]


def _row_record(row: RowResult) -> dict[str, Any]:
    return {
        "row": row.name,
        "accuracy": _round(row.accuracy),
        **_rounded(row.summaries["accuracy"]),
        **{name: _round(mean) for name, mean in row.means.items()},
        **{
            f"{name}_{column}": value
            for name, summary in row.summaries.items()
            if name in _WITH_INTERVALS
            for column, value in _rounded(summary).items()
        },
        "folds": len(row.scores),
        "folds_planned": row.n_folds,
        "fit_seconds": _round(row.fit_seconds),
        "loss_drop": _round(row.loss_drop),
        "error": row.error,
        "parameters": plain(row.parameters),
    }


def _rounded(summary: Summary) -> dict[str, float | None]:
    return {name: _round(getattr(summary, name)) for name in _COLUMNS}


def reserved_columns(classes: Any) -> set[str]:
    """Name the columns that a score of the user's cannot be called like.

    Parameters
    ----------
    classes : iterable
        The labels.

    Returns
    -------
    set of str
        The names.
    """
    scores = {"accuracy", *_WITH_INTERVALS, "auc", *(f"recall {label}" for label in classes)}
    return {
        *scores,
        *_COLUMNS,
        *(f"{name}_{column}" for name in scores for column in _COLUMNS),
        *("row", "fold", "folds", "folds_planned", "n_correct", "n_test", "n_train"),
        *("fit_seconds", "loss_drop", "error", "parameters", "random_state", "finished"),
    }


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _fold_records(study: "Study") -> list[dict[str, Any]]:
    names = dict.fromkeys(name for fold in study.folds_ for name in fold.scores)
    return [
        {
            "row": fold.row,
            "fold": fold.fold,
            "accuracy": _round(fold.accuracy),
            "n_correct": None if fold.error else fold.n_correct,
            "n_test": fold.n_test,
            "n_train": fold.n_train,
            "fit_seconds": _round(fold.fit_seconds),
            "random_state": fold.random_state,
            "loss_drop": _round(fold.loss_drop),
            "error": fold.error,
            "finished": fold.finished,
            **{name: _round(fold.scores.get(name, math.nan)) for name in names},
        }
        for fold in study.folds_
    ]


def to_csv(records: list[dict[str, Any]]) -> bytes:
    """Write records as a table.

    Parameters
    ----------
    records : list of dict
        One for each line, all with the same keys.

    Returns
    -------
    bytes
        Comma separated, with a head.
    """
    text = io.StringIO()
    columns = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        cells = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()}
        writer.writerow(cells)
    return encode(text.getvalue())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        What it will hold.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # a temporary file is its owner's alone
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
