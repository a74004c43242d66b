"""From a recipe to a compiled Keras model, and back to its first state."""

import collections
import contextlib
import functools
import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state  # where names are counted; there is no other way

from skcell.networks._augment import RandomTransform
from skcell.networks._devices import Devices
from skcell.networks._initial import InitialValues, read
from skcell.networks._optimizers import make_optimizer
from skcell.networks._statistics import Statistics
from skcell.networks._steps import make_forward, make_steps

_building = threading.RLock()

#: Keyword arguments that can be hashed; their values are what the function takes.
Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """All that a compiled program depends on, and nothing else.

    Learning rate, weight decay's size, seeds, epochs, class weights and label smoothing are
    inputs of a program, so fits that differ in them share it.

    Parameters
    ----------
    network : callable
        From an image tensor and `arguments` to a tensor of features.
    arguments : tuple of (str, object)
        Keyword arguments of `network`, hashable.
    input_shape : tuple of int
        Height, width and channels.
    dtype : {"uint8", "uint16", "float32"}
        Dtype of pixels; integers are divided by its maximum.
    n_classes : int
        Number of classes.
    augmentation : tuple of (str, object) or None
        Arguments of `RandomTransform`.
    optimizer : str
        Key of `OPTIMIZERS`.
    decays : bool
        Whether there is weight decay.
    shares : bool
        Whether each variable has its share of the learning rate.
    loss : str or callable
        A Keras loss for one-hot targets.
    dtype_policy : str or None
        Keras dtype policy.
    jit_compile : bool or None
        Whether XLA compiles; None decides by backend and device.
    n_devices : int
        Devices that share each batch.
    code : str or None
        Digest of the user's code among `network`, `arguments` and `loss`, with all that it reaches;
        None if there is some that cannot be told apart: what is compiled of it is used once.
    """

    network: Callable[..., Any]
    arguments: Arguments
    input_shape: tuple[int, int, int]
    dtype: str
    n_classes: int
    augmentation: Arguments | None = None
    optimizer: str = "adam"
    decays: bool = False
    shares: bool = False
    loss: str | Callable[..., Any] = "categorical_crossentropy"
    dtype_policy: str | None = None
    jit_compile: bool | None = None
    n_devices: int = 1
    code: str | None = ""


@contextlib.contextmanager
def seeded(seed: int, dtype_policy: str | None) -> Iterator[None]:
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
def named_anew() -> Iterator[None]:
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


def pixels(inputs: Any) -> Any:
    """Scale whole numbers to 0..1 by their dtype's maximum; floats are taken as they are."""
    if inputs.dtype == "float32":
        return inputs
    scale = 1.0 / np.iinfo(inputs.dtype).max
    return keras.layers.Rescaling(scale, dtype="float32", name="pixels")(inputs)


def build(recipe: Recipe, seed: int) -> keras.Model:
    """Build the uncompiled model of `recipe`, its weights drawn from `seed`.

    Parameters
    ----------
    recipe : Recipe
        What to build.
    seed : int
        Seed of the initial weights and of the generators of dropout and augmentation.

    Returns
    -------
    keras.Model
        From images, as pixels of `recipe.dtype`, to class probabilities.
    """
    with seeded(seed, recipe.dtype_policy):
        with named_anew():
            inputs = keras.Input(recipe.input_shape, dtype=recipe.dtype, name="image")
            x = pixels(inputs)
            if recipe.augmentation is not None:
                clip = recipe.dtype != "float32"
                x = RandomTransform(**dict(recipe.augmentation), clip=clip, dtype="float32")(x)
            x = recipe.network(x, **dict(recipe.arguments))
            outputs = keras.layers.Dense(
                recipe.n_classes, activation="softmax", dtype="float32", name="probability"
            )(x)
        return keras.Model(inputs, outputs)


class Program:
    """A compiled model that can be brought back to the state of a new one."""

    def __init__(self, recipe: Recipe, seed: int):
        _share_machine()
        self.recipe = recipe
        devices = Devices(recipe.n_devices)
        with devices.scope():
            self._make(recipe, seed)
            self.steps = make_steps(self.model, devices)
            self.forward = make_forward(self.model, devices)
            self.statistics = Statistics(self.model, devices)

    def _make(self, recipe: Recipe, seed: int) -> None:
        """Build and compile the model."""
        self.model = build(recipe, seed)
        self._initial = InitialValues(self.model, functools.partial(build, recipe), seed)
        optimizer = make_optimizer(recipe.optimizer, decays=recipe.decays, shares=recipe.shares)
        self.model.compile(
            optimizer=optimizer,
            loss=recipe.loss,
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=_jit_compile(recipe.jit_compile),
        )
        wrapper = self.model.optimizer  # under mixed_float16, else the optimizer itself
        if not wrapper.built:
            wrapper.build(self.model.trainable_variables)
        named = {variable.name: variable for variable in optimizer.variables}
        self.weight_decay, self.shares = named.get("weight_decay"), named.get("shares")
        fresh = [read(v) for v in wrapper.variables]
        self._fresh = [value if value.any() else None for value in fresh]

    def reset(self, seed: int) -> None:
        """Become, to the bit, what a program newly made from `seed` would be."""
        self._initial.assign(seed)
        for variable, value in zip(self.model.optimizer.variables, self._fresh, strict=True):
            variable.assign(ops.zeros(variable.shape, variable.dtype) if value is None else value)
        self.model.stop_training = False
        self.model.reset_metrics()

    @property
    def n_bytes(self) -> int:
        """Memory that the variables of model and optimizer take up."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return sum(4 * math.prod(variable.shape) for variable in variables)

    def get_state(self) -> list[np.ndarray]:
        """Copy the values of all variables of model and optimizer."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return [read(variable) for variable in variables]

    def set_state(self, state: list[np.ndarray]) -> None:
        """Assign what `get_state` returned."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)


def _jit_compile(jit_compile: bool | None) -> bool | str:
    """Resolve None: XLA is three times slower than TensorFlow's own kernels on a CPU."""
    if jit_compile is not None:
        return jit_compile
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return "auto" if tf.config.list_physical_devices("GPU") else False
    return "auto" if keras.backend.backend() == "jax" else False


def _share_machine() -> None:
    """Keep to the cores that joblib granted this process, and to the GPU memory that is needed.

    joblib tells its workers by `OMP_NUM_THREADS`, which TensorFlow reads for some of its kernels
    only. Both backends would take all memory of a GPU, which leaves none for other processes. All
    of it must be said before a backend's first operation; later it is without effect.
    """
    if keras.backend.backend() == "jax":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    granted = os.environ.get("OMP_NUM_THREADS", "")
    with contextlib.suppress(RuntimeError):  # already running: too late to change
        if granted.isdigit() and tf.config.threading.get_intra_op_parallelism_threads() == 0:
            tf.config.threading.set_intra_op_parallelism_threads(int(granted))
            tf.config.threading.set_inter_op_parallelism_threads(int(granted))
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
