"""Rules for the appearance of blood cells, read from a table with a line for each trait.

Everything that `make_cells` knows about haematology is data here and in this table. Lengths of
whole cells are fractions of the image side, and lengths of parts of a cell are fractions of its
radius.
Colours are amounts of four dyes, because a microscope shows what a stain absorbs.
"""

import csv
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


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


def _read_table() -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Read the classes, the typical value and spread of each trait, and the limits of traits."""
    text = resources.files("skcell.datasets").joinpath("_cell_traits.csv").read_text()
    (_, *names), *rows = csv.reader(text.splitlines())
    assert tuple(row[0] for row in rows) == Traits._fields
    columns = np.array([row[1:] for row in rows]).T.astype(np.float32)
    return names[2::2], columns[2:].reshape(-1, 2, len(rows)).transpose(1, 0, 2), columns[:2]


#: Names of the classes; typical value and spread of each trait, of shape (n_classes, n_traits); and
#: limits of each trait at any spread.
CLASSES, (TYPICAL, SPREAD), (LOW, HIGH) = _read_table()

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
