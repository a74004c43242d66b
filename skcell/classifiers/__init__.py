"""Classifiers of cell images."""

from skcell import _lazy

__getattr__, __dir__, _names = _lazy.attach(
    __name__,
    submod_attrs={
        "_adaptive": ["AdaptiveClassifier"],
        "_base": ["BaseCellClassifier"],
        "_callbacks": ["Checkpoint", "ClassifierCallback"],
        "_cnn": ["CellCNNClassifier"],
        "_inside": ["classifier_of", "find_image_spec", "inner_estimators"],
        "_se_inception_resnet": ["SEInceptionResNetClassifier"],
        "_transfer": ["TransferClassifier", "TransferState"],
    },
)
# For other packages of skcell alone.
_INTERNAL = {"TransferState", "classifier_of", "find_image_spec", "inner_estimators"}
__all__ = [name for name in _names if name not in _INTERNAL]
