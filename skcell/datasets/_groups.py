"""Patients or slides of image files."""

import os
import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skcell._images import some
from skcell._text import normal_form
from skcell.datasets._table import ENDINGS, as_written, match_files, read_lines


def read_groups(source: str, files: Sequence[str], root: str) -> NDArray[np.str_]:
    """Find the group of each image file, such as its patient or slide.

    Parameters
    ----------
    source : str
        A table (CSV, TSV or Parquet) with the columns ``file`` and ``group`` (or ``patient``,
        ``slide``), in which files are given by name, or by their path from `root`, with or without
        ending. Blanks around names and groups do not count. Or a regular expression
        with one group in parentheses, which is searched for in the path of each file, such as
        ``"(P[0-9]+)_"``.
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
        If a file has no group, or the CSV file or the expression cannot be used; or if a name in
        it stands for several images.

    Warns
    -----
    UserWarning
        If groups differ by capital letters alone.

    Examples
    --------
    >>> from skcell.datasets import read_groups
    >>> files = ["cells/blast/P1_1.png", "cells/blast/P2_1.png"]
    >>> read_groups("(P[0-9]+)_", files, "cells").tolist()
    ['P1', 'P2']
    """
    inside = [os.path.relpath(file, root) for file in files]
    if source.lower().endswith(ENDINGS):
        named = _read_table(source)
        keys, unclear = match_files(files, root, named)
        if unclear:
            raise ValueError(
                f"{source} names {some(sorted(unclear))}, which is in several folders. Give the "
                "paths of these images from the folder of images."
            )
        found = [named.get(key) for key in keys]
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
        found = [match and (match.group(1) or "").strip() for match in matches]
        what = f"groups={source!r} finds nothing in"
    missing = [path for path, group in zip(inside, found, strict=True) if not group]
    if missing:
        raise ValueError(f"{what} {len(missing)} of {len(files)} images: {some(missing)}.")
    groups = np.array([normal_form(group) for group in found], dtype=np.str_)
    names = np.unique(groups)
    folded: dict[str, list[str]] = {}
    for name in names.tolist():
        folded.setdefault(name.casefold(), []).append(name)
    twins = [" and ".join(map(repr, same)) for same in folded.values() if len(same) > 1]
    if twins:
        warnings.warn(
            f"Some groups differ by capital letters alone and are taken for different ones: "
            f"{some(twins)}. Give them one name if they are the same patient.",
            UserWarning,
            stacklevel=2,
        )
    return groups


def _read_table(source: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for line in read_lines(source, ["group"]):
        name, group = line.image, line.group
        if not name or not group:
            raise ValueError(
                f"{line.place}: {'group' if name else 'file'} is blank. Each line needs an image "
                "and its patient or slide."
            )
        key = as_written(name)
        if named.setdefault(key, group) != group:
            raise ValueError(f"{source} has two groups for {name!r}: {named[key]!r}, {group!r}.")
    return named
