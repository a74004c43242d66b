"""Thirty corruptions of microscope images: light, colour, focus, noise, stain and scale.

They are written apart from `skcell.ImageAugmenter`, with NumPy, SciPy and Pillow, and by other
formulas where there are others: light is changed in the linear colour space of sRGB, hue and
saturation in HSV, blur has the shape of a disk or a line, noise is that of photons, stain is
separated with a third dye, and files are compressed. A lamp that multiplies bytes, a vignette,
thermal noise and another scale are the same kinds of change in both, at strengths that the preset
"microscope" reaches (lamp 1.2, thermal noise 0.04, scales 0.8 and 1.25) or does not.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy import ndimage

Images = NDArray[np.uint8]  # (n, H, W, 3)
Corruption = Callable[[Images, np.random.Generator], Images]

#: Optical densities of haematoxylin, eosin and diaminobenzidine in red, green and blue.
_DYES = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


def _bytes(values: NDArray[Any]) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _to_linear(images: Images) -> NDArray[np.float64]:
    x = images / 255.0
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_bytes(linear: NDArray[np.float64]) -> Images:
    x = np.clip(linear, 0, 1)
    return _bytes(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055))


def exposure(factor: float | tuple[float, float, float]) -> Corruption:
    """Multiply the light, or that of each channel, in the linear space of sRGB."""
    return lambda images, rng: _to_bytes(_to_linear(images) * np.array(factor))


def lamp(factor: float) -> Corruption:
    """Multiply the bytes."""
    return lambda images, rng: _bytes(images * factor)


def contrast(factor: float) -> Corruption:
    """Multiply the distance of the bytes from medium grey."""
    return lambda images, rng: _bytes(128 + (images - 128.0) * factor)


def vignette(loss: float) -> Corruption:
    """Darken towards the corners, quadratically."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        y, x = (np.linspace(-1, 1, size) for size in images.shape[1:3])
        return _bytes(images * (1 - loss * (y[:, None] ** 2 + x**2) / 2)[..., None])

    return corrupt


def _each(change: Callable[[Image.Image], Image.Image]) -> Corruption:
    return lambda images, rng: np.stack([np.asarray(change(Image.fromarray(x))) for x in images])


def saturation(factor: float) -> Corruption:
    """Mix each image with its grey version."""
    return _each(lambda image: ImageEnhance.Color(image).enhance(factor))


def hue(turn: int) -> Corruption:
    """Turn the hue, in units of 1/256 of the circle."""

    def change(image: Image.Image) -> Image.Image:
        h, s, v = image.convert("HSV").split()
        turned = Image.fromarray((np.asarray(h).astype(int) + turn).astype(np.uint8))
        return Image.merge("HSV", (turned, s, v)).convert("RGB")

    return _each(change)


