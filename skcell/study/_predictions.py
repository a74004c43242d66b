"""What a study's fits predicted, image by image, and the names of the images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import check_labels
from skcell.study._records import FoldResult, Validated


def name_images(names: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Return a name for each image.

    Parameters
    ----------
    names : array-like of shape (n,) or None
        Names given.
    X : ndarray
        Images, or paths, which are names.

    Returns
    -------
    ndarray of shape (n,)
        Names as text; numbers where nothing else is known.
    """
    if names is not None:
        return check_labels(names, len(X), "image_names", "name").astype(str)
    return X.astype(str) if X.ndim == 1 else np.arange(len(X)).astype(str)


def list_predictions(
    folds: Sequence[FoldResult],
    names: NDArray[Any],
    y: NDArray[Any],
    classes: NDArray[Any],
    validated: Validated,
) -> dict[str, NDArray[Any]]:
    """List each validated image of each fit, with what was predicted of it.

    Parameters
    ----------
    folds : sequence of FoldResult
        The fits; those that failed are left out.
    names, y : ndarray of shape (n,)
        Name and label of each image.
    classes : ndarray of shape (n_classes,)
        The labels.
    validated : Validated
        Which images each split validates on.

    Returns
    -------
    dict of str to ndarray
        Columns of one length; probabilities are NaN where a row estimates none.
    """
    known = [fold for fold in folds if fold.predicted is not None]
    rows = [validated.tests[fold.fold] for fold in known]
    if not known:
        return {"row": np.empty(0, str), "fold": np.empty(0, int), "index": np.empty(0, int)}
    indices = np.concatenate(rows)
    sizes = [len(part) for part in rows]
    nothing = np.full((1, len(classes)), np.nan, np.float32)
    probabilities = np.concatenate(
        [
            np.broadcast_to(nothing, (n, len(classes)))
            if fold.probabilities is None
            else fold.probabilities
            for fold, n in zip(known, sizes, strict=True)
        ]
    )
    predicted = np.concatenate([np.asarray(fold.predicted, np.intp) for fold in known])
    return {
        "row": np.repeat([fold.row for fold in known], sizes),
        "fold": np.repeat([fold.fold for fold in known], sizes),
        "index": indices,
        "image": names[indices],
        "true": y[indices],
        "predicted": classes[predicted],
        **{f"p {label}": column for label, column in zip(classes, probabilities.T, strict=True)},
    }
