"""Rules for the appearance of blood cells: one table row of numbers per class.

Everything that `make_cells` knows about haematology is data in this module. Lengths of whole
cells are fractions of the image side, and lengths of parts of a cell are fractions of its radius.
Colours are amounts of four dyes, because a microscope shows what a stain absorbs.
"""

from typing import Any, NamedTuple

import numpy as np


class Traits(NamedTuple):
    """The visible traits of cells: rules for a class, or arrays for drawn cells.

    A nucleus has the shape of a sausage that is bent along an arc and pinched between its lobes.
    This one shape covers round nuclei (no span), kidney and horseshoe shapes (no pinch), and
    strings of lobes.
    """

    radius: Any  # radius of the cell, as a fraction of the image side
    elongation: Any  # ratio of the cell's axes
    ruffle: Any  # unevenness of the outline
    nucleus: Any  # half the thickness, in cell radii; determines the nucleus-cytoplasm ratio
    bend: Any  # radius of the arc, in cell radii
    span: Any  # angle of the arc, in radians
    lobes: Any  # number of lobes, rounded to an integer
    pinch: Any  # 0: none, 1: cut through
    eccentricity: Any  # displacement of the nucleus, in cell radii
    chromatin: Any  # azure taken up by the nucleus
    clumping: Any  # contrast of the chromatin
    clump_size: Any  # size of its clumps, as a fraction of the image side
    cytoplasm_azure: Any  # purple
    cytoplasm_blue: Any  # methylene blue, from ribosomes
    cytoplasm_eosin: Any  # pink
    granule_size: Any  # as a fraction of the image side
    granule_cover: Any  # fraction of the area that granules cover
    granule_azure: Any
    granule_eosin: Any
    granules_on_nucleus: Any  # 0: none, 1: as dense as in the cytoplasm
    vacuoles: Any  # fraction of the cytoplasm


