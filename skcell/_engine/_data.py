"""Validated training data, and the batches that are made from it."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from skcell._engine._batches import ImageBatches
from skcell._images import ImageSpec, check_labels
from skcell._sklearn import _check_sample_weight


@dataclass(frozen=True)
class TrainingData:
    """Images with class codes and weights."""

    images: NDArray[Any]
    spec: ImageSpec
    classes: NDArray[Any]
    codes: NDArray[np.intp]
    weights: NDArray[np.float32]
    class_weights: NDArray[np.float32]
    views: int = 1

    @classmethod
    def from_arrays(
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
        """Check labels and weights; if `classes` is None, the classes are taken from `y`."""
        if y is None:
            raise ValueError(
                f"This {owner} estimator requires y to be passed, but the target y is None."
            )
        y = check_labels(y, len(images))
        check_classification_targets(y)
        if classes is None:
            classes = _find_classes(y, owner)
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(
                f"y contains labels that are not among the classes {classes.tolist()}: "
                f"{unknown.tolist()}. For partial_fit, pass all classes in the first call."
            )
        codes = np.searchsorted(classes, y)
        weights = _check_sample_weight(
            sample_weight, images, dtype=np.float32, ensure_non_negative=True, copy=True
        )
        class_weights = _weigh_classes(class_weight, classes, codes[weights > 0])
        weights *= class_weights[codes]
        if weights.min() < 0 or not weights.any():
            raise ValueError(
                "sample_weight times class_weight must be positive for at least one image and "
                "negative for none; otherwise there is nothing to learn."
            )
        return cls(images, spec, classes, codes, weights, class_weights)

    def from_validation_arrays(
        self, images: NDArray[Any], spec: ImageSpec, y: Any, sample_weight: Any = None
    ) -> Self:
        """Check validation data, and give them the classes and class weights of these data."""
        found = type(self).from_arrays(
            images, spec, y, classes=self.classes, sample_weight=sample_weight
        )
        weights = found.weights * self.class_weights[found.codes]
        return replace(found, weights=weights, class_weights=self.class_weights)

    @property
    def n_present(self) -> int:
        """Number of images whose weight is not zero."""
        return int(np.count_nonzero(self.weights))

    def normalized(self) -> Self:
        """Divide the weights by their mean, so that only their ratios matter."""
        mean = self.weights[self.weights > 0].mean(dtype=np.float64)
        return replace(self, weights=(self.weights / mean).astype(np.float32))

    def subset(self, indices: NDArray[np.intp]) -> Self:
        """Set all other images' weights to zero; no image is copied."""
        weights = np.zeros_like(self.weights)
        weights[indices] = self.weights[indices]
        return replace(self, weights=weights)

    def batches(
        self,
        *,
        batch_size: int,
        smoothing: float = 0.0,
        seed: int | None = None,
    ) -> ImageBatches:
        """Make batches with one-hot targets; `smoothing` is the amount of label smoothing."""
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


def _weigh_classes(
    class_weight: Any, classes: NDArray[Any], codes: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Compute the weight of each class; `codes` are those of the images with nonzero weight."""
    weights = np.ones(len(classes), np.float32)
    if class_weight is None:
        return weights
    # A dict may name classes without images here; "balanced" is only defined for the others.
    known = np.arange(len(classes)) if class_weight != "balanced" else np.unique(codes)
    weights[known] = compute_class_weight(class_weight, classes=classes[known], y=classes[codes])
    return weights


def _find_classes(y: NDArray[Any], owner: str) -> NDArray[Any]:
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{owner} needs images of at least two classes, got 1 class: "
            f"{classes.tolist()[0]!r} for all {len(y)} images."
        )
    if counts.max() == 1:
        raise ValueError(
            f"Every class has a single image ({len(y)} images, {len(y)} classes), so nothing can "
            "be learned. Check that y contains class labels and not the names of the images."
        )
    return classes
