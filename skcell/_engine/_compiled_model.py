"""Build a compiled Keras model from a recipe, and reset it to its initial state."""

import functools
import math

import keras
import numpy as np
from keras import ops

from skcell._engine._devices import Devices
from skcell._engine._initial_values import InitialValues
from skcell._engine._recipe import Recipe
from skcell._engine._statistics import Statistics
from skcell._engine._steps import Forward, make_forward, make_steps
from skcell._keras import fresh_layer_names, reproducible_build, to_numpy, without_values
from skcell._machine import share_machine
from skcell._optimizers import make_optimizer
from skcell.networks import RandomTransform, fuse_batch_norm, rescale_to_unit


def build(recipe: Recipe, seed: int) -> keras.Model:
    """Build the uncompiled model of `recipe` with weights drawn from `seed`."""
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


def describe_weights(recipe: Recipe) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return path, shape and dtype of the weights of a model, without making them."""
    with without_values():
        model = build(recipe, seed=0)
        return {v.path: (tuple(v.shape), str(v.dtype)) for v in _weights(model)}


def _weights(model: keras.Model) -> list[keras.Variable]:
    """Return the variables that predictions depend on: all but the states of random generators.

    These states have another dtype under each backend.
    """
    return [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]


class CompiledModel:
    """A compiled model that can be reset to the state of a newly compiled one."""

    def __init__(self, recipe: Recipe, seed: int):
        share_machine()
        self.recipe = recipe
        self._devices = devices = Devices(recipe.devices)
        with devices.scope():
            self._make(recipe, seed)
            self.steps = make_steps(self.model, devices)
            self.forward = make_forward(self.model, devices)
            self.statistics = Statistics(self.model, devices)

    @functools.cached_property
    def embed(self) -> Forward:
        """Compiled function that returns what the last layer takes, for a batch of images."""
        with self._devices.scope():
            inner = keras.Model(self.model.inputs, self.model.layers[-1].input)
            return make_forward(inner, self._devices)

    def _make(self, recipe: Recipe, seed: int) -> None:
        """Build and compile the model."""
        self.model = build(recipe, seed)
        fuse_batch_norm(self.model)
        self._initial = InitialValues(self.model, functools.partial(build, recipe), seed)
        optimizer = make_optimizer(
            recipe.optimizer, use_weight_decay=recipe.use_weight_decay, lr_scales=recipe.lr_scales
        )
        self.model.compile(
            optimizer=optimizer,
            loss=recipe.loss,
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=_jit_compile(),
        )
        # Under mixed_float16 Keras wraps the optimizer; otherwise this is the optimizer itself.
        wrapper = self.model.optimizer
        if not wrapper.built:
            wrapper.build(self.model.trainable_variables)
        named = {variable.name: variable for variable in optimizer.variables}
        self.weight_decay, self.lr_scales = named.get("weight_decay"), named.get("lr_scales")
        fresh = [to_numpy(v) for v in wrapper.variables]
        self._fresh = [value if value.any() else None for value in fresh]  # None stands for zeros

    def reset(self, seed: int) -> None:
        """Set the state that a model newly compiled from `seed` would have, bit for bit."""
        self._initial.assign(seed)
        for variable, value in zip(self.model.optimizer.variables, self._fresh, strict=True):
            variable.assign(ops.zeros(variable.shape, variable.dtype) if value is None else value)
        self.model.stop_training = False
        self.model.reset_metrics()

    @property
    def n_bytes(self) -> int:
        """Memory of the variables of the model and the optimizer, at 4 bytes per element."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return sum(4 * math.prod(variable.shape) for variable in variables)

    def get_state(self) -> list[np.ndarray]:
        """Copy the values of all variables of the model and the optimizer."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return [to_numpy(variable) for variable in variables]

    def set_state(self, state: list[np.ndarray]) -> None:
        """Assign the values that `get_state` returned."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copy the weights of the model, by path."""
        return {variable.path: to_numpy(variable) for variable in _weights(self.model)}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Assign the values that `get_weights` returned."""
        for variable in _weights(self.model):
            variable.assign(weights[variable.path])


def _jit_compile() -> bool | str:
    """Choose XLA, except on a CPU, where it is slower than TensorFlow's own kernels."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return "auto" if tf.config.list_physical_devices("GPU") else False
    return "auto" if keras.backend.backend() == "jax" else False