def _convolve(images: Images, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    return ndimage.convolve(images.astype(float), kernel[None, :, :, None], mode="reflect")


def defocus(radius: float) -> Corruption:
    """Convolve with a disk, whose radius is a fraction of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        pixels, fine = radius * images.shape[1], 8
        size = 2 * int(np.ceil(pixels)) + 1
        axis = (np.arange(size * fine) + 0.5) / fine - size / 2
        inside = axis[:, None] ** 2 + axis**2 <= pixels**2
        disk = inside.reshape(size, fine, size, fine).mean(axis=(1, 3))
        return _bytes(_convolve(images, disk / disk.sum()))

    return corrupt


def motion(length: float) -> Corruption:
    """Convolve with a line in a random direction, whose length is a fraction of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        size = max(3, round(length * images.shape[1]) | 1)
        line = np.zeros((size, size))
        line[size // 2] = 1
        out = []
        for image in images:
            turned = ndimage.rotate(line, rng.uniform(0, 180), reshape=False, order=1).clip(0)
            out.append(_convolve(image[None], turned / turned.sum())[0])
        return _bytes(np.stack(out))

    return corrupt


def pixelate(factor: float) -> Corruption:
    """Resize to a fraction by averaging, and back with linear interpolation."""

    def change(image: Image.Image) -> Image.Image:
        small = [max(2, round(size * factor)) for size in image.size]
        return image.resize(small, Image.Resampling.BOX).resize(
            image.size, Image.Resampling.BILINEAR
        )

    return _each(change)


def jpeg(quality: int) -> Corruption:
    """Compress to a JPEG file."""

    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return _each(change)


def thermal_noise(std: float) -> Corruption:
    """Add noise of this standard deviation, as a fraction of the full scale."""
    return lambda images, rng: _bytes(images + rng.normal(0, std * 255, images.shape))


def photon_noise(photons: int) -> Corruption:
    """Count photons; white is this number of them."""
    return lambda images, rng: _bytes(rng.poisson(images / 255 * photons) / photons * 255)


def stain(haematoxylin: float, eosin: float) -> Corruption:
    """Multiply the amounts of two of three dyes, separated by their optical densities."""
    dyes = _DYES / np.linalg.norm(_DYES, axis=1, keepdims=True)

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        amounts = -np.log10((images + 1.0) / 256) @ np.linalg.inv(dyes)
        density = amounts * np.array([haematoxylin, eosin, 1]) @ dyes
        return _bytes(256 * 10**-density - 1)

    return corrupt


def pale(strength: float, glass: tuple[float, float, float]) -> Corruption:
    """Shrink the distance from white, and put tinted glass in front."""
    return lambda images, rng: _bytes((255 - (255.0 - images) * strength) * np.array(glass))


def scale(factor: float) -> Corruption:
    """Enlarge, or shrink and fill up by reflection."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        size = images.shape[1]
        new = round(size * factor)
        resized = _each(lambda image: image.resize((new, new), Image.Resampling.BICUBIC))(
            images, rng
        )
        if new >= size:
            start = (new - size) // 2
            return resized[:, start : start + size, start : start + size]
        before = (size - new) // 2
        after = size - new - before
        return np.pad(resized, ((0, 0), (before, after), (before, after), (0, 0)), "symmetric")

    return corrupt


CORRUPTIONS: dict[str, dict[str, Corruption]] = {
    "light": {
        "exposure 0.5": exposure(0.5),
        "exposure 1.5": exposure(1.5),
        "lamp 0.7": lamp(0.7),
        "lamp 1.2": lamp(1.2),
        "contrast 0.6": contrast(0.6),
        "contrast 1.4": contrast(1.4),
        "vignette 0.6": vignette(0.6),
    },
    "colour": {
        "warm": exposure((1.2, 1.0, 0.7)),
        "cold": exposure((0.75, 1.0, 1.3)),
        "saturation 0.4": saturation(0.4),
        "saturation 1.6": saturation(1.6),
        "hue +10": hue(10),
        "hue -10": hue(-10),
        "hue +20": hue(20),
    },
    "focus": {
        "defocus 2 %": defocus(0.02),
        "defocus 4 %": defocus(0.04),
        "motion 8 %": motion(0.08),
        "motion 14 %": motion(0.14),
        "pixelate 0.5": pixelate(0.5),
        "jpeg 30": jpeg(30),
    },
    "noise": {
        "thermal 0.04": thermal_noise(0.04),
        "thermal 0.08": thermal_noise(0.08),
        "photons 60": photon_noise(60),
    },
    "stain": {
        "haematoxylin 0.6": stain(0.6, 1.0),
        "haematoxylin 1.5, eosin 0.7": stain(1.5, 0.7),
        "eosin 1.6": stain(1.0, 1.6),
        "pale 0.6, yellow glass": pale(0.6, (1.0, 0.97, 0.9)),
    },
    "scale": {"scale 0.8": scale(0.8), "scale 1.25": scale(1.25), "scale 1.4": scale(1.4)},
}


def corrupt_all(images: Images, seed: int = 0) -> dict[str, dict[str, Images]]:
    """Apply each corruption, with random numbers of its own."""
    return {
        kind: {name: change(images, np.random.default_rng(seed)) for name, change in named.items()}
        for kind, named in CORRUPTIONS.items()
    }
