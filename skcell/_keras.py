"""Access to private parts of Keras and to its global state.

The private parts were tested with Keras 3.12 to 3.15. If a new release removes one of them:

- `global_state` (the counters of layer names): find where Keras counts names now. Without it, only
  the last bits of a fit's results depend on which models were built before in the same process.
- `global_state` (the list of variables without a value): `without_values` may leave them in it.
- `Layer._flatten_layers`: search `vars(layer)`, and lists of layers in it, instead.
"""

import collections
import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state
from numpy.typing import NDArray

_building = threading.RLock()


@contextlib.contextmanager
def reproducible_build(seed: int, dtype_policy: str) -> Iterator[None]:
    """Build layers from `seed` under `dtype_policy`, and restore the global state afterwards.

    Initializers and generators that are not given a seed draw one from Python's `random`. No other
    random state of the process is used while a model is built.
    """
    with _building:
        state, policy = random.getstate(), keras.config.dtype_policy()
        data_format = keras.config.image_data_format()
        try:
            random.seed(seed)
            keras.config.set_image_data_format("channels_last")  # the format of skcell's images
            keras.config.set_dtype_policy(dtype_policy)
            yield
        finally:
            random.setstate(state)
            keras.config.set_image_data_format(data_format)
            keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def fresh_layer_names() -> Iterator[None]:
    """Name layers as in a new process, and restore the counters of names afterwards.

    TensorFlow adds up the gradients of parallel branches in the order of their layers' names, and
    "conv2d_10" sorts before "conv2d_9". If the counters were not reset, the last bits of the
    results would depend on which models were built before.
    """
    counted = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", counted)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Build layers whose variables have a shape and no value, which takes no memory."""
    with _building:
        waiting = list(global_state.get_global_attribute("uninitialized_variables") or ())
        try:
            with keras.StatelessScope(initialize_variables=False):
                yield
        finally:  # Keras would give values to the new ones the next time that it gives any
            global_state.set_global_attribute("uninitialized_variables", waiting)


def _layers_in_half(model: Any) -> list[keras.Layer]:
    return [x for x in find_layers(model) if x.compute_dtype in ("bfloat16", "float16")]


def computes_in_half(model: Any) -> bool:
    """Return whether a layer of a model computes in half precision, in training at least."""
    with _building:  # not while another thread has changed the layers
        return bool(_layers_in_half(model))


@contextlib.contextmanager
def single_precision(model: Any) -> Iterator[None]:
    """Let those layers of a model that compute in half precision compute in float32.

    Training in half precision saves time, and its noise averages out. In prediction nothing
    averages: a probability would be off by up to several hundredths, and another one on a machine
    without half precision or in an exported model.

    Functions that are compiled need this only while they are traced.
    """
    with _building:
        found = _layers_in_half(model)
        policies = [layer.dtype_policy for layer in found]
        try:
            for layer in found:
                layer.dtype_policy = "float32"
            yield
        finally:
            for layer, policy in zip(found, policies, strict=True):
                layer.dtype_policy = policy


def to_numpy(variable: keras.Variable) -> NDArray[Any]:
    """Copy a variable's value."""
    return np.array(ops.convert_to_numpy(variable.value))


def find_layers(layer: Any) -> Iterator[keras.Layer]:
    """Iterate over all layers inside a model or layer, at any depth."""
    # Unlike `layers`, this private method of Keras also finds the layers of composite layers.
    yield from layer._flatten_layers(include_self=False)
