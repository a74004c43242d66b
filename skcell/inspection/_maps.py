"""Maps of what a prediction depends on: Grad-CAM, and occlusion."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils.validation import check_is_fitted

from skcell._engine import Forward, make_forward, make_gradient
from skcell._images import ImageSpec
from skcell._keras import single_precision
from skcell._pages import to_picture
from skcell.classifiers import BaseCellClassifier, inner_estimators, zoom_images

#: Number of images that are explained at a time.
CHUNK = 128

#: A layer with fewer cells on a side is too coarse for a map, unless there is no other.
_FEWEST_CELLS = 7

#: Number of sizes of layers whose maps are averaged.
_MOST_SIZES = 3

#: Share of the pixels that is covered to check a map, and the number of other covers of this shape.
_COVERED = 0.1
_N_OTHERS = 9

Method = Literal["grad-cam", "hires-cam"]


class _Halves(NamedTuple):
    """A network in two parts: from images to a layer, and the gradient of a class from there on."""

    front: Forward
    gradient: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]


#: The two parts of the network of each fit that was explained, as long as it is in use.
_halves: "weakref.WeakKeyDictionary[Any, dict[Any, list[_Halves]]]" = weakref.WeakKeyDictionary()


def grad_cam(
    estimator: Any,
    X: ArrayLike,
    target: Any = None,
    *,
    method: Method = "hires-cam",
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
    method : {"grad-cam", "hires-cam"}, default="hires-cam"
        HiResCAM [2]_ multiplies each activation by its own gradient. Grad-CAM [1]_ weights the
        channels of the layer by the mean of their gradients, and so forgets where they were.
    layer : str, default=None
        Name of a layer whose outputs have height and width. None takes the mean of the maps of the
        last layers of up to three sizes of at least 7 x 7: one layer alone, above all a coarse one,
        often points elsewhere.

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
    confirm_maps : Check maps by covering what they show.
    occlusion_map : Needs predictions alone, and takes longer.
    ExplanationDisplay : Shows the maps.

    Notes
    -----
    The network is explained without averaging over the symmetries. A map is an approximation by
    gradients, and can be wrong, above all where a class is recognised by what is *not* there. Check
    it with `confirm_maps`. It shows what a prediction depends on, not whether it should.

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


def confirm_maps(
    estimator: Any,
    X: ArrayLike,
    maps: NDArray[Any],
    target: Any = None,
    *,
    random_state: int = 0,
) -> NDArray[np.bool_]:
    """Check whether a prediction depends on what a map shows, by covering it.

    The tenth of the pixels that the map shows as most important is covered with the colour of the
    image's border, and so is the same shape at nine random places. A map is confirmed if the first
    cover lowers the probability of the class more than each of the others [1]_. A map that shows
    random places is confirmed in one of ten images.

    Parameters
    ----------
    estimator : estimator
        The classifier that the maps are of.
    X : array-like of shape (n, H, W, C) or (n, H, W)
        Images.
    maps : ndarray of shape (n, H, W)
        Result of `grad_cam` or `occlusion_map` for these images.
    target : object or array-like of shape (n,), default=None
        As for the maps.
    random_state : int, default=0
        Seed of the random places.

    Returns
    -------
    ndarray of bool of shape (n,)
        Whether each map is confirmed.

    See Also
    --------
    grad_cam : Computes the maps.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
       Black-box Models", BMVC 2018.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import confirm_maps, grad_cam
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> maps = grad_cam(clf, cells.images[:5])
    >>> confirm_maps(clf, cells.images[:5], maps).shape
    (5,)
    """
    images = np.asarray(X)
    codes = _find_codes(estimator, images, target)
    n, height, width = images.shape[:3]
    order = np.argsort(-maps.reshape(n, -1), axis=1, kind="stable")
    marked = np.zeros((n, height * width), bool)
    np.put_along_axis(marked, order[:, : max(1, round(_COVERED * height * width))], True, axis=1)
    marked = marked.reshape(n, height, width)
    colour = _border_colour(images)
    rng = np.random.default_rng(random_state)

    def left(where: NDArray[np.bool_]) -> NDArray[np.float64]:
        shown = where.reshape(*where.shape, *[1] * (images.ndim - 3))
        return estimator.predict_proba(np.where(shown, colour, images))[np.arange(n), codes]

    moves = [rng.integers(0, side, _N_OTHERS) for side in (height, width)]
    others = [
        left(np.roll(marked, (int(down), int(right)), axis=(1, 2)))
        for down, right in zip(*moves, strict=True)
    ]
    return left(marked) < np.min(others, axis=0)


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
    """Yield the classifiers of skcell inside an estimator, and the images that each sees."""
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
    found = np.zeros((len(images), *spec.shape[:2]), np.float32)
    for start in range(0, len(images), CHUNK):
        some = clf._load(images, slice(start, start + CHUNK), spec)
        of = codes[start : start + CHUNK]
        for half in halves:
            maps = _explain_few(half, some, of, len(clf.classes_), method)
            found[start : start + CHUNK] += [_enlarge(one, spec) / len(halves) for one in maps]
    # An adapted classifier has enlarged the images; what it did not see gets zero.
    return zoom_images(found[..., None], 1 / clf._zoom, outside="zero")[..., 0]


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


def _enlarge(heat: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Enlarge a map to the size of the image, each cell to the pixels that it stands for."""
    height, width = (_cell_size(*sides) for sides in zip(spec.shape, heat.shape, strict=False))
    whole = round(heat.shape[1] * width), round(heat.shape[0] * height)
    image = np.asarray(Image.fromarray(heat).resize(whole, Image.Resampling.BILINEAR))
    found = np.zeros(spec.shape[:2], np.float32)  # pixels that no cell stands for
    found[: whole[1], : whole[0]] = image[: spec.shape[0], : spec.shape[1]]
    return found


