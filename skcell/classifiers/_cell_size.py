"""Size of cells: how large they are in images, and images enlarged so that they have another size.

A network knows cells in the size in which it was trained on them. Another lens, camera or crop
changes this size, and so the predictions. It is measured without a threshold and without a
colour, since both differ between laboratories: it is the spread of the
optical density, to a high power, about its centre, which the nucleus dominates.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from skcell._engine import TrainingData
from skcell._images import load_images

#: Images of a new size are enlarged by a factor within these limits; below the last one, as a
#: fraction, they keep their size.
LIMITS = 0.6, 1.6
_SMALLEST_CHANGE = 0.03

#: Number of training images that are measured, about.
_N_MEASURED = 512

#: Number of images that are measured at a time.
_CHUNK = 32

#: Height and width to which images are shrunk before they are measured, at most.
_SIDE = 48

#: The training images are enlarged by these factors, to see whether the measure follows.
_FACTORS = 0.8, 1.25

#: A class counts from this many images on; with the second number of images, it counts half.
_FEWEST, _HALF = 3, 8

#: Weight of the evidence for no change, relative to that of a class.
_PRIOR = 0.5

#: The size of cells is used if a change of an image by a tenth changes the measure by a twentieth.
_LEAST_SLOPE = 0.5


def zoom_images(images: Any, zoom: float, *, outside: str = "reflect") -> Any:
    """Enlarge images about their centre by a factor, and cut or fill them to their size.

    Images are an array or a tensor of Keras, of shape (n, H, W, C). Interpolation is linear; each
    pixel counts if they shrink. What lies outside is filled by "reflect" or "zero".
    """
    if zoom == 1.0:
        return images
    is_symbolic = isinstance(images, keras.KerasTensor)
    library: Any = keras.ops if is_symbolic else np
    _, height, width, channels = images.shape
    rows, columns = (_interpolation(side, zoom, outside) for side in (height, width))
    dtype = keras.backend.standardize_dtype(images.dtype)
    x = keras.ops.cast(images, "float32") if is_symbolic else images.astype(np.float32)
    x = library.matmul(rows, library.reshape(x, (-1, height, width * channels)))
    x = library.matmul(columns, library.reshape(x, (-1, height, width, channels)))
    if keras.backend.is_float_dtype(dtype):
        return x
    x = library.clip(library.round(x), 0.0, float(np.iinfo(dtype).max))
    return keras.ops.cast(x, dtype) if is_symbolic else x.astype(dtype)


def _interpolation(size: int, zoom: float, outside: str) -> NDArray[np.float32]:
    """Return the matrix from a line of pixels to the enlarged line."""
    centre = (size - 1) / 2
    at = centre + (np.arange(size)[:, None] - centre) / zoom
    is_inside = (at > -0.5) & (at < size - 0.5)
    at = size - np.abs(np.mod(at + 0.5, 2 * size) - size) - 0.5
    near = np.maximum(1 - np.abs(np.arange(size) - at) / max(1 / zoom, 1.0), 0)
    weights = near / near.sum(axis=1, keepdims=True)
    return np.where(is_inside | (outside == "reflect"), weights, 0).astype(np.float32)


def measure_sizes(images: NDArray[Any]) -> NDArray[np.float64]:
    """Measure the logarithm of the size of the cell in each image, as a fraction of the image.

    It is NaN for an image of one colour.
    """
    parts = [_measure_few(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
    return np.concatenate(parts)


def _measure_few(images: NDArray[Any]) -> NDArray[np.float64]:
    unit = _shrink(images)
    n, height, width, channels = unit.shape
    density = -np.log(np.maximum(unit, 1 / 255)).reshape(n, -1, channels)
    bright = np.quantile(density, 0.1, axis=1, keepdims=True)
    dense = np.square(np.maximum(density - bright, 0)).sum(axis=2).reshape(n, height, width)
    y, x = (np.linspace(-1, 1, side) for side in (height, width))
    middle = np.exp(-(np.square(y[:, None]) + np.square(x)) / (2 * 0.7**2))
    # The fourth power of the distance from the brightest.
    weights = np.square(dense) * middle
    total = weights.sum(axis=(1, 2))
    weights /= np.where(total > 0, total, 1)[:, None, None]
    spread = np.zeros(n)
    for axis, position in ((1, y), (2, x)):
        along = weights.sum(axis=3 - axis)
        mean = along @ position
        spread += along @ np.square(position) - np.square(mean)
    return 0.5 * np.log(np.where((total > 0) & (spread > 0), spread, np.nan))


def _shrink(images: NDArray[Any]) -> NDArray[np.float32]:
    """Scale pixels to 0..1, and shrink images to about `_SIDE` by averaging blocks of pixels."""
    n, height, width, channels = images.shape
    scale = float(np.iinfo(images.dtype).max) if images.dtype.kind in "ui" else 1.0
    images = images.astype(np.float32) / np.float32(scale)
    step = max(1, math.ceil(min(height, width) / _SIDE))
    if step == 1:
        return images
    rows, columns = height // step, width // step
    blocks = images[:, : rows * step, : columns * step].reshape(
        n, rows, step, columns, step, channels
    )
    return blocks.mean(axis=(2, 4), dtype=np.float32)


@dataclass(frozen=True)
class CellSizes:
    """Sizes of the cells in training images, by class.

    Parameters
    ----------
    sizes : ndarray of shape (n_classes,)
        Median of the logarithm of the size, for each class; NaN if it was not measured.
    counts : ndarray of shape (n_classes,)
        Number of training images of each class.
    slope : float
        How much the measure changes if these images are enlarged, relative to the logarithm of the
        factor; 0 if the images say nothing about size.
    """

    sizes: NDArray[np.float64]
    counts: NDArray[np.int64]
    slope: float

    @classmethod
    def measure(cls, data: TrainingData) -> Self:
        """Measure the training images of a classifier."""
        n_classes = len(data.classes)
        present = np.flatnonzero(data.weights)
        codes = data.codes[present]
        counts = np.bincount(codes, minlength=n_classes)
        sizes = np.full(n_classes, np.nan)
        if min(data.spec.shape[:2]) < 8:
            return cls(sizes, counts, 0.0)
        # The same images for each fit to these data; those of a class are drawn at random.
        order = np.random.default_rng(0).permutation(len(codes))
        most = max(2 * _FEWEST, _N_MEASURED // n_classes)
        chosen = [order[codes[order] == code][:most] for code in range(n_classes)]
        indices = np.sort(np.concatenate(chosen))
        parts = []
        for start in range(0, len(indices), _CHUNK):
            some = present[indices[start : start + _CHUNK]]
            small = _shrink(load_images(data.images, some, data.spec, n_jobs=-1))
            zoomed = [zoom_images(small, factor) for factor in (1.0, *_FACTORS)]
            parts.append([measure_sizes(images) for images in zoomed])
        found, lower, upper = np.concatenate(parts, axis=1)
        for code in range(n_classes):
            of_class = found[codes[indices] == code]
            if np.isfinite(of_class).sum() >= _FEWEST:
                sizes[code] = np.nanmedian(of_class)
        change = (upper - lower)[np.isfinite(upper - lower)]
        step = math.log(_FACTORS[1] / _FACTORS[0])
        slope = float(np.median(change)) / step if len(change) else 0.0
        return cls(sizes, counts, slope if slope >= _LEAST_SLOPE else 0.0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each class among the training images."""
        return self.counts / self.counts.sum()

    def find_zoom(self, images: NDArray[Any], codes: NDArray[np.intp]) -> float:
        """Find the factor by which images are enlarged so that cells have the size of training.

        Cells are compared with those of the same predicted class, since classes differ in size.
        Another scale changes all classes alike. So the less they agree, the closer the factor is
        to 1: then predictions are wrong, or something else differs.
        """
        if not self.slope:
            return 1.0
        found = measure_sizes(images)
        changes, weights = [0.0], [_PRIOR]
        for code, size in enumerate(self.sizes):
            of_class = found[(codes == code) & np.isfinite(found)]
            if np.isfinite(size) and len(of_class) >= _FEWEST:
                changes.append((size - np.median(of_class)) / self.slope)
                weights.append(len(of_class) / (len(of_class) + _HALF))
        w, c = np.array(weights), np.array(changes)
        change = np.average(c, weights=w)
        if len(c) > 2:
            mean = np.average(c[1:], weights=w[1:])
            spread = np.average(np.square(c[1:] - mean), weights=w[1:])
            error = spread * np.square(w[1:]).sum() / w[1:].sum() ** 2
            change *= change**2 / (change**2 + error + np.finfo(float).tiny)
        low, high = (math.log(limit) for limit in LIMITS)
        return 1.0 if abs(change) < _SMALLEST_CHANGE else math.exp(min(max(change, low), high))
