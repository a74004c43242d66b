"""Write files completely or not at all, tables as CSV, and values as JSON."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skcell._text import cell, encode

#: Beginning of the names of files that are being written; one that is left was never finished.
TEMPORARY = ".skcell-"


def replace_file(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # a temporary file is private to its owner
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def to_csv(records: list[dict[str, Any]], columns: Sequence[str] = ()) -> bytes:
    """Convert records to a CSV table."""
    text = io.StringIO()
    found = dict.fromkeys([*columns, *(name for record in records for name in record)])
    writer = csv.DictWriter(text, list(found), lineterminator="\n")
    writer.writeheader()
    for record in records:
        cells = {k: json.dumps(v) if isinstance(v, dict) else cell(v) for k, v in record.items()}
        writer.writerow(cells)
    return encode(text.getvalue())


def without_nan(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by None."""
    if isinstance(value, Mapping):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def to_json(value: Any) -> bytes:
    """Convert a value to the content of a JSON file."""
    return encode(json.dumps(without_nan(value), indent=2) + "\n")
