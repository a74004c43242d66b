"""Checked training data, and the batches that are made of it."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, assert_all_finite, column_or_1d

from skcell._validation import ImageSpec
from skcell.classifiers._feeding import ImageBatches


@dataclass(frozen=True)
class Labelled:
    """Images with class codes and weights.

    Parameters
    ----------
    images : ndarray
        Images `(n, H, W, C)` or paths `(n,)`.
    spec : ImageSpec
        What they are.
    classes : ndarray of shape (n_classes,)
        Labels, sorted.
    codes : ndarray of shape (n,)
        Position of each image's label in `classes`.
    weights : ndarray of shape (n,)
        Weight of each image.
    views : int
        Changed copies of each image, instead of it: all of the first, then all of the second ...
    """

    images: NDArray[Any]
    spec: ImageSpec
    classes: NDArray[Any]
    codes: NDArray[np.intp]
    weights: NDArray[np.float32]
    views: int = 1

    @classmethod
    def check(
        cls,
        images: NDArray[Any],
        spec: ImageSpec,
        y: Any,
        *,
        classes: NDArray[Any] | None,
        sample_weight: Any = None,
        class_weight: Any = None,
        owner: str = "The classifier",
    ) -> Self:
        """Check labels and weights; `classes` are None where `y` tells them."""
        if y is None:
            raise ValueError(
                f"This {owner} estimator requires y to be passed, but the target y is None."
            )
        y = column_or_1d(y, warn=True)
        check_consistent_length(images, y)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        if classes is None:
            classes = _find_classes(y, owner)
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(
                f"y contains labels that are not among the classes {classes.tolist()}: "
                f"{unknown.tolist()}. For partial_fit, name all classes in the first call."
            )
        codes = np.searchsorted(classes, y)
        weights = _check_sample_weight(
            sample_weight, images, dtype=np.float32, ensure_non_negative=True, copy=True
        )
        if class_weight is not None:
            weights *= compute_class_weight(class_weight, classes=classes, y=y)[codes]
        if weights.min() < 0 or not weights.any():
            raise ValueError(
                "sample_weight times class_weight must be positive for some images and negative "
                "for none; there is nothing to learn otherwise."
            )
        return cls(images, spec, classes, codes, weights)

    def only(self, rows: NDArray[np.intp], weight: float | None = None) -> Self:
        """Weigh all but `rows` zero, which leaves them out and copies no image."""
        weights = np.zeros_like(self.weights)
        weights[rows] = self.weights[rows] if weight is None else weight
        return replace(self, weights=weights)

    def batches(
        self, *, batch_size: int, smoothing: float = 0.0, seed: int | None = None
    ) -> ImageBatches:
        """Make batches with one-hot targets, of which `smoothing` is spread over all classes."""
        hot = np.eye(len(self.classes), dtype=np.float32)
        targets = (hot * (1 - smoothing) + smoothing / len(self.classes))[self.codes]
        return ImageBatches(
            self.images,
            self.spec,
            np.tile(targets, (self.views, 1)),
            self.weights,
            batch_size=batch_size,
            seed=seed,
        )


def _find_classes(y: NDArray[Any], owner: str) -> NDArray[Any]:
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{owner} needs images of at least two classes, got 1 class: {classes[0]!r} for all "
            f"of the {len(y)} images."
        )
    if counts.max() == 1:
        raise ValueError(
            f"Every class has a single image ({len(y)} images, {len(y)} classes), from which "
            "nothing can be learned. Are y the classes, not names of the images?"
        )
    return classes
