"""Compute digests of data, settings and code, such that equal digests mean equal results.

Whatever is kept (compiled models, features, the results of a study, the trials of a search) is
found again by a digest of everything that it depends on. For a function of the user, this is its
code and everything that its code refers to: globals, enclosed variables, defaults, attributes, and
helpers in other modules of the user. Functions of installed packages are identified by their name;
the versions of the packages are part of the keys.
"""

import dis
import enum
import functools
import hashlib
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_OF_MODULE = {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"}
_OF_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"}
_EMPTY = types.CellType()
_SIMPLE = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, enum.Enum)


def digest(*things: Any) -> str:
    """Compute the digest of arrays, parameters and code by their values.

    Functions are identified by their code and everything that it refers to, estimators by their
    parameters, Keras models by the types of their layers and their weights, and other objects by
    their class and attributes.
    """
    return _Describer().describe(things)


def digest_files(paths: Any) -> str:
    """Compute one digest of the content of files; their names and folders do not matter."""
    return hashlib.sha256(b"".join(digest_each_file(paths))).hexdigest()


def digest_each_file(paths: Any) -> list[bytes]:
    """Compute a digest of the content of each file."""

    def read(path: Any) -> bytes:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(read, paths))


def digest_images(images: NDArray[Any], indices: NDArray[np.intp] | None = None) -> list[bytes]:
    """Compute a digest of the content of each image: pixels, shape and dtype."""
    begun = hashlib.sha256(repr((images.shape[1:], images.dtype.str)).encode())

    def digest_part(part: NDArray[np.intp]) -> list[bytes]:
        digests = []
        for index in part:
            one = begun.copy()
            one.update(np.ascontiguousarray(images[index]).data)
            digests.append(one.digest()[:16])
        return digests

    indices = np.arange(len(images)) if indices is None else indices
    parts = np.array_split(indices, os.cpu_count() or 1)  # hashing releases the GIL
    with ThreadPoolExecutor(len(parts)) as pool:
        return [one for part in pool.map(digest_part, parts) for one in part]


