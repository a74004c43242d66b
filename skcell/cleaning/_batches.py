"""Find batches: groups of images with a background colour of their own."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from skcell._images import check_labels
from skcell.cleaning._scan import Scan, check, scan

_MOST_BATCHES = 6
_MOST = 5000  # images that the mixture is fitted to
_FEWEST = 10  # images of a batch
_SMALLEST = 0.02  # share of the images of a batch that is reported
_VALLEY = 0.2  # two batches are one, if the density between them does not fall below this share
_CONFINED = 0.99  # share of a class in one batch that makes the class confined to it
_EXPECTED = 10  # images that would lie in other batches if the class were like the others


@dataclass(frozen=True)
class Batches:
    """Batches of images by the colour of their background.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        Batch of each image; batch 0 is the largest, and -1 stands for files that cannot be read.
    colours : ndarray of shape (n_batches, n_channels)
        Median background of each batch, in units of the dtype's range.
    classes : list
        Labels, sorted; empty without labels.
    counts : ndarray of int of shape (n_classes, n_batches)
        Number of images.
    """

    codes: NDArray[np.intp]
    colours: NDArray[np.float64]
    classes: list[Any]
    counts: NDArray[np.intp]

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.colours)

    @property
    def pure(self) -> list[tuple[int, Any, int]]:
        """Batches that have one class: batch, class, and number of images.

        A batch is reported if at least 10 of its images would be of other classes, if it were like
        all images.
        """
        if not self.classes:
            return []
        found = []
        share = self.counts.sum(axis=1) / max(self.counts.sum(), 1)
        for batch, column in enumerate(self.counts.T):
            code, n = int(column.argmax()), int(column.sum())
            if column[code] >= _CONFINED * n and n * (1 - share[code]) >= _EXPECTED:
                found.append((batch, self.classes[code], n))
        return found

    @property
    def confined(self) -> list[tuple[Any, int, float]]:
        """Classes that live in one batch: class, batch, and its share of the class.

        A class is reported if at least 10 of its images would lie elsewhere, if it were spread over
        the batches like all images.
        """
        found = []
        share = self.counts.sum(axis=0) / max(self.counts.sum(), 1)
        for label, row in zip(self.classes, self.counts, strict=True):
            batch, n = int(row.argmax()), int(row.sum())
            if row[batch] >= _CONFINED * n and n * (1 - share[batch]) >= _EXPECTED:
                found.append((label, batch, float(row[batch] / n)))
        return found


def find_batches(
    X: ArrayLike, y: ArrayLike | None = None, *, image_shape: tuple[int, ...] | None = None
) -> Batches:
    """Group images by the colour of their background.

    Slides that were stained, or photographed, on different days differ in their background. If a
    class comes from one such batch alone, a network can predict it from the batch.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, rows of pixels, or paths of image files.
    y : array-like of shape (n,), default=None
        Labels.
    image_shape : tuple of int, default=None
        Shape of an image, for rows of pixels.

    Returns
    -------
    Batches
        The batch of each image, and which classes are in which.

    Raises
    ------
    ValueError
        If the images or labels cannot be used.

    Notes
    -----
    A Gaussian mixture is fitted to the colours, with as many components as the Bayesian
    information criterion chooses; components without a valley of the density between them are
    merged [1]_.

    References
    ----------
    .. [1] C. Hennig, "Methods for merging Gaussian mixture components", Advances in Data Analysis
       and Classification 4, 2010.

    Examples
    --------
    >>> from skcell.cleaning import find_batches
    >>> from skcell.datasets import make_cells
    >>> images = make_cells(200, n_classes=2, image_size=32, random_state=0).images
    >>> images[150:, ..., 2] //= 2  # yellow light
    >>> found = find_batches(images)
    >>> found.colours[found.codes[150]].round(1)
    array([1. , 0.9, 0.4])
    """
    images, spec = check(X, image_shape)
    labels = None if y is None else check_labels(y, len(images))
    return group(scan(images, spec), labels)


def group(scanned: Scan, y: NDArray[Any] | None) -> Batches:
    """Group images that were looked at."""
    colours = scanned.background
    codes = _cluster(colours)
    order = np.argsort(-np.bincount(codes), kind="stable")
    codes = np.argsort(order)[codes]
    medians = np.stack([np.median(colours[codes == b], axis=0) for b in range(len(order))])
    classes, counts = [], np.zeros((0, len(order)), np.intp)
    if y is not None:
        names, labels = np.unique(y, return_inverse=True)
        counts = np.zeros((len(names), len(order)), np.intp)
        np.add.at(counts, (labels, codes), 1)
        classes = names.tolist()
    return Batches(codes, medians, classes, counts)


def _cluster(colours: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the batch of each colour."""
    n = len(colours)
    values = StandardScaler().fit_transform(colours)
    # Bytes are equal where colours are alike; without this, a component becomes infinitely narrow.
    rng = np.random.default_rng(0)
    values = values + rng.normal(0, 0.02, values.shape)
    some = values[np.sort(rng.permutation(n)[:_MOST])]
    if len(some) < 50 or not colours.std(axis=0).any():
        return np.zeros(n, np.intp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            GaussianMixture(k, random_state=0, reg_covar=1e-3, max_iter=200).fit(some)
            for k in range(1, _MOST_BATCHES + 1)
        ]
    best = min(fits, key=lambda fit: fit.bic(some))
    merged = _merge(best)
    codes = merged[best.predict(values)]
    # Too small batches join the nearest.
    sizes = np.bincount(codes, minlength=merged.max() + 1)
    large = np.flatnonzero(sizes >= max(_SMALLEST * n, _FEWEST))
    if not len(large):
        return np.zeros(n, np.intp)
    centres = np.stack([values[codes == b].mean(axis=0) for b in large])
    lost = ~np.isin(codes, large)
    distances = ((values[lost][:, None] - centres) ** 2).sum(axis=2)
    codes[lost] = large[distances.argmin(axis=1)]
    return np.unique(codes, return_inverse=True)[1]


def _merge(mixture: GaussianMixture) -> NDArray[np.intp]:
    """Return a number for each component; those without a valley between them have the same."""
    k = mixture.n_components
    numbers = np.arange(k)
    steps = np.linspace(0, 1, 31)[:, None]
    for a in range(k):
        for b in range(a + 1, k):
            between = (1 - steps) * mixture.means_[a] + steps * mixture.means_[b]
            density = np.exp(mixture.score_samples(between))
            if density.min() >= _VALLEY * min(density[0], density[-1]):
                numbers[numbers == numbers[b]] = numbers[a]
    return np.unique(numbers, return_inverse=True)[1]
