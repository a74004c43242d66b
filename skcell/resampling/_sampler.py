"""imbalanced-learn's samplers, on images."""

from typing import Any

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import get_tags

from skcell.resampling._base import BaseImageSampler

_BLOCK = 1 << 20  # pixels rounded together


class ImageSampler(BaseImageSampler):
    """Run any imbalanced-learn sampler on images.

    imbalanced-learn's samplers take tables, and most compute in the dtype of the table, which goes
    wrong for unsigned integers. Here images are flattened, integers become floats, a clone of
    `sampler` does its work, and what it returns is rounded, clipped to the range of the input's
    dtype and given the images' shape again. Images that a sampler only selects come out as they
    went in, to the bit.

    Parameters
    ----------
    sampler : sampler
        An object with `fit_resample`: an over-sampler, under-sampler, cleaner or combination of
        imbalanced-learn, such as ``RandomOverSampler()``, ``ADASYN()``, ``ClusterCentroids()``,
        ``EditedNearestNeighbours()`` or ``SMOTEENN()``. Its parameters are reached as
        ``sampler__k_neighbors``.

    Attributes
    ----------
    sampler_ : sampler
        The fitted clone of `sampler`. It was fitted on flattened images, or, where it draws at
        random without a look at pixels (`RandomOverSampler`, `RandomUnderSampler`), on a column
        of indices.

    sample_indices_ : ndarray of shape (n_resampled,)
        For each output image the index of the input image that it is, or was made from. Present
        only where `sampler` tells it, as those do that select or repeat images; those that make
        new ones (`SMOTE`, `ClusterCentroids`, `SMOTEENN`, ...) do not say from which.

    sampling_strategy_ : dict
        Number of images to select or make for each class, as `sampler` understands it.

    n_features_in_ : int
        Number of pixel values of an image, or of columns.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where `X` is a data frame whose columns are all named by strings.

    Raises
    ------
    TypeError
        If `sampler` is a class, or has no `fit_resample`.
    ValueError
        If `X` is no array of images or rows, or holds NaN or infinite values; and whatever
        `sampler` raises.

    See Also
    --------
    ImageSMOTE : SMOTE on images, faster and in less memory than ``ImageSampler(SMOTE())``, and
        with known parents.

    Notes
    -----
    uint8, uint16 and float16 pixels are given to `sampler` as float32, which holds them exactly,
    wider integers as float64. A sampler that looks at pixels therefore needs at least four times
    the memory of uint8 images, beside its own; `RandomOverSampler` without `shrinkage` and
    `RandomUnderSampler` need none beyond the result.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.under_sampling import RandomUnderSampler
    >>> from skcell.resampling import ImageSampler
    >>> images = np.arange(10 * 4 * 4, dtype=np.uint8).reshape(10, 4, 4)
    >>> labels = np.repeat(["lymphocyte", "blast"], [7, 3])
    >>> sampler = ImageSampler(RandomUnderSampler(random_state=0))
    >>> fewer_images, fewer_labels = sampler.fit_resample(images, labels)
    >>> fewer_images.shape, fewer_images.dtype
    ((6, 4, 4), dtype('uint8'))
    >>> bool((fewer_images == images[sampler.sample_indices_]).all())
    True
    """

    _parameter_constraints: dict = {"sampler": "no_validation"}  # `_validate_params` below

    def __init__(self, sampler: Any):
        self.sampler = sampler

    def _validate_params(self):
        if isinstance(self.sampler, type) or not hasattr(self.sampler, "fit_resample"):
            raise TypeError(
                "ImageSampler takes an imbalanced-learn sampler, an instance with fit_resample "
                f"such as RandomOverSampler() or SMOTEENN(); got {self.sampler!r}."
            )

    # The base class works these out into `sampling_strategy_`.
    @property
    def sampling_strategy(self) -> Any:
        """Sampling strategy of `sampler`."""
        return getattr(self.sampler, "sampling_strategy", "auto")

    @property
    def _sampling_type(self) -> str:
        return getattr(self.sampler, "_sampling_type", "bypass")

    def _fit_resample(self, X, y):
        if hasattr(self, "sample_indices_"):
            delattr(self, "sample_indices_")  # of an earlier fit, perhaps with another sampler
        self.sampler_ = clone(self.sampler)
        if _is_blind(self.sampler):
            index = np.arange(len(X)).reshape(-1, 1)
            index_resampled, y_resampled = self.sampler_.fit_resample(index, y)
            X_resampled = X[index_resampled[:, 0]]
        else:
            rows = X.reshape(len(X), -1).astype(_arithmetic(X.dtype), copy=False)
            rows_resampled, y_resampled = self.sampler_.fit_resample(rows, y)
            X_resampled = _as_dtype(rows_resampled, X.dtype).reshape(-1, *X.shape[1:])
        if hasattr(self.sampler_, "sample_indices_"):
            self.sample_indices_ = self.sampler_.sample_indices_
        return X_resampled, y_resampled

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if hasattr(self.sampler, "__sklearn_tags__"):
            inner = getattr(get_tags(self.sampler), "sampler_tags", None)
            tags.sampler_tags.sample_indices = bool(inner and inner.sample_indices)
        return tags


def _is_blind(sampler: Any) -> bool:
    """Whether a sampler draws without a look at pixels."""
    if type(sampler) is RandomOverSampler:
        return sampler.shrinkage is None
    return type(sampler) is RandomUnderSampler


def _arithmetic(dtype: np.dtype) -> np.dtype:
    """Return the floats that hold `dtype` exactly and that samplers can compute in."""
    return np.promote_types(dtype, np.float32)


def _as_dtype(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    """Cast floats to `dtype`, rounded and clipped where it is an integer one."""
    if dtype.kind not in "iu" or values.dtype == dtype:
        return values.astype(dtype, copy=False)
    cast = np.empty(values.shape, dtype)
    limits = np.iinfo(dtype)
    n_rows = max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), n_rows):
        some = slice(start, start + n_rows)
        cast[some] = np.clip(np.rint(values[some]), limits.min, limits.max)
    return cast
