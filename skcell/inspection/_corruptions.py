"""Corruptions of microscope images: light, colour, focus, noise, stain, scale and dirt.

They are written apart from `skcell.ImageAugmenter`, with NumPy, SciPy and Pillow, and by other
formulas where there are others: light is changed in the linear colour space of sRGB, hue and
saturation in HSV, blur has the shape of a disk or a line, noise is that of photons, stain is
separated with a third dye, and files are compressed. A lamp that multiplies bytes, a vignette,
thermal noise and another scale are the same kinds of change in both.
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


def to_uint8(values: NDArray[Any]) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _to_linear(images: Images) -> NDArray[np.float64]:
    x = images / 255.0
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_bytes(linear: NDArray[np.float64]) -> Images:
    x = np.clip(linear, 0, 1)
    return to_uint8(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055))


def exposure(factor: float | tuple[float, float, float]) -> Corruption:
    """Multiply the light, or that of each channel, in the linear space of sRGB."""
    return lambda images, rng: _to_bytes(_to_linear(images) * np.array(factor))


def lamp(factor: float) -> Corruption:
    """Multiply the bytes."""
    return lambda images, rng: to_uint8(images * factor)


def contrast(factor: float) -> Corruption:
    """Multiply the distance of the bytes from medium grey."""
    return lambda images, rng: to_uint8(128 + (images - 128.0) * factor)


def vignette(loss: float) -> Corruption:
    """Darken towards the corners, quadratically."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        y, x = (np.linspace(-1, 1, size) for size in images.shape[1:3])
        return to_uint8(images * (1 - loss * (y[:, None] ** 2 + x**2) / 2)[..., None])

    return corrupt


def each_image(change: Callable[[Image.Image], Image.Image]) -> Corruption:
    return lambda images, rng: np.stack([np.asarray(change(Image.fromarray(x))) for x in images])


def saturation(factor: float) -> Corruption:
    """Mix each image with its grey version."""
    return each_image(lambda image: ImageEnhance.Color(image).enhance(factor))


def hue(turn: int) -> Corruption:
    """Turn the hue, in units of 1/256 of the circle."""

    def change(image: Image.Image) -> Image.Image:
        h, s, v = image.convert("HSV").split()
        turned = Image.fromarray((np.asarray(h).astype(int) + turn).astype(np.uint8))
        return Image.merge("HSV", (turned, s, v)).convert("RGB")

    return each_image(change)


