"""Training on several devices with Keras' distribution API."""

import contextlib
from typing import Any

import keras


def count_devices(wanted: int) -> int:
    """Determine how many devices share each batch."""
    if wanted == 1:
        return 1
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"n_devices={wanted} needs Keras' jax backend (set KERAS_BACKEND=jax before Python "
            f"starts), but the backend is {keras.backend.backend()}. Set n_devices=1, or run one "
            "process for each device."
        )
    found = len(keras.distribution.list_devices())
    if wanted > found:
        raise ValueError(
            f"n_devices={wanted}, but jax sees {found}; set n_devices={found}, or -1 for all."
        )
    return found if wanted == -1 else wanted


class Devices:
    """The devices of one compiled model; each holds all variables and a part of each batch."""

    def __init__(self, n: int):
        self.distribution: keras.distribution.DataParallel | None = None
        if n > 1 and keras.backend.backend() == "jax":
            devices = keras.distribution.list_devices()[:n]
            self.distribution = keras.distribution.DataParallel(devices=devices)

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
