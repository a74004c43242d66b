"""Find images that are unlike the others: blank, blurred, of another stain, without a cell."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell._images import check_labels
from skcell._optional import import_optional
from skcell.cleaning._scan import THUMBNAIL, Scan, check, scan

if TYPE_CHECKING:
    import pandas as pd

#: What is measured of an image, on which side (0 for both) and from how many robust standard
#: deviations it is reported, and what this means.
KINDS = {
    "blank": ("contrast", -1, 7.0, "hardly any contrast"),
    "blurred": ("sharpness", -1, 6.0, "less fine detail than the others"),
    "noisy": ("sharpness", 1, 7.0, "much more fine detail than the others, such as noise"),
    "dark": ("light", -1, 7.0, "a darker background than the others"),
    "bright": ("light", 1, 7.0, "a brighter background than the others"),
    "colour": ("colour", 0, 8.0, "other colours than the others: stain, light or camera"),
    "empty": ("centre", -1, 12.0, "no cell in the middle"),
}

_FEWEST = 20  # of a class with fewer images nothing is learned; they are compared with all
_TAIL = 0.15  # share of outliers on either side that does not hide them
_WITHIN = 2.073  # standard deviations of a normal distribution between its quantiles 0.15 and 0.85
_LEAST_SPREAD = 0.05  # of logarithms: five per cent
_DARKEST = 0.02  # added before logarithms of colours, so that black is not infinitely far


@dataclass(frozen=True)
class Outliers:
    """Images that are unlike the others.

    Parameters
    ----------
    indices : ndarray of int of shape (n_outliers,)
        Their indices, the most unlike first.
    kinds : ndarray of str of shape (n_outliers,)
        What is strangest of each: "blank", "blurred", "noisy", "dark", "bright", "colour" or
        "empty".
    scores : ndarray of shape (n_outliers,)
        How far beyond the limit: 1 is at the limit, 2 twice as far from the middle.
    """

    indices: NDArray[np.intp]
    kinds: NDArray[np.str_]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of outliers."""
        return len(self.indices)

    def to_frame(self) -> "pd.DataFrame":
        """Return the outliers as a data frame.

        Returns
        -------
        pandas.DataFrame
            Columns `index`, `kind`, `score` and `meaning`.
        """
        pandas = import_optional("pandas", purpose="to_frame", extra="pandas")
        return pandas.DataFrame(
            {
                "index": self.indices,
                "kind": self.kinds,
                "score": self.scores,
                "meaning": [KINDS[kind][3] for kind in self.kinds.tolist()],
            }
        )


