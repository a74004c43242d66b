"""Patients or slides of image files."""

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skcell._images import some


def read_groups(source: str, files: Sequence[str], root: str) -> NDArray[np.str_]:
    """Find the group of each image file, such as its patient or slide.

    Parameters
    ----------
    source : str
        A CSV file with the columns ``file`` and ``group``, in which files are given by name, or by
        their path from `root`. Or a regular expression with one group in parentheses, which is
        searched for in the path of each file, such as ``"(P[0-9]+)_"``.
    files : sequence of str
        Paths of the images.
    root : str
        Folder of the images.

    Returns
    -------
    ndarray of str of shape (n,)
        Group of each image.

    Raises
    ------
    ValueError
        If a file has no group, or the CSV file or the expression cannot be used.

    Examples
    --------
    >>> from skcell.datasets import read_groups
    >>> files = ["cells/blast/P1_1.png", "cells/blast/P2_1.png"]
    >>> read_groups("(P[0-9]+)_", files, "cells").tolist()
    ['P1', 'P2']
    """
    inside = [os.path.relpath(file, root) for file in files]
    if source.lower().endswith(".csv"):
        named = _read_csv(Path(source).expanduser())
        found = [named.get(path, named.get(os.path.basename(path))) for path in inside]
        what = f"{source} has no line for"
    else:
        try:
            pattern = re.compile(source)
        except re.error as error:
            raise ValueError(f"groups={source!r} is no regular expression: {error}.") from None
        if pattern.groups != 1:
            raise ValueError(
                f"groups={source!r} needs one group in parentheses, which is the patient or "
                "slide, such as '(P[0-9]+)_'; or the name of a .csv file."
            )
        matches = [pattern.search(path) for path in inside]
        found = [match and match.group(1) for match in matches]
        what = f"groups={source!r} finds nothing in"
    missing = [path for path, group in zip(inside, found, strict=True) if not group]
    if missing:
        raise ValueError(f"{what} {len(missing)} of {len(files)} images: {some(missing)}.")
    return np.array(found, dtype=np.str_)


def _read_csv(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"file", "group"} <= set(reader.fieldnames or ()):
            raise ValueError(
                f"{path} needs the columns 'file' and 'group', separated by commas; it has "
                f"{reader.fieldnames}."
            )
        named: dict[str, str] = {}
        for line in reader:
            name, group = os.path.normpath(line["file"]), line["group"]
            if named.setdefault(name, group) != group:
                raise ValueError(f"{path} has two groups for {name!r}: {named[name]!r}, {group!r}.")
        return named
