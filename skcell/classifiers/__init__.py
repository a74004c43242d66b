"""Classifiers of cell images."""

import lazy_loader as _lazy

__getattr__, __dir__, _names = _lazy.attach(
    __name__,
    submod_attrs={
        "_adaptive": ["AdaptiveClassifier"],
        "_base": ["BaseCellClassifier"],
        "_callbacks": ["Checkpoint", "ClassifierCallback"],
        "_cnn": ["CellCNNClassifier"],
        "_se_inception_resnet": ["SEInceptionResNetClassifier"],
        "_transfer": ["TransferClassifier", "TransferState"],
    },
)
__all__ = [name for name in _names if name != "TransferState"]  # it is not public
