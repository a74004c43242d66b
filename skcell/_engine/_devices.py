"""Training on the devices of `keras.distribution`, if the user has set some."""

import contextlib
from typing import Any

import keras


def find_devices() -> tuple[str, ...]:
    """Return the devices that share each batch; none if Keras' distribution is not set."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return ()
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Several devices can share a fit under Keras' jax backend alone (set KERAS_BACKEND=jax "
            f"before Python starts), but the backend is {keras.backend.backend()}. Run one process "
            "for each device, without keras.distribution.set_distribution."
        )
    if not isinstance(distribution, keras.distribution.DataParallel):
        raise ValueError(
            "skcell divides batches over devices, not networks: keras.distribution must be a "
            f"DataParallel, got {type(distribution).__name__}."
        )
    return tuple(str(device) for device in distribution.device_mesh.devices.flatten())


class Devices:
    """The devices of one compiled model; each holds all variables and a part of each batch."""

    def __init__(self, names: tuple[str, ...] = ()):
        self.distribution: keras.distribution.DataParallel | None = None
        if names:
            self.distribution = keras.distribution.DataParallel(devices=list(names))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which new variables are placed on the devices."""
        return contextlib.nullcontext() if self.distribution is None else self.distribution.scope()

    def place(self, array: Any, axis: int | None = 0) -> Any:
        """Divide an array over the devices."""
        if self.distribution is None:
            return array
        axes = [None] * array.ndim
        if axis is not None and array.shape[axis] % len(self.distribution.device_mesh.devices) == 0:
            axes[axis] = self.distribution.batch_dim_name
        layout = keras.distribution.TensorLayout(axes, self.distribution.device_mesh)
        return keras.distribution.distribute_tensor(array, layout)
