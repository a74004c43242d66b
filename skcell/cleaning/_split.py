"""Suggest a split that keeps copies and groups together."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell._holdout import Purpose, check_groups, split_holdout
from skcell._images import check_labels
from skcell.cleaning._duplicates import Duplicates

_PURPOSE = Purpose("the test", "add images", "test_size")


def suggest_split(
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    duplicates: Duplicates | None = None,
    test_size: float = 0.2,
    random_state: int = 0,
) -> NDArray[np.str_]:
    """Split images into training and test such that no score is flattered.

    Each class has about the same share in both parts, as far as this is possible: all images of a
    group, and all copies of an image, are in one part.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    groups : array-like of shape (n,), default=None
        Group of each image, such as its patient or slide.
    duplicates : Duplicates, default=None
        Result of `find_duplicates` on the images.
    test_size : float, default=0.2
        Share of the images in the test.
    random_state : int, default=0
        Seed of the choice.

    Returns
    -------
    ndarray of str of shape (n,)
        "train" or "test" for each image.

    Raises
    ------
    ValueError
        If the labels or groups cannot be used, or leave no such split.

    See Also
    --------
    sklearn.model_selection.StratifiedGroupKFold : Folds; pass `duplicates.clusters` as groups.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.cleaning import find_duplicates, suggest_split
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(40, n_classes=2, image_size=32, random_state=0)
    >>> images = np.concatenate([cells.images, cells.images[:10]])
    >>> labels = np.concatenate([cells.target, cells.target[:10]])
    >>> split = suggest_split(labels, duplicates=find_duplicates(images))
    >>> (split[:10] == split[40:]).all()
    np.True_
    """
    labels = check_labels(y, np.shape(y)[0])
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be between 0 and 1; got {test_size!r}.")
    copies: Any = None
    if duplicates is not None:
        copies = duplicates.clusters
        if len(copies) != len(labels):
            raise ValueError(f"duplicates are of {len(copies)} images, y of {len(labels)}.")
    _, test = split_holdout(
        labels,
        fraction=test_size,
        groups=check_groups(groups, len(labels)),
        copies=copies,
        random_state=random_state,
        purpose=_PURPOSE,
    )
    split = np.full(len(labels), "train")
    split[test] = "test"
    return split
