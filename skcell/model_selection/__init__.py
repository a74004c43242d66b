"""Hyperparameter searches that are pruned, stored and shared by many machines; what to label."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_search": ["OptunaPruningSearchCV"],
        "_default_space": ["default_space"],
        "_labelling": ["choose_to_label"],
    },
)
