"""The corruptions of MedMNIST-C for BloodMNIST, and the errors of AlexNet under them.

Di Salvo, Doerrich and Ledig, arXiv:2406.17536, 2024. Lengths are those of an image of 224 x 224,
and are scaled. The deposits are drawn here; the authors' are pictures of ink.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from skcell.inspection import CorruptionReport
from skcell.inspection._corruptions import (
    Corruption,
    Images,
    convolve,
    defocus,
    each_image,
    jpeg,
    lamp,
    levels,
    to_uint8,
)

_REFERENCE = 224

#: Balanced error of AlexNet on BloodMNIST, clean and under each corruption, in the authors' table.
ALEXNET_CLEAN = 0.018369
ALEXNET = {
    "pixelate": 0.059756,
    "jpeg_compression": 0.139762,
    "defocus_blur": 0.223998,
    "motion_blur": 0.184519,
    "brightness_up": 0.069463,
    "brightness_down": 0.079008,
    "contrast_up": 0.052154,
    "contrast_down": 0.079661,
    "saturate": 0.034786,
    "stain_deposit": 0.185361,
    "bubble": 0.128988,
}


def relative_errors(report: CorruptionReport) -> dict[str, float]:
    """Return the mean balanced error, and its mean rise, relative to those of AlexNet."""
    clean, errors = 1 - report.clean_balanced_accuracy, {}
    for name, scores in report.balanced_accuracy.items():
        errors[name] = float(1 - np.mean(scores))
    assert errors.keys() == ALEXNET.keys()
    relative = [error / ALEXNET[name] for name, error in errors.items()]
    rise = [(e - clean) / (ALEXNET[name] - ALEXNET_CLEAN) for name, e in errors.items()]
    return {
        "balanced_error": float(np.mean(relative)),
        "relative_balanced_error": float(np.mean(rise)),
    }


def mean_contrast(factor: float) -> Corruption:
    """Multiply the distance of the bytes from the mean grey of each image."""
    return each_image(lambda image: ImageEnhance.Contrast(image).enhance(factor))


def more_saturation(amount: float) -> Corruption:
    """Add to the saturation in HSV."""

    def change(image: Image.Image) -> Image.Image:
        h, s, v = image.convert("HSV").split()
        more = np.clip(np.asarray(s) + 255 * amount, 0, 255).astype(np.uint8)
        return Image.merge("HSV", (h, Image.fromarray(more), v)).convert("RGB")

    return each_image(change)


def blocks(factor: float) -> Corruption:
    """Resize to a fraction and back, with a box filter."""

    def change(image: Image.Image) -> Image.Image:
        small = [max(1, int(size * factor)) for size in image.size]
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return each_image(change)


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
            out.append(convolve(image[None], kernel / kernel.sum())[0])
        return to_uint8(np.stack(out))

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
        return to_uint8(out)

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
        return to_uint8(np.stack(out))

    return corrupt


MEDMNIST_C_BLOOD: dict[str, dict[str, list[Corruption]]] = {
    "digital": {
        "pixelate": levels(blocks, 0.6, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": levels(jpeg, 50, 30, 15, 10, 7),
    },
    "blur": {
        "defocus_blur": [defocus(r / _REFERENCE) for r in (2, 3, 4, 5, 6)],
        "motion_blur": levels(one_sided_motion, (3, 3), (5, 5), (10, 5), (10, 7), (10, 9)),
    },
    "light": {
        "brightness_up": levels(lamp, 1.1, 1.2, 1.3, 1.35, 1.4),
        "brightness_down": levels(lamp, 0.9, 0.8, 0.7, 0.6, 0.5),
        "contrast_up": levels(mean_contrast, 1.1, 1.15, 1.2, 1.25, 1.3),
        "contrast_down": levels(mean_contrast, 0.9, 0.8, 0.7, 0.6, 0.5),
    },
    "colour": {
        "saturate": levels(more_saturation, 0.05, 0.1, 0.15, 0.17, 0.2),
    },
    "task": {
        "stain_deposit": levels(deposits, (1, 12), (2, 12), (3, 14), (3, 18), (3, 22)),
        "bubble": levels(bubbles, (5, 10), (7, 10), (10, 10), (12, 12), (15, 12)),
    },
}
