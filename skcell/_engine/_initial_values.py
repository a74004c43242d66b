"""Initial values of a model's variables as a function of a seed, without rebuilding the model.

Building the model again would give the same values, but takes longer than a short fit, and
TensorFlow never releases about half a megabyte of each model.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell._keras import find_layers, to_numpy

#: Marks a variable that holds the state of a random number generator.
_SEED = object()


class InitialValues:
    """Draws new initial values for a model.

    The weights of Keras' layers are drawn by the initializers of the layers with new seeds. Random
    layers get new seeds as well. The weights of a layer with `weights_are_given` are not changed.
    Custom layers may have other variables, whose initial value is neither constant nor drawn by an
    initializer that is an attribute of the layer. In this case the model is built again.
    """

    def __init__(self, model: keras.Model, rebuild: Callable[[int], keras.Model], seed: int):
        self._model, self._rebuild = model, rebuild
        given = {id(v) for layer in find_layers(model) if _is_given(layer) for v in layer.variables}
        initializers = {id(v): i for layer in find_layers(model) for v, i in _drawn(layer, given)}
        self._sources: list[Any] | None = []
        for variable in model.variables:
            if variable.name == "seed_generator_state":
                self._sources.append(_SEED)
            elif id(variable) in given:
                self._sources.append(None)
            elif id(variable) in initializers:
                self._sources.append(initializers[id(variable)])
            elif (value := to_numpy(variable)).size and (value == value.flat[0]).all():
                self._sources.append(value)
            else:
                self._sources = None
                break
        self._last: tuple[int, list[NDArray[Any] | None]] | None = None
        if self._sources is not None:  # otherwise the model already has the values of this seed
            self.assign(seed)

    def assign(self, seed: int) -> None:
        """Set all variables to the initial values that belong to `seed`."""
        if self._last is None or self._last[0] != seed:
            self._last = seed, self._draw(seed)
        for variable, value in zip(self._model.variables, self._last[1], strict=True):
            if value is not None:
                variable.assign(value)

    def _draw(self, seed: int) -> list[NDArray[Any] | None]:
        if self._sources is None:
            return [to_numpy(variable) for variable in self._rebuild(seed).variables]
        rng = np.random.default_rng(seed)
        values: list[NDArray[Any] | None] = []
        for variable, source in zip(self._model.variables, self._sources, strict=True):
            if source is None:
                values.append(None)
            elif source is _SEED:
                values.append(np.array([rng.integers(2**31), 0], np.uint32))
            elif isinstance(source, np.ndarray):
                values.append(source)
            else:
                values.append(_call(source, variable, int(rng.integers(2**31))))
        return values


def _is_given(layer: keras.Layer) -> bool:
    return getattr(layer, "weights_are_given", False)


def _drawn(layer: keras.Layer, given: set[int]) -> Iterator[tuple[keras.Variable, Any]]:
    """Find the variables of a layer whose values were drawn by one of its initializers.

    By Keras' convention, the attribute `kernel_initializer` belongs to the variable `kernel`.
    Whether it really drew the value is checked by drawing it again from the same seed.
    """
    for name, initializer in vars(layer).items():
        variable = getattr(layer, name.removesuffix("_initializer"), None)
        seeded = isinstance(initializer, keras.Initializer) and hasattr(initializer, "seed")
        drawn = seeded and isinstance(variable, keras.Variable) and id(variable) not in given
        if drawn and isinstance(initializer.seed, int):
            same = _call(initializer, variable, initializer.seed)
            if np.array_equal(same, to_numpy(variable)):
                yield variable, initializer


def _call(initializer: Any, variable: keras.Variable, seed: int) -> NDArray[Any]:
    """Draw a variable's value from an initializer with the given seed."""
    reseeded = type(initializer).from_config({**initializer.get_config(), "seed": seed})
    return np.array(ops.convert_to_numpy(reseeded(variable.shape, dtype=variable.dtype)))
