"""Over- and under-sampling of images, with the API of imbalanced-learn."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_base": ["BaseImageSampler"],
        "_sampler": ["ImageSampler"],
        "_smote": ["ImageSMOTE"],
    },
)
