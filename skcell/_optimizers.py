"""Optimizers by name, with weight decay and a learning-rate scale for each variable."""

import functools
from typing import Any

import keras
from keras import ops

#: Optimizers by name; learning rate and weight decay are set when a fit starts.
OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
    "lion": keras.optimizers.Lion,
}
_ARGUMENTS: dict[str, dict[str, Any]] = {"sgd": {"momentum": 0.9, "nesterov": True}}


def make_optimizer(
    name: str, *, use_weight_decay: bool, lr_scales: bool
) -> keras.optimizers.Optimizer:
    """Make an optimizer whose settings are variables, so they can change without a new trace."""
    kwargs = _ARGUMENTS.get(name, {})
    if use_weight_decay or lr_scales:
        return _TUNABLE[name](has_weight_decay=use_weight_decay, has_lr_scales=lr_scales, **kwargs)
    optimizer = OPTIMIZERS[name](**kwargs)
    if name in _FUSED:
        # The optimizer keeps its class, so a checkpoint of the model needs no skcell to be loaded.
        optimizer.update_step = functools.partial(_FUSED[name].update_step, optimizer)
    return optimizer


def make_keras_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Make an optimizer of Keras' own class, which a saved model needs no skcell for."""
    return OPTIMIZERS[name](learning_rate, **_ARGUMENTS.get(name, {}))


class _FusedAdam(keras.optimizers.Adam):
    """Adam that updates each variable by one operation of TensorFlow, which computes the same."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        index, dtype = self._get_variable_index(variable), variable.dtype
        powers = _powers_of_betas(self, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=ops.cast(learning_rate, dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, dtype),
        )


def _powers_of_betas(adam: keras.optimizers.Adam, dtype: str) -> list[Any]:
    """Return the powers of both betas; all variables share them, and a graph has them once."""
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph() if tf.inside_function() else None
    known = getattr(graph, "_skcell_powers", {})
    if dtype not in known:
        step = ops.cast(adam.iterations + 1, dtype)
        known[dtype] = [ops.power(ops.cast(b, dtype), step) for b in (adam.beta_1, adam.beta_2)]
        if graph is not None:
            graph._skcell_powers = known
    return known[dtype]


#: Optimizers that take the same steps by fewer operations of the backend.
_FUSED = {"adam": _FusedAdam} if keras.backend.backend() == "tensorflow" else {}


class _Tunable:
    """Mixin that reads the weight decay and the learning-rate scales from variables.

    Each step first applies decoupled weight decay, ``w -= lr * scale * weight_decay * w``, and
    then the optimizer's own update with the learning rate ``lr * scale``.
    """

    def __init__(
        self: Any,
        *args: Any,
        has_weight_decay: bool = False,
        has_lr_scales: bool = False,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.has_weight_decay, self.has_lr_scales = has_weight_decay, has_lr_scales
        if has_weight_decay:
            self.decay = self.add_variable((), name="weight_decay")
            self.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])

    def get_config(self: Any) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc] # defined by the optimizer class
        return {
            **config,
            "has_weight_decay": self.has_weight_decay,
            "has_lr_scales": self.has_lr_scales,
        }

    def build(self: Any, variables: list[keras.Variable]) -> None:
        super().build(variables)  # type: ignore[misc] # as above
        if self.has_lr_scales:
            shape = (len(variables),)
            self.lr_scales = self.add_variable(shape, initializer="ones", name="lr_scales")

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.has_lr_scales:
            lr_scale = self.lr_scales.value[self._get_variable_index(variable)]
            learning_rate = learning_rate * lr_scale
        if self.has_weight_decay and self._use_weight_decay(variable):
            factor = ops.cast(learning_rate * self.decay.value, variable.dtype)
            self.assign_sub(variable, variable * factor)
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc] # as above


_TUNABLE: dict[str, type[keras.optimizers.Optimizer]] = {
    name: keras.saving.register_keras_serializable("skcell")(
        type(f"Tunable{kind.__name__}", (_Tunable, _FUSED.get(name, kind)), {})
    )
    for name, kind in OPTIMIZERS.items()
}