def _cell_size(n_pixels: int, n_cells: int) -> float:
    """Return the pixels of a cell: a power of two, unless the layer has another size.

    A side of 28 becomes 7 and then 4 cells, of 8 pixels each, of which the last is half empty.
    """
    size = 2 ** round(np.log2(n_pixels / n_cells))
    fits = n_cells in (-(-n_pixels // size), n_pixels // size) if size >= 1 else False
    return size if fits else n_pixels / n_cells


def _split(clf: BaseCellClassifier, layer: str | None) -> list[_Halves]:
    """Split the network of a classifier at layers; the result is kept."""
    known = _halves.setdefault(clf._lease, {})
    key = layer, clf.n_iter_  # training may go on
    if key not in known:
        known[key] = _split_network(clf._image_network(), layer)
    return known[key]


def _split_network(model: keras.Model, name: str | None) -> list[_Halves]:
    tensors = {t._keras_history.operation.name: t for t in _spatial_tensors(model)}
    if not tensors:
        raise ValueError("The network has no layer whose outputs have height and width.")
    if name is None:
        return [_halve(model, tensor, back) for tensor, back in _choose_layers(model, tensors)]
    if name not in tensors:
        raise ValueError(
            f"The network has no layer {name!r} whose outputs have height and width; it has "
            f"{', '.join(tensors)}."
        )
    try:
        back = keras.Model(tensors[name], model.layers[-1].input)
    except ValueError as error:
        raise ValueError(
            f"The layer {name!r} has others beside it that lead to the classes; choose one that "
            f"everything passes through, such as {list(tensors)[-1]!r}."
        ) from error
    return [_halve(model, tensors[name], back)]


def _choose_layers(model: keras.Model, tensors: dict[str, Any]) -> list[tuple[Any, keras.Model]]:
    """Return the last layer of each of a few sizes, with the network behind it."""
    found: dict[int, tuple[Any, keras.Model]] = {}
    fine = [t for t in tensors.values() if min(t.shape[1:3]) >= _FEWEST_CELLS]
    for tensor in reversed(fine or list(tensors.values())):
        if tensor.shape[1] in found:
            continue
        try:
            back = keras.Model(tensor, model.layers[-1].input)
        except ValueError:  # others beside it lead to the classes
            continue
        found[tensor.shape[1]] = tensor, back
        if len(found) == _MOST_SIZES:
            break
    return list(found.values())


def _halve(model: keras.Model, tensor: Any, back: keras.Model) -> _Halves:
    last = model.layers[-1]

    def score(activations: Any, weights: Any) -> Any:
        with single_precision(back):
            features = back(activations, training=False)
        # The logits, since the gradient of a certain probability vanishes.
        logits = keras.ops.matmul(keras.ops.cast(features, "float32"), last.kernel) + last.bias
        return keras.ops.sum(logits * weights)

    front = keras.Model(model.inputs, tensor)
    return _Halves(make_forward(front), make_gradient(score))


def _spatial_tensors(model: keras.Model) -> Iterator[Any]:
    """Yield what has height and width between the layers of a network, in their order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # its input is that of its own graph
            continue
        for tensor in keras.tree.flatten(layer.input):
            height, width = tensor.shape[1:3] if len(tensor.shape) == 4 else (1, 1)
            has_gradient = keras.backend.is_float_dtype(tensor.dtype)
            if has_gradient and min(height or 0, width or 0) > 1:
                yield tensor
