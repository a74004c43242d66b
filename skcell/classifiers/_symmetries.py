"""Symmetries of the square, for predictions that do not depend on an image's orientation."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: Maps images `(n, H, W, C)` to images of the same shape.
Symmetry = Callable[[NDArray], NDArray]


def find_symmetries(tta: str, shape: tuple[int, ...]) -> list[Symmetry]:
    """Return the symmetries that test-time augmentation averages over, the identity first.

    Parameters
    ----------
    tta : {"none", "flips", "d4"}
        The identity alone; the four mirror images; or these and their quarter turns.
    shape : tuple of int
        Height, width and channels of the images.

    Returns
    -------
    list of callable
        Functions from images `(n, H, W, C)` to images.

    Raises
    ------
    ValueError
        If quarter turns would change the shape of the images.
    """
    if tta == "none":
        return [lambda images: images]
    flips: list[Symmetry] = [
        lambda images: images,
        lambda images: images[:, ::-1],
        lambda images: images[:, :, ::-1],
        lambda images: images[:, ::-1, ::-1],
    ]
    if tta == "flips":
        return flips
    if shape[0] != shape[1]:
        raise ValueError(
            f"tta='d4' turns images by 90 degrees, which must be square; these have "
            f"{shape[0]} x {shape[1]} pixels. Set tta='flips'."
        )
    return flips + [lambda images, flip=flip: np.swapaxes(flip(images), 1, 2) for flip in flips]
