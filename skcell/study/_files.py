"""The study's files: tables, configuration and plot, each written as a whole or not at all."""

import csv
import io
import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skcell.study._plot import draw
from skcell.study._records import RowResult
from skcell.study._report import make_page
from skcell.study._rows import find_rows

if TYPE_CHECKING:
    from skcell.study._study import Study

_FORMAT = 1  # of study.json


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
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "results.csv": to_csv(table_records(study)),
        "folds.csv": to_csv(_fold_records(study)),
        "study.json": (json.dumps(describe(study), indent=2) + "\n").encode(),
        "study.png": draw(study),
        "study.html": make_page(study, describe(study)).encode(),
    }
    for name, content in contents.items():
        replace_file(folder / name, content)
    return [folder / name for name in contents]


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
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, make_page(study, describe(study)).encode())
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
            "protocol": study.protocol_,
            "cv": plain(study.cv),
            "repeats": study.repeats,
            "epochs": study.epochs,
            "batch_size": study.batch_size,
            "confidence": study.confidence,
            "random_state": study.random_state,
            "pipeline": "Pipeline([('smote', 'passthrough'), ('clf', CellCNNClassifier())])",
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
        "accuracy": round(row.accuracy, 6),
        "low": round(row.low, 6),
        "high": round(row.high, 6),
        "difference": _round(row.difference),
        "difference_low": _round(row.difference_low),
        "difference_high": _round(row.difference_high),
        "p_value": _round(row.p_value),
        **{name: _round(mean) for name, mean in row.means.items()},
        "folds": len(row.scores),
        "folds_planned": row.n_folds,
        "fit_seconds": round(row.fit_seconds, 3),
        "parameters": plain(row.parameters),
    }


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _fold_records(study: "Study") -> list[dict[str, Any]]:
    return [
        {
            "row": fold.row,
            "fold": fold.fold,
            "accuracy": round(fold.accuracy, 6),
            "n_correct": fold.n_correct,
            "n_test": fold.n_test,
            "n_train": fold.n_train,
            "fit_seconds": round(fold.fit_seconds, 3),
            **{name: _round(score) for name, score in fold.scores.items()},
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
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        cells = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()}
        writer.writerow(cells)
    return text.getvalue().encode()


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
