"""Values of a model as JSON, with arrays and scikit-learn's objects stored beside it.

The types that a file can hold are listed here; everything else is refused, when a model is saved
and when it is loaded.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skcell._images import ImageSpec
from skcell.exceptions import ModelFileError
from skcell.persistence._parts import dump_part, load_part

#: Dtypes that safetensors stores.
_STORED = frozenset("?bBhHiIlLqQefd")

_MAX_STRINGS = 64 << 20  # bytes of one array

_KIND = "kind"  # key of the name of a type, in JSON


@dataclass
class Store:
    """What is stored beside the JSON."""

    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n_tensors = len(self.tensors)

    def put(self, array: NDArray[Any]) -> str:
        """Store an array and return its name."""
        name = f"array-{len(self.tensors)}"
        self.tensors[name] = np.array(array, order="C")
        return name

    def take(self, name: str) -> NDArray[Any]:
        """Return an array; each is used once, so that a model needs no more memory than it."""
        return self.tensors.pop(name).copy()  # safetensors' arrays are read-only


@dataclass(frozen=True)
class Codec:
    """How objects of one type are written and read."""

    matches: Callable[[Any], bool]
    encode: Callable[[Any, Store, str], dict[str, Any]]
    decode: Callable[[dict[str, Any], Store], Any]
    stored_once: bool = False


def encode(value: Any, store: Store, where: str) -> Any:
    """Return `value` as JSON."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is list:
        return [encode(item, store, f"{where}[{i}]") for i, item in enumerate(value)]
    for kind, codec in CODECS.items():
        if not codec.matches(value):
            continue
        if not codec.stored_once:
            return {_KIND: kind, **codec.encode(value, store, where)}
        for number, known in enumerate(store.objects):
            if known is value:
                return {_KIND: "again", "number": number}
        encoded = {_KIND: kind, **codec.encode(value, store, where)}
        store.objects.append(value)  # after those inside it, as when it is decoded
        return encoded
    store.parts.append(dump_part(value, where))
    return {_KIND: "part", "index": len(store.parts) - 1}


def decode(value: Any, store: Store) -> Any:
    """Return the value that `encode` described."""
    if isinstance(value, list):
        return [decode(item, store) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind == "part":
        content, store.parts[value["index"]] = store.parts[value["index"]], b""  # once
        return load_part(content)
    if kind == "again":
        return store.objects[value["number"]]
    if not isinstance(kind, str) or kind not in CODECS:
        raise ModelFileError(f"it holds a value of the unknown kind {kind!r}.")
    codec = CODECS[kind]
    decoded = codec.decode(value, store)
    if codec.stored_once:
        store.objects.append(decoded)
    return decoded


def _encode_strings(value: NDArray[Any], store: Store, where: str) -> dict[str, Any]:
    # Text may be stored wider than the longest that is left: NumPy keeps the width of a subset.
    items = value.ravel().tolist()
    dtype = value.dtype.str if value.dtype.kind == "O" else np.array(items, np.str_).dtype.str
    return {"dtype": dtype, "shape": list(value.shape), "items": items}


def _decode_strings(value: dict[str, Any], store: Store) -> NDArray[Any]:
    items = value["items"]
    if not all(isinstance(item, str) for item in items):
        raise ModelFileError("an array of strings holds something else.")
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "UO":
        raise ModelFileError(f"an array of strings has the dtype {value['dtype']!r}.")
    if len(items) * 4 * max(map(len, items), default=1) > _MAX_STRINGS:
        raise ModelFileError("an array of strings is too large.")
    return np.array(items, object if dtype.kind == "O" else np.str_).reshape(value["shape"])


def _all_strings(value: Any) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    return value.dtype.kind == "U" or (
        value.dtype == object and all(type(item) is str for item in value.ravel())
    )


def _decode_scalar(value: dict[str, Any], store: Store) -> Any:
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "biufU":
        raise ModelFileError(f"a number has the dtype {value['dtype']!r}.")
    return dtype.type(value["value"])


#: How each kind of value is stored; `_estimators` adds estimators and what they are made of.
CODECS: dict[str, Codec] = {
    "float": Codec(  # NaN and infinity, which JSON lacks
        lambda value: type(value) is float,
        lambda value, store, where: {"value": repr(value)},
        lambda value, store: float(value["value"]),
    ),
    "tuple": Codec(
        lambda value: type(value) is tuple,
        lambda value, store, where: {"items": encode(list(value), store, where)},
        lambda value, store: tuple(decode(value["items"], store)),
    ),
    "dict": Codec(
        lambda value: type(value) is dict,
        lambda value, store, where: {
            "items": [
                [encode(key, store, where), encode(item, store, f"{where}[{key!r}]")]
                for key, item in value.items()
            ]
        },
        lambda value, store: {
            decode(key, store): decode(item, store) for key, item in value["items"]
        },
    ),
    "bunch": Codec(
        lambda value: type(value) is Bunch,
        lambda value, store, where: {"items": encode(dict(value), store, where)},
        lambda value, store: Bunch(**decode(value["items"], store)),
    ),
    "bytes": Codec(
        lambda value: type(value) is bytes,
        lambda value, store, where: {"hex": value.hex()},
        lambda value, store: bytes.fromhex(value["hex"]),
    ),
    "path": Codec(
        lambda value: isinstance(value, os.PathLike),
        lambda value, store, where: {"path": os.fspath(value)},
        lambda value, store: str(value["path"]),
    ),
    "scalar": Codec(
        lambda value: isinstance(value, np.generic) and value.dtype.kind in "biufU",
        lambda value, store, where: (
            {"dtype": value.dtype.str, "value": value.item()}
            if value.dtype.kind == "U" or np.isfinite(value)
            else {"dtype": value.dtype.str, "value": repr(float(value))}
        ),
        _decode_scalar,
    ),
    "array": Codec(
        lambda value: isinstance(value, np.ndarray) and value.dtype.char in _STORED,
        lambda value, store, where: {"name": store.put(value)},
        lambda value, store: store.take(value["name"]),
    ),
    "strings": Codec(_all_strings, _encode_strings, _decode_strings),
    "images": Codec(
        lambda value: isinstance(value, ImageSpec),
        lambda value, store, where: {
            name: encode(getattr(value, name), store, where)
            for name in ("shape", "dtype", "layout", "range")
        },
        lambda value, store: _decode_spec(value, store),
    ),
}


def _decode_spec(value: dict[str, Any], store: Store) -> ImageSpec:
    shape = decode(value["shape"], store)
    sane = len(shape) == 3 and all(type(n) is int and 0 < n <= 1 << 16 for n in shape)
    if not sane or value["dtype"] not in ("uint8", "uint16", "float32"):
        raise ModelFileError(f"images of shape {shape} and dtype {value['dtype']!r} are none.")
    if value["layout"] not in ("images", "rows", "paths"):
        raise ModelFileError(f"Invalid layout of images {value['layout']!r}.")
    return ImageSpec(shape, value["dtype"], value["layout"], decode(value["range"], store))
