"""Find copies of images: exact ones, and those that were changed a little, mirrored or turned."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcell._holdout import check_groups, find_copies
from skcell._optional import import_optional
from skcell.cleaning._scan import THUMBNAIL, check, make_thumbnails, read_chunks

if TYPE_CHECKING:
    import pandas as pd

#: The symmetries of the square, by number: 1 mirrors columns, 2 rows, and 4 swaps the axes before.
SYMMETRIES = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180 degrees",
    "mirrored along the diagonal",
    "turned clockwise by 90 degrees",
    "turned anticlockwise by 90 degrees",
    "mirrored along the other diagonal",
)

_GRID = 16  # height and width of the pictures that are compared with all others
_CANDIDATES = 8  # of each image, the most similar others are compared in detail
_SIMILAR = 0.5  # correlation from which they are
_NARROW, _WIDE = 0.7, 2.0  # details between these sizes are compared, in pixels of thumbnails
_MOVED = 3  # by which images are moved against each other, in pixels of thumbnails
_FINER = 2  # steps of a movement in one pixel
_MOST_BETWEEN = 1.25  # by which half a step may raise a correlation
_BLOCK = 512
_CERTAIN = 0.9995  # correlation of copies, however alike the images are
_PLAIN = 0.03  # contrast of an image of one colour, as a share of that of the others
_MANY = 50  # images of which something may be common to all
_COMPARABLE = 12  # images of which pairs drawn at random show how similar different ones are
_RANDOM = 1000  # such pairs


@dataclass(frozen=True)
class Duplicates:
    """Pairs of images that show the same.

    Parameters
    ----------
    pairs : ndarray of int of shape (n_pairs, 2)
        Indices of the images, the smaller one first, the most similar pairs first.
    similarity : ndarray of shape (n_pairs,)
        Correlation of their details, at most 1.
    exact : ndarray of bool of shape (n_pairs,)
        Whether all pixels, or all bytes of the files, are equal.
    symmetry : ndarray of int of shape (n_pairs,)
        Which symmetry of the square makes the second image like the first.
    clusters : ndarray of int of shape (n_images,)
        A number for each image; images that are connected by pairs have the same.
    """

    pairs: NDArray[np.intp]
    similarity: NDArray[np.float64]
    exact: NDArray[np.bool_]
    symmetry: NDArray[np.intp]
    clusters: NDArray[np.intp] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    @property
    def surplus(self) -> NDArray[np.intp]:
        """Indices of all images but the first of each cluster: remove these to keep one copy."""
        first = np.unique(self.clusters, return_index=True)[1]
        return np.setdiff1d(np.arange(len(self.clusters)), first)

    def to_frame(self) -> "pd.DataFrame":
        """Return the pairs as a data frame.

        Returns
        -------
        pandas.DataFrame
            Columns `first`, `second`, `similarity`, `exact` and `symmetry`, in words.
        """
        pandas = import_optional("pandas", purpose="to_frame", extra="pandas")
        return pandas.DataFrame(
            {
                "first": self.pairs[:, 0],
                "second": self.pairs[:, 1],
                "similarity": self.similarity,
                "exact": self.exact,
                "symmetry": [SYMMETRIES[number] for number in self.symmetry],
            }
        )


def find_duplicates(
    X: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    threshold: float = 0.92,
    image_shape: tuple[int, ...] | None = None,
) -> Duplicates:
    """Find images that occur more than once, also if a copy was changed a little.

    Copies may be mirrored and turned in any of the eight ways that map a square onto itself, moved
    by some pixels, saved again with another compression or size, and brighter or darker. All
    images are compared with all others on a grid of 16 x 16, by matrix multiplication; the most
    similar ones are then compared in detail.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, rows of pixels, or paths of image files, which are
        read some at a time.
    groups : array-like of shape (n,), default=None
        Group of each image, such as its patient or slide. Near copies within a group, such as
        pictures of one field one after the other, are then not looked for, since a group is never
        split.
    threshold : float, default=0.92
        Smallest correlation of the details of two images that makes them copies. Where different
        images are alike, such as smooth nuclei or empty fields, it is raised: a pair must stand out
        from pairs that are drawn at random from the same images.
    image_shape : tuple of int, default=None
        Shape of an image, for rows of pixels.

    Returns
    -------
    Duplicates
        Pairs of images, and a number for each image that all its copies share.

    Raises
    ------
    ValueError
        If the images or groups cannot be used.
    ImageReadError
        If a file cannot be read.

    See Also
    --------
    suggest_split : A split that keeps copies together.

    Notes
    -----
    The details are the difference of two Gaussian filters of a grey picture of 48 x 48, so that
    light and contrast do not matter. They are moved by up to three of its pixels: six of an image
    of 96 x 96, nearly two of one of 28 x 28. Copies that were cropped further, scaled, or turned by
    other angles than quarters are not found. Images of one colour have no details: they count only
    as exact copies. Time grows with the square of the number of images, memory with their number:
    some 15 kB each. What all images have in
    common, such as a mask or a frame, is subtracted if there are 50 images.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.cleaning import find_duplicates
    >>> from skcell.datasets import make_cells
    >>> images = make_cells(30, image_size=48, random_state=0).images
    >>> turned = np.rot90(images[7], axes=(0, 1))[None] // 2 + 100
    >>> found = find_duplicates(np.concatenate([images, turned]))
    >>> found.pairs
    array([[ 7, 30]])
    >>> found.exact
    array([False])
    """
    _check_threshold(threshold)
    images, spec = check(X, image_shape)
    n = len(images)
    checked = check_groups(groups, n)
    thumbnails = np.empty((n, THUMBNAIL, THUMBNAIL), np.float16)
    spread = np.empty(n)
    for some, indices, _ in read_chunks(images, spec):
        thumbnails[indices], _, spread[indices] = make_thumbnails(some)
    return compare(images, thumbnails, spread, checked, threshold)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1; got {threshold!r}.")


def compare(
    X: Any,
    thumbnails: NDArray[np.float16],
    spread: NDArray[np.float64],
    groups: NDArray[Any] | None,
    threshold: float = 0.92,
) -> Duplicates:
    """Find copies of images whose grey pictures are at hand."""
    n = len(thumbnails)
    copies = find_copies(X, content=True)
    if copies is None:  # objects that are compared as arrays
        copies = np.arange(n)
    _, first, copy_of = np.unique(copies, return_index=True, return_inverse=True)
    is_plain = spread <= _PLAIN * np.median(spread)
    near = first[~is_plain[first]]
    pairs, similarity, symmetry = _find_near(
        thumbnails[near], None if groups is None else groups[near], threshold
    )
    pairs = near[pairs]
    later = np.setdiff1d(np.arange(n), first)
    same = np.stack([first[copy_of[later]], later], axis=1)
    everything = np.sort(np.concatenate([same, pairs]).reshape(-1, 2), axis=1)
    is_exact = np.arange(len(everything)) < len(same)
    alike = np.where(is_exact, 1.0, np.concatenate([np.ones(len(same)), similarity]))
    turned = np.concatenate([np.zeros(len(same), np.intp), symmetry])
    order = np.lexsort((everything[:, 1], everything[:, 0], -alike, ~is_exact))
    graph = coo_array((np.ones(len(everything)), everything.T), shape=(n, n))
    clusters = connected_components(graph, directed=False)[1]
    return Duplicates(
        everything[order], alike[order], is_exact[order], turned[order], clusters.astype(np.intp)
    )


def apply_symmetry(images: NDArray[Any], number: int) -> NDArray[Any]:
    """Apply a symmetry of the square to the last two axes of an array."""
    if number & 4:
        images = images.swapaxes(-1, -2)
    if number & 2:
        images = images[..., ::-1, :]
    return images[..., ::-1] if number & 1 else images


def _find_near(
    thumbnails: NDArray[np.float16], groups: NDArray[Any] | None, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Return pairs of images that are nearly the same, their similarity and their symmetry."""
    details, grid = _find_details(thumbnails), _coarse_grid(thumbnails)
    found = [np.empty((0, 3), np.intp), *_candidates(grid, groups)]
    candidates = np.concatenate(found)
    # The same pairs in the order of their symmetry, so that each block has few of them.
    candidates = candidates[np.argsort(candidates[:, 2], kind="stable")]
    blocks = [candidates[i : i + _BLOCK] for i in range(0, len(candidates), _BLOCK)]
    with ThreadPoolExecutor(effective_n_jobs(-1)) as pool:  # NumPy releases the GIL
        alike = list(pool.map(lambda block: _correlate(details, block), blocks))
    similarity = np.concatenate([np.empty(0), *alike])
    is_near = similarity >= max(threshold, _usual_similarity(grid, details))
    near = candidates[is_near]
    return near[:, :2], np.minimum(similarity[is_near], 1.0), near[:, 2]


