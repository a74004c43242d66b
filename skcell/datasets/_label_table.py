"""A table of labels that is written while a person labels."""

import csv
import io
import os
from pathlib import Path

from filelock import FileLock

from skcell._files import replace_file
from skcell._text import cell, encode
from skcell.datasets._table import as_written, find_columns, read_rows

_NEW = ["image", "label"]


class LabelTable:
    """Labels of image files in a CSV table, which is on disk after every change.

    The file is replaced as a whole, so that it is never half written. Several programs may write to
    one table: each change is made to what the file has at that moment. Other columns, and lines of
    other images, are kept. What is written can be trained on, see `load_image_folder`.

    Parameters
    ----------
    path : str or path-like
        The table, ``*.csv``; it need not exist. Its columns and its separator stay as they are, and
        its text becomes UTF-8.

    Attributes
    ----------
    labels : dict of str to str
        Label of each image that has one, when the table was last read.

    Raises
    ------
    ValueError
        If the file is not CSV, or has no columns of images and labels.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcell.datasets import LabelTable
    >>> path = Path(tempfile.mkdtemp()) / "labels.csv"
    >>> LabelTable(path).set("slide1/cell-07.png", "eosinophil")
    >>> LabelTable(path).labels
    {'slide1/cell-07.png': 'eosinophil'}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() != ".csv":
            raise ValueError(f"{self.path}: labels are written as CSV; use a name with .csv.")
        self._seen: tuple[int, ...] | None = None
        self._read()

    @property
    def labels(self) -> dict[str, str]:
        """Label of each image that has one, when the table was last read."""
        return {
            as_written(row[self._image]): row[self._label]
            for row in self._rows
            if row[self._label] and row[self._image]
        }

    def set(self, image: str, label: str) -> None:
        """Give an image a label, and write the table.

        Parameters
        ----------
        image : str
            Path of the image from its folder, or its name in the table.
        label : str
            Its class; an empty string removes its label.

        Raises
        ------
        OSError
            If the table cannot be written; it is then as it was.
        """
        image, label = as_written(image), label.strip()
        try:
            with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=10):
                self.refresh()
                rows = self._change(image, label)
                replace_file(self.path, self._format(rows))
                self._seen = self._look()
        except OSError as error:  # a full disk, a table that a spreadsheet holds open
            raise OSError(
                f"The label was not saved: {self.path.name} cannot be written "
                f"({error.strerror or error}). Close it in other programs, or make room on the "
                "disk, and label the image again."
            ) from error
        self._rows = rows

    def to_bytes(self) -> bytes:
        """Return the content of the table, as it was last read.

        Returns
        -------
        bytes
            CSV in UTF-8.
        """
        return self._format(self._rows)

    def refresh(self) -> bool:
        """Read the table again, if another program changed it.

        Returns
        -------
        bool
            Whether it had been changed.
        """
        changed = self._look() != self._seen
        if changed:
            self._read()
        return changed

    def _look(self) -> tuple[int, ...] | None:
        """Return what changes with the file; None if there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self) -> None:
        self._seen = self._look()
        self._header, self._rows, self._separator = list(_NEW), list[list[str]](), ","
        if self._seen is not None and self._seen[1]:
            self._header, numbered, self._separator = read_rows(self.path)
            self._rows = [row for _, row in numbered]
        found = find_columns(self.path, self._header, {})
        if "image" not in found or "label" not in found:
            raise ValueError(
                f"{self.path} needs the columns 'image' and 'label' to write labels to; it has "
                f"{', '.join(map(repr, self._header))}."
            )
        self._image, self._label = found["image"], found["label"]

    def _change(self, image: str, label: str) -> list[list[str]]:
        """Return the lines with another label of an image."""
        rows, is_new = [], True
        for row in self._rows:
            if as_written(row[self._image]) == image:
                is_new, row = False, list(row)
                row[self._label] = label
                if not label and sum(map(bool, row)) == 1:
                    continue  # nothing but the name is left
            rows.append(row)
        if is_new and label:
            row = [""] * len(self._header)
            row[self._image], row[self._label] = image, label
            rows.append(row)
        return rows

    def _format(self, rows: list[list[str]]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._separator, lineterminator="\n")
        writer.writerows([list(map(cell, row)) for row in (self._header, *rows)])
        return encode(text.getvalue())
