"""Augmentation of images, and over- and under-sampling with the API of imbalanced-learn."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_augmenter": ["ImageAugmenter"],
        "_sampler": ["ImageSampler"],
        "_smote": ["ImageSMOTE"],
    },
    internal={"_augmenter": ["PRESETS"], "_base": ["BaseImageSampler"]},
)