# (typical value, spread) of each trait.
RULES: dict[str, Traits] = {
    "basophil": Traits(
        radius=(0.34, 0.035),
        elongation=(1.06, 0.05),
        ruffle=(0.035, 0.015),
        nucleus=(0.40, 0.06),
        bend=(0.30, 0.06),
        span=(2.6, 0.6),
        lobes=(2.0, 0.5),
        pinch=(0.35, 0.15),
        eccentricity=(0.06, 0.06),
        chromatin=(0.85, 0.12),
        clumping=(0.25, 0.06),
        clump_size=(0.045, 0.008),
        cytoplasm_azure=(0.45, 0.15),
        cytoplasm_blue=(0.12, 0.06),
        cytoplasm_eosin=(0.06, 0.04),
        granule_size=(0.044, 0.007),
        granule_cover=(0.48, 0.12),
        granule_azure=(1.25, 0.25),
        granule_eosin=(0.05, 0.05),
        granules_on_nucleus=(0.85, 0.10),
        vacuoles=(0.005, 0.01),
    ),
    "eosinophil": Traits(
        radius=(0.35, 0.030),
        elongation=(1.06, 0.05),
        ruffle=(0.020, 0.010),
        nucleus=(0.36, 0.04),
        bend=(0.46, 0.06),
        span=(2.4, 0.5),
        lobes=(2.1, 0.3),
        pinch=(0.75, 0.15),
        eccentricity=(0.20, 0.12),
        chromatin=(1.40, 0.15),
        clumping=(0.30, 0.08),
        clump_size=(0.041, 0.007),
        cytoplasm_azure=(0.06, 0.05),
        cytoplasm_blue=(0.10, 0.06),
        cytoplasm_eosin=(0.30, 0.08),
        granule_size=(0.034, 0.005),
        granule_cover=(0.70, 0.12),
        granule_azure=(0.10, 0.08),
        granule_eosin=(0.52, 0.14),
        granules_on_nucleus=(0.05, 0.05),
        vacuoles=(0.03, 0.03),
    ),
    "erythroblast": Traits(
        radius=(0.23, 0.035),
        elongation=(1.08, 0.06),
        ruffle=(0.030, 0.015),
        nucleus=(0.62, 0.08),
        bend=(0.03, 0.03),
        span=(0.2, 0.2),
        lobes=(1.0, 0.0),
        pinch=(0.05, 0.05),
        eccentricity=(0.15, 0.10),
        chromatin=(2.00, 0.25),
        clumping=(0.22, 0.10),
        clump_size=(0.049, 0.010),
        cytoplasm_azure=(0.10, 0.06),
        cytoplasm_blue=(0.28, 0.15),
        cytoplasm_eosin=(0.24, 0.08),
        granule_size=(0.030, 0.005),
        granule_cover=(0.03, 0.03),
        granule_azure=(0.20, 0.15),
        granule_eosin=(0.05, 0.05),
        granules_on_nucleus=(0.05, 0.05),
        vacuoles=(0.0, 0.004),
    ),
    "ig": Traits(
        radius=(0.36, 0.035),
        elongation=(1.10, 0.06),
        ruffle=(0.025, 0.012),
        nucleus=(0.60, 0.08),
        bend=(0.17, 0.10),
        span=(1.6, 0.8),
        lobes=(1.4, 0.5),
        pinch=(0.12, 0.10),
        eccentricity=(0.20, 0.10),
        chromatin=(1.10, 0.15),
        clumping=(0.26, 0.06),
        clump_size=(0.033, 0.007),
        cytoplasm_azure=(0.16, 0.08),
        cytoplasm_blue=(0.28, 0.14),
        cytoplasm_eosin=(0.08, 0.05),
        granule_size=(0.029, 0.004),
        granule_cover=(0.22, 0.12),
        granule_azure=(0.65, 0.25),
        granule_eosin=(0.08, 0.06),
        granules_on_nucleus=(0.30, 0.20),
        vacuoles=(0.0, 0.004),
    ),
    "lymphocyte": Traits(
        radius=(0.26, 0.030),
        elongation=(1.10, 0.07),
        ruffle=(0.040, 0.020),
        nucleus=(0.82, 0.06),
        bend=(0.05, 0.05),
        span=(0.5, 0.4),
        lobes=(1.0, 0.2),
        pinch=(0.05, 0.05),
        eccentricity=(0.08, 0.06),
        chromatin=(1.50, 0.18),
        clumping=(0.22, 0.07),
        clump_size=(0.049, 0.008),
        cytoplasm_azure=(0.10, 0.06),
        cytoplasm_blue=(0.65, 0.20),
        cytoplasm_eosin=(0.03, 0.03),
        granule_size=(0.035, 0.005),
        granule_cover=(0.02, 0.03),
        granule_azure=(0.50, 0.20),
        granule_eosin=(0.03, 0.03),
        granules_on_nucleus=(0.05, 0.05),
        vacuoles=(0.0, 0.004),
    ),
    "monocyte": Traits(
        radius=(0.38, 0.035),
        elongation=(1.12, 0.07),
        ruffle=(0.045, 0.020),
        nucleus=(0.37, 0.06),
        bend=(0.40, 0.08),
        span=(3.5, 0.7),
        lobes=(2.0, 0.5),
        pinch=(0.12, 0.10),
        eccentricity=(0.10, 0.08),
        chromatin=(1.00, 0.13),
        clumping=(0.26, 0.06),
        clump_size=(0.041, 0.008),
        cytoplasm_azure=(0.24, 0.07),
        cytoplasm_blue=(0.34, 0.12),
        cytoplasm_eosin=(0.06, 0.04),
        granule_size=(0.026, 0.004),
        granule_cover=(0.12, 0.08),
        granule_azure=(0.18, 0.10),
        granule_eosin=(0.03, 0.03),
        granules_on_nucleus=(0.05, 0.05),
        vacuoles=(0.05, 0.04),
    ),
    "neutrophil": Traits(
        radius=(0.34, 0.030),
        elongation=(1.08, 0.06),
        ruffle=(0.025, 0.012),
        nucleus=(0.29, 0.035),
        bend=(0.47, 0.06),
        span=(4.1, 0.6),
        lobes=(3.6, 0.7),
        pinch=(0.72, 0.15),
        eccentricity=(0.08, 0.06),
        chromatin=(1.50, 0.16),
        clumping=(0.26, 0.07),
        clump_size=(0.045, 0.008),
        cytoplasm_azure=(0.12, 0.05),
        cytoplasm_blue=(0.05, 0.05),
        cytoplasm_eosin=(0.14, 0.06),
        granule_size=(0.026, 0.004),
        granule_cover=(0.25, 0.10),
        granule_azure=(0.16, 0.08),
        granule_eosin=(0.12, 0.08),
        granules_on_nucleus=(0.03, 0.03),
        vacuoles=(0.0, 0.004),
    ),
    "platelet": Traits(
        radius=(0.135, 0.030),
        elongation=(1.15, 0.10),
        ruffle=(0.060, 0.025),
        nucleus=(0.0, 0.0),
        bend=(0.0, 0.0),
        span=(0.0, 0.0),
        lobes=(1.0, 0.0),
        pinch=(0.0, 0.0),
        eccentricity=(0.0, 0.0),
        chromatin=(0.0, 0.0),
        clumping=(0.0, 0.0),
        clump_size=(0.041, 0.008),
        cytoplasm_azure=(0.22, 0.08),
        cytoplasm_blue=(0.25, 0.08),
        cytoplasm_eosin=(0.05, 0.04),
        granule_size=(0.034, 0.005),
        granule_cover=(0.45, 0.12),
        granule_azure=(0.75, 0.25),
        granule_eosin=(0.05, 0.05),
        granules_on_nucleus=(1.0, 0.0),
        vacuoles=(0.02, 0.02),
    ),
}

