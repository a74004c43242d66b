"""What a check of a data set found."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell._files import replace_file
from skcell._optional import import_optional
from skcell._text import printable
from skcell.cleaning._batches import Batches
from skcell.cleaning._duplicates import Duplicates
from skcell.cleaning._label_issues import LabelIssues
from skcell.cleaning._outliers import Outliers
from skcell.cleaning._page import make_page
from skcell.cleaning._shortcuts import Shortcut

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]

#: Columns of the table of findings.
FINDING_COLUMNS = ["file", "index", "class", "kind", "severity", "detail", "advice"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a data set, or worth checking.

    Parameters
    ----------
    kind : str
        "unreadable", "few images", "unequal classes", "missing class", "two labels",
        "copies across parts", "copies", "groups across parts", "one group", "outlier", "label",
        "shortcut", "batch", "clipped" or "aspect ratio".
    severity : {"error", "warning", "note"}
        An error invalidates a score, or stops training.
    message : str
        What was found.
    advice : str
        What to do.
    indices : ndarray of int
        Images that it is about.
    details : list of str
        What is said of each of these images.
    """

    kind: str
    severity: Severity
    message: str
    advice: str
    indices: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    details: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetCheck:
    """Result of `check_dataset`.

    Parameters
    ----------
    names : list of str
        Names of the images.
    labels : ndarray of shape (n,)
        Labels.
    split : ndarray of shape (n,) or None
        Part of each image.
    classes : dict
        Number of images of each class.
    parts : dict of str to dict
        Number of images of each class in each part of the split; empty without a split.
    facts : list of (str, str)
        What the images are: number, shape, dtype, values, files.
    findings : list of Finding
        What was found, errors first.
    clean : list of str
        What was checked, in words, and has no finding.
    duplicates : Duplicates
        Copies of images.
    outliers : Outliers
        Images unlike the others.
    shortcuts : list of Shortcut
        Features other than the cell from which the class can be predicted.
    batches : Batches
        Images by the colour of their background.
    label_issues : LabelIssues or None
        Labels that a model doubts, if its probabilities were given.
    pictures : dict of int to str
        Pictures of some images that were found, as ``data:`` addresses.
    """

    names: list[str] = field(repr=False)
    labels: NDArray[Any] = field(repr=False)
    split: NDArray[Any] | None = field(repr=False)
    classes: dict[Any, int]
    parts: dict[str, dict[Any, int]]
    facts: list[tuple[str, str]]
    findings: list[Finding]
    clean: list[str]
    duplicates: Duplicates = field(repr=False)
    outliers: Outliers = field(repr=False)
    shortcuts: Sequence[Shortcut] = field(repr=False)
    batches: Batches = field(repr=False)
    label_issues: LabelIssues | None = field(repr=False)
    pictures: dict[int, str] = field(repr=False)

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return not any(one.severity == "error" for one in self.findings)

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line for each image of each finding.

        Returns
        -------
        list of dict
            `file`, `index`, `class`, `kind`, `severity`, `detail` and `advice`.
        """
        return [
            {
                "file": printable(self.names[i]),
                "index": int(i),
                "class": self.labels[i],
                "kind": one.kind,
                "severity": one.severity,
                "detail": detail,
                "advice": one.advice,
            }
            for one in self.findings
            for i, detail in zip(one.indices, one.details, strict=True)
        ]

    def to_frame(self) -> "pd.DataFrame":
        """Return a line for each image of each finding, as a data frame.

        Returns
        -------
        pandas.DataFrame
            Columns as in `to_records`.
        """
        pandas = import_optional("pandas", purpose="to_frame", extra="pandas")
        return pandas.DataFrame(self.to_records(), columns=FINDING_COLUMNS)

    def report(self, path: str | os.PathLike[str], *, title: str = "Check of the data") -> Path:
        """Write the findings, with pictures, as one page that opens from disk.

        Parameters
        ----------
        path : str or path-like
            The file, ``*.html``.
        title : str, default="Check of the data"
            Title of the page.

        Returns
        -------
        pathlib.Path
            The file.
        """
        file = Path(path).expanduser()
        replace_file(file, make_page(self, title).encode())
        return file
