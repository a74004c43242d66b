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
from PIL import Image, ImageDraw, ImageEnhance
from scipy import ndimage

Images = NDArray[np.uint8]  # (n, H, W, 3)
Corruption = Callable[[Images, np.random.Generator], Images]

#: Height and width of the images that MedMNIST-C's lengths are those of.
_REFERENCE = 224

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
        sides = images.shape[1:3]
        height, width = (max(1, round(side * factor)) for side in sides)
        resized = _each(lambda image: image.resize((width, height), Image.Resampling.BICUBIC))(
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


def mean_contrast(factor: float) -> Corruption:
    """Multiply the distance of the bytes from the mean grey of each image."""
    return _each(lambda image: ImageEnhance.Contrast(image).enhance(factor))


def more_saturation(amount: float) -> Corruption:
    """Add to the saturation in HSV."""

    def change(image: Image.Image) -> Image.Image:
        h, s, v = image.convert("HSV").split()
        more = np.clip(np.asarray(s) + 255 * amount, 0, 255).astype(np.uint8)
        return Image.merge("HSV", (h, Image.fromarray(more), v)).convert("RGB")

    return _each(change)


def blocks(factor: float) -> Corruption:
    """Resize to a fraction and back, with a box filter."""

    def change(image: Image.Image) -> Image.Image:
        small = [max(1, int(size * factor)) for size in image.size]
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return _each(change)


def one_sided_motion(radius: float, std: float) -> Corruption:
    """Convolve with half of a Gaussian, from -45 to 45 degrees; lengths in 1/224 of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        unit = images.shape[1] / _REFERENCE
        steps = np.arange(0, 2 * radius + 1e-9, 0.25)
        weights = np.exp(-(steps**2) / (2 * std**2))
        size = 2 * int(np.ceil(2 * radius * unit)) + 3
        out = []
        for image in images:
            angle = np.deg2rad(rng.uniform(-45, 45))
            place = np.stack([np.sin(angle) * steps, np.cos(angle) * steps]) * unit + size // 2
            kernel = np.zeros((size, size))
            floor = np.floor(place).astype(int)
            part = place - floor
            for down in (0, 1):
                for right in (0, 1):
                    share = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1]) * weights
                    np.add.at(kernel, (floor[0] + down, floor[1] + right), share)
            out.append(_convolve(image[None], kernel / kernel.sum())[0])
        return _bytes(np.stack(out))

    return corrupt


def deposits(most: int, size: float) -> Corruption:
    """Draw up to so many black deposits; their size is in 1/224 of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        height, width = images.shape[1:3]
        out = images.astype(np.float64)
        down, right = np.mgrid[:height, :width]
        for image in out:
            for _ in range(int(rng.integers(1, most + 1))):
                radius = size * height / _REFERENCE * rng.uniform(0.6, 1.0)
                middle = rng.uniform(0.15, 0.85, 2) * (height, width)
                angle = np.arctan2(down - middle[0], right - middle[1])
                waves = [np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5)]
                bumps = 0.15 * np.sum(waves, axis=0)
                distance = np.hypot(down - middle[0], right - middle[1])
                ink = np.clip((radius * (1 + bumps) - distance) / max(1, radius / 4), 0, 1)
                image *= 1 - 0.95 * ink[..., None]
        return _bytes(out)

    return corrupt


def bubbles(largest: int, most: int) -> Corruption:
    """Lay seven or more white bubbles over the image; radii from 3, in 1/224 of the height."""

    def corrupt(images: Images, rng: np.random.Generator) -> Images:
        height, width = images.shape[1:3]
        unit = height / _REFERENCE
        out = []
        for image in images:
            layer = Image.new("L", (4 * width, 4 * height), 0)  # drawn four times as large
            draw = ImageDraw.Draw(layer)
            for _ in range(int(rng.integers(7, most + 1))):
                radius = int(rng.integers(3, largest + 1)) * unit
                x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
                for extra, alpha in ((2 * unit, 130), (0, 100)):
                    r = radius + extra
                    draw.ellipse([4 * (x - r), 4 * (y - r), 4 * (x + r), 4 * (y + r)], fill=alpha)
            small = layer.resize((width, height), Image.Resampling.BOX)
            cover = np.asarray(small)[..., None] / 255
            out.append(image * (1 - cover) + 255 * cover)
        return _bytes(np.stack(out))

    return corrupt