def short_digests(images: NDArray[Any]) -> NDArray[np.uint64]:
    """Compute a number for each image by which it is found again among millions."""
    joined = b"".join(one[:8] for one in digest_images(images))
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def is_installed(module: str) -> bool:
    """Return whether a module is installed, so that its version identifies its code."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("skcell", "builtins"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # a notebook, or a compiled module without a file
        return module != "__main__" and top in sys.builtin_module_names
    return "site-packages" in file or "dist-packages" in file or file.startswith(_LIBRARIES)


def name_of(thing: Any) -> str:
    """Return the module and the qualified name of a class or function."""
    return f"{thing.__module__}.{thing.__qualname__}"


class _Describer:
    """Describe simple values by themselves, and all other objects by digests.

    It does not matter whether two equal objects are the same object, because this differs between
    processes.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, Any]] = {}  # keeps the object, so that no id is reused
        self._open: list[int] = []

    def describe(self, thing: Any) -> Any:
        """Describe an object by its value."""
        if isinstance(thing, _SIMPLE) and not isinstance(thing, enum.Enum):
            return thing
        if id(thing) in self._known:
            return self._known[id(thing)][0]
        if id(thing) in self._open:  # it contains itself
            return ["within", self._open[::-1].index(id(thing))]
        self._open.append(id(thing))
        try:
            described = joblib.hash([type(thing).__name__, *self._parts(thing)])
        finally:
            self._open.pop()
        self._known[id(thing)] = described, thing
        return described

    def _parts(self, thing: Any) -> Iterator[Any]:
        if isinstance(thing, np.ndarray):  # memory layout and object identity do not matter
            yield np.ascontiguousarray(thing.astype(str) if thing.dtype.hasobject else thing)
        elif isinstance(thing, types.ModuleType):
            yield thing.__name__
        elif isinstance(thing, types.FunctionType):
            yield from self._function(thing)
        elif isinstance(thing, types.CodeType):
            yield thing.co_code
            yield thing.co_names
            yield from map(self.describe, thing.co_consts)
        elif isinstance(thing, types.MethodType):
            yield self.describe(thing.__func__)
            yield self.describe(thing.__self__)
        elif isinstance(thing, functools.partial):
            yield from map(self.describe, (thing.func, thing.args, thing.keywords))
        elif isinstance(thing, Mapping):
            for key, value in sorted(thing.items(), key=lambda item: str(item[0])):
                yield from (str(key), self.describe(value))
        elif isinstance(thing, (list, tuple)):
            yield from map(self.describe, thing)
        elif isinstance(thing, (set, frozenset)):
            yield sorted(joblib.hash(self.describe(item)) for item in thing)
        elif isinstance(thing, type):
            yield from self._class(thing)
        else:
            yield from self._object(thing)

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        if is_installed(function.__module__ or "__main__"):
            yield name_of(function)
            if function.__closure__ is None:
                return
        yield self.describe(function.__code__)
        yield from map(self.describe, (function.__defaults__, function.__kwdefaults__))
        cells = function.__closure__ or ()
        enclosed = {
            name: cell.cell_contents
            for name, cell in zip(function.__code__.co_freevars, cells, strict=True)
            if cell != _EMPTY
        }
        yield self.describe(enclosed)
        if not is_installed(function.__module__ or "__main__"):
            known = {**function.__globals__, **enclosed}
            yield self.describe(dict(_reached(function.__code__, known)))
        yield self.describe({k: v for k, v in vars(function).items() if k != "__wrapped__"})
        if hasattr(function, "__wrapped__"):
            yield self.describe(function.__wrapped__)

    def _class(self, cls: type) -> Iterator[Any]:
        yield name_of(cls)
        if is_installed(cls.__module__):
            return
        for base in cls.__bases__:
            yield self.describe(base)
        for name, value in sorted(vars(cls).items()):
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            if isinstance(value, property):
                value = (value.fget, value.fset)
            described = isinstance(value, (*_SIMPLE, types.FunctionType, tuple, list, dict))
            if described and name not in ("__module__", "__doc__", "__firstlineno__"):
                yield from (name, self.describe(value))

    def _object(self, thing: Any) -> Iterator[Any]:
        cls = type(thing)
        if isinstance(thing, BaseEstimator):
            yield self.describe(cls)
            known = getattr(thing, "_digested_params", None)
            yield self.describe(known() if known else thing.get_params(deep=False))
        elif hasattr(thing, "get_weights") and hasattr(thing, "layers"):
            # Keras numbers the names of layers, so names do not identify them.
            yield [name_of(type(layer)) for layer in thing.layers]
            yield thing.get_weights()
        elif hasattr(thing, "_score_func"):  # a scorer
            yield self.describe(cls)
            yield self.describe(vars(thing))
        elif hasattr(thing, "get_config"):  # a Keras object
            yield self.describe(cls)
            yield self.describe(thing.get_config())
            plain = {k: v for k, v in vars(thing).items() if isinstance(v, (*_SIMPLE, Mapping))}
            yield self.describe({k: v for k, v in plain.items() if not k.startswith("_")})
        elif is_installed(cls.__module__):
            yield thing  # joblib pickles it
        else:
            yield self.describe(cls)
            slots = [s for base in cls.__mro__ for s in getattr(base, "__slots__", ())]
            values = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
            yield self.describe({**values, **getattr(thing, "__dict__", {})})
            if isinstance(thing, enum.Enum):
                yield thing.name


def _reached(code: types.CodeType, known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Find the objects that code refers to by name: globals, and attributes of a user's modules."""
    attributes: set[str] = set()
    modules: dict[str, types.ModuleType] = {}
    for part in _with_inner(code):
        for instruction in dis.get_instructions(part):
            name = str(instruction.argval)
            if instruction.opname in _OF_MODULE:
                attributes.add(name)
            elif instruction.opname in _OF_GLOBALS:
                value = known.get(name, sys.modules.get(name))
                if isinstance(value, types.ModuleType):
                    modules[name] = value
                elif name in known:
                    yield name, value
    for name, module in modules.items():
        if is_installed(module.__name__):
            yield name, module.__name__
        else:
            own = vars(module)
            yield name, {attribute: own[attribute] for attribute in attributes if attribute in own}


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _with_inner(constant)


def has_own_code(thing: Any) -> bool:
    """Return whether a function, class or object may depend on a user's own code."""
    if isinstance(thing, types.FunctionType):
        return thing.__closure__ is not None or not is_installed(thing.__module__ or "__main__")
    if isinstance(thing, type) or inspect.isbuiltin(thing):
        return not is_installed(thing.__module__ or "builtins")
    return True


def file_digest(path: str | os.PathLike[str]) -> str | None:
    """Compute a digest of the content of one file, or return None if it does not exist."""
    return digest_files([path]) if Path(path).is_file() else None


def weights_by_content(estimator: Any) -> dict[str, Any]:
    """Return the parameters that results depend on; a weight file is replaced by its digest."""
    params = estimator.get_params(deep=False)
    weights = params["weights"]
    content = None if weights is None else file_digest(os.path.expanduser(weights))
    return {**params, "weights": content or weights, "cache": None}
