"""The base class of all samplers of images."""

import warnings

import numpy as np
from imblearn.base import BaseSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import column_or_1d, validate_data

from skcell._hints import ParameterHintsMixin
from skcell._images import check_pixels, layout_of
from skcell._sklearn import _check_feature_names


class BaseImageSampler(ParameterHintsMixin, BaseSampler):
    """Base class of samplers of images `(n, H, W[, C])` or tables `(n, n_features)`.

    Subclasses implement `_fit_resample(X, y)` for arrays with any number of dimensions and keep
    their dtype. They set `sample_indices_`: for each output sample, the index of the input sample
    that it is or was made from. `skcell.pipeline` uses these indices to resample sample weights.
    """

    def fit_resample(self, X, y, **params):
        """Resample images, or the rows of a table, and their labels.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, n_features)
            Images, or a table with one sample per row.
        y : array-like of shape (n,)
            Labels.
        **params : dict
            Passed to the sampler.

        Returns
        -------
        X_resampled : same type as `X`; an array for a list of images
            Resampled images or rows, with the dtype of `X`.
        y_resampled : same type as `y`
            Labels of the resampled images or rows.
        """
        # For list input imbalanced-learn returns lists, which for images are nested lists of ints.
        if isinstance(X, (list, tuple)) and layout_of(X) == "images":
            X = check_pixels(X)
        return super().fit_resample(X, y, **params)

    def _check_X_y(self, X, y, accept_sparse=None):
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        layout = layout_of(X)
        if layout == "paths":
            raise ValueError(
                f"{type(self).__name__} resamples the pixels of images and was given file paths; "
                "load the images first: load_image_folder(path, load_images=True)."
            )
        if layout == "rows":
            # imbalanced-learn converts the result back to a data frame of sparse columns.
            if hasattr(X, "sparse"):
                X = X.sparse.to_dense()
            X, y = validate_data(self, X=X, y=y, reset=True, accept_sparse=False)
        else:
            X = check_pixels(X)
            y = column_or_1d(y)
            check_consistent_length(X, y)
            self.n_features_in_ = int(np.prod(X.shape[1:]))
            _check_feature_names(self, X, reset=True)
        return X, y, binarize_y

    def _warn_if_nothing(self, n_new, y):
        """Warn if no image is added, so that users do not attribute results to the sampler."""
        if n_new == 0:
            sizes = np.unique(np.unique(y, return_counts=True)[1])
            have = (
                f"all classes have {sizes[0]} images"
                if len(sizes) == 1
                else "no class needs more images"
            )
            warnings.warn(
                f"{type(self).__name__} adds no image: {have}, and sampling_strategy="
                f"{self.sampling_strategy!r} asks for no more. The sampler has no effect.",
                UserWarning,
                stacklevel=4,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.sampler_tags.sample_indices = True
        return tags
