"""What all samplers of images share."""

import warnings

import numpy as np
from imblearn.base import BaseSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import column_or_1d, validate_data

from skcell._images import check_pixels, layout_of
from skcell._parameters import ParameterHintsMixin
from skcell._sklearn import _check_feature_names


class BaseImageSampler(ParameterHintsMixin, BaseSampler):
    """A sampler that takes images `(n, H, W[, C])` as well as rows `(n, n_features)`.

    Subclasses write `_fit_resample(X, y)` for an array of any number of dimensions, whose
    dtype they keep, and set `sample_indices_`: for each output sample the index of the input
    sample that it is, or was made from. `skcell.pipeline` carries sample weights by it.
    """

    def fit_resample(self, X, y, **params):
        """Resample images, or rows of a table, and their labels.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, n_features)
            Images or rows.
        y : array-like of shape (n,)
            Labels.
        **params : dict
            Passed on to the sampler.

        Returns
        -------
        X_resampled : same type as `X`; an array for a list of images
            Images or rows, of the dtype of `X`.
        y_resampled : same type as `y`
            Their labels.
        """
        # imbalanced-learn gives lists back for lists: of images, nested ones of plain integers.
        if isinstance(X, (list, tuple)) and layout_of(X) == "images":
            X = check_pixels(X)
        return super().fit_resample(X, y, **params)

    def _check_X_y(self, X, y, accept_sparse=None):
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        layout = layout_of(X)
        if layout == "paths":
            raise ValueError(
                f"{type(self).__name__} makes new images from pixels and was given file paths; "
                "load the images first: load_image_folder(path, load_images=True)."
            )
        if layout == "rows":
            if hasattr(X, "sparse"):  # a data frame of sparse columns, which come back sparse
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
        """Say that this sampler adds no image, lest its use be reported as an improvement."""
        if n_new == 0:
            sizes = np.unique(np.unique(y, return_counts=True)[1])
            have = (
                f"all classes have {sizes[0]} images" if len(sizes) == 1 else "no class lacks any"
            )
            warnings.warn(
                f"{type(self).__name__} adds no image: {have}, and sampling_strategy="
                f"{self.sampling_strategy!r} asks for no more. The result is as without it.",
                UserWarning,
                stacklevel=4,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.sampler_tags.sample_indices = True
        return tags
