"""Cell-image classification as an ordinary scikit-learn affair."""

import os as _os

import lazy_loader as _lazy
import wrapt as _wrapt

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


def _register_layers(_):
    """Make skcell's layers and optimizers known to Keras, which then loads files that hold them."""
    from skcell.networks import _augment, _optimizers  # noqa: F401 # registers them


_wrapt.register_post_import_hook(_register_layers, "keras")