def find_outliers(
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    threshold: float = 1.0,
    image_shape: tuple[int, ...] | None = None,
) -> Outliers:
    """Find images that are blank, blurred, noisy, dark, bright, of other colours, or empty.

    Contrast, sharpness, light, colours and what is in the middle are measured of each image, and
    compared with the median of its class, in robust standard deviations.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, rows of pixels, or paths of image files, which are
        read some at a time.
    y : array-like of shape (n,), default=None
        Labels. With them an image is compared with those of its class, if there are 20: kinds of
        cells differ in size and colour. Without them it is compared with all.
    threshold : float, default=1.0
        Multiplies the limits, which lie between 6 and 12 standard deviations: more finds less.
    image_shape : tuple of int, default=None
        Shape of an image, for rows of pixels.

    Returns
    -------
    Outliers
        Indices, kinds and scores. An outlier is not a fault: view it.

    Raises
    ------
    ValueError
        If the images or labels cannot be used.
    ImageReadError
        If a file cannot be read.

    See Also
    --------
    skcell.calibration.UnknownDetector : Unknown cells, by the features of a trained network.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> from skcell.cleaning import find_outliers
    >>> from skcell.datasets import make_cells
    >>> images = make_cells(60, n_classes=2, image_size=48, random_state=0).images
    >>> images[5] = gaussian_filter(images[5], (4, 4, 0))
    >>> found = find_outliers(images)
    >>> found.indices, found.kinds
    (array([5]), array(['blurred'], dtype='<U7'))
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0; got {threshold!r}.")
    images, spec = check(X, image_shape)
    labels = None if y is None else check_labels(y, len(images))
    return judge(scan(images, spec), labels, threshold)


def judge(scanned: Scan, y: NDArray[Any] | None, threshold: float = 1.0) -> Outliers:
    """Find outliers among images that were looked at."""
    found: list[tuple[float, int, str]] = []
    if len(scanned.indices) >= _FEWEST:
        deviations = {name: _deviations(values, y) for name, values in _measure(scanned).items()}
        for kind, (measure, side, limit, _) in KINDS.items():
            if measure not in deviations:
                continue
            distances = deviations[measure]
            scores = (side * distances if side else np.abs(distances)).max(axis=1) / limit
            found += [(float(scores[i]), int(i), kind) for i in np.flatnonzero(scores > threshold)]
    found.sort(key=lambda one: (-one[0], one[1]))
    strangest = {one[1]: one for one in reversed(found)}  # a blank image is empty as well
    found = [one for one in found if strangest[one[1]] is one]
    scores, indices, kinds = zip(*found, strict=True) if found else ((), (), ())
    return Outliers(
        np.array(indices, np.intp), np.array(kinds, "<U7"), np.array(scores, np.float64)
    )


def _measure(scanned: Scan) -> dict[str, NDArray[np.float64]]:
    """Return logarithms of what is measured, in one column or several for each name."""
    pictures = scanned.thumbnails.astype(np.float32)
    pictures *= scanned.spread[:, None, None].astype(np.float32)
    pictures += scanned.mean[:, None, None].astype(np.float32)
    scale = float(np.quantile(np.abs(pictures[:1000]), 0.99)) or 1.0  # 1 for most integers
    quarter = THUMBNAIL // 4
    middle = pictures[:, quarter:-quarter, quarter:-quarter]
    background = scanned.background.mean(axis=1)
    distance = np.abs(middle - background[:, None, None].astype(np.float32))
    measured = {
        "contrast": np.log(scanned.spread / scale + 2e-3),
        "sharpness": scanned.features[:, scanned.names.index("sharpness")],
        "light": np.log(np.maximum(background / scale, 0) + _DARKEST),
        "centre": np.log(
            np.quantile(distance.reshape(len(distance), -1), 0.75, axis=1) / scale + 1e-2
        ),
    }
    n_channels = scanned.coarse.shape[3]
    if n_channels > 1:
        quantiles = scanned.features[:, :-1].reshape(len(pictures), 3, n_channels)
        measured["colour"] = _ratios(quantiles)
    return {name: values.reshape(len(pictures), -1) for name, values in measured.items()}


def _ratios(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logarithms of the ratios of the channels, in dark, medium and bright pixels."""
    scale = max(float(np.quantile(np.abs(quantiles), 0.99)), 1e-12)
    logs = np.log(np.maximum(quantiles / scale, 0) + _DARKEST)
    return (logs - logs.mean(axis=2, keepdims=True)).reshape(len(logs), -1)


def _deviations(values: NDArray[np.float64], y: NDArray[Any] | None) -> NDArray[np.float64]:
    """Return distances from the median of the class, in robust standard deviations."""
    codes = np.zeros(len(values), np.intp) if y is None else np.unique(y, return_inverse=True)[1]
    out = _standardize(values)
    for code in np.unique(codes):
        is_one = codes == code
        if is_one.sum() >= _FEWEST:
            out[is_one] = _standardize(values[is_one])
    return out


def _standardize(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, middle, high = np.quantile(values, (_TAIL, 0.5, 1 - _TAIL), axis=0)
    return (values - middle) / np.maximum((high - low) / _WITHIN, _LEAST_SPREAD)
