"""Simulated laboratories: cells of another size, stain, background, camera and file.

They are written apart from the augmentation, as _corruptions.py is, and differ in everything at
once. Each is drawn from a seed.
"""

from collections.abc import Callable

import numpy as np

from skcell.inspection._corruptions import Images, defocus, jpeg, scale, to_uint8

Laboratory = Callable[[Images], Images]

#: Factors of the size of cells.
SIZES = 0.68, 1.45

#: Optical densities of haematoxylin, eosin and diaminobenzidine in red, green and blue.
_DYES = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


def _stain(rng: np.random.Generator) -> Laboratory:
    """Other colours and amounts of three dyes."""
    dyes = _DYES / np.linalg.norm(_DYES, axis=1, keepdims=True)
    others = np.clip(dyes + rng.normal(0, 0.125, dyes.shape), 0.01, None)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    amounts = np.exp(rng.uniform(-0.5, 0.5, 3))
    mixture = np.linalg.inv(dyes) @ np.diag(amounts) @ others
    return lambda images: to_uint8(256 * 10 ** (np.log10((images + 1.0) / 256) @ mixture) - 1)


def _camera(rng: np.random.Generator) -> Laboratory:
    """Another exponent, white balance, S-shaped curve and saturation."""
    gamma, balance = np.exp(rng.uniform(-0.5, 0.5)), np.exp(rng.uniform(-0.15, 0.15, 3))
    bend, saturation = rng.uniform(0, 0.5), np.exp(rng.uniform(-0.6, 0.4))

    def take(images: Images) -> Images:
        x = np.clip(images / 255.0 * balance, 0, 1) ** gamma
        x = (1 - bend) * x + bend * x * x * (3 - 2 * x)
        grey = x.mean(axis=-1, keepdims=True)
        return to_uint8(255 * (grey + saturation * (x - grey)))

    return take


def _background(rng: np.random.Generator) -> Laboratory:
    """Bright pixels become more like one colour."""
    colour = np.array([235, 225, 215]) + rng.uniform(-40, 20, 3)
    strength = rng.uniform(0.4, 0.9)

    def stain(images: Images) -> Images:
        weight = np.clip((images.min(axis=-1, keepdims=True) - 120.0) / 100, 0, 1) * strength
        return to_uint8(images * (1 - weight) + weight * colour)

    return stain


def make_laboratory(seed: int, share: float = 1.0) -> tuple[Laboratory, float]:
    """Draw a laboratory; return its change of images, and the factor of the size of cells.

    With a smaller `share`, it differs in so many of six things on the average.
    """
    rng = np.random.default_rng(seed)
    stain, camera, background = _stain(rng), _camera(rng), _background(rng)
    factor = float(np.exp(rng.uniform(*np.log(SIZES))))
    blur, quality = defocus(rng.uniform(0.006, 0.02)), jpeg(int(rng.integers(50, 95)))
    differs = rng.random(6) < share
    if not differs[0]:
        factor = 1.0
    resize, generator = scale(factor), np.random.default_rng
    steps: list[Laboratory] = [
        lambda images: resize(images, generator(0)),
        stain,
        background,
        camera,
        lambda images: blur(images, generator(0)),
        lambda images: quality(images, generator(0)),
    ]

    def take(images: Images) -> Images:
        for step, is_other in zip(steps, differs, strict=True):
            images = step(images) if is_other else images
        return images

    return take, factor
