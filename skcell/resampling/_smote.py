"""SMOTE on images, in exact arithmetic."""

import numbers
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state, get_tags

from skcell._sklearn import HasMethods, Interval
from skcell.resampling._base import BaseImageSampler
from skcell.resampling._neighbors import count_threads, nearest_neighbors

_BLOCK = 1 << 18  # pixels interpolated together: what a core's cache holds


class ImageSMOTE(BaseImageSampler, BaseOverSampler):
    """Over-sample images by interpolation between neighbours of one class (SMOTE).

    A synthetic image is made from a random image of its class and one of that image's
    `k_neighbors` nearest neighbours in the class: ``a + u * (b - a)``, with one `u`, drawn
    uniformly, for the whole image [1]_. Every pixel lies between its two parents, whatever the
    dtype; the original images come first in the result, untouched.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        Which classes to fill up, and how far; the same as in imbalanced-learn.

        - ``"auto"`` or ``"not majority"``: all classes to the size of the largest;
          ``"minority"``, ``"not minority"``, ``"all"`` likewise.
        - float, for two classes: size of the smaller class over that of the larger, afterwards.
        - dict: size of each class named, afterwards.
        - callable: takes `y` and returns such a dict.

    k_neighbors : int, default=5
        How many nearest neighbours an image may be paired with. A class with fewer other members
        uses all of them.

    feature_space : transformer, default=None
        Where neighbours are looked for; interpolation is between pixels always. ``None`` compares
        pixels. A scikit-learn transformer, for instance ``PCA(50)`` or a pipeline, is cloned and
        fitted on all of `X` and `y`, and neighbours are nearest in what it returns. It is given
        rows `(n, H*W*C)`, unless its tags (of a pipeline, its first step's) say that it takes
        arrays of more dimensions or anything at all, as `FunctionTransformer` does: then it gets
        the images as they are.

    random_state : int, RandomState instance or None, default=None
        Seed of the pairs and of their steps.

    Attributes
    ----------
    sampling_strategy_ : dict
        Number of images to make for each class.

    sample_indices_ : ndarray of shape (n_resampled,)
        For each output image the index of the input image that it is, or whose neighbour it was
        moved towards (its first parent).

    parents_ : ndarray of shape (n_synthetic, 2)
        Indices in the input of the two parents, `a` and `b`, of each synthetic image.

    steps_ : ndarray of shape (n_synthetic,)
        The `u` of each synthetic image, from 0 to 1.

    feature_space_ : transformer
        The fitted clone of `feature_space`; only where that is not None.

    n_features_in_ : int
        Number of pixel values of an image, or of columns.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where `X` is a data frame whose columns are all named by strings.

    Raises
    ------
    ValueError
        If `X` is no array of images or rows, holds NaN or infinite values, or `y` has one class
        only; if `sampling_strategy` asks for fewer images than a class has; if `feature_space`
        returns something other than finite numbers for every image.

    Warns
    -----
    UserWarning
        If there is nothing to fill up, so that nothing is added. If a class to be filled up has one
        single member. Its synthetic images are copies of it.
        That is a warning, and no error, because a fold of a cross-validation may leave one
        member of a rare class, and one fold should not end a search.

    See Also
    --------
    ImageSampler : Any imbalanced-learn sampler on images.
    skcell.augmentation.ImageAugmenter : New images by transforming one, not by mixing two.
    imblearn.over_sampling.SMOTE : SMOTE on tables.

    Notes
    -----
    Put it in a pipeline, behind the split: a synthetic image is made from two real ones, and
    resampling before splitting leaks one side into the other.

    Distances between uint8 and uint16 images are exact integers; those between floats are
    computed in float64, about the mean. Neighbours of equal distance are taken in order of their
    index, and an image is never its own neighbour, though an exact duplicate of it may be. Integer
    pixels are interpolated in floating point and rounded; imbalanced-learn's SMOTE wraps round
    when given unsigned integers, because it takes differences in the dtype of its input.

    Time grows with the square of a class's size, as every pair is compared. Memory beyond the
    output stays below the output's size, whatever the sizes of classes, for data of some
    megabytes and more; a `feature_space` has its own needs. For rows of float64, the same
    `RandomState` instance gives the samples of imbalanced-learn's SMOTE.

    References
    ----------
    .. [1] N. V. Chawla, K. W. Bowyer, L. O. Hall, W. P. Kegelmeyer, "SMOTE: synthetic minority
       over-sampling technique", Journal of Artificial Intelligence Research 16, 321-357, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.resampling import ImageSMOTE
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, size=(30, 8, 8, 3), dtype=np.uint8)
    >>> labels = np.repeat(["lymphocyte", "blast"], [22, 8])
    >>> smote = ImageSMOTE(random_state=0)
    >>> more_images, more_labels = smote.fit_resample(images, labels)
    >>> more_images.shape, more_images.dtype
    ((44, 8, 8, 3), dtype('uint8'))
    >>> smote.parents_.shape
    (14, 2)

    Neighbours by their ten principal components:

    >>> from sklearn.decomposition import PCA
    >>> smote = ImageSMOTE(feature_space=PCA(10), random_state=0)
    >>> smote.fit_resample(images, labels)[0].shape
    (44, 8, 8, 3)
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "k_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "feature_space": [HasMethods(["fit_transform"]), HasMethods(["fit", "transform"]), None],
    }

    def __init__(
        self,
        sampling_strategy: float | str | Mapping | Callable = "auto",
        *,
        k_neighbors: int = 5,
        feature_space: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.sampling_strategy = sampling_strategy
        self.k_neighbors = k_neighbors
        self.feature_space = feature_space
        self.random_state = random_state

    def _fit_resample(self, X, y):
        n, n_new = len(X), sum(self.sampling_strategy_.values())
        self._warn_if_nothing(n_new, y)
        X_resampled = np.empty((n + n_new, *X.shape[1:]), X.dtype)
        X_resampled[:n] = X
        rows = X_resampled.reshape(n + n_new, -1)  # a view, even where X is not contiguous
        features = rows[:n] if self.feature_space is None else self._map(X, y)

        self._draw(features, y, n_new, _arithmetic(X.dtype), memory=X_resampled.nbytes // 2)
        _interpolate(rows[:n], self.parents_, self.steps_, out=rows[n:])
        self.sample_indices_ = np.concatenate([np.arange(n), self.parents_[:, 0]])
        return X_resampled, y[self.sample_indices_]

    def _draw(self, features, y, n_new, dtype, memory):
        """Draw parents and steps of all synthetic images."""
        random_state = check_random_state(self.random_state)
        parents = np.empty((n_new, 2), dtype=np.intp)
        steps = np.empty(n_new, dtype=dtype)
        alone = []
        end = 0
        for label, n_samples in self.sampling_strategy_.items():
            if n_samples == 0:
                continue
            members = np.flatnonzero(y == label)
            k = min(self.k_neighbors, len(members) - 1)
            if k > 0:
                neighbors = nearest_neighbors(features, members, k, memory=memory)
            else:
                alone.append(label)
                neighbors = np.zeros((1, 1), dtype=np.intp)
            drawn = random_state.randint(neighbors.size, size=n_samples)
            base, column = np.divmod(drawn, neighbors.shape[1])
            start, end = end, end + n_samples
            parents[start:end, 0] = members[base]
            parents[start:end, 1] = members[neighbors[base, column]]
            steps[start:end] = random_state.uniform(size=n_samples)
        if alone:
            warnings.warn(
                f"Nothing to interpolate with: one single member in class "
                f"{', '.join(map(str, alone))}. Its synthetic images are copies of that member; "
                "add images of this class, merge it with another, or leave it out of "
                "sampling_strategy.",
                UserWarning,
                stacklevel=2,
            )
        self.parents_, self.steps_ = parents, steps

    def _map(self, X, y):
        """Fit `feature_space` and return its rows of features."""
        self.feature_space_ = clone(self.feature_space)
        given = X if _takes_images(self.feature_space_) else X.reshape(len(X), -1)
        if hasattr(self.feature_space_, "fit_transform"):
            features = self.feature_space_.fit_transform(given, y)
        else:
            features = self.feature_space_.fit(given, y).transform(given)
        features = features.toarray() if sparse.issparse(features) else np.asarray(features)
        if len(features) != len(X) or features.dtype.kind not in "buif":
            raise ValueError(
                f"feature_space={self.feature_space!r} must return a row of numbers for each of "
                f"the {len(X)} images; it returned {features.dtype} of shape {features.shape}."
            )
        if not np.isfinite(features).all():
            raise ValueError(
                f"feature_space={self.feature_space!r} returned NaN or infinity; neighbours need "
                "finite features."
            )
        return features.reshape(len(X), -1)


def _takes_images(transformer: Any) -> bool:
    """Whether a transformer is to be given images rather than rows."""
    while hasattr(transformer, "steps"):
        transformer = transformer.steps[0][1]
    if not hasattr(transformer, "__sklearn_tags__"):
        return False
    tags = get_tags(transformer)
    return tags.input_tags.three_d_array or tags.no_validation


def _arithmetic(dtype: np.dtype) -> type:
    """Return the floats to interpolate pixels of `dtype` in."""
    return np.float32 if dtype in (np.uint8, np.float16, np.float32) else np.float64


def _interpolate(
    originals: NDArray[Any],
    parents: NDArray[np.intp],
    steps: NDArray[np.floating],
    out: NDArray[Any],
) -> None:
    """Write ``a + u * (b - a)`` for all parents `a`, `b` and steps `u` into `out`."""
    n_rows = max(1, _BLOCK // out.shape[1])

    def fill(start):
        some = slice(start, start + n_rows)
        a, b = originals[parents[some, 0]], originals[parents[some, 1]]
        new = np.subtract(b, a, dtype=steps.dtype)
        new *= steps[some, None]
        new += a
        if out.dtype.kind != "f":
            np.rint(new, out=new)
        # Differences of uint8 and uint16 are exact here, so that rounding, being monotone, never
        # passes b; the rounded difference of floats may carry a result past it by a last place.
        if out.dtype not in (np.uint8, np.uint16):
            np.clip(new, np.minimum(a, b), np.maximum(a, b), out=new)
        out[some] = new

    with ThreadPoolExecutor(count_threads()) as workers:
        list(workers.map(fill, range(0, len(out), n_rows)))
