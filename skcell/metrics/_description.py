"""Light, colour and sharpness of images, in numbers."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Quantiles of the pixels of a channel that describe its colour.
_QUANTILES = {"dark": 0.1, "medium": 0.5, "bright": 0.9}

_CHUNK = 256  # images described at a time, as quantiles need a copy in double precision


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
