"""Input checks that are shared by all estimators that take images, rows of pixels or paths."""

from dataclasses import replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from skcell._images._contract import ImageSpec, check_images, check_like, layout_of, refuse_single
from skcell._images._decode import decode_image
from skcell._images._pixels import find_range, warn_unused_bits
from skcell._images._read import probe_image
from skcell._sklearn import _check_feature_names

_LOOKED_AT = 16  # number of files that are decoded to find the range of pixels


class ImageInputMixin:
    """Mixin for estimators with an `image_shape` parameter; `_spec` describes the fitted data."""

    image_shape: tuple[int, ...] | None
    _spec: ImageSpec

    def _check_X(self, X: Any, *, reset: bool) -> tuple[NDArray[Any], ImageSpec]:
        """Check `X` against the data contract and, unless `reset`, against the fitted data."""
        if not reset:
            refuse_single(X, self._spec, type(self).__name__)
        layout = layout_of(X)
        if layout == "rows":
            X = validate_data(self, X, reset=reset)
        if not reset:
            return check_like(X, self._spec, type(self).__name__, layout)
        images, spec = check_images(X, image_shape=self.image_shape, layout=layout)
        if layout == "paths":
            spec = replace(spec, dtype=probe_image(images[0])[1])
        if spec.range is not None:
            warn_unused_bits(images.dtype, spec.range)
        elif spec.dtype == "uint16":
            decoded = load_images(images, slice(_LOOKED_AT), spec)
            warn_unused_bits(decoded.dtype, find_range(decoded))
        if layout != "rows":
            self.n_features_in_ = spec.n_features
            _check_feature_names(self, images, reset=True)
        return images, spec

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc] # defined by the estimator
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def load_images(
    X: NDArray[Any], indices: NDArray[np.intp] | slice, spec: ImageSpec, n_jobs: int = 1
) -> NDArray[Any]:
    """Return the images of `X` at `indices`, in the dtype that a network reads.

    Files are decoded by `n_jobs` threads; -1 uses one per core.
    """
    if spec.layout != "paths":
        return X[indices].astype(spec.dtype, copy=False)
    assert spec.dtype != "float32"  # files are decoded to integers
    decode = delayed(decode_image)
    files = (decode(path, spec.shape, spec.dtype) for path in X[indices])
    return np.stack(Parallel(n_jobs=n_jobs, prefer="threads")(files))
