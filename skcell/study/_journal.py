"""Results on disk as they come: a line for each fit, none lost by a killed process."""

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skcell.study._records import FoldResult


class Journal:
    """A file of results, each under the key of its fit.

    Parameters
    ----------
    path : path-like or None
        The file, of a JSON object in each line; made when the first result comes. None keeps
        nothing.

    Raises
    ------
    ValueError
        If the file is something else.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None):
        self.path = None if path is None else Path(path)
        self._known: dict[str, FoldResult] = {}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab"):  # fails now rather than after the first fit
                pass
            self._read(self.path)

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a last line may have been cut short
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = json.loads(line)
                key, fields = record.pop("key"), _from_json(record)
                self._known[key] = FoldResult(**fields)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"Line {number} of {path} is no result of a study; give another file, or move "
                    "this one away."
                ) from error
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._known)

    def get(self, key: str | None) -> FoldResult | None:
        """Look up a result.

        Parameters
        ----------
        key : str or None
            Key of a fit.

        Returns
        -------
        FoldResult or None
            Its result, if it is there.
        """
        return None if key is None else self._known.get(key)

    def add(self, key: str | None, result: FoldResult) -> None:
        """Write a result, so that it is on disk when this returns.

        Parameters
        ----------
        key : str or None
            Key of the fit; a result without one is not kept.
        result : FoldResult
            The result.
        """
        if self.path is None or key is None:
            return
        record = {"key": key, **asdict(result)}
        record["scores"] = {
            name: None if math.isnan(value) else value for name, value in result.scores.items()
        }
        with open(self.path, "ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._known[key] = result


def _from_json(record: dict[str, Any]) -> dict[str, Any]:
    scores = {k: math.nan if v is None else v for k, v in record["scores"].items()}
    return {**record, "scores": scores}
