"""The thirty corruptions of the benchmarks, one or two strengths of each kind.

Lamp 1.2, thermal noise 0.04 and the scales 0.8 and 1.25 are strengths that the augmentation preset
"microscope" reaches; the others are not.
"""

import numpy as np

from skcell.inspection._corruptions import (
    Corruption,
    Images,
    contrast,
    defocus,
    exposure,
    hue,
    jpeg,
    lamp,
    motion,
    pale,
    photon_noise,
    pixelate,
    saturation,
    scale,
    stain,
    thermal_noise,
    vignette,
)

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
