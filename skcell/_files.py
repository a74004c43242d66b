"""Write files completely or not at all, and tables as CSV."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from skcell._text import encode


def replace_file(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Parameters
    ----------
    path : Path
        The file.
    content : bytes
        The new content of the file.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # a temporary file is private to its owner
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def to_csv(records: list[dict[str, Any]]) -> bytes:
    """Convert records to a CSV table.

    Parameters
    ----------
    records : list of dict
        One dict for each line, all with the same keys.

    Returns
    -------
    bytes
        Comma-separated values, with a header line.
    """
    text = io.StringIO()
    columns = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        cells = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()}
        writer.writerow(cells)
    return encode(text.getvalue())
