"""A wrapper that applies imbalanced-learn's samplers to images."""

from typing import Any

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import get_tags

from skcell.resampling._base import BaseImageSampler

_BLOCK = 1 << 20  # number of pixels that are rounded at a time


class ImageSampler(BaseImageSampler):
    """Apply any imbalanced-learn sampler to images.

    imbalanced-learn's samplers take tables, and most of them compute in the dtype of the table,
    which gives wrong results for unsigned integers. This class flattens the images, converts
    integers to floats and applies a clone of `sampler`. It then rounds the result, clips it to the
    range of the input's dtype and restores the shape of the images. Images that a sampler only
    selects are returned bit for bit.

    Parameters
    ----------
    sampler : sampler
        An object with `fit_resample`: an over-sampler, under-sampler, cleaning method or
        combination of imbalanced-learn, such as ``RandomOverSampler()``, ``ADASYN()``,
        ``ClusterCentroids()``, ``EditedNearestNeighbours()`` or ``SMOTEENN()``. Its parameters
        are set with a prefix, for example ``sampler__k_neighbors``.

    Attributes
    ----------
    sampler_ : sampler
        The fitted clone of `sampler`. It was fitted on flattened images. If it draws at random
        without using the pixels (`RandomOverSampler`, `RandomUnderSampler`), it was fitted on a
        column of indices.

    sample_indices_ : ndarray of shape (n_resampled,)
        For each output image, the index of the input image that it is or was made from. This
        attribute exists only if `sampler` provides it. Samplers that select or repeat images do;
        samplers that make new images (`SMOTE`, `ClusterCentroids`, `SMOTEENN`, ...) do not.

    sampling_strategy_ : dict
        Number of images to select or make for each class, as defined by `sampler`.

    n_features_in_ : int
        Number of pixel values of an image, or number of columns.

    feature_names_in_ : ndarray of str
        Column names, if `X` is a data frame whose column names are all strings.

    Raises
    ------
    TypeError
        If `sampler` is a class, or has no `fit_resample`.
    ValueError
        If `X` is not an array of images or a table, or contains NaN or infinite values.
        Exceptions raised by `sampler` are passed on.

    See Also
    --------
    ImageSMOTE : SMOTE on images; faster than ``ImageSampler(SMOTE())``, needs less memory, and
        records the parents of each image.

    Notes
    -----
    uint8, uint16 and float16 pixels are passed to `sampler` as float32, which represents them
    exactly; wider integers are passed as float64. A sampler that uses the pixels therefore needs
    at least four times the memory of uint8 images, in addition to its own memory.
    `RandomOverSampler` without `shrinkage` and `RandomUnderSampler` need no memory beyond the
    result.

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
                "ImageSampler takes an instance of an imbalanced-learn sampler with fit_resample, "
                f"such as RandomOverSampler() or SMOTEENN(); got {self.sampler!r}."
            )

    # imbalanced-learn's base class computes `sampling_strategy_` from these two properties.
    @property
    def sampling_strategy(self) -> Any:
        """Sampling strategy of `sampler`."""
        return getattr(self.sampler, "sampling_strategy", "auto")

    @property
    def _sampling_type(self) -> str:
        return getattr(self.sampler, "_sampling_type", "bypass")

    def _fit_resample(self, X, y):
        if hasattr(self, "sample_indices_"):
            delattr(self, "sample_indices_")  # from an earlier fit, maybe with another sampler
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
    """Return whether a sampler draws without using the pixels."""
    if type(sampler) is RandomOverSampler:
        return sampler.shrinkage is None
    return type(sampler) is RandomUnderSampler


def _arithmetic(dtype: np.dtype) -> np.dtype:
    """Return a float dtype that represents `dtype` exactly and that samplers can compute in."""
    return np.promote_types(dtype, np.float32)


def _as_dtype(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    """Cast floats to `dtype`; for an integer dtype they are rounded and clipped."""
    if dtype.kind not in "iu" or values.dtype == dtype:
        return values.astype(dtype, copy=False)
    cast = np.empty(values.shape, dtype)
    limits = np.iinfo(dtype)
    n_rows = max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), n_rows):
        some = slice(start, start + n_rows)
        cast[some] = np.clip(np.rint(values[some]), limits.min, limits.max)
    return cast
