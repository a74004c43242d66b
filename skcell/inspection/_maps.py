"""Maps of what a prediction depends on: Grad-CAM, and occlusion."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils.validation import check_is_fitted

from skcell._images import ImageSpec, load_images
from skcell._keras import single_precision
from skcell._pages import to_picture
from skcell.classifiers import BaseCellClassifier, inner_estimators
from skcell.engine import Forward, make_forward, make_gradient

#: Number of images that are explained at a time.
CHUNK = 128

Method = Literal["grad-cam", "hires-cam"]


class _Halves(NamedTuple):
    """A network in two parts: from images to a layer, and the gradient of a class from there on."""

    front: Forward
    gradient: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]


#: The two parts of the network of each fit that was explained, as long as it is in use.
_halves: "weakref.WeakKeyDictionary[Any, dict[Any, _Halves]]" = weakref.WeakKeyDictionary()


def grad_cam(
    estimator: Any,
    X: ArrayLike,
    target: Any = None,
    *,
    method: Method = "grad-cam",
    layer: str | None = None,
) -> NDArray[np.float32]:
    """Compute which parts of images speak for a class, by the gradients of a network.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier of skcell; or an estimator around one, such as a pipeline,
        `CalibratedClassifier` or a search; or an ensemble of these, whose maps are averaged.
    X : array-like
        Images, as for the classifier.
    target : object or array-like of shape (n,), default=None
        Class, or class of each image, that is explained; None explains the predicted one.
    method : {"grad-cam", "hires-cam"}, default="grad-cam"
        Grad-CAM [1]_ weights the channels of the layer by the mean of their gradients. HiResCAM
        [2]_ multiplies each activation by its own gradient, which shows only what the network used,
        also if its dense layer sees where things are, as that of `CellCNNClassifier` does.
    layer : str, default=None
        Name of a layer whose outputs have height and width; None takes the last one.

    Returns
    -------
    ndarray of float32 of shape (n, H, W)
        Maps from 0 to 1, of the height and width of the images; all 0 where nothing speaks for the
        class.

    Raises
    ------
    TypeError
        If there is no network in the estimator; use `occlusion_map` then.
    ValueError
        If images, classes or layer cannot be used.

    See Also
    --------
    occlusion_map : Needs predictions alone, and takes longer.
    ExplanationDisplay : Shows the maps.

    Notes
    -----
    The network is explained without averaging over the symmetries. A map is as coarse as its
    layer: 7 x 7 for an image of 28 x 28 in `CellCNNClassifier`. It shows where the network looked,
    not whether it was right to look there.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
       Gradient-Based Localization", ICCV 2017.
    .. [2] R. L. Draelos, L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
       convolutional neural networks", arXiv:2011.08891, 2020.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import grad_cam
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> grad_cam(clf, cells.images[:5]).shape
    (5, 32, 32)
    """
    if method not in ("grad-cam", "hires-cam"):
        raise ValueError(f"method must be 'grad-cam' or 'hires-cam'; got {method!r}.")
    codes = _find_codes(estimator, X, target)
    maps = [_explain(clf, part, codes, method, layer) for clf, part in find_networks(estimator, X)]
    return np.mean(maps, axis=0, dtype=np.float32)


def occlusion_map(
    estimator: Any,
    X: ArrayLike,
    target: Any = None,
    *,
    patch: float = 0.2,
    stride: float = 0.1,
) -> NDArray[np.float32]:
    """Compute how much the probability of a class falls if a part of the image is covered.

    This needs nothing but `predict_proba`, so it explains any classifier of images.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier.
    X : array-like of shape (n, H, W, C) or (n, H, W)
        Images.
    target : object or array-like of shape (n,), default=None
        Class, or class of each image, that is explained; None explains the predicted one.
    patch : float, default=0.2
        Height and width of the cover, as a fraction of those of the image. It has the median colour
        of the image's border.
    stride : float, default=0.1
        Step of the cover, as a fraction.

    Returns
    -------
    ndarray of float32 of shape (n, H, W)
        Mean fall of the probability over the covers of each pixel; negative where what was covered
        spoke against the class.

    Raises
    ------
    ValueError
        If images, classes or fractions cannot be used.

    See Also
    --------
    grad_cam : Faster, for networks.

    References
    ----------
    .. [1] M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
       2014.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import occlusion_map
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> occlusion_map(clf, cells.images[:2], patch=0.25, stride=0.25).shape
    (2, 32, 32)
    """
    for name, value in {"patch": patch, "stride": stride}.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1; got {value!r}.")
    if stride > patch:
        raise ValueError(f"stride={stride} leaves out pixels between covers of patch={patch}.")
    images = np.asarray(X)
    if images.ndim not in (3, 4):
        raise ValueError(
            f"occlusion_map covers parts of images (n, H, W, C) or (n, H, W); got the shape "
            f"{images.shape}. Read files with skcell.datasets.load_image_folder."
        )
    codes = _find_codes(estimator, images, target)
    rows = np.arange(len(images))
    before = estimator.predict_proba(images)[rows, codes]
    height, width = images.shape[1:3]
    tall, wide = (max(1, round(patch * side)) for side in (height, width))
    fall = np.zeros((len(images), height, width), np.float64)
    counts = np.zeros((height, width))
    colour = _border_colour(images)
    for top in _starts(height, tall, stride):
        for left in _starts(width, wide, stride):
            where = (slice(None), slice(top, top + tall), slice(left, left + wide))
            covered = images.copy()
            covered[where] = colour
            change = before - estimator.predict_proba(covered)[rows, codes]
            fall[where] += change[:, None, None]
            counts[where[1:]] += 1
    return (fall / counts).astype(np.float32)


def spotlight(image: NDArray[Any], heat: NDArray[Any]) -> Image.Image:
    """Show a map on its image: what matters is as it is, and the rest is darkened.

    Brightness alone carries the map, so that it can be read in grey print and by everyone.

    Parameters
    ----------
    image : ndarray of shape (H, W, C) or (H, W)
        The image.
    heat : ndarray of shape (H, W)
        Map from 0 to 1.

    Returns
    -------
    PIL.Image.Image
        The picture, in colour.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.inspection import spotlight
    >>> spotlight(np.full((4, 4), 200, np.uint8), np.eye(4)).size
    (4, 4)
    """
    shown = np.asarray(to_picture(image).convert("RGB"), dtype=np.float32)
    level = 0.25 + 0.75 * np.clip(np.asarray(heat, dtype=np.float32), 0, 1)
    return Image.fromarray(np.rint(shown * level[..., None]).astype(np.uint8))


def _starts(side: int, size: int, stride: float) -> list[int]:
    """Return where covers start, such that they reach both ends."""
    last = side - size
    n = max(1, int(np.ceil(last / max(1, round(stride * side)))))
    return np.unique(np.rint(np.linspace(0, last, n + 1)).astype(int)).tolist()


def _border_colour(images: NDArray[Any]) -> NDArray[Any]:
    """Return the median of the border of each image, shaped like a pixel."""
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    colour = np.median(np.concatenate(edges, axis=1), axis=1).astype(images.dtype)
    return colour[:, None, None]


def _find_codes(estimator: Any, X: Any, target: Any) -> NDArray[np.intp]:
    """Return the index of the class of each image that is explained."""
    check_is_fitted(estimator)
    if target is None:
        return np.asarray(estimator.predict_proba(X)).argmax(axis=1)
    n = len(X)
    classes = np.asarray(estimator.classes_).tolist()
    wanted = [target] * n if np.ndim(target) == 0 else np.asarray(target).tolist()
    if len(wanted) != n:
        raise ValueError(f"target has {len(wanted)} entries for {n} images.")
    strange = sorted(set(wanted) - set(classes), key=str)
    if strange:
        raise ValueError(
            f"The classifier does not know the class {strange[0]!r}; it knows {classes}."
        )
    return np.array([classes.index(label) for label in wanted], dtype=np.intp)


def find_networks(model: Any, X: Any) -> Iterator[tuple[BaseCellClassifier, Any]]:
    """Yield the classifiers of skcell inside an estimator, and the images that each sees.

    Parameters
    ----------
    model : estimator
        A fitted classifier, or an estimator around one, or an ensemble that averages several.
    X : array-like
        Images, as the estimator takes them.

    Yields
    ------
    classifier : BaseCellClassifier
        The classifier.
    images : array-like
        What it sees of them.

    Raises
    ------
    TypeError
        If there is none, or if the members of an ensemble do not all know its classes.
    """
    if isinstance(model, BaseCellClassifier):
        yield model, X
        return
    members = inner_estimators(model)
    if hasattr(model, "steps"):
        *before, last = members
        for step in before:
            if hasattr(step, "transform"):  # samplers do nothing in prediction
                X = step.transform(X)
        members = [last]
    sizes = {len(getattr(part, "classes_", ())) for part in [model, *members]}
    averages = not any(hasattr(model, name) for name in ("final_estimator_", "estimator_weights_"))
    if not members or not averages or len(sizes) > 1:
        raise TypeError(
            f"{type(model).__name__} has no network of skcell that grad_cam can explain. Use "
            "occlusion_map, which explains any classifier of images."
        )
    for member in members:
        yield from find_networks(member, X)


def _explain(
    clf: BaseCellClassifier,
    X: Any,
    codes: NDArray[np.intp],
    method: Method,
    layer: str | None,
) -> NDArray[np.float32]:
    images, spec = clf._check_X(X, reset=False)
    halves = _split(clf, layer)
    parts = [
        _explain_few(
            halves,
            load_images(images, slice(start, start + CHUNK), spec, n_jobs=-1),
            codes[start : start + CHUNK],
            len(clf.classes_),
            method,
        )
        for start in range(0, len(images), CHUNK)
    ]
    return np.stack([_resize(one, spec) for part in parts for one in part])


def _explain_few(
    halves: _Halves, images: NDArray[Any], codes: NDArray[np.intp], n_classes: int, method: Method
) -> NDArray[np.float32]:
    activations = halves.front(images).astype(np.float32)
    gradient = halves.gradient(activations, np.eye(n_classes, dtype=np.float32)[codes])
    if method == "grad-cam":
        gradient = gradient.mean(axis=(1, 2), keepdims=True)
    heat = np.maximum((activations * gradient).sum(axis=3), 0)
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0)


def _resize(heat: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    height, width, _ = spec.shape
    image = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _split(clf: BaseCellClassifier, layer: str | None) -> _Halves:
    """Split the network of a classifier at a layer; the result is kept."""
    known = _halves.setdefault(clf._lease, {})
    key = layer, clf.n_iter_  # training may go on
    if key not in known:
        known[key] = _split_network(clf._image_network(), layer)
    return known[key]


def _split_network(model: keras.Model, name: str | None) -> _Halves:
    tensors = {t._keras_history.operation.name: t for t in _spatial_tensors(model)}
    if not tensors:
        raise ValueError("The network has no layer whose outputs have height and width.")
    chosen = list(tensors)[-1] if name is None else name
    if chosen not in tensors:
        raise ValueError(
            f"The network has no layer {chosen!r} whose outputs have height and width; it has "
            f"{', '.join(tensors)}."
        )
    last = model.layers[-1]
    try:
        back = keras.Model(tensors[chosen], last.input)
    except ValueError as error:
        raise ValueError(
            f"The layer {chosen!r} has others beside it that lead to the classes; choose one that "
            f"everything passes through, such as {list(tensors)[-1]!r}."
        ) from error

    def score(activations: Any, weights: Any) -> Any:
        with single_precision(back):
            features = back(activations, training=False)
        # The logits, since the gradient of a certain probability vanishes.
        logits = keras.ops.matmul(keras.ops.cast(features, "float32"), last.kernel) + last.bias
        return keras.ops.sum(logits * weights)

    front = keras.Model(model.inputs, tensors[chosen])
    return _Halves(make_forward(front), make_gradient(score))


def _spatial_tensors(model: keras.Model) -> Iterator[Any]:
    """Yield what has height and width between the layers of a network, in their order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # its input is that of its own graph
            continue
        for tensor in keras.tree.flatten(layer.input):
            height, width = tensor.shape[1:3] if len(tensor.shape) == 4 else (1, 1)
            if min(height or 0, width or 0) > 1:
                yield tensor
