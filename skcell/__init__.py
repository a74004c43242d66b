"""Cell-image classification as an ordinary scikit-learn affair."""

import os as _os

import lazy_loader as _lazy

# Without a GPU, TensorFlow's native code reports the missing drivers, some as errors.
if not any(_os.path.exists(path) for path in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")):
    _os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=[
        "augmentation",
        "classifiers",
        "datasets",
        "errors",
        "metrics",
        "model_selection",
        "networks",
        "over_sampling",
        "pipeline",
        "preprocessing",
        "study",
    ],
    submod_attrs={
        "augmentation": ["ImageAugmenter"],
        "classifiers": ["CellCNNClassifier", "SEInceptionResNetClassifier", "TransferClassifier"],
        "over_sampling": ["ImageSMOTE", "ImageSampler"],
        "pipeline": ["Pipeline", "make_pipeline"],
        "preprocessing": ["ImageFeatures"],
    },
)
