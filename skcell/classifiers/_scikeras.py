"""scikeras, touched in this module alone, and what skcell replaces of it.

scikeras is unmaintained. Should it fail, put `BaseEstimator` in place of `BaseWrapper`, of which
only the name and the notion of epochs are used.
"""

from typing import Any, Self

from scikeras.wrappers import BaseWrapper
from sklearn.base import BaseEstimator

# scikit-learn refuses estimators with this method of its past anywhere among their bases. It is
# dead code in scikeras: it calls a method that scikit-learn no longer has.
if hasattr(BaseWrapper, "_more_tags"):
    del BaseWrapper._more_tags


class _Absent:
    """What scikeras' base brings and skcell has no use for: it is as if it were not there."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}")


class ScikerasWrapper(BaseWrapper):
    """The base of scikeras' estimators, made to behave as scikit-learn's own."""

    # scikeras lists every public attribute as a parameter, and has its own repr.
    _get_param_names = BaseEstimator.__dict__["_get_param_names"]
    __repr__ = BaseEstimator.__repr__

    initialize = current_epoch = feature_encoder = target_encoder = scorer = _Absent()

    def __copy__(self) -> Self:
        """Copy as `copy.copy` does of plain objects: what is inside is shared, callbacks too."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def initialized_(self) -> bool:
        """Whether there is a trained network."""
        return self.__sklearn_is_fitted__()
