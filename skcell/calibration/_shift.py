"""Whether images look like those that a classifier was trained and tested on."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A shift is told if the mean of a feature differs from that at home by this many standard
#: deviations, and by this many standard errors more. The first is too small to change many
#: predictions; the second bounds false alarms for few images.
SMALL_SHIFT = 0.4
N_ERRORS = 4.5

#: With fewer images of a predicted class at home, the class is compared with all classes together,
#: which is still as uncertain as so few images are.
_FEWEST = 10


@dataclass(frozen=True)
class ShiftReport:
    """How images differ from those at home.

    Parameters
    ----------
    n_images : int
        Number of images.
    shifted : bool
        Whether they differ by more than chance and by enough to matter.
    differences : dict of str to float
        Mean difference of each feature from images at home of the same predicted class, in their
        standard deviations; the largest first.
    """

    n_images: int
    shifted: bool
    differences: dict[str, float]


@dataclass(frozen=True)
class HomeProfile:
    """Features of images at home, by predicted class, to tell when a folder comes from elsewhere.

    Images are compared with those of the same predicted class, so that a folder of one kind of cell
    is no shift.

    Parameters
    ----------
    names : tuple of str
        Names of the features.
    centres, spreads : ndarray of shape (n_classes, n_features)
        Mean and standard deviation of the features, by predicted class.
    counts : ndarray of shape (n_classes,)
        Number of images that they are from.
    """

    names: tuple[str, ...]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    counts: NDArray[np.intp]

    @classmethod
    def fit(cls, names: Any, features: ArrayLike, codes: NDArray[np.intp], n_classes: int) -> Self:
        """Summarise features of images that the classifier was not trained on.

        Parameters
        ----------
        names : sequence of str
            Names of the features.
        features : array-like of shape (n, n_features)
            Features.
        codes : ndarray of int of shape (n,)
            Predicted class of each image.
        n_classes : int
            Number of classes.

        Returns
        -------
        HomeProfile
            The summary.
        """
        values = np.asarray(features, dtype=np.float64)
        counts = np.bincount(codes, minlength=n_classes)
        parts = [values[codes == k] if counts[k] >= _FEWEST else values for k in range(n_classes)]
        spreads = np.array([part.std(axis=0) for part in parts])
        floor = 1e-12 + 1e-6 * np.abs(values).max(axis=0)  # of a feature that is the same in all
        return cls(
            tuple(names),
            np.array([part.mean(axis=0) for part in parts]),
            np.maximum(spreads, floor),
            np.maximum(counts, 1),
        )

    def compare(self, features: ArrayLike, codes: NDArray[np.intp]) -> ShiftReport:
        """Compare images with those at home.

        Parameters
        ----------
        features : array-like of shape (n, n_features)
            The same features of other images.
        codes : ndarray of int of shape (n,)
            Predicted class of each image.

        Returns
        -------
        ShiftReport
            The differences, and whether they matter.
        """
        values = np.asarray(features, dtype=np.float64)
        effects = ((values - self.centres[codes]) / self.spreads[codes]).mean(axis=0)
        order = np.argsort(-np.abs(effects), kind="stable")
        # Of the means of these images, and of the means at home that they are compared with.
        shares = np.bincount(codes, minlength=len(self.counts)) / len(values)
        error = np.sqrt(1 / len(values) + np.sum(shares**2 / self.counts))
        limit = SMALL_SHIFT + N_ERRORS * error
        return ShiftReport(
            n_images=len(values),
            shifted=bool(np.abs(effects[order[0]]) > limit),
            differences={self.names[i]: float(effects[i]) for i in order},
        )
