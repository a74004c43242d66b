"""Adaptation of a fitted classifier to images of another microscope, stain or laboratory."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from skcell._engine import CompiledModel, TrainingData
from skcell._images import ImageSpec, load_images
from skcell.classifiers._cell_size import zoom_images
from skcell.classifiers._training import PREDICT_BATCH
from skcell.exceptions import AdaptationWarning

#: Maximum number of images that are adapted to.
MOST_IMAGES = 2048

#: With fewer images, the network is left as it is; with a larger share of one predicted class,
#: there is a warning. A class counts as predicted from some images on.
FEWEST_IMAGES = 32
FEWEST_OF_CLASS = 3
LARGEST_SHARE = 0.8

#: Number of images that the statistics of the training images count as.
SOURCE_IMAGES = 64

#: Number of times that the classes are predicted and the statistics are moved.
ROUNDS = 2

#: Weight of the squared change of the last layer, beside the loss summed over labelled images.
PENALTY = 10.0


def adapt_classifier(clf: Any, X: Any, X_labelled: Any, y_labelled: Any) -> Any:
    """Adapt a copy of a fitted classifier; see `BaseCellClassifier.adapt`."""
    if (X_labelled is None) != (y_labelled is None):
        raise ValueError("X_labelled and y_labelled must be passed together; one is missing.")
    if X is None and y_labelled is None:
        raise ValueError("Pass images of the other laboratory, with or without labels.")
    checked = None if X is None else clf._check_X(X, reset=False)
    data = None
    if y_labelled is not None:
        seen, spec = clf._check_X(X_labelled, reset=False)
        data = TrainingData.from_arrays(
            seen, spec, y_labelled, classes=clf.classes_, owner=type(clf).__name__
        )
    adapted = copy.copy(clf)
    adapted._lease = copy.deepcopy(clf._lease)
    told: dict[str, Any] = {"n_images": 0, "zoom": 1.0, "move": 0.0, "n_labelled": 0}
    told |= getattr(clf, "adaptation_", {})
    inputs = None
    if checked is not None:
        found, inputs = _adapt_to_images(adapted, *checked)
        told |= found
    if data is not None:
        images = adapted._load(data.images, slice(None), data.spec)
        with adapted._lease.use() as compiled:
            layer = compiled.model.layers[-1]
            layer.set_weights(adapt_head(compiled, adapted._to_network_input(images), data.codes))
        told["n_labelled"] = len(data.codes)
    if inputs is not None:
        with adapted._lease.use() as compiled:
            shares = apply_in_batches(compiled.forward, inputs).mean(axis=0)
        told["class_shares"] = dict(zip(clf.classes_.tolist(), shares.tolist(), strict=True))
        _warn_of_shares(shares, clf.classes_.tolist())
    adapted.adaptation_ = told
    return adapted


def _adapt_to_images(
    clf: Any, images: NDArray[Any], spec: ImageSpec
) -> tuple[dict[str, Any], NDArray[Any]]:
    """Find the size of cells, and move the statistics of a classifier that may be changed.

    What is found is returned, and the images as the network then takes them.
    """
    indices = np.random.default_rng(0).permutation(len(images))[:MOST_IMAGES]
    raw = load_images(images, np.sort(indices), spec, n_jobs=-1)
    inputs, move = clf._to_network_input(zoom_images(raw, clf._zoom)), 0.0
    with clf._lease.use() as compiled:
        statistics = compiled.statistics
        codes, before = _find_codes(compiled, inputs), statistics.get()
        if why := _why_not(codes):
            warnings.warn(why, AdaptationWarning, stacklevel=5)
            return {"n_images": len(raw)}, inputs
        if statistics.exist:
            move = adapt_statistics(compiled, inputs, clf._sizes.shares)
            codes = _find_codes(compiled, inputs)
        zoom = clf._sizes.find_zoom(raw, codes)
        if zoom != clf._zoom:
            clf._zoom, inputs = zoom, clf._to_network_input(zoom_images(raw, zoom))
            if statistics.exist:  # once more, with cells of the right size
                statistics.set(before)
                move = adapt_statistics(compiled, inputs, clf._sizes.shares)
    return {"n_images": len(raw), "zoom": zoom, "move": move}, inputs


def _find_codes(compiled: CompiledModel, images: NDArray[Any]) -> NDArray[np.intp]:
    return apply_in_batches(compiled.forward, images).argmax(axis=1)


def _why_not(codes: NDArray[np.intp]) -> str:
    """Say why images without labels are not adapted to; empty if they are."""
    if len(codes) < FEWEST_IMAGES:
        return (
            f"The classifier was not adapted to {len(codes)} images, from which little can be "
            f"learned. Pass at least {FEWEST_IMAGES}, or some with labels."
        )
    if np.count_nonzero(np.bincount(codes) >= FEWEST_OF_CLASS) < 2:
        return (
            f"The classifier takes nearly all of {len(codes)} images for one class, so it was not "
            "adapted: it cannot tell whether they are. If they are not, pass a few images of each "
            "class with labels."
        )
    return ""


def _warn_of_shares(shares: NDArray[np.float64], classes: list[Any]) -> None:
    largest = int(shares.argmax())
    if shares[largest] > LARGEST_SHARE:
        warnings.warn(
            f"{shares[largest]:.0%} of the images seem to be {classes[largest]!r}. If they are "
            "not, pass a few images of each class with labels.",
            AdaptationWarning,
            stacklevel=4,
        )


def adapt_statistics(
    compiled: CompiledModel, images: NDArray[Any], shares: NDArray[np.float64]
) -> float:
    """Move the statistics of batch normalisation towards those of other images.

    The statistics depend on which classes there are. The images are therefore drawn so that the
    predicted classes have the shares of training. The statistics are moved the further the more
    images they are from, and the larger a share of the training images had the classes that are
    predicted here: images of a few classes say little about what the others look like.
    """
    statistics, n = compiled.statistics, len(images)
    old, size, move = statistics.get(), min(n, PREDICT_BATCH), 0.0
    n_drawn = size * max(2, -(-n // size))
    for _ in range(ROUNDS):
        codes = _find_codes(compiled, images)
        counts = np.bincount(codes, minlength=len(shares))
        used = np.where(counts >= FEWEST_OF_CLASS, shares, 0.0)
        if not used.any():
            break
        weights = (used / np.maximum(counts, 1))[codes]
        weights /= weights.sum()
        effective = 1 / np.square(weights).sum()
        move = float(used.sum() * effective / (effective + SOURCE_IMAGES))
        evenly = (np.arange(n_drawn) + 0.5) / n_drawn  # varies less than a random draw
        drawn = np.searchsorted(np.cumsum(weights), evenly).clip(0, n - 1)
        order = np.random.default_rng(0).permutation(drawn)
        statistics.measure(images[order[i : i + size]] for i in range(0, n_drawn, size))
        new = statistics.get()
        statistics.set([o + np.float32(move) * (m - o) for o, m in zip(old, new, strict=True)])
    return move


def apply_in_batches(
    forward: Callable[[NDArray[Any]], Any], images: NDArray[Any]
) -> NDArray[np.float64]:
    """Apply a compiled function to images, a batch at a time."""
    starts = range(0, len(images), PREDICT_BATCH)
    parts = [forward(images[i : i + PREDICT_BATCH]) for i in starts]
    return np.concatenate(parts).astype(np.float64)


def adapt_head(
    compiled: CompiledModel, images: NDArray[Any], codes: NDArray[np.intp], penalty: float = PENALTY
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit the last layer to labelled images, close to its old weights.

    The multinomial logistic loss, plus `penalty` times half of the squared change of the weights,
    is minimised over the weights and biases of the last layer. All classes that have labels weigh
    the same, since the labels of a random sample are mostly of one class.
    """
    kernel, bias = (np.asarray(w, np.float64) for w in compiled.model.layers[-1].get_weights())
    features = apply_in_batches(compiled.embed, images)
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    old = np.concatenate([kernel, bias[None]])
    counts = np.bincount(codes, minlength=len(bias))
    weights = len(codes) / (np.count_nonzero(counts) * counts[codes, None])
    targets = np.eye(len(bias))[codes]
    scale = np.mean(np.square(features))  # so that the penalty does not depend on their unit

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        change = flat.reshape(old.shape)
        log_p = log_softmax(features @ (old + change), axis=1)
        value = -(weights * targets * log_p).sum()
        value += 0.5 * penalty * scale * np.square(change).sum()
        gradient = features.T @ (weights * (np.exp(log_p) - targets)) + penalty * scale * change
        return value, gradient.ravel()

    change = minimize(loss, np.zeros(old.size), jac=True, method="L-BFGS-B").x.reshape(old.shape)
    new = (old + change).astype(np.float32)
    return new[:-1], new[-1]
