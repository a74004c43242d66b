"""Classifiers of cell images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_adaptive": ["AdaptiveClassifier"],
        "_base": ["BaseCellClassifier"],
        "_callbacks": ["Checkpoint", "ClassifierCallback", "clear_model_pool"],
        "_cnn": ["CellCNNClassifier"],
        "_se_inception_resnet": ["SEInceptionResNetClassifier"],
        "_transfer": ["TransferClassifier"],
    },
    internal={
        "_cell_size": ["CellSizes", "zoom_images"],
        "_inside": ["classifier_of", "find_image_spec", "inner_estimators"],
        "_transfer": ["TransferState"],
    },
)
