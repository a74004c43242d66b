"""Digests of data and settings, the same in every process."""

import os
from typing import Any

import joblib
import numpy as np


def digest(*things: Any) -> str:
    """Digest arrays and parameters by their values.

    Parameters
    ----------
    *things : object
        Arrays, sparse matrices, data frames; or whatever can be pickled.

    Returns
    -------
    str
        The digest.

    Raises
    ------
    Exception
        If something cannot be pickled.
    """
    return joblib.hash([_by_value(thing) for thing in things])


def digest_files(paths: Any) -> str:
    """Digest files by name, size and time of change, without reading them.

    Parameters
    ----------
    paths : sequence of path-like
        The files.

    Returns
    -------
    str
        The digest.
    """
    files = [(os.fspath(path), os.stat(path)) for path in paths]
    return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def _by_value(thing: Any) -> Any:
    if isinstance(thing, np.ndarray):  # layout in memory and identity of objects do not count
        return np.ascontiguousarray(thing.astype(str) if thing.dtype.hasobject else thing)
    return thing
