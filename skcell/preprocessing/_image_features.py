"""A transformer that computes features with a pretrained network."""

import numbers
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcell._data_home import find_home
from skcell._digest import digest_images, file_digest, weights_by_content
from skcell._hints import ParameterHintsMixin, hint
from skcell._images import ImageInputMixin, ImageSpec, load_images
from skcell._sklearn import Interval, StrOptions, _fit_context
from skcell.networks import BACKBONES, as_backbone, check_pixel_range, list_backbones
from skcell.preprocessing._extractor import Extractor, get_extractor
from skcell.preprocessing._feature_store import FeatureStore

#: Number of images that are looked up, computed and stored together.
CHUNK = 1024

_in_memory = FeatureStore(":memory:")
_warned: set[str] = set()


class ImageFeatures(
    ParameterHintsMixin,
    ImageInputMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Compute features of images with a pretrained, frozen network.

    The features can be used by every estimator that takes a table, such as logistic regression,
    nearest neighbours, clustering or SMOTE. Each image passes through the network once. Its
    features are cached by the image's content, and reused in other folds, fits and processes.

    Parameters
    ----------
    backbone : str, keras.Model or callable, default="inception_v3"
        A name from `skcell.networks.list_backbones`, or a Keras model or function that takes images
        with pixels in 0..1 and returns feature maps or features.
    weights : {"imagenet"}, path or None, default="imagenet"
        Weights of a named backbone: "imagenet", which Keras downloads once, or a file that Keras
        saved from the backbone without its top. None initialises them randomly.
    input_size : int, "auto" or None, default="auto"
        Height and width, in pixels, to which images are resized with bilinear interpolation; None
        does not resize them. "auto" enlarges images for a named backbone until the longer side has
        224 pixels, since such networks distinguish little in images much smaller than those they
        were trained on; larger images, and those for a network of yours, keep their size.
    layer : str or None, default=None
        Name of the backbone's layer whose output makes the features; None is the last one. Layers
        in the middle see smaller details, which can say more about cells than what a network
        learned about everyday things.
    pooling : {"avg", "max"}, default="avg"
        How feature maps are pooled over the image.
    batch_size : int, default=64
        Number of images that pass through the network at a time.
    cache : bool, "memory" or path, default=True
        Where features are kept. True: on disk, in the folder `SKCELL_DATA_HOME` or the user's cache
        folder; a path: in that file; "memory": in the memory of this process; False: nowhere. At
        most 1 GiB is kept; the features stored first are deleted first.
    dtype_policy : str or None, default=None
        Keras dtype policy; None uses Keras' global policy (float32 by default).
    image_shape : tuple of int, default=None
        Height, width and channels to which rows are reshaped (one of them may be -1), or to which
        image files are resized (by default 96, 96, 3). Leave it None for arrays of images.
    random_state : int, RandomState instance or None, default=None
        Seed of random weights.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.

    See Also
    --------
    skcell.ImageSMOTE : Accepts this as `feature_space`, to find similar cells.
    skcell.networks.list_backbones : Names of all backbones.

    Notes
    -----
    A grey image is repeated in three channels. A pickle of a fitted transformer contains the
    network's weights.

    References
    ----------
    .. [1] A. S. Razavian, H. Azizpour, J. Sullivan, S. Carlsson, "CNN Features off-the-shelf: an
       Astounding Baseline for Recognition", CVPR workshops 2014.

    Examples
    --------
    >>> from skcell import ImageFeatures
    >>> from skcell.datasets import make_cells
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> cells = make_cells(60, n_classes=2, image_size=32, random_state=0)
    >>> features = ImageFeatures(
    ...     "mobilenet_v2_0.35", weights=None, input_size=None, cache=False, random_state=0
    ... )
    >>> model = make_pipeline(features, LogisticRegression(max_iter=1000))
    >>> model.fit(cells.images, cells.target).predict(cells.images).shape
    (60,)
    """

    _parameter_constraints: dict = {
        "backbone": [str, callable],
        "weights": [str, os.PathLike, None],
        "input_size": [
            Interval(numbers.Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "layer": [str, None],
        "pooling": [StrOptions({"avg", "max"})],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "cache": ["boolean", str, os.PathLike],
        "dtype_policy": [str, None],
        "image_shape": [tuple, list, None],
        "random_state": ["random_state"],
    }

    _extractor: Extractor

    def __init__(
        self,
        backbone: Any = "inception_v3",
        *,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_size: int | str | None = "auto",
        layer: str | None = None,
        pooling: str = "avg",
        batch_size: int = 64,
        cache: bool | str | os.PathLike[str] = True,
        dtype_policy: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.input_size = input_size
        self.layer = layer
        self.pooling = pooling
        self.batch_size = batch_size
        self.cache = cache
        self.dtype_policy = dtype_policy
        self.image_shape = image_shape
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Check the images' shape and dtype, and load the network.

        Parameters
        ----------
        X : array-like
            Images `(n, H, W, C)` or `(n, H, W)` of uint8, uint16 or float; rows `(n, H*W*C)` with
            `image_shape` set; or `(n,)` paths of image files.
        y : None
            Not used.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If images or parameters cannot be used.
        OSError
            If weights cannot be found or downloaded.
        """
        check_backbone(self.backbone)
        _, spec = self._check_X(X, reset=True)
        channels = spec.shape[2]
        if isinstance(self.backbone, str) and channels not in (1, 3):
            raise ValueError(
                f"{self.backbone} was trained on colour images, but these have {channels} "
                "channels; choose one or three of them, such as X[..., :3]."
            )
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self._extractor, self._spec = self._load(spec, seed), spec
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the features of images, or look them up in the cache.

        Parameters
        ----------
        X : array-like
            Images, rows or paths, of the same kind and shape as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features_out)
            Features.
        """
        return self.compute(X)

    def compute(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the features of images as an array, regardless of `set_output`.

        Parameters
        ----------
        X : array-like
            As for `transform`.

        Returns
        -------
        ndarray of shape (n, n_features_out)
            Features.
        """
        check_is_fitted(self)
        return self.compute_checked(*self._check_X(X, reset=False))

    def compute_checked(
        self,
        images: NDArray[Any],
        spec: ImageSpec,
        change: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> NDArray[np.float32]:
        """Return the features of images that were already checked.

        Parameters
        ----------
        images : ndarray
            Images or paths, as checking returns them.
        spec : ImageSpec
            Specification of `images`.
        change : callable or None
            Changes an array of images before they pass through the network.

        Returns
        -------
        ndarray of shape (n, n_features_out)
            Features.
        """
        store = get_store(self.cache)
        out = np.empty((len(images), self._n_features_out), np.float32)
        for start in range(0, len(images), CHUNK):
            indices = slice(start, start + CHUNK)
            taken = load_images(images, indices, spec, n_jobs=-1)
            taken = taken if change is None else change(taken)
            out[indices] = compute_features(self._extractor, taken, store, self.batch_size)
        return out

    def _check_X(self, X: Any, *, reset: bool) -> tuple[NDArray[Any], ImageSpec]:
        images, spec = super()._check_X(X, reset=reset)
        check_pixel_range(self.backbone, images.dtype, spec.range)
        return images, spec

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used: the features describe whole images, not columns of the input.

        Returns
        -------
        ndarray of str
            ``imagefeatures0``, ``imagefeatures1`` and so on.
        """
        return super().get_feature_names_out()

    @property
    def _n_features_out(self) -> int:
        return self._extractor.n_features

    def _load(self, spec: ImageSpec, seed: int) -> Extractor:
        weights = None
        if isinstance(self.backbone, str) and self.weights is not None:
            weights = os.path.expanduser(os.fspath(self.weights))
        return get_extractor(
            input_shape=spec.shape,
            dtype=spec.dtype,
            backbone=as_backbone(self.backbone),
            weights=weights,
            input_size=self.input_size,
            layer=self.layer,
            pooling=self.pooling,
            seed=0 if weights is not None else seed,
            dtype_policy=self.dtype_policy or keras.config.dtype_policy().name,
            weights_version=None if weights is None else file_digest(weights),
        )

    def _digested_params(self) -> dict[str, Any]:
        return weights_by_content(self)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_spec")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        return {
            "backbone": _Pixels(),
            "cache": "memory",
            "image_shape": (1, -1, 1),
            "random_state": 0,
        }


class _Pixels:
    """The pixels themselves, as a backbone for estimator checks; its text names no address."""

    def __call__(self, x: Any) -> Any:
        return keras.layers.Flatten()(x)

    def __repr__(self) -> str:
        return "pixels"


def check_backbone(backbone: Any) -> None:
    """Refuse an unknown name, or a function that builds a network instead of taking images."""
    names = list_backbones()
    if isinstance(backbone, str) and backbone not in names:
        raise ValueError(
            f"There is no backbone {backbone!r}.{hint(backbone, names)} "
            "skcell.networks.list_backbones() lists all names."
        )
    builder = getattr(backbone, "__name__", "")
    if backbone is not None and getattr(keras.applications, builder, None) is backbone:
        known = [b.name for b in BACKBONES.values() if b.builder == builder]
        raise ValueError(
            f"backbone is keras.applications.{builder} itself, which builds a network and takes no "
            f"images. Pass its name{f', {known[0]!r}' if known else ''}, or a network, such as "
            f"{builder}(include_top=False)."
        )


def get_store(cache: bool | str | os.PathLike[str]) -> FeatureStore | None:
    """Return the store that the parameter `cache` names; None if features are not cached."""
    if cache == "memory":
        return _in_memory
    if isinstance(cache, (str, os.PathLike)):
        path = Path(cache).expanduser()
    elif cache:
        path = find_home() / "features.sqlite"
    else:
        return None
    try:
        return FeatureStore(path)
    except OSError as error:
        _warn_once(error)
        return None


def _warn_once(error: OSError) -> None:
    """Warn once about a store that cannot be used; results are still correct, only slower."""
    if str(error) not in _warned:
        _warned.add(str(error))
        warnings.warn(f"{error} Features are computed anew each time.", stacklevel=4)


def compute_features(
    extractor: Extractor, images: NDArray[Any], store: FeatureStore | None, batch_size: int
) -> NDArray[np.float32]:
    """Look up features, compute the missing ones, and store these."""
    if store is None or extractor.key is None:
        return _compute(extractor, images, batch_size)
    digests = digest_images(images)
    try:
        found = store.get(extractor.key, digests)
    except OSError as error:
        _warn_once(error)
        return _compute(extractor, images, batch_size)
    unknown = {digest: i for i, digest in enumerate(digests) if digest not in found}
    if unknown:
        rows = _compute(extractor, images[list(unknown.values())], batch_size)
        new = dict(zip(unknown, rows, strict=True))
        try:
            store.put(extractor.key, new)
        except OSError as error:
            _warn_once(error)
        found.update(new)
    return np.stack([found[digest] for digest in digests])


def _compute(extractor: Extractor, images: NDArray[Any], size: int) -> NDArray[np.float32]:
    return np.concatenate(
        [extractor(images[start : start + size]) for start in range(0, len(images), size)]
    )
