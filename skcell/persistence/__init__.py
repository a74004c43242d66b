"""Keep fitted models in files that run no code when they are loaded, and export them."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_export": ["export"],
        "_model_file": ["ModelInfo", "load", "read_info", "save"],
    },
    internal={"_model_file": ["describe_model"]},
)