def _usual_similarity(grid: NDArray[np.float32], details: NDArray[np.float32]) -> float:
    """Return the similarity that none of the pairs has by chance, by pairs drawn at random."""
    n = len(details)
    if n < _COMPARABLE:
        return 0.0
    rng = np.random.default_rng(0)
    first = rng.integers(0, n, _RANDOM)
    second = (first + rng.integers(1, n, _RANDOM)) % n
    fits = np.stack(
        [
            (apply_symmetry(grid[first], number) * grid[second]).sum(axis=(1, 2))
            for number in range(len(SYMMETRIES))
        ]
    )
    pairs = np.stack([first, second, _INVERSE[fits.argmax(axis=0)]], axis=1)
    alike = np.concatenate(
        [_correlate(details, pairs[i : i + _BLOCK]) for i in range(0, _RANDOM, _BLOCK)]
    )
    # On Fisher's scale; the upper half of the pairs gives the spread, and copies are among few.
    middle, high = np.quantile(np.arctanh(np.clip(alike, 0, 0.9999)), [0.5, 0.9])
    n_pairs = n * (n - 1) / 2
    reach = np.sqrt(2 * np.log(n_pairs)) + 1  # the largest of so many, and some more
    return float(min(np.tanh(middle + reach * (high - middle) / 1.2816), _CERTAIN))


