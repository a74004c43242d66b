"""A file of results; each fit adds one line, so that a killed process loses no finished fit."""

import base64
import dataclasses
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from skcell._files import without_nan
from skcell.study._files import MEASURED, with_nan
from skcell.study._records import FoldResult

_FIELDS = {field.name for field in dataclasses.fields(FoldResult)} - {"exception"}
_BEGINS = b'{"key": "'
_ARRAYS = {"predicted": np.int16, "probabilities": np.float32}


class Journal:
    """A file of results, each stored under the key of its fit.

    Lines that are not results, such as those from a merge or a later version, are skipped and left
    unchanged.
    """

    def __init__(self, path: str | os.PathLike[str] | None):
        self.path = None if path is None else Path(path).expanduser()
        self.n_odd = 0
        self._known: dict[str, FoldResult] = {}
        self._ends_in_line = True
        if self.path is not None:
            if self.path.exists() and not self.path.is_file():
                raise ValueError(f"{self.path} is not a file; give the path of a file.")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.alone():  # does not cut short a line that another process is writing
                with open(self.path, "ab"):  # fails now rather than after the first fit
                    pass
                self._read(self.path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing to the same file."""
        if self.path is None:
            yield
            return
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise OSError(
                f"Another process is writing to {self.path} now. Wait until it is done, or name "
                "another file or folder."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        lines = content.split(b"\n")
        rest = lines.pop()  # empty, or a last line that was cut short
        for line in lines:
            try:
                record = json.loads(line)
                self._known[record["key"]] = _from_json(record)
            except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
                self.n_odd += bool(line.strip())
        if rest.startswith(_BEGINS):  # a result: the process was killed while writing it
            os.truncate(path, len(content) - len(rest))
        elif rest:
            self.n_odd += 1
            self._ends_in_line = False
        if self.n_odd and not self._known:
            raise ValueError(
                f"{path} does not hold results of a study, and was not changed. Name another file, "
                "or move this one away."
            )

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._known)

    def get(self, key: str | None) -> FoldResult | None:
        """Look up a result."""
        return None if key is None else self._known.get(key)

    def add(self, key: str | None, result: FoldResult) -> None:
        """Write a result, so that it is on disk when this method returns.

        Of failed fits, only those that diverged are stored, because they would diverge again.
        """
        passing = result.error and not isinstance(result.exception, FloatingPointError)
        if self.path is None or key is None or passing:
            return
        begin = b"" if self._ends_in_line else b"\n"
        with open(self.path, "ab") as file:
            file.write(begin + json.dumps({"key": key, **_to_json(result)}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._ends_in_line = True
        self._known[key] = result


def _to_json(result: FoldResult) -> dict[str, Any]:
    """Convert a result to JSON types; NaN becomes None, and arrays are compressed."""
    record = {name: value for name, value in asdict(result).items() if name in _FIELDS}
    for name, dtype in _ARRAYS.items():
        if record[name] is not None:
            values = np.asarray(record[name], dtype)
            packed = base64.b64encode(zlib.compress(values.tobytes())).decode()
            record[name] = {"shape": values.shape, "zlib": packed}
    return {**without_nan(record)}


def _from_json(record: dict[str, Any]) -> FoldResult:
    """Convert a record to a result; fields of a later version are ignored."""
    known = {name: value for name, value in record.items() if name in _FIELDS}
    known["scores"] = with_nan(known["scores"], known["scores"])
    for name, dtype in _ARRAYS.items():
        if known.get(name) is not None:
            content = zlib.decompress(base64.b64decode(known[name]["zlib"]))
            known[name] = np.frombuffer(content, dtype).reshape(known[name]["shape"])
    return FoldResult(**with_nan(known, MEASURED))
