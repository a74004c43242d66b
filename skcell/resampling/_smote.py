"""SMOTE on images."""

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

_BLOCK = 1 << 18  # number of pixels interpolated at a time; they fit in the cache of a core


class ImageSMOTE(BaseImageSampler, BaseOverSampler):
    """Over-sample images by interpolation between neighbours of one class (SMOTE).

    A synthetic image is ``a + u * (b - a)``, where `a` is a random image of its class, `b` is one
    of the `k_neighbors` nearest neighbours of `a` in the class, and `u` is a random number, drawn
    uniformly from 0 to 1, for the whole image [1]_. Every pixel lies between the pixels of its two
    parents, for every dtype. The result begins with the unchanged original images.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        Which classes to fill up and to which size, as in imbalanced-learn.

        - ``"auto"`` or ``"not majority"``: all classes to the size of the largest class;
          ``"minority"``, ``"not minority"``, ``"all"`` likewise.
        - float, for two classes: ratio of the size of the smaller class to the size of the larger
          class after resampling.
        - dict: size of each named class after resampling.
        - callable: takes `y` and returns such a dict.

    k_neighbors : int, default=5
        Number of nearest neighbours that an image may be paired with. In a class with fewer other
        members, all of them are used.

    feature_space : transformer, default=None
        Space in which neighbours are searched; interpolation is always between pixels. ``None``
        compares pixels. A scikit-learn transformer, for example ``PCA(50)`` or a pipeline, is
        cloned and fitted on `X` and `y`, and neighbours are searched in its output. It receives
        flattened images `(n, H*W*C)`. If its tags (for a pipeline, those of the first step) say
        that it takes arrays with more dimensions or any input, as `FunctionTransformer` does, it
        receives the images in their original shape.

    random_state : int, RandomState instance or None, default=None
        Seed of the random pairs and steps.

    Attributes
    ----------
    sampling_strategy_ : dict
        Number of synthetic images to make for each class.

    sample_indices_ : ndarray of shape (n_resampled,)
        For each output image, the index of the input image that it is or, for a synthetic image,
        the index of its first parent `a`.

    parents_ : ndarray of shape (n_synthetic, 2)
        Indices of the two parents, `a` and `b`, of each synthetic image in the input.

    steps_ : ndarray of shape (n_synthetic,)
        The `u` of each synthetic image, from 0 to 1.

    feature_space_ : transformer
        The fitted clone of `feature_space`; it exists only if `feature_space` is not None.

    n_features_in_ : int
        Number of pixel values of an image, or number of columns.

    feature_names_in_ : ndarray of str
        Column names, if `X` is a data frame whose column names are all strings.

    Raises
    ------
    ValueError
        If `X` is not an array of images or a table, or contains NaN or infinite values; if `y` has
        only one class; if `sampling_strategy` asks for fewer images than a class has; if
        `feature_space` does not return finite numbers for every image.

    Warns
    -----
    UserWarning
        If no class needs to be filled up, so that nothing is added. Also if a class to be filled
        up has a single member; its synthetic images are then copies of that member. This is not
        an error, because a fold of a cross-validation may contain a single member of a rare class,
        and one such fold should not stop a search.

    See Also
    --------
    ImageSampler : Applies any imbalanced-learn sampler to images.
    ImageAugmenter : Transforms one image instead of mixing two.
    imblearn.over_sampling.SMOTE : SMOTE on tables.

    Notes
    -----
    Use it in a pipeline, so that it is applied after the split. A synthetic image is made from two
    real ones, so resampling before the split leaks information between training and test data.

    Distances between uint8 and uint16 images are exact integers; distances between floats are
    computed in float64 after centring. Neighbours at equal distance are taken in order of their
    index. An image is never its own neighbour, but an exact duplicate of it may be. Integer pixels
    are interpolated in floating point and rounded; imbalanced-learn's SMOTE wraps around for
    unsigned integers, because it computes differences in the dtype of its input.

    The time grows with the square of the size of a class, because every pair is compared. For data
    of a few megabytes or more, the memory beyond the output stays below the size of the output,
    whatever the class sizes; a `feature_space` may need more. For a float64 table, the same
    `RandomState` instance gives the same samples as imbalanced-learn's SMOTE.

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

    Neighbours can be searched in the space of the first ten principal components:

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
        """Draw the parents and steps of all synthetic images."""
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
                f"Cannot interpolate within classes that have a single member: "
                f"{', '.join(map(str, alone))}. Their synthetic images are copies of that member; "
                "add images of these classes, merge them with others, or leave them out of "
                "sampling_strategy.",
                UserWarning,
                stacklevel=2,
            )
        self.parents_, self.steps_ = parents, steps

    def _map(self, X, y):
        """Fit `feature_space` and return the features of all images."""
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
    """Return whether a transformer takes images instead of flattened images."""
    while hasattr(transformer, "steps"):
        transformer = transformer.steps[0][1]
    if not hasattr(transformer, "__sklearn_tags__"):
        return False
    tags = get_tags(transformer)
    return tags.input_tags.three_d_array or tags.no_validation


def _arithmetic(dtype: np.dtype) -> type:
    """Return the float dtype in which pixels of `dtype` are interpolated."""
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
        # For uint8 and uint16, b - a is exact, and because rounding is monotone, the result lies
        # between a and b. For other dtypes, b - a is rounded, and the result may pass b by one
        # unit in the last place.
        if out.dtype not in (np.uint8, np.uint16):
            np.clip(new, np.minimum(a, b), np.maximum(a, b), out=new)
        out[some] = new

    with ThreadPoolExecutor(count_threads()) as workers:
        list(workers.map(fill, range(0, len(out), n_rows)))
