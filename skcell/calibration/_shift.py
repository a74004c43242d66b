"""Domain shift: whether images differ from those that calibrated a classifier."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell.metrics import describe_images

#: A shift is reported if the mean of a feature differs from that of the reference by this many
#: standard deviations, and by this many standard errors more. The first is too small to change many
#: predictions; the second bounds false alarms for few images.
SMALL_SHIFT = 0.4
N_ERRORS = 4.5

#: A difference below this many standard deviations is not named.
_SMALL = 0.3

#: Fewest images of which a shift is tested. With fewer reference images of a predicted class, the
#: class is compared with all classes together, which is still as uncertain as so few images are.
_FEWEST = 10

#: By how much the accuracy falls if the mean probability of the predicted class falls: at least,
#: and at most, in nine of ten simulated laboratories (benchmarks/bench_laboratories.py).
_LOSS = 0.8, 2.5
_MARGIN = 0.02

#: A feature of one image counts as at most this many standard deviations from the
#: reference, so that a few odd images are no shift.
_MOST = 6.0


@dataclass(frozen=True)
class ShiftReport:
    """How images differ from the reference images.

    Parameters
    ----------
    n_images : int
        Number of images.
    shifted : bool
        Whether they differ by more than chance and by enough to matter.
    differences : dict of str to float
        Mean difference of each feature from that of reference images of the same predicted class,
        in their standard deviations; the largest first.
    kept : tuple of float or None
        Between which fractions of its accuracy a classifier may keep on these images; None if it
        is not known.
    """

    #: Fewest images of which a shift is tested, and what is said of fewer.
    fewest: ClassVar[int] = _FEWEST
    too_few: ClassVar[str] = (
        f"With fewer than {_FEWEST} images no test of a domain shift is possible."
    )

    n_images: int
    shifted: bool
    differences: dict[str, float]
    kept: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Return a sentence about the shift."""
        large = [(name, d) for name, d in self.differences.items() if abs(d) > _SMALL][:3]
        large_ones = [f"{name} {abs(d):.1f} {'above' if d > 0 else 'below'}" for name, d in large]
        if not self.shifted:
            return "Light, colour and sharpness of these images are those of the training images."
        told = ""
        if self.kept is not None:
            low, high = self.kept
            told = (
                "In simulated laboratories, models whose probabilities were as low as here kept "
                f"{100 * low:.0f} to {100 * high:.0f} % of their accuracy. "
            )
        return (
            f"These images differ from the training images: {', '.join(large_ones)} (in standard "
            "deviations of the training images). Scores that were measured on images like the "
            f"training images do not hold here. {told}Evaluate the model on labelled images from "
            "here, or adapt it."
        )


