"""Weights in a file of torch, read without torch and without running what the file says."""

import hashlib
import os
import pickle
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

#: First object of a file that torch wrote before its version 1.6.
_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles containers, numbers and descriptions of tensors, and refuses all else."""

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, tuple[Any, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda key, offset, shape, stride, *_: (key, offset, shape, stride)
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(
            f"the file asks for {module}.{name}, but only tensors are allowed"
        )

    def persistent_load(self, pid: Any) -> str:
        _, dtype, key, _, size, *_ = pid
        self.storages[key] = dtype, size
        return str(key)


def read_torch_file(path: str | os.PathLike[str], sha256: str) -> dict[str, NDArray[Any]]:
    """Read the tensors in a file that torch wrote before its version 1.6."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise ValueError(f"{os.fspath(path)!r} has the SHA-256 digest {found}, not {sha256}.")
        file.seek(0)
        magic, _, _ = (_TensorUnpickler(file).load() for _ in range(3))
        if magic != _MAGIC:
            raise ValueError(f"{os.fspath(path)!r} is not a file of torch before 1.6.")
        reader = _TensorUnpickler(file)
        described = reader.load()
        arrays = {}
        for key in _TensorUnpickler(file).load():
            dtype, size = reader.storages[key]
            file.read(8)  # the size again
            arrays[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    return {
        name: np.lib.stride_tricks.as_strided(
            arrays[key][offset:], shape, [step * arrays[key].itemsize for step in strides]
        ).copy()
        for name, (key, offset, shape, strides) in described.items()
    }
