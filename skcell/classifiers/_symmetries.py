"""Symmetries of the square, for predictions that do not depend on an image's orientation."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from skcell.classifiers._cell_size import zoom_images

#: Maps images `(n, H, W, C)`, as an array or a tensor of Keras, to images of the same shape.
Symmetry = Callable[[Any], Any]


def find_symmetries(tta: str, shape: tuple[int, ...]) -> list[Symmetry]:
    """Return the symmetries that test-time augmentation averages over, the identity first."""
    if tta == "none":
        return [lambda images: images]
    flips: list[Symmetry] = [
        lambda images: images,
        lambda images: _library(images).flip(images, 1),
        lambda images: _library(images).flip(images, 2),
        # One axis at a time: Keras 3.12 cannot flip two of a symbolic tensor.
        lambda images: _library(images).flip(_library(images).flip(images, 1), 2),
    ]
    if tta == "flips":
        return flips
    if shape[0] != shape[1]:
        raise ValueError(
            f"tta='d4' turns images by 90 degrees, which must be square; these have "
            f"{shape[0]} x {shape[1]} pixels. Set tta='flips'."
        )
    return flips + [
        lambda images, flip=flip: _library(images).swapaxes(flip(images), 1, 2) for flip in flips
    ]


def _library(images: Any) -> Any:
    """Return the library of an array, or of a tensor of Keras."""
    return keras.ops if isinstance(images, keras.KerasTensor) else np


def average_symmetries(model: keras.Model, tta: str, zoom: float) -> keras.Model:
    """Return a model that averages the predictions of another over the symmetries of images.

    Images are enlarged first.
    """
    symmetries = find_symmetries(tta, model.inputs[0].shape[1:])
    if len(symmetries) == 1 and zoom == 1.0:
        return model
    inputs = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype, name="image")
    images = zoom_images(inputs, zoom)
    found = [model(symmetry(images)) for symmetry in symmetries]
    outputs = keras.layers.Average(dtype="float32")(found) if len(found) > 1 else found[0]
    return keras.Model(inputs, outputs)
