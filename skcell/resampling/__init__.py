"""Over- and under-sampling of images, with the API of imbalanced-learn."""

from skcell import _lazy

__getattr__, __dir__, _ = _lazy.attach(
    __name__,
    submod_attrs={
        "_base": ["BaseImageSampler"],
        "_sampler": ["ImageSampler"],
        "_smote": ["ImageSMOTE"],
    },
)
# `BaseImageSampler` is for other packages of skcell.
__all__ = ["ImageSMOTE", "ImageSampler"]
