"""The table of pretrained backbones from `keras.applications`."""

import fnmatch
import os
import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
from keras import layers

from skcell.networks._efficientnet_lite import EfficientNetLite0, load_torch_weights

#: Scale of the pixels that a backbone takes; see `preprocess`.
Pixels = Literal["-1..1", "0..255", "imagenet", "bgr"]


@dataclass(frozen=True)
class Backbone:
    """A pretrained network without its classification layer."""

    name: str
    builder: str
    pixels: Pixels
    groups: str
    native_size: int
    licence: str
    paper: str
    smallest_size: int = 32
    arguments: dict[str, Any] = field(default_factory=dict)


def _mobilenets() -> list[Backbone]:
    rows = []
    for alpha in (1.0, 0.75, 0.5, 0.25):
        rows.append(
            Backbone(
                "mobilenet" if alpha == 1.0 else f"mobilenet_{alpha:g}",
                "MobileNet",
                "-1..1",
                r"conv_(?:dw|pw|pad)_(\d+)",
                224,
                "Apache-2.0",
                "Howard et al., MobileNets, arXiv:1704.04861, 2017",
                arguments={"alpha": alpha},
            )
        )
    for alpha in (1.0, 0.35, 0.5, 0.75, 1.3, 1.4):
        rows.append(
            Backbone(
                "mobilenet_v2" if alpha == 1.0 else f"mobilenet_v2_{alpha:g}",
                "MobileNetV2",
                "-1..1",
                r"^(block_\d+|expanded_conv|Conv_1)",
                224,
                "Apache-2.0",
                "Sandler et al., MobileNetV2, CVPR 2018",
                arguments={"alpha": alpha},
            )
        )
    for size in ("Small", "Large"):
        rows.append(
            Backbone(
                f"mobilenet_v3_{size.lower()}",
                f"MobileNetV3{size}",
                "0..255",
                r"^(expanded_conv(?:_\d+)?|conv_1)(?:_[a-z]|$)",
                224,
                "Apache-2.0",
                "Howard et al., Searching for MobileNetV3, ICCV 2019",
            )
        )
    return rows


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "inception_v3",
            "InceptionV3",
            "-1..1",
            r"^(mixed\d+)$",
            299,
            "Apache-2.0",
            "Szegedy et al., Rethinking the Inception Architecture, CVPR 2016",
            smallest_size=75,
        ),
        Backbone(
            "resnet50_v2",
            "ResNet50V2",
            "-1..1",
            r"^(conv\d_block\d+)_",
            224,
            "BSD-3-Clause",
            "He et al., Identity Mappings in Deep Residual Networks, ECCV 2016",
        ),
        Backbone(
            "densenet121",
            "DenseNet121",
            "imagenet",
            r"^(conv\d)_",
            224,
            "BSD-3-Clause",
            "Huang et al., Densely Connected Convolutional Networks, CVPR 2017",
        ),
        *_mobilenets(),
        *(
            Backbone(
                f"efficientnet_v2_b{i}",
                f"EfficientNetV2B{i}",
                "0..255",
                r"^(block\d|top)",
                size,
                "Apache-2.0",
                "Tan and Le, EfficientNetV2, ICML 2021",
            )
            for i, size in enumerate((224, 240, 260, 300))
        ),
        Backbone(
            "efficientnet_lite0",
            "EfficientNetLite0",
            "-1..1",
            r"^(block\d+|head)_",
            224,
            "Apache-2.0",
            "Tan and Le, EfficientNet, ICML 2019; its Lite version, without squeeze-and-excitation",
        ),
        Backbone(
            "convnext_tiny",
            "ConvNeXtTiny",
            "0..255",
            r"_(stage_\d|downsampling_block_\d)",
            224,
            "MIT",
            "Liu et al., A ConvNet for the 2020s, CVPR 2022",
        ),
        Backbone(
            "vgg16",
            "VGG16",
            "bgr",
            r"^(block\d)_",
            224,
            "CC-BY-4.0",
            "Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015",
        ),
        Backbone(
            "xception",
            "Xception",
            "-1..1",
            r"^(block\d+)_",
            299,
            "MIT",
            "Chollet, Xception, CVPR 2017",
            smallest_size=71,
        ),
    )
}


#: Functions that build the networks that `keras.applications` lacks.
_OWN = {"EfficientNetLite0": EfficientNetLite0}


