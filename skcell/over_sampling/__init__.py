"""Samplers that balance the classes of image data."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"_sampler": ["ImageSampler"], "_smote": ["ImageSMOTE"]},
)
