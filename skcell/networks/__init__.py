"""Networks and layers on Keras 3; nothing here knows scikit-learn.

A network is a function from a tensor of images to a tensor of features, and a few numbers.
`skcell.networks.FittedNetwork` puts pixels before it and class probabilities behind it, compiles
the whole once, and lends the compiled program to one fit after another.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_augment": ["RandomTransform"],
        "_backbones": ["BACKBONES", "Backbone", "list_backbones"],
        "_blocks": [
            "centre",
            "convolution",
            "dense",
            "inception",
            "residual",
            "squeeze_excitation",
        ],
        "_cnn": ["cnn"],
        "_optimizers": ["OPTIMIZERS"],
        "_program": ["Recipe", "build"],
        "_reuse": ["FittedNetwork", "clear_programs"],
        "_se_inception_resnet": ["se_inception_resnet"],
        "_training": ["train"],
        "_transfer": ["transfer", "transfer_head"],
    },
)
