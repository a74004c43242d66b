"""Over- and under-sampling of images, with the API of imbalanced-learn."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"_sampler": ["ImageSampler"], "_smote": ["ImageSMOTE"]},
    internal={"_base": ["BaseImageSampler"]},
)
