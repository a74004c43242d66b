"""Objects of scikit-learn and imbalanced-learn, stored by skops, which runs no code either."""

import importlib
import zipfile
from typing import Any

from sklearn.base import BaseEstimator

from skcell.exceptions import ModelFileError
from skcell.persistence._container import is_stored_zip

_PACKAGES = ("sklearn", "imblearn")


def is_of_sklearn(cls: type) -> bool:
    """Return whether a class is an estimator of scikit-learn or imbalanced-learn."""
    return cls.__module__.split(".")[0] in _PACKAGES and issubclass(cls, BaseEstimator)


def find_class(module: str, name: str) -> type[BaseEstimator]:
    """Return an estimator class of scikit-learn or imbalanced-learn by its name."""
    first, *rest = module.split(".")
    if first in _PACKAGES and all(part.isidentifier() and part != "tests" for part in rest):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            found = None
        if isinstance(found, type) and is_of_sklearn(found):
            return found
    raise ModelFileError(
        f"it holds a {module}.{name}, which is no estimator of the scikit-learn and "
        "imbalanced-learn that are installed."
    )


def dump_part(value: Any, where: str) -> bytes:
    """Write an object as skops does, if it consists of known types alone."""
    import skops.io

    refused = f"{where} is a {type(value).__module__}.{type(value).__qualname__}, "
    remedy = (
        "which a model file cannot hold. A file can hold estimators of skcell, scikit-learn and "
        "imbalanced-learn, numbers, text and arrays. With a network, loss, schedule or function of "
        "your own, keep the model with joblib.dump, which needs your code when it is loaded; or "
        "use skcell.export, whose files need none."
    )
    try:
        content = skops.io.dumps(value, compression=zipfile.ZIP_STORED)
        check_types(content)
    except Exception as error:  # skops raises many kinds
        raise ModelFileError(refused + remedy) from error
    return bytes(content)


def check_types(content: bytes) -> list[str]:
    """Return the types in a skops file that it does not trust itself, if they are estimators."""
    import skops.io

    types = list(skops.io.get_untrusted_types(data=content))
    for name in types:
        module, _, cls = name.rpartition(".")
        find_class(module, cls)
    return types


def load_part(content: bytes) -> Any:
    """Read an object that `dump_part` wrote."""
    import skops.io

    if not is_stored_zip(content):
        raise ModelFileError("a part of it is compressed.")
    return skops.io.loads(content, trusted=check_types(content))
