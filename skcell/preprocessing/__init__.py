"""Transformers of images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"_image_features": ["ImageFeatures"]},
    internal={"_extractor": ["Extractor"]},
)
