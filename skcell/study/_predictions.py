"""The predictions of a study's fits for each image, and the names of the images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import check_labels
from skcell.study._records import FoldResult, Validated

if TYPE_CHECKING:
    from skcell.study._result import StudyResult


def name_images(names: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Return a name for each image."""
    if names is not None:
        return check_labels(names, len(X), "image_names", "name").astype(str)
    return X.astype(str) if X.ndim == 1 else np.arange(len(X)).astype(str)


def list_predictions(result: "StudyResult") -> dict[str, NDArray[Any]]:
    """List the predictions of each fit for each of its validation images."""
    images = result.images
    known = [fold for fold in result.folds if fold.predicted is not None]
    if not known or images is None:
        return {"technique": np.empty(0, str), "fold": np.empty(0, int), "index": np.empty(0, int)}
    names, classes = images.names, images.classes
    assert names is not None
    assert classes is not None
    parts = [images.tests[fold.fold] for fold in known]
    indices = np.concatenate(parts)
    sizes = [len(part) for part in parts]
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
        "technique": np.repeat([fold.technique for fold in known], sizes),
        "fold": np.repeat([fold.fold for fold in known], sizes),
        "index": indices,
        "image": names[indices],
        **({} if images.groups is None else {"group": images.groups[indices]}),
        "true": classes[images.codes[indices]],
        "predicted": classes[predicted],
        **{f"p {label}": column for label, column in zip(classes, probabilities.T, strict=True)},
    }


def read_predictions(
    columns: dict[str, NDArray[Any]], folds: Sequence[FoldResult]
) -> tuple[Validated, list[FoldResult]]:
    """Convert the columns of `list_predictions` back to images and fits."""
    classes = np.array([name[2:] for name in columns if name.startswith("p ")])
    indices, numbers = columns["index"].astype(int), columns["fold"].astype(int)
    n = int(indices.max()) + 1
    names, codes = np.full(n, "", object), np.full(n, -1)
    place = {label: code for code, label in enumerate(classes.tolist())}
    names[indices] = columns["image"]
    codes[indices] = [place[label] for label in columns["true"]]
    groups = None
    if "group" in columns:
        groups = np.full(n, "", object)
        groups[indices] = columns["group"]
    tests = [np.empty(0, int)] * (int(numbers.max()) + 1)
    probabilities = np.stack([columns[f"p {c}"].astype(np.float32) for c in classes], axis=1)
    filled = []
    for fold in folds:
        places = np.flatnonzero((columns["technique"] == fold.technique) & (numbers == fold.fold))
        if len(places):
            tests[fold.fold] = indices[places]
            fold = replace(
                fold,
                predicted=np.array([place[label] for label in columns["predicted"][places]]),
                probabilities=None
                if np.isnan(probabilities[places]).any()
                else probabilities[places],
            )
        filled.append(fold)
    return Validated(tests, codes, groups, names.astype(str), classes), filled