def _coarse_grid(thumbnails: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return small pictures without what is common to all, each of length 1."""
    side = THUMBNAIL // _GRID
    grid = thumbnails.reshape(-1, _GRID, side, _GRID, side).mean(axis=(2, 4), dtype=np.float32)
    if len(grid) >= _MANY:
        grid -= grid.mean(axis=0)
    grid -= grid.mean(axis=(1, 2), keepdims=True)
    grid /= np.maximum(np.sqrt((grid**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
    return grid


def _candidates(
    grid: NDArray[np.float32], groups: NDArray[Any] | None
) -> Iterator[NDArray[np.intp]]:
    """Yield (first, second, symmetry) of images that are similar on a coarse grid."""
    codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
    columns = np.ascontiguousarray(grid.reshape(len(grid), -1).T)
    for start in range(0, len(grid), _BLOCK):
        part = grid[start : start + _BLOCK]
        best = np.full((len(part), len(grid) - start), -1, np.float32)
        which = np.zeros(best.shape, np.int8)
        for number in range(len(SYMMETRIES)):
            turned = np.ascontiguousarray(apply_symmetry(part, number)).reshape(len(part), -1)
            alike = turned @ columns[:, start:]
            higher = alike > best
            which[higher] = number
            np.maximum(best, alike, out=best)
        rows = np.arange(len(part))
        best[rows[:, None] >= np.arange(best.shape[1])] = -1  # each pair once, none with itself
        if codes is not None:
            best[codes[start + rows][:, None] == codes[start:]] = -1
        n_kept = min(_CANDIDATES, best.shape[1])
        top = np.argpartition(-best, n_kept - 1, axis=1)[:, :n_kept]
        row, rank = np.nonzero(np.take_along_axis(best, top, axis=1) >= _SIMILAR)
        column = top[row, rank]
        # A symmetry of the first image is undone on the second.
        numbers = _INVERSE[which[row, column]]
        yield np.stack([start + row, start + column, numbers], axis=1)


#: Symmetry that undoes each: the two quarter turns undo each other.
_INVERSE = np.array([0, 1, 2, 3, 4, 6, 5, 7])


def _find_details(thumbnails: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return what is neither noise, nor light, nor common to all, with a mean square of 1."""
    details = np.empty(thumbnails.shape, np.float32)
    for start in range(0, len(thumbnails), _BLOCK):
        pictures = thumbnails[start : start + _BLOCK].astype(np.float32)
        narrow, wide = (gaussian_filter(pictures, (0, s, s)) for s in (_NARROW, _WIDE))
        details[start : start + _BLOCK] = narrow - wide
    if len(details) >= _MANY:  # a mask, a frame, a scale bar
        details -= details.mean(axis=0)
    details /= np.maximum(details.std(axis=(1, 2), keepdims=True), 1e-6)
    return details


def _correlate(details: NDArray[np.float32], candidates: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the correlation of details of pairs, moved against each other as fits best.

    The best movement by whole pixels is found by the Fourier transform, and the correlation is
    that of what both images then show. It is corrected for a movement by half a pixel.
    """
    first = details[candidates[:, 0]]
    second = np.empty_like(first)
    for number in np.unique(candidates[:, 2]):
        of = candidates[:, 2] == number
        second[of] = apply_symmetry(details[candidates[of, 1]], int(number))
    moves = _FINER * _MOVED
    fine = _cross_correlate(first, second)
    fine = np.roll(fine, (moves, moves), axis=(1, 2))[:, : 2 * moves + 1, : 2 * moves + 1]
    whole = fine[:, ::_FINER, ::_FINER].reshape(len(fine), -1)
    best = whole.argmax(axis=1)
    down, right = np.unravel_index(best, (2 * _MOVED + 1,) * 2)
    inner = slice(_MOVED, THUMBNAIL - _MOVED)
    centred = _unit(first[:, inner, inner])
    size = inner.stop - inner.start
    windows = np.lib.stride_tricks.sliding_window_view(second, (size, size), axis=(1, 2))
    moved = _unit(windows[np.arange(len(second)), down, right])
    highest = whole[np.arange(len(whole)), best]
    between = fine.max(axis=(1, 2)) / np.maximum(highest, 1e-6)
    alike = np.einsum("ij,ij->i", centred, moved) * np.clip(between, 1, _MOST_BETWEEN)
    return np.where(highest > 0, alike, 0).astype(float)


def _cross_correlate(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the circular cross-correlation of pairs of pictures, on a finer grid."""
    size, half = _FINER * THUMBNAIL, THUMBNAIL // 2
    spectrum = np.conj(rfft2(first)) * rfft2(second)
    padded = np.zeros((len(first), size, half + 1), spectrum.dtype)
    padded[:, :half], padded[:, -half:] = spectrum[:, :half], spectrum[:, -half:]
    return irfft2(padded, s=(size, size))


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.sqrt(np.einsum("ij,ij->i", flat, flat)), 1e-6)[:, None]
