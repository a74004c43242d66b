"""Features of a frozen backbone in place of the images that a classifier is trained on."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skcell._digest import digest_images
from skcell._takes_images import take
from skcell._validation import ImageSpec
from skcell.augmentation import ImageAugmenter
from skcell.classifiers._data import Labelled
from skcell.networks._augment import draw_view
from skcell.preprocessing import ImageFeatures
from skcell.preprocessing._image_features import CHUNK


def look(
    features: ImageFeatures,
    data: Labelled,
    held: Labelled | None,
    augmentation: ImageAugmenter | None,
    n_views: int | None,
) -> tuple[Labelled, Labelled | None]:
    """Put features in place of images.

    Parameters
    ----------
    features : ImageFeatures
        The backbone.
    data : Labelled
        What to train on.
    held : Labelled or None
        What to watch; never changed by `augmentation`.
    augmentation : ImageAugmenter or None
        What makes the views.
    n_views : int or None
        Changed copies of each image to train on; None is the image itself.

    Returns
    -------
    data, held : Labelled
        With features as images of height and width 1.
    """

    def compute(seen: Labelled, view: int | None = None) -> NDArray[np.float32]:
        out = np.empty((len(seen.images), 1, 1, features._n_features_out), np.float32)
        for start in range(0, len(out), CHUNK):
            rows = slice(start, start + CHUNK)
            images = take(seen.images, rows, seen.spec, n_jobs=-1)
            if view is not None:
                assert augmentation is not None
                arguments = dict(augmentation.layer_arguments())
                images = draw_view(images, digest_images(images), view, arguments)
            out[rows, 0, 0] = features.compute(images)
        return out

    plain = None
    if n_views is None:
        found = plain = compute(data)
    else:
        found = np.concatenate([compute(data, view) for view in range(n_views)])
    spec = ImageSpec(found.shape[1:], "float32", "images")
    seen = replace(data, images=found, spec=spec, views=n_views or 1)
    if held is None:
        return seen, None
    if plain is None or held.images is not data.images:
        plain = compute(held)
    return seen, replace(held, images=plain, spec=spec)