def list_backbones(pattern: str = "*") -> list[str]:
    """List the names of the pretrained backbones.

    Parameters
    ----------
    pattern : str, default="*"
        Pattern that the names must match, where ``*`` stands for any text.

    Returns
    -------
    list of str
        The matching names.

    Examples
    --------
    >>> from skcell.networks import list_backbones
    >>> list_backbones("*v3*")
    ['inception_v3', 'mobilenet_v3_small', 'mobilenet_v3_large']
    """
    return [name for name in BACKBONES if fnmatch.fnmatch(name, pattern)]


def preprocess(x: Any, pixels: Pixels) -> Any:
    """Convert pixels in 0..1 to the scale that a backbone was trained on."""
    if pixels == "-1..1":
        return layers.Rescaling(2.0, -1.0)(x)
    if pixels == "0..255":
        return layers.Rescaling(255.0)(x)
    if pixels == "imagenet":
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return layers.Rescaling(
            [1 / s for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
        )(x)
    channels = [x[..., i : i + 1] for i in (2, 1, 0)]
    return layers.Rescaling(255.0, [-103.939, -116.779, -123.68])(layers.Concatenate()(channels))


def build_backbone(
    name: str, input_shape: tuple[int, int, int], weights: str | os.PathLike[str] | None
) -> keras.Model:
    """Build a backbone without its classification layer, and load its weights."""
    backbone = BACKBONES[name]
    if min(input_shape[:2]) < backbone.smallest_size:
        raise ValueError(
            f"{name} needs images of at least {backbone.smallest_size} pixels in height and "
            f"width, got {input_shape[:2]}; enlarge them, for example with "
            f"input_size={backbone.native_size}, its native size."
        )
    if weights not in (None, "imagenet") and not os.path.isfile(weights):
        raise FileNotFoundError(
            f"There is no weight file {os.fspath(weights)!r}; pass the path of a .weights.h5 "
            f"file that Keras saved from {backbone.builder}(include_top=False), or 'imagenet'."
        )
    build = _OWN.get(backbone.builder) or getattr(keras.applications, backbone.builder)
    common = {"include_top": False, "input_shape": input_shape, **backbone.arguments}
    if weights == "imagenet":
        try:
            return build(weights="imagenet", **common)
        except Exception as error:  # Keras raises plain exceptions for all failures
            raise OSError(_offline(backbone, error)) from error
    model = build(weights=None, **common)
    if weights is not None:
        try:
            load_weights(model, weights)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:300]
            raise ValueError(
                f"The weights in {os.fspath(weights)!r} do not fit {backbone.builder} with "
                f"{backbone.arguments or 'its defaults'} and include_top=False: {reason}"
            ) from error
    return model


def load_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Load weights from a file of Keras, or from torch's file of EfficientNet-Lite0."""
    if os.fspath(path).endswith(".pth"):
        load_torch_weights(model, path)
        return
    with warnings.catch_warnings():  # Keras warns of each layer that the file lacks
        warnings.simplefilter("ignore")
        model.load_weights(os.fspath(path))


def _offline(backbone: Backbone, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):  # its weights are in a package
        return f"The ImageNet weights of {backbone.name} are not installed: {error}"
    found = re.search(r"https?://\S+?(?=[:,]?(?:\s|$))", str(error))
    folder = "~/.keras/models"
    where = (
        f"Download {found.group()} on another machine and save it as "
        f"{found.group().rsplit('/', 1)[-1]!r} in {folder}"
        if found
        else f"Save Keras' weight file of {backbone.builder} in {folder}"
    )
    return (
        f"The ImageNet weights of {backbone.name} could not be loaded: {error}. {where}; or pass "
        "the path of a weight file as weights=, or weights=None to start from random weights."
    )


def layer_groups(model: keras.Model, pattern: str | None = None) -> list[list[keras.Layer]]:
    """Divide the layers of a backbone into groups, from input to output."""
    named: dict[str, list[keras.Layer]] = {}
    current = ""
    for layer in model.layers:
        if pattern is None:
            current = layer.name if layer.weights else current
        elif found := re.search(pattern, layer.name):
            current = found.group(1)
        named.setdefault(current, []).append(layer)
    # Merge each group without weights into the group before it; if such groups come first, merge
    # the next group into them.
    groups: list[list[keras.Layer]] = []
    for group in named.values():
        if groups and not any(layer.weights for layer in group):
            groups[-1] += group
        elif groups and not any(layer.weights for layer in groups[0]):
            groups[0] += group
        else:
            groups.append(group)
    return groups
