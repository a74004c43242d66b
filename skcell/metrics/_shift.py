"""Domain shift: how different two sets of images are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

#: Quantiles of the pixels of a channel that describe its colour.
_QUANTILES = {"dark": 0.1, "medium": 0.5, "bright": 0.9}

_CHUNK = 256  # images described at a time, as quantiles need a copy in double precision


@dataclass(frozen=True)
class Shift:
    """Result of `measure_shift`.

    Parameters
    ----------
    auc : float
        Area under the ROC curve of a classifier that predicts the set of an image, on images that
        it was not trained on: 0.5 if there is no difference, 1 if each image shows its set.
    differences : dict of str to float
        Difference of the means of each feature, in units of its standard deviation in the first
        set; the largest first.
    """

    auc: float
    differences: dict[str, float]


def measure_shift(X: ArrayLike, X_other: ArrayLike, random_state: int = 0) -> Shift:
    """Measure how different two sets of images are, without labels.

    A logistic regression learns to predict the set of an image, and its cross-validated area under
    the ROC curve is the measure (a classifier two-sample test [1]_). It says before any prediction
    whether a model trained on the one set can be trusted on the other: near 0.5 there is no shift
    that these features show; near 1, check the model on some labelled images, or adapt it. Of few
    images, the measure is imprecise: for two sets of 20 of the same cells, it exceeded 0.67 in one
    of twenty simulations, for two of 200, 0.56 (``benchmarks/results/statistics.json``).

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)` of the same dtype and channels as the others; they
        are described by `describe_images`. Or features
        `(n, n_features)` of images, such as those of `skcell.ImageFeatures`.
    X_other : array-like
        Images or features of the other laboratory.
    random_state : int, default=0
        Seed of the folds.

    Returns
    -------
    Shift
        The measure, `auc`, and the largest differences.

    Raises
    ------
    ValueError
        If there are fewer than 10 images in one set, or if the sets are of different kinds.

    References
    ----------
    .. [1] D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> from skcell.datasets import make_cells
    >>> from skcell.metrics import measure_shift
    >>> images = make_cells(80, n_classes=2, image_size=32, random_state=0).images
    >>> shift = measure_shift(images[:40], images[40:] // 2)  # half of the light
    >>> round(shift.auc, 2)
    1.0
    """
    parts = [describe_images(images) for images in (X, X_other)]
    names = parts[0][0]
    if names != parts[1][0]:
        raise ValueError(
            f"The two sets must be images with the same number of channels, or features of the "
            f"same number; got {len(names)} and {len(parts[1][0])} features."
        )
    features = np.concatenate([part[1] for part in parts])
    sizes = [len(part[1]) for part in parts]
    if min(sizes) < 10:
        raise ValueError(f"Each set needs at least 10 images; got {sizes[0]} and {sizes[1]}.")
    if not np.isfinite(features).all():
        raise ValueError("Some pixels or features are NaN or infinite.")
    is_other = np.repeat([0, 1], sizes)
    clf = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=random_state)
    scores = cross_val_predict(clf, features, is_other, cv=folds, method="decision_function")
    first, other = features[: sizes[0]], features[sizes[0] :]
    spread = np.maximum(first.std(axis=0), 1e-12 + 1e-6 * np.abs(first.mean(axis=0)))
    differences = (other.mean(axis=0) - first.mean(axis=0)) / spread
    order = np.argsort(-np.abs(differences), kind="stable")
    return Shift(
        auc=float(roc_auc_score(is_other, scores)),
        differences={names[i]: float(differences[i]) for i in order},
    )


def describe_images(X: ArrayLike) -> tuple[list[str], NDArray[np.float64]]:
    """Describe the light, colour and sharpness of images by a few numbers each.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`; or features `(n, n_features)`, which are returned.

    Returns
    -------
    names : list of str
        Names of the features.
    features : ndarray of shape (n, n_features)
        For each channel, the quantiles 0.1, 0.5 and 0.9 of its pixels; and the sharpness: the
        logarithm of the standard deviation of a discrete Laplacian of the mean channel, relative
        to that of the channel itself.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.metrics import describe_images
    >>> names, features = describe_images(np.full((1, 8, 8), 7, np.uint8))
    >>> names
    ['dark pixels, channel 0', 'medium pixels, channel 0', 'bright pixels, channel 0', 'sharpness']
    """
    X = np.asarray(X)
    if X.ndim == 2:
        return [f"feature {i}" for i in range(X.shape[1])], X.astype(np.float64)
    if X.ndim not in (3, 4) or X.dtype.kind not in "uif":
        raise ValueError(
            f"Expected images (n, H, W, C) or (n, H, W), or features (n, n_features), of numbers; "
            f"got an array of {X.dtype} of shape {X.shape}."
        )
    n_channels = X.shape[3] if X.ndim == 4 else 1
    channels = ["red", "green", "blue"] if n_channels == 3 else range(n_channels)
    names = [f"{level} pixels, channel {c}" for level in _QUANTILES for c in channels]
    parts = [_describe_few(X[i : i + _CHUNK], n_channels) for i in range(0, len(X), _CHUNK)]
    return [*names, "sharpness"], np.concatenate(parts)


def _describe_few(X: NDArray[Any], n_channels: int) -> NDArray[np.float64]:
    pixels = X.reshape(len(X), -1, n_channels)
    values = np.quantile(pixels, list(_QUANTILES.values()), axis=1)  # (quantiles, n, channels)
    grey = X.reshape(*X.shape[:3], n_channels).mean(axis=3)
    inner = grey[:, 1:-1, 1:-1]
    laplacian = (
        grey[:, 2:, 1:-1] + grey[:, :-2, 1:-1] + grey[:, 1:-1, 2:] + grey[:, 1:-1, :-2] - 4 * inner
    )
    tiny = 1e-3 * max(float(np.abs(grey).max(initial=0.0)), 1e-12)  # for images of one colour
    deviations = [part.std(axis=(1, 2)) + tiny if part.size else tiny for part in (laplacian, grey)]
    sharpness = np.broadcast_to(np.log(deviations[0]) - np.log(deviations[1]), len(X))
    return np.concatenate([*values, sharpness[:, None]], axis=1)
