"""Cell-image classification with the scikit-learn API."""

import os as _os
import platform as _platform
import sys as _sys

import wrapt as _wrapt
from archspec.cpu.detect import detected_info as _detected

from skcell import _lazy
from skcell._version import __version__ as __version__

# Without a GPU, TensorFlow's native code logs missing drivers, some of them as errors.
if not any(_os.path.exists(path) for path in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")):
    _os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow uses oneDNN, which is faster, by default only on newer x86 processors. If it was
# imported before skcell, it has decided; worker processes then decide alike, to the last bit.
if _platform.machine().lower() in ("x86_64", "amd64"):
    _newer = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile"}
    _is_used = "tensorflow" not in _sys.modules or not _newer.isdisjoint(_detected().features)
    _os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", str(int(_is_used)))


__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=[
        "app",
        "calibration",
        "classifiers",
        "cleaning",
        "datasets",
        "exceptions",
        "inspection",
        "metrics",
        "model_selection",
        "networks",
        "persistence",
        "resampling",
        "pipeline",
        "preprocessing",
        "study",
        "workflows",
    ],
    submod_attrs={
        "calibration": ["CalibratedClassifier"],
        "classifiers": [
            "AdaptiveClassifier",
            "CellCNNClassifier",
            "SEInceptionResNetClassifier",
            "TransferClassifier",
        ],
        "persistence": ["export", "load", "save"],
        "pipeline": ["Pipeline", "make_pipeline"],
        "preprocessing": ["ImageFeatures"],
        "resampling": ["ImageAugmenter", "ImageSMOTE", "ImageSampler"],
    },
)


def _register_layers(_):
    """Register skcell's layers and optimizers with Keras, so that it can load files with them."""
    import skcell._optimizers
    import skcell.networks._random_transform  # noqa: F401 # both register their classes


_wrapt.register_post_import_hook(_register_layers, "keras")
