"""Networks and layers for Keras 3, without training and without scikit-learn.

A network is a function that maps a tensor of images, and a few settings, to a tensor of features.
The engine adds the scaling of pixels before it and class probabilities after it, and compiles
the resulting model.
"""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_backbones": ["list_backbones"],
        "_blocks": [
            "centre",
            "convolution",
            "dense",
            "inception",
            "residual",
            "squeeze_excitation",
            "standardize_images",
        ],
        "_cnn": ["cnn"],
        "_random_transform": ["RandomTransform"],
        "_se_inception_resnet": ["se_inception_resnet"],
    },
    internal={
        "_backbone_graph": [
            "BackboneLike",
            "UserModel",
            "as_backbone",
            "check_pixel_range",
            "choose_layers",
            "fingerprint_model",
            "backbone_features",
            "find_backbone",
            "find_groups",
        ],
        "_backbones": ["BACKBONES", "Backbone"],
        "_batch_norm": ["fuse_batch_norm"],
        "_blocks": ["rescale_to_unit"],
        "_folding": ["fold_batch_norm", "skip_layers"],
        "_position": ["Draw"],
        "_transfer": ["copy_shared_weights", "transfer", "transfer_head"],
    },
)
