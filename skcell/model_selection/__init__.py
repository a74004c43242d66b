"""Hyperparameter searches, which are pruned, stored and shared by many machines."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_search": ["OptunaPruningSearchCV"],
        "_default_space": ["default_space"],
    },
)
