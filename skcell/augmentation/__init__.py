"""Random augmentation of images, during training or as additional samples."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"_augmenter": ["ImageAugmenter"]},
    internal={"_augmenter": ["PRESETS"]},
)
