"""Digests of data and settings, the same in every process."""

import functools
import hashlib
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator


def digest(*things: Any) -> str:
    """Digest arrays and parameters by their values.

    Functions count by their code, estimators and scorers by their parameters, Keras models by their
    layers' types and their weights.

    Parameters
    ----------
    *things : object
        Arrays, sparse matrices, data frames, estimators, functions; containers of such; or whatever
        can be pickled.

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


def digest_files(paths: Any, *, content: bool = False) -> str:
    """Digest files by name, size and time of change, or by what is in them.

    Parameters
    ----------
    paths : sequence of path-like
        The files.
    content : bool, default=False
        Whether to read them; names do not count then, which may differ between machines.

    Returns
    -------
    str
        The digest.
    """
    if content:
        digests = [hashlib.sha256(Path(path).read_bytes()).digest() for path in paths]
        return hashlib.sha256(b"".join(digests)).hexdigest()
    files = [(os.fspath(path), os.stat(path)) for path in paths]
    return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def _by_value(thing: Any) -> Any:
    if isinstance(thing, np.ndarray):  # layout in memory and identity of objects do not count
        return np.ascontiguousarray(thing.astype(str) if thing.dtype.hasobject else thing)
    if isinstance(thing, types.FunctionType):
        inner = [cell.cell_contents for cell in thing.__closure__ or ()]
        known = {name: thing.__globals__.get(name) for name in thing.__code__.co_names}
        plain = {k: v for k, v in known.items() if isinstance(v, (bool, int, float, str, tuple))}
        return [_by_value(part) for part in (thing.__code__, thing.__defaults__, inner, plain)]
    if isinstance(thing, types.CodeType):  # constants hold the code of functions inside
        return [thing.co_code, thing.co_names, [_by_value(c) for c in thing.co_consts]]
    if isinstance(thing, functools.partial):
        return [_by_value(part) for part in (thing.func, thing.args, thing.keywords)]
    if isinstance(thing, Mapping):
        return {str(name): _by_value(value) for name, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_by_value(part) for part in thing]
    if isinstance(thing, BaseEstimator):
        return [_name(thing), _by_value(thing.get_params(deep=False))]
    if hasattr(thing, "get_weights") and hasattr(thing, "layers"):  # Keras names layers by count
        return [[_name(layer) for layer in thing.layers], thing.get_weights()]
    if hasattr(thing, "_score_func"):  # a scorer
        return [_name(thing), _by_value(vars(thing))]
    return thing


def _name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