@dataclass(frozen=True)
class ReferenceProfile:
    """Features of reference images, by predicted class, from which a domain shift is detected.

    Images are compared with those of the same predicted class, so that a folder of one kind of cell
    is no shift.

    Parameters
    ----------
    names : tuple of str
        Names of the features.
    centres, spreads : ndarray of shape (n_classes, n_features)
        Mean of the features, by predicted class, and standard deviation within classes. This is
        pooled over classes, since that of a few images is uncertain.
    counts : ndarray of shape (n_classes,)
        Number of images that they are from.
    between : ndarray of shape (n_features,)
        Standard deviation of the means of patients or slides, beyond that of so many images, in
        units of `spreads`; zero if they are not known.
    n_groups : int
        Number of patients or slides; 0 if they are not known.
    """

    names: tuple[str, ...]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    counts: NDArray[np.intp]
    between: NDArray[np.float64]
    n_groups: int = 0

    @classmethod
    def fit(
        cls,
        names: Any,
        features: ArrayLike,
        codes: NDArray[np.intp],
        n_classes: int,
        groups: ArrayLike | None = None,
    ) -> Self:
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
        groups : array-like of shape (n,), default=None
            Patient or slide of each image. A folder of one other patient is then no shift if
            patients of the reference images differ as much.

        Returns
        -------
        ReferenceProfile
            The summary.
        """
        values = np.asarray(features, dtype=np.float64)
        counts = np.bincount(codes, minlength=n_classes)
        enough = counts >= _FEWEST
        everywhere = values.mean(axis=0)
        centres = np.tile(everywhere, (n_classes, 1))
        for code in np.flatnonzero(enough):
            centres[code] = values[codes == code].mean(axis=0)
        known = enough[codes]
        overall = values.std(axis=0, ddof=min(1, len(values) - 1))
        squares = np.square(values[known] - centres[codes[known]]).sum(axis=0)
        freedom = known.sum() - enough.sum()
        pooled = np.sqrt(squares / freedom) if freedom else overall
        floor = 1e-12 + 1e-6 * np.abs(values).max(axis=0)  # of a feature that is the same in all
        spreads = np.maximum(np.where(enough[:, None], pooled, overall), floor)
        between, n_groups = np.zeros(values.shape[1]), 0
        if groups is not None:
            _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
            n_groups = len(sizes)
            effects = _effects(values, codes, centres, spreads)
            means = np.zeros((n_groups, values.shape[1]))
            np.add.at(means, numbers, effects)
            spread = (means / sizes[:, None]).var(axis=0, ddof=min(1, n_groups - 1))
            between = np.sqrt(np.maximum(spread - np.mean(1 / sizes), 0.0))
        return cls(tuple(names), centres, spreads, np.maximum(counts, 1), between, n_groups)

    def compare(self, features: ArrayLike, codes: NDArray[np.intp]) -> ShiftReport:
        """Compare images with the reference images.

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
        differences = ((values - self.centres[codes]) / self.spreads[codes]).mean(axis=0)
        effects = _effects(values, codes, self.centres, self.spreads).mean(axis=0)
        # Of the means of these images, and of the reference means.
        shares = np.bincount(codes, minlength=len(self.counts)) / len(values)
        variance = np.full(len(self.names), 1 / len(values) + np.sum(shares**2 / self.counts))
        # These images may be of one patient.
        variance += self.between**2 * (1 + 1 / max(self.n_groups, 1))
        excess = np.abs(effects) - SMALL_SHIFT - N_ERRORS * np.sqrt(variance)
        order = np.argsort(-np.abs(differences), kind="stable")
        return ShiftReport(
            n_images=len(values),
            shifted=bool((excess > 0).any()),
            differences={self.names[i]: float(differences[i]) for i in order},
        )


def expect_kept(confidence: float, at_home: float) -> tuple[float, float]:
    """Return between which fractions of its accuracy a classifier may keep.

    They depend on the mean probability of the predicted class here and at home.
    """
    fall = max(0.0, 1 - confidence / at_home)
    least, most = _LOSS
    return max(0.0, 1 - most * fall - _MARGIN), max(0.0, 1 - least * fall)


def _effects(
    values: NDArray[np.float64],
    codes: NDArray[np.intp],
    centres: NDArray[np.float64],
    spreads: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how far each image is from the reference of its class, in standard deviations."""
    return np.clip((values - centres[codes]) / spreads[codes], -_MOST, _MOST)


def measure_shift(X: ArrayLike, X_other: ArrayLike, groups: ArrayLike | None = None) -> ShiftReport:
    """Compare two sets of images, without labels and without a model.

    Light, colour and sharpness of the images are compared as `CalibratedClassifier.detect_shift`
    compares them, but over all classes together. If the sets have other shares of the classes, that
    can be a difference, too.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, as of training; they are described by
        `skcell.metrics.describe_images`. Or features `(n, n_features)` of images, such as those of
        `skcell.ImageFeatures`.
    X_other : array-like
        Images or features of the other laboratory, of the same dtype and channels.
    groups : array-like of shape (n,), default=None
        Patient or slide of each image in `X`. A set of another patient is then no shift if patients
        differ as much.

    Returns
    -------
    ShiftReport
        The differences, and whether they matter.

    Raises
    ------
    ValueError
        If there are fewer than 10 images in one set, or if the sets are of different kinds.

    Examples
    --------
    >>> from skcell.calibration import measure_shift
    >>> from skcell.datasets import make_cells
    >>> images = make_cells(80, n_classes=2, image_size=32, random_state=0).images
    >>> measure_shift(images[:40], images[40:] // 2).shifted  # half of the light
    True
    """
    (names, features), (other_names, others) = describe_images(X), describe_images(X_other)
    if names != other_names:
        raise ValueError(
            f"The two sets must be images with the same number of channels, or features of the "
            f"same number; got {len(names)} and {len(other_names)} features."
        )
    if min(len(features), len(others)) < _FEWEST:
        raise ValueError(
            f"Each set needs at least {_FEWEST} images; got {len(features)} and {len(others)}."
        )
    if not (np.isfinite(features).all() and np.isfinite(others).all()):
        raise ValueError("Some pixels or features are NaN or infinite.")
    reference = ReferenceProfile.fit(names, features, np.zeros(len(features), int), 1, groups)
    return reference.compare(others, np.zeros(len(others), int))
