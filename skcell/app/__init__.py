"""A page on this computer: look at predictions, correct them, and train again."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"_server": ["run_app"]},
    internal={"_server": ["make_app"], "_session": ["LabellingSession"]},
)
