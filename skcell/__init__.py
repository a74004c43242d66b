"""Cell-image classification as an ordinary scikit-learn affair."""

import lazy_loader as _lazy

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
