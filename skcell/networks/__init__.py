"""Networks and layers for Keras 3, without training and without scikit-learn.

A network is a function that maps a tensor of images, and a few settings, to a tensor of features.
`skcell.engine` adds the scaling of pixels before it and class probabilities after it, and compiles
the resulting model.
"""

from skcell import _lazy

_PUBLIC = {
    "_backbones": ["BACKBONES", "Backbone", "list_backbones"],
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
    "_transfer": ["transfer", "transfer_head"],
}

#: Used by other parts of skcell, but not part of the public interface.
_INTERNAL = {
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
    "_batch_norm": ["fuse_batch_norm"],
    "_blocks": ["rescale_to_unit"],
    "_folding": ["fold_batch_norm", "skip_layers"],
    "_transfer": ["copy_shared_weights"],
}

__getattr__, __dir__, _ = _lazy.attach(
    __name__,
    submod_attrs={
        module: _PUBLIC.get(module, []) + _INTERNAL.get(module, [])
        for module in {**_PUBLIC, **_INTERNAL}
    },
)
__all__ = sorted(name for names in _PUBLIC.values() for name in names)
