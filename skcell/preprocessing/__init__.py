"""Transformers of images."""

from skcell import _lazy

__getattr__, __dir__, _ = _lazy.attach(
    __name__,
    submod_attrs={"_extractor": ["Extractor"], "_image_features": ["ImageFeatures"]},
)
__all__ = ["ImageFeatures"]  # the extractor is not public