# Limits (low, high) of each trait, at any spread.
LIMITS = Traits(
    radius=(0.07, 0.46),
    elongation=(1.0, 1.5),
    ruffle=(0.0, 0.10),
    nucleus=(0.0, 0.93),
    bend=(0.0, 0.6),
    span=(0.0, 5.2),
    lobes=(1.0, 5.0),
    pinch=(0.0, 0.8),
    eccentricity=(0.0, 0.4),
    chromatin=(0.0, 2.6),
    clumping=(0.0, 0.4),
    clump_size=(0.025, 0.10),
    cytoplasm_azure=(0.0, 0.8),
    cytoplasm_blue=(0.0, 1.3),
    cytoplasm_eosin=(0.0, 0.8),
    granule_size=(0.02, 0.065),
    granule_cover=(0.0, 0.9),
    granule_azure=(0.0, 2.0),
    granule_eosin=(0.0, 1.4),
    granules_on_nucleus=(0.0, 1.0),
    vacuoles=(0.0, 0.2),
)

# The classes that each class is mistaken for: adjacent stages of maturation, or look-alikes.
RESEMBLES: dict[str, tuple[str, ...]] = {
    "basophil": ("ig", "neutrophil"),
    "eosinophil": ("neutrophil", "ig"),
    "erythroblast": ("lymphocyte", "platelet"),
    "ig": ("neutrophil", "monocyte", "basophil"),
    "lymphocyte": ("erythroblast", "monocyte"),
    "monocyte": ("ig", "lymphocyte"),
    "neutrophil": ("ig", "eosinophil"),
    "platelet": ("platelet",),  # nothing else is so small
}

# Images per class in the training part of the PBC data set (Acevedo et al., 2020).
PREVALENCE: dict[str, int] = {
    "basophil": 851,
    "eosinophil": 2183,
    "erythroblast": 1086,
    "ig": 2027,
    "lymphocyte": 850,
    "monocyte": 993,
    "neutrophil": 2330,
    "platelet": 1644,
}

# Optical density of one unit of azure, blue, eosin and haemoglobin in red, green and blue light.
DYES = np.array(
    [[0.85, 1.20, 0.45], [0.75, 0.55, 0.12], [0.15, 0.58, 0.54], [0.22, 0.36, 0.25]],
    dtype=np.float32,
)

# Colour of empty glass under a yellowish lamp, and with a camera whose white balance is bluish.
WARM_LIGHT = np.array([254, 230, 203], dtype=np.float32)
COLD_LIGHT = np.array([226, 228, 248], dtype=np.float32)
