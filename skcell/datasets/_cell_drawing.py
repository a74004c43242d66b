"""Draw images from numeric descriptions of scenes of cells.

Lengths are fractions of the image side, so that a scene is the same at every size. Shapes are
signed distances on the pixel grid. Colours are amounts of dye until the last step, which computes
the transmitted light by the Beer-Lambert law, as in a microscope.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtri

from skcell.datasets._cell_rules import DYES, Traits

Floats = NDArray[np.floating[Any]]
Columns = TypeVar("Columns", bound=tuple)

HAEMOGLOBIN = 3  # index of the last of the four dyes; the others stain white cells
TILE, GRAIN = 512, 8  # sides of the texture and of one grain, in texels
SMALLEST_DRAWING = 64  # in pixels; smaller images are drawn larger and then averaged
BLOCK_PIXELS = 1 << 18  # keeps the planes of a block in the cache, and limits memory
BLUR = 0.009  # standard deviation of the blur out of focus
GRANULE_EDGE = 0.6  # in standard deviations of the texture
VACUOLE_SIZE = 0.09
NUCLEAR_BLUE = 0.3  # blue dye in the chromatin, as a fraction of its azure


class Pose(NamedTuple):
    """Position and orientation of each cell, and the random part of its shape."""

    x: Floats
    y: Floats
    angle: Floats
    phases: Floats  # (n, 4), phases of the waves along the outline
    offsets: Floats  # (n, 6), x and y of three textures in the tile, in texels


class WhiteCells(NamedTuple):
    """One white cell or platelet in each image."""

    traits: Traits
    pose: Pose


class RedCells(NamedTuple):
    """The red cells of each image; each field has the shape `(n, n_red_cells)`."""

    x: Floats
    y: Floats
    xx: Floats  # xx * x**2 + yy * y**2 + xy * x * y is 1 on the outline, an ellipse
    yy: Floats
    xy: Floats
    pallor: Floats  # thickness at the centre
    haemoglobin: Floats  # 0 where there is no cell


class View(NamedTuple):
    """Properties of the stain, lamp and camera for each image."""

    dyes: Floats  # (n, 4), strength of each dye
    light: Floats  # (n, 3), RGB from 0 to 255
    tilt: Floats  # (n, 2), gradient of the light across the image
    defocus: Floats  # 0: sharp, 1: out of focus
    grain: Floats  # noise of the sensor, in grey levels


class Scene(NamedTuple):
    """Complete description of each image before it is drawn."""

    cells: WhiteCells
    neighbours: WhiteCells
    has_neighbour: NDArray[np.bool_]
    red_cells: RedCells
    view: View


def draw(scene: Scene, image_size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw every image of a scene."""
    n = len(scene.has_neighbour)
    tile = _texture_tile(rng)
    oversampling = -(-SMALLEST_DRAWING // image_size)
    side = image_size * oversampling
    images = np.empty((n, image_size, image_size, 3), dtype=np.uint8)
    for block in _blocks(n, side):
        part = _each(scene, partial(_wide, block=block))
        light = _average(_light(part, tile, side), oversampling)
        light += part.view.grain * rng.standard_normal(light.shape, dtype=np.float32)
        images[block] = np.moveaxis(np.clip(light, 0, 255), 0, -1).round()
    return images


def _blocks(n: int, side: int) -> Iterator[slice]:
    step = max(1, BLOCK_PIXELS // side**2)
    return (slice(start, start + step) for start in range(0, n, step))


def _each(columns: Columns, change: Callable[[NDArray], NDArray]) -> Columns:
    """Apply `change` to every array in nested named tuples."""
    changed = (_each(c, change) if isinstance(c, tuple) else change(c) for c in columns)
    return type(columns)(*changed)


def _wide(values: NDArray, block: slice) -> NDArray:
    """Reshape values per image, `(n[, k])`, to broadcast over pixels: `([k, ]n, 1, 1)`."""
    return values[block].astype(np.float32).T[..., None, None]


def _texture_tile(rng: np.random.Generator) -> Floats:
    """Draw a periodic texture of scattered round grains, with normally distributed values."""
    cells = np.indices((TILE // GRAIN, TILE // GRAIN)).reshape(2, -1)
    rows, columns = ((cells + rng.uniform(-0.2, 1.2, cells.shape)) * GRAIN).astype(int) % TILE
    tile = np.zeros((TILE, TILE))
    np.add.at(tile, (rows, columns), rng.uniform(0.5, 1.0, len(rows)))
    tile = gaussian_filter(tile, 0.24 * GRAIN, mode="wrap")
    ranks = tile.argsort(axis=None).argsort().reshape(tile.shape)
    return np.clip(ndtri((ranks + 0.5) / tile.size), -2.5, 2.5).astype(np.float32)


def _light(scene: Scene, tile: Floats, side: int) -> Floats:
    """Return the light that reaches the camera, `(3, n, side, side)`, from 0 to 255."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    x, y = axis, axis[:, None]
    dyes = _dyes(scene, tile, x, y)
    dyes *= scene.view.dyes
    density = (DYES.T @ dyes.reshape(4, -1)).reshape(3, *dyes.shape[1:])
    light = np.exp(-density, out=density)
    light += scene.view.defocus * (_blurred(light, BLUR * side) - light)
    light *= scene.view.light
    light *= 1 + scene.view.tilt[0] * x + scene.view.tilt[1] * y
    return light


def _blurred(planes: Floats, sigma: float) -> Floats:
    for dim in (-1, -2):
        planes = gaussian_filter1d(planes, sigma, axis=dim, mode="nearest", truncate=2.5)
    return planes


def _average(planes: Floats, factor: int) -> Floats:
    """Average over squares of `factor` x `factor` pixels."""
    if factor == 1:
        return planes
    small = planes.shape[-1] // factor
    return planes.reshape(*planes.shape[:-2], small, factor, small, factor).mean((-3, -1))


def _dyes(scene: Scene, tile: Floats, x: Floats, y: Floats) -> Floats:
    """Return the dyes, `(4, n, side, side)`: red cells, the neighbour, and the cell on top."""
    red = _red_cells(scene.red_cells, x, y)
    dyes = np.zeros((4, *red.shape), dtype=np.float32)
    dyes[HAEMOGLOBIN] = red
    beside = np.flatnonzero(scene.has_neighbour)
    if len(beside):
        neighbours = _each(scene.neighbours, lambda a: a[..., beside, :, :])
        dyes[:, beside] = _laid_on(dyes[:, beside], *_white_cells(neighbours, tile, x, y))
    return _laid_on(dyes, *_white_cells(scene.cells, tile, x, y))


def _laid_on(below: Floats, above: Floats, cover: Floats) -> Floats:
    below *= 1 - cover
    below[: len(above)] += above
    return below


def _red_cells(cells: RedCells, x: Floats, y: Floats) -> Floats:
    """Sum biconcave discs: thick near the rim, pale in the centre, darker where they overlap."""
    total: Any = np.float32(0)
    for cell in zip(*cells, strict=True):
        at_x, at_y, xx, yy, xy, pallor, haemoglobin = cell
        dx, dy = x - at_x, y - at_y
        q = np.minimum(xx * dx**2 + yy * dy**2 + xy * dx * dy, 1)
        # The thickness profile of Evans and Fung, at the squared radius q.
        total = total + haemoglobin * np.sqrt(1 - q) * ((2.0 - 1.12 * q) * q + pallor)
    return total


def _white_cells(cells: WhiteCells, tile: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Draw one cell per image; return its dyes, `(3, n, side, side)`, and the area it covers."""
    traits, pose = cells
    pixel = x[1] - x[0]
    u, v = _turned(x - pose.x, y - pose.y, pose.angle)
    p, q = _ruffled(u / traits.radius, v / traits.radius, traits.ruffle, pose.phases)

    stretch = np.sqrt(traits.elongation)
    cell = _inside(np.sqrt((p / stretch) ** 2 + (q * stretch) ** 2) - 1, pixel / traits.radius)
    nucleus = _inside(_nucleus_distance(p, q, traits, pose.phases[0]), pixel / traits.radius) * cell
    cytoplasm = cell - nucleus

    def texture(size: Any, offset: Floats) -> Floats:
        return _texture(tile, u, v, size, offset)

    chromatin = texture(traits.clump_size, pose.offsets[0:2])
    granules = texture(traits.granule_size, pose.offsets[2:4])
    granules = _inside(_threshold(traits.granule_cover) - granules, GRANULE_EDGE)
    granules *= cytoplasm + traits.granules_on_nucleus * nucleus
    vacuoles = texture(VACUOLE_SIZE, pose.offsets[4:6])
    vacuoles = _inside(_threshold(traits.vacuoles) - vacuoles, GRANULE_EDGE)

    ground = cytoplasm * (1 - 0.85 * vacuoles) * (1 + 0.12 * chromatin)
    nucleus *= traits.chromatin * (1 + traits.clumping * chromatin)
    dyes = np.stack(
        [
            ground * traits.cytoplasm_azure + granules * traits.granule_azure + nucleus,
            ground * traits.cytoplasm_blue + nucleus * NUCLEAR_BLUE,
            ground * traits.cytoplasm_eosin + granules * traits.granule_eosin,
        ]
    )
    return dyes, cell


def _turned(x: Floats, y: Floats, angle: Floats) -> tuple[Floats, Floats]:
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def _ruffled(p: Floats, q: Floats, amount: Floats, phases: Floats) -> tuple[Floats, Floats]:
    """Distort the plane by waves, so that no outline in it is a perfect circle."""
    one, two, three, four = phases
    ruffled_p = p + amount * (np.sin(3 * q + one) + 0.6 * np.sin(7 * q + two))
    ruffled_q = q + amount * (np.sin(3 * p + three) + 0.6 * np.sin(7 * p + four))
    return ruffled_p, ruffled_q


def _nucleus_distance(p: Floats, q: Floats, traits: Traits, phase: Floats) -> Floats:
    """Return the signed distance to the nucleus, negative inside, in cell radii."""
    half = traits.span / 2
    # Shift the arc so that its centroid lies where the nucleus should be.
    p = p + traits.bend * np.sinc(half / np.pi) - traits.eccentricity
    along = np.clip(np.arctan2(q, p), -half, half)
    gaps = np.round(traits.lobes) - 1
    lobe = np.round((along / np.maximum(traits.span, 1e-3) + 0.5) * gaps)
    centre = (lobe / np.maximum(gaps, 1) - 0.5 * (gaps > 0)) * traits.span
    size = traits.nucleus * (1 + 0.15 * np.sin(5 * lobe + phase))
    lobes = _away(p, q, traits.bend, centre) - size
    link = _away(p, q, traits.bend, along) - traits.nucleus * (1 - traits.pinch)
    return np.minimum(lobes, link)


def _away(p: Floats, q: Floats, radius: Floats, angle: Floats) -> Floats:
    """Return the distance to a point given in polar coordinates."""
    return np.sqrt((p - radius * np.cos(angle)) ** 2 + (q - radius * np.sin(angle)) ** 2)


def _inside(distance: Floats, softness: Any) -> Floats:
    """Return 1 inside, 0 outside, and a ramp of the given width between them."""
    return np.clip(0.5 - distance / softness, 0, 1)


def _threshold(cover: Floats) -> Floats:
    """Return the value that a texture exceeds on the given fraction of the area."""
    return -ndtri(cover)


def _texture(tile: Floats, u: Floats, v: Floats, size: Any, offset: Floats) -> Floats:
    texels = GRAIN / size
    columns = (u * texels + offset[0]).astype(np.int32) & (TILE - 1)
    rows = (v * texels + offset[1]).astype(np.int32) & (TILE - 1)
    return tile.ravel()[rows * TILE + columns]