def _levels(make: Callable[..., Corruption], *strengths: Any) -> list[Corruption]:
    return [make(*one) if isinstance(one, tuple) else make(one) for one in strengths]


#: Five strengths of each corruption, by kind: what differs between microscopes, slides and cameras.
MICROSCOPE: dict[str, dict[str, list[Corruption]]] = {
    "light": {
        "less light": _levels(exposure, 0.8, 0.65, 0.5, 0.4, 0.3),
        "more light": _levels(exposure, 1.15, 1.3, 1.5, 1.75, 2.0),
        "less contrast": _levels(contrast, 0.85, 0.7, 0.6, 0.5, 0.4),
        "vignette": _levels(vignette, 0.2, 0.4, 0.6, 0.8, 1.0),
    },
    "colour": {
        "warm": [exposure((1 + 0.08 * s, 1.0, 1 - 0.12 * s)) for s in range(1, 6)],
        "cold": [exposure((1 - 0.1 * s, 1.0, 1 + 0.12 * s)) for s in range(1, 6)],
        "pale colours": _levels(saturation, 0.8, 0.6, 0.4, 0.2, 0.0),
        "hue": _levels(hue, 5, 10, 15, 20, 25),
    },
    "focus": {
        "defocus": _levels(defocus, 0.01, 0.02, 0.03, 0.04, 0.06),
        "motion": _levels(motion, 0.04, 0.08, 0.11, 0.14, 0.2),
        "JPEG": _levels(jpeg, 50, 30, 20, 10, 5),
    },
    "noise": {
        "thermal noise": _levels(thermal_noise, 0.02, 0.04, 0.06, 0.08, 0.12),
        "photon noise": _levels(photon_noise, 200, 100, 60, 30, 15),
    },
    "stain": {
        "less haematoxylin": [stain(h, 1.0) for h in (0.8, 0.7, 0.6, 0.5, 0.4)],
        "more eosin": [stain(1.0, e) for e in (1.15, 1.3, 1.6, 1.9, 2.3)],
        "pale stain": [pale(s, (1.0, 0.97, 0.9)) for s in (0.85, 0.7, 0.6, 0.5, 0.4)],
    },
    "scale": {
        "smaller": _levels(scale, 0.9, 0.85, 0.8, 0.7, 0.6),
        "larger": _levels(scale, 1.1, 1.25, 1.4, 1.6, 1.8),
    },
}

#: The list and the severities of MedMNIST-C for BloodMNIST. Lengths are those of an image of 224 x
#: 224, and are scaled. The deposits are drawn here; the authors' are pictures of ink.
MEDMNIST_C_BLOOD: dict[str, dict[str, list[Corruption]]] = {
    "digital": {
        "pixelate": _levels(blocks, 0.6, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": _levels(jpeg, 50, 30, 15, 10, 7),
    },
    "blur": {
        "defocus_blur": [defocus(r / _REFERENCE) for r in (2, 3, 4, 5, 6)],
        "motion_blur": _levels(one_sided_motion, (3, 3), (5, 5), (10, 5), (10, 7), (10, 9)),
    },
    "light": {
        "brightness_up": _levels(lamp, 1.1, 1.2, 1.3, 1.35, 1.4),
        "brightness_down": _levels(lamp, 0.9, 0.8, 0.7, 0.6, 0.5),
        "contrast_up": _levels(mean_contrast, 1.1, 1.15, 1.2, 1.25, 1.3),
        "contrast_down": _levels(mean_contrast, 0.9, 0.8, 0.7, 0.6, 0.5),
    },
    "colour": {
        "saturate": _levels(more_saturation, 0.05, 0.1, 0.15, 0.17, 0.2),
    },
    "task": {
        "stain_deposit": _levels(deposits, (1, 12), (2, 12), (3, 14), (3, 18), (3, 22)),
        "bubble": _levels(bubbles, (5, 10), (7, 10), (10, 10), (12, 12), (15, 12)),
    },
}
