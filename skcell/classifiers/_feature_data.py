"""Replace the training images of a classifier by features of a frozen backbone."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._digest import digest_images
from skcell._engine import TrainingData
from skcell._images import ImageSpec
from skcell.preprocessing import ImageFeatures
from skcell.resampling import ImageAugmenter


def replace_images_by_features(
    features: ImageFeatures,
    data: TrainingData,
    val: TrainingData | None,
    augmentation: ImageAugmenter | None,
    n_views: int,
) -> tuple[TrainingData, TrainingData | None]:
    """Replace images by features."""

    def compute(seen: TrainingData, view: int | None = None) -> NDArray[np.float32]:
        change = None
        if view is not None and augmentation is not None:

            def change(images: NDArray[Any]) -> NDArray[Any]:
                return augmentation.make_view(images, digest_images(images), view)

        return features.compute_checked(seen.images, seen.spec, change)[:, None, None]

    plain = None
    if augmentation is None:
        found = plain = compute(data)
    else:
        found = np.concatenate([compute(data, view) for view in range(n_views)])
    spec = ImageSpec(found.shape[1:], "float32", "images")
    seen = replace(data, images=found, spec=spec, views=len(found) // len(data.images))
    if val is None:
        return seen, None
    # A holdout has the same array of images as the training data: only weights differ.
    if plain is None or val.images is not data.images:
        plain = compute(val)
    return seen, replace(val, images=plain, spec=spec)
