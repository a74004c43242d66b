"""Adaptation of a fitted classifier to images of another microscope, stain or laboratory."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import entr, log_softmax

from skcell._engine import CompiledModel, TrainingData
from skcell._images import ImageSpec, load_images
from skcell.classifiers._training import PREDICT_BATCH
from skcell.exceptions import AdaptationWarning

#: Maximum number of images that are adapted to.
MOST_IMAGES = 2048

#: With fewer images, or with a larger share of one predicted class, there is a warning.
FEWEST_IMAGES = 30
LARGEST_SHARE = 0.8

#: Number of images that the statistics of the training images count as, at least.
SOURCE_IMAGES = 4

#: How far the statistics may be moved, of the way that the number of images allows.
MOVES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)

#: Weight of the squared change of the last layer, beside the loss summed over labelled images.
PENALTY = 10.0


def adapt_classifier(clf: Any, X: Any, X_labelled: Any, y_labelled: Any, move: float | None) -> Any:
    """Adapt a copy of a fitted classifier; see `BaseCellClassifier.adapt`."""
    if move is not None and not 0 <= move <= 1:
        raise ValueError(f"move must be None or a number in 0..1, got {move!r}.")
    if (X_labelled is None) != (y_labelled is None):
        raise ValueError("X_labelled and y_labelled must be passed together; one is missing.")
    with clf._lease.use() as compiled:
        can_adapt = compiled.statistics.exist
    if not can_adapt and y_labelled is None:
        raise ValueError(
            f"This {type(clf).__name__} has no batch normalisation that was trained, so images "
            "without labels cannot adapt it. Fit it with batch normalisation, or pass X_labelled "
            "and y_labelled to fit its last layer."
        )
    images, spec = clf._check_X(X, reset=False)
    indices = np.arange(len(images))
    if len(images) > MOST_IMAGES:
        indices = np.random.default_rng(0).permutation(indices)[:MOST_IMAGES]
    images = _load(clf, images, indices, spec)
    labelled = None
    if y_labelled is not None:
        seen, spec = clf._check_X(X_labelled, reset=False)
        data = TrainingData.from_arrays(
            seen, spec, y_labelled, classes=clf.classes_, owner=type(clf).__name__
        )
        labelled = _load(clf, seen, np.arange(len(seen)), spec), data.codes
    adapted = copy.copy(clf)
    adapted._lease = copy.deepcopy(clf._lease)
    with adapted._lease.use() as compiled:
        move = adapt_statistics(compiled, images, move) if can_adapt else 0.0
        if labelled is not None:
            compiled.model.layers[-1].set_weights(adapt_head(compiled, *labelled))
        shares = apply_in_batches(compiled.forward, images).mean(axis=0)
    _warn(len(images), shares, clf.classes_.tolist())
    adapted.adaptation_ = {
        "n_images": len(images),
        "move": move,
        "n_labelled": 0 if labelled is None else len(labelled[1]),
        "class_shares": dict(zip(clf.classes_.tolist(), shares.tolist(), strict=True)),
    }
    return adapted


def _load(
    clf: Any, images: NDArray[Any], indices: NDArray[np.intp], spec: ImageSpec
) -> NDArray[Any]:
    """Load checked images as the network takes them."""
    return clf._to_network_input(load_images(images, indices, spec, n_jobs=-1))


def _warn(n: int, shares: NDArray[np.float64], classes: list[Any]) -> None:
    if n < FEWEST_IMAGES:
        warnings.warn(
            f"The classifier was adapted to {n} images, from which statistics are "
            f"uncertain. Pass at least {FEWEST_IMAGES}.",
            AdaptationWarning,
            stacklevel=4,
        )
    largest = int(shares.argmax())
    if shares[largest] > LARGEST_SHARE:
        warnings.warn(
            f"{shares[largest]:.0%} of the images seem to be {classes[largest]!r}. If they are "
            "not, pass a few images of each class with labels; or, if all classes occur about as "
            "often as in training, move=1.",
            AdaptationWarning,
            stacklevel=4,
        )


def adapt_statistics(compiled: CompiledModel, images: NDArray[Any], move: float | None) -> float:
    """Move the statistics of batch normalisation towards those of other images.

    If it is not given, how far they are moved is chosen by the predictions for these images: the
    lower their mean entropy, the better. The statistics also depend on which classes there are, so
    images of one class alone would spoil them; but the entropy rises then, and they stay where they
    are.
    """
    statistics, n = compiled.statistics, len(images)
    old = statistics.get()
    size = min(n, PREDICT_BATCH)
    order = np.resize(np.random.default_rng(0).permutation(n), -(-n // size) * size)
    statistics.measure(images[order[i : i + size]] for i in range(0, len(order), size))
    new = statistics.get()

    def set_statistics(move: float) -> None:
        statistics.set([o + np.float32(move) * (m - o) for o, m in zip(old, new, strict=True)])

    def entropy(move: float) -> float:
        set_statistics(move)
        return float(entr(apply_in_batches(compiled.forward, images)).sum(axis=1).mean())

    if move is None:
        move = min((part * n / (n + SOURCE_IMAGES) for part in MOVES), key=entropy)
    set_statistics(move)
    return float(move)


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
    is minimised over the weights and biases of the last layer.
    """
    kernel, bias = (np.asarray(w, np.float64) for w in compiled.model.layers[-1].get_weights())
    features = apply_in_batches(compiled.embed, images)
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    old = np.concatenate([kernel, bias[None]])
    targets = np.eye(len(bias))[codes]
    scale = np.mean(np.square(features))  # so that the penalty does not depend on their unit

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        change = flat.reshape(old.shape)
        log_p = log_softmax(features @ (old + change), axis=1)
        value = -(targets * log_p).sum() + 0.5 * penalty * scale * np.square(change).sum()
        gradient = features.T @ (np.exp(log_p) - targets) + penalty * scale * change
        return value, gradient.ravel()

    change = minimize(loss, np.zeros(old.size), jac=True, method="L-BFGS-B").x.reshape(old.shape)
    new = (old + change).astype(np.float32)
    return new[:-1], new[-1]
