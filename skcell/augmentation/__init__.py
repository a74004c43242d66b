"""Random changes of images, in training or as extra samples."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"_augmenter": ["ImageAugmenter"]}
)
