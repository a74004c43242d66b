"""Load, download or generate data sets of cell images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_cells": ["make_cells"],
        "_fetch": ["fetch_bloodmnist"],
        "_folder": ["load_image_folder"],
        "_groups": ["read_groups"],
        "_npz": ["load_npz"],
        "_scan": ["list_images"],
    },
    internal={"_folder": ["ImageFolder", "Labels"], "_scan": ["SPLITS"]},
)
