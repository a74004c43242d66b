"""Suggest the right name for a misspelt parameter."""

import difflib
import inspect
from collections.abc import Iterable
from typing import Any, Self

from sklearn.base import BaseEstimator


class ParameterHintsMixin:
    """Mixin for estimators: the error for an unknown parameter suggests the nearest name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Documentation and help would show the arguments of `__new__`.
        own = inspect.signature(cls.__init__)
        cls.__signature__ = own.replace(  # type: ignore[attr-defined] # `inspect` reads it
            parameters=list(own.parameters.values())[1:], return_annotation=own.empty
        )

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        known = cls._get_param_names()  # type: ignore[attr-defined] # of BaseEstimator
        for name in kwargs:
            if name not in known:
                raise TypeError(_unknown(name, cls.__name__, known))
        return super().__new__(cls)

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator and of nested estimators.

        Parameters
        ----------
        **params : dict
            Values by name; ``step__name`` sets a parameter of a nested estimator.

        Returns
        -------
        self : object
            This estimator.
        """
        known = self.get_params(deep=False)  # type: ignore[attr-defined] # of BaseEstimator
        for name in params:
            if name.split("__")[0] not in known:
                raise ValueError(_unknown(name, type(self).__name__, known))
            if "__" in name and not hasattr(
                params.get(name.split("__")[0], known[name.split("__")[0]]), "set_params"
            ):
                raise ValueError(
                    f"{name!r} cannot be set: {name.split('__')[0]} of {type(self).__name__} is "
                    "not an estimator with parameters. Set it to an estimator first, or use the "
                    f"parameters of {type(self).__name__}: {sorted(known)}."
                )
        # Bypass scikeras, which accepts names such as optimizer__x and ignores them.
        BaseEstimator.set_params(self, **params)
        return self


def hint(name: str, known: Iterable[str]) -> str:
    """Return a question with the known name nearest to a misspelt one; nothing if none is near."""
    by_key = {item.lower(): item for item in known}
    close = difflib.get_close_matches(name.lower(), by_key, n=1)
    return f" Did you mean {by_key[close[0]]!r}?" if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name nearest to a misspelt one; if none is near, list all names."""
    names = list(known)
    return hint(name, names) or f" Known names are: {', '.join(names)}."


def _unknown(name: str, owner: str, known: Iterable[str]) -> str:
    known = sorted(known)
    nearest = hint(name.split("__")[0], known)
    return f"Invalid parameter {name!r} for {owner}.{nearest} Valid parameters are: {known}."
