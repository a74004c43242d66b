"""Gradients of a network's outputs with respect to its activations, on each backend."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Function of activations and weights of the outputs, as tensors; its value is one number.
Score = Callable[[Any, Any], Any]

Gradient = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]


def make_gradient(score: Score) -> Gradient:
    """Return the function that computes the gradient of a score by its first argument."""
    backends: dict[str, Callable[[Score], Callable[[Any, Any], Any]]] = {
        "tensorflow": _tensorflow_gradient,
        "jax": _jax_gradient,
        "torch": _torch_gradient,
    }
    compute = backends[keras.backend.backend()](score)

    def gradient(x: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float32]:
        found = compute(ops.convert_to_tensor(x), ops.convert_to_tensor(weights))
        return ops.convert_to_numpy(found).astype(np.float32)

    return gradient


def _tensorflow_gradient(score: Score) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    def compute(x: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = score(x, weights)
        return tape.gradient(value, x)

    return compute


def _jax_gradient(score: Score) -> Callable[[Any, Any], Any]:
    import jax

    return jax.jit(jax.grad(score))


def _torch_gradient(score: Score) -> Callable[[Any, Any], Any]:
    import torch

    def compute(x: Any, weights: Any) -> Any:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(score(x, weights), x)[0]

    return compute
