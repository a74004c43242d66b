"""Symmetries of the square, for predictions that do not depend on an image's orientation."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

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


def average_symmetries(model: keras.Model, tta: str) -> keras.Model:
    """Return a model that averages the predictions of another over the symmetries."""
    symmetries = find_symmetries(tta, model.inputs[0].shape[1:])
    if len(symmetries) == 1:
        return model
    inputs = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype, name="image")
    found = [model(symmetry(inputs)) for symmetry in symmetries]
    return keras.Model(inputs, keras.layers.Average(dtype="float32")(found))
