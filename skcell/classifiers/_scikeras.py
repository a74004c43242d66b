"""The base class from scikeras, and what skcell replaces in it; no other module uses scikeras.

scikeras is unmaintained. If it breaks, replace `BaseWrapper` by `BaseEstimator`: only the name
and the notion of epochs of `BaseWrapper` are used.
"""

from typing import Any, Self

from scikeras.wrappers import BaseWrapper
from sklearn.base import BaseEstimator

# scikit-learn refuses estimators if any base class has this obsolete method. It is dead code in
# scikeras: it calls a method that scikit-learn no longer has.
if hasattr(BaseWrapper, "_more_tags"):
    del BaseWrapper._more_tags


class _Absent:
    """Hides an attribute of scikeras' base class that skcell does not use."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}")


class ScikerasWrapper(BaseWrapper):
    """The base class of scikeras' estimators, changed to behave like scikit-learn's own."""

    # scikeras lists every public attribute as a parameter and defines its own repr.
    _get_param_names = BaseEstimator.__dict__["_get_param_names"]
    __repr__ = BaseEstimator.__repr__

    initialize = current_epoch = feature_encoder = target_encoder = scorer = _Absent()

    def __copy__(self) -> Self:
        """Make a shallow copy, as `copy.copy` does: attributes, even callbacks, are shared."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def initialized_(self) -> bool:
        """Whether the estimator has a trained network."""
        return self.__sklearn_is_fitted__()