def convolve(images: Images, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    return ndimage.convolve(images.astype(float), kernel[None, :, :, None], mode="reflect")


def defocus(radius: float) -> Corruption:
    """Convolve with a disk, whose radius is a fraction of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        pixels, fine = radius * images.shape[1], 8
        size = 2 * int(np.ceil(pixels)) + 1
        axis = (np.arange(size * fine) + 0.5) / fine - size / 2
        inside = axis[:, None] ** 2 + axis**2 <= pixels**2
        disk = inside.reshape(size, fine, size, fine).mean(axis=(1, 3))
        return to_uint8(convolve(images, disk / disk.sum()))

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
            out.append(convolve(image[None], turned / turned.sum())[0])
        return to_uint8(np.stack(out))

    return corrupt


def pixelate(factor: float) -> Corruption:
    """Resize to a fraction by averaging, and back with linear interpolation."""

    def change(image: Image.Image) -> Image.Image:
        small = [max(2, round(size * factor)) for size in image.size]
        return image.resize(small, Image.Resampling.BOX).resize(
            image.size, Image.Resampling.BILINEAR
        )

    return each_image(change)


def jpeg(quality: int) -> Corruption:
    """Compress to a JPEG file."""

    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return each_image(change)


def thermal_noise(std: float) -> Corruption:
    """Add noise of this standard deviation, as a fraction of the full scale."""
    return lambda images, rng: to_uint8(images + rng.normal(0, std * 255, images.shape))


def photon_noise(photons: int) -> Corruption:
    """Count photons; white is this number of them."""
    return lambda images, rng: to_uint8(rng.poisson(images / 255 * photons) / photons * 255)


def stain(haematoxylin: float, eosin: float) -> Corruption:
    """Multiply the amounts of two of three dyes, separated by their optical densities."""
    dyes = _DYES / np.linalg.norm(_DYES, axis=1, keepdims=True)

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        amounts = -np.log10((images + 1.0) / 256) @ np.linalg.inv(dyes)
        density = amounts * np.array([haematoxylin, eosin, 1]) @ dyes
        return to_uint8(256 * 10**-density - 1)

    return corrupt


def pale(strength: float, glass: tuple[float, float, float]) -> Corruption:
    """Shrink the distance from white, and put tinted glass in front."""
    return lambda images, rng: to_uint8((255 - (255.0 - images) * strength) * np.array(glass))


def scale(factor: float) -> Corruption:
    """Enlarge, or shrink and fill up by reflection."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        sides = images.shape[1:3]
        height, width = (max(1, round(side * factor)) for side in sides)
        resized = each_image(lambda image: image.resize((width, height), Image.Resampling.BICUBIC))(
            images, rng
        )
        for axis, (side, new) in enumerate(zip(sides, (height, width), strict=True), start=1):
            start = abs(new - side) // 2
            if new >= side:
                resized = resized.take(range(start, start + side), axis=axis)
            else:
                edges = [(0, 0)] * 4
                edges[axis] = (start, side - new - start)
                resized = np.pad(resized, edges, "symmetric")
        return resized

    return corrupt


def levels(make: Callable[..., Corruption], *strengths: Any) -> list[Corruption]:
    return [make(*one) if isinstance(one, tuple) else make(one) for one in strengths]


#: Five strengths of each corruption, by kind: what differs between microscopes, slides and cameras.
MICROSCOPE: dict[str, dict[str, list[Corruption]]] = {
    "light": {
        "less light": levels(exposure, 0.8, 0.65, 0.5, 0.4, 0.3),
        "more light": levels(exposure, 1.15, 1.3, 1.5, 1.75, 2.0),
        "less contrast": levels(contrast, 0.85, 0.7, 0.6, 0.5, 0.4),
        "vignette": levels(vignette, 0.2, 0.4, 0.6, 0.8, 1.0),
    },
    "colour": {
        "warm": [exposure((1 + 0.08 * s, 1.0, 1 - 0.12 * s)) for s in range(1, 6)],
        "cold": [exposure((1 - 0.1 * s, 1.0, 1 + 0.12 * s)) for s in range(1, 6)],
        "pale colours": levels(saturation, 0.8, 0.6, 0.4, 0.2, 0.0),
        "hue": levels(hue, 5, 10, 15, 20, 25),
    },
    "focus": {
        "defocus": levels(defocus, 0.01, 0.02, 0.03, 0.04, 0.06),
        "motion": levels(motion, 0.04, 0.08, 0.11, 0.14, 0.2),
        "JPEG": levels(jpeg, 50, 30, 20, 10, 5),
    },
    "noise": {
        "thermal noise": levels(thermal_noise, 0.02, 0.04, 0.06, 0.08, 0.12),
        "photon noise": levels(photon_noise, 200, 100, 60, 30, 15),
    },
    "stain": {
        "less haematoxylin": [stain(h, 1.0) for h in (0.8, 0.7, 0.6, 0.5, 0.4)],
        "more eosin": [stain(1.0, e) for e in (1.15, 1.3, 1.6, 1.9, 2.3)],
        "pale stain": [pale(s, (1.0, 0.97, 0.9)) for s in (0.85, 0.7, 0.6, 0.5, 0.4)],
    },
    "scale": {
        "smaller": levels(scale, 0.9, 0.85, 0.8, 0.7, 0.6),
        "larger": levels(scale, 1.1, 1.25, 1.4, 1.6, 1.8),
    },
}
