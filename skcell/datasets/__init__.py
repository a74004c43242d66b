"""Load, download or generate data sets of cell images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_cells": ["make_cells"],
        "_fetch": ["fetch_bloodmnist"],
        "_fields": ["CellObject", "crop_cells", "find_objects", "read_boxes"],
        "_folder": ["load_image_folder"],
        "_groups": ["read_groups"],
        "_label_table": ["LabelTable"],
        "_npz": ["load_npz"],
        "_nuclei": ["find_nuclei"],
        "_scan": ["list_images"],
    },
    internal={
        "_fields": ["YOLO_CLASSES", "choose_crop_size", "read_mask", "read_yolo"],
        "_folder": ["ImageFolder", "Labels"],
        "_scan": ["SPLITS"],
        "_table": ["match_files"],
    },
)
