"""From a recipe to a compiled Keras model, and back to its first state."""

import contextlib
import functools
import math
import os

import keras
import numpy as np
from keras import ops

from skcell._keras import fresh_layer_names, reproducible_build, to_numpy
from skcell.engine._devices import Devices
from skcell.engine._initial_values import InitialValues
from skcell.engine._optimizers import make_optimizer
from skcell.engine._recipe import Recipe
from skcell.engine._statistics import Statistics
from skcell.engine._steps import make_forward, make_steps
from skcell.networks import RandomTransform, rescale_to_unit


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
    with reproducible_build(seed, recipe.dtype_policy):
        with fresh_layer_names():
            inputs = keras.Input(recipe.input_shape, dtype=recipe.dtype, name="image")
            x = rescale_to_unit(inputs)
            if recipe.augmentation is not None:
                clip = recipe.dtype != "float32"
                x = RandomTransform(**dict(recipe.augmentation), clip=clip, dtype="float32")(x)
            x = recipe.network(x, **dict(recipe.kwargs))
            outputs = keras.layers.Dense(
                recipe.n_classes, activation="softmax", dtype="float32", name="probability"
            )(x)
        return keras.Model(inputs, outputs)


class CompiledModel:
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
        optimizer = make_optimizer(
            recipe.optimizer, use_weight_decay=recipe.use_weight_decay, lr_scales=recipe.lr_scales
        )
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
        self.weight_decay, self.lr_scales = named.get("weight_decay"), named.get("lr_scales")
        fresh = [to_numpy(v) for v in wrapper.variables]
        self._fresh = [value if value.any() else None for value in fresh]

    def reset(self, seed: int) -> None:
        """Become, to the bit, what a model newly compiled from `seed` would be."""
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
        return [to_numpy(variable) for variable in variables]

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
