"""What skcell uses of Keras that Keras does not promise, and state of Keras that is for all.

Private parts, tried with Keras 3.12 to 3.15. If one is gone:

- `global_state` (the counters of layer names): only the last bits of fits of models built in one
  process then depend on what was built before; look for where Keras counts names now.
- `Layer._flatten_layers`: walk `vars(layer)` and lists of layers in it instead.
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
def reproducible_build(seed: int, dtype_policy: str | None) -> Iterator[None]:
    """Build layers from `seed` under `dtype_policy`, and leave global state as it was.

    Keras draws the seeds that its initializers and generators are not given from Python's
    `random`; nothing else of the process's random state is read while a model is built.
    """
    with _building:
        state, policy = random.getstate(), keras.config.dtype_policy()
        data_format = keras.config.image_data_format()
        try:
            random.seed(seed)
            keras.config.set_image_data_format("channels_last")  # as skcell's images are
            if dtype_policy is not None:
                keras.config.set_dtype_policy(dtype_policy)
            yield
        finally:
            random.setstate(state)
            keras.config.set_image_data_format(data_format)
            keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def fresh_layer_names() -> Iterator[None]:
    """Name layers as in a new process, and count on after that as before.

    TensorFlow adds up the gradients of parallel branches in the order of their layers' names, where
    "conv2d_10" comes before "conv2d_9": with names that count on through a process, the last bits
    of results would depend on what was built before.
    """
    counted = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", counted)


def to_numpy(variable: keras.Variable) -> NDArray[Any]:
    """Copy a variable's value."""
    return np.array(ops.convert_to_numpy(variable.value))


def find_layers(layer: Any) -> Iterator[keras.Layer]:
    """Iterate over the layers in a model or layer, however deep."""
    yield from layer._flatten_layers(include_self=False)  # Keras' own, also of composite layers
