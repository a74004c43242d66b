"""Several devices for one fit, by Keras' distribution API."""

import contextlib
from typing import Any

import keras


def count_devices(wanted: int) -> int:
    """Find out how many devices share each batch.

    Parameters
    ----------
    wanted : int
        How many; -1 is all that there are.

    Returns
    -------
    int
        Their number.

    Raises
    ------
    ValueError
        If there are fewer, or the backend cannot share.
    """
    if wanted == 1:
        return 1
    if keras.backend.backend() != "jax":
        raise ValueError(
            f"n_devices={wanted} needs Keras' jax backend (KERAS_BACKEND=jax, set before Python "
            f"starts), and this is {keras.backend.backend()}. Set n_devices=1, or run one process "
            "for each device."
        )
    found = len(keras.distribution.list_devices())
    if wanted > found:
        raise ValueError(
            f"n_devices={wanted}, but jax sees {found}; set n_devices={found}, or -1 for all."
        )
    return found if wanted == -1 else wanted


class Devices:
    """The devices of one compiled model: each holds all variables, and a part of each batch.

    Parameters
    ----------
    n : int
        How many. Where there are fewer, as may be where a pickle is read, those.
    """

    def __init__(self, n: int):
        self.distribution: keras.distribution.DataParallel | None = None
        if n > 1 and keras.backend.backend() == "jax":
            devices = keras.distribution.list_devices()[:n]
            self.distribution = keras.distribution.DataParallel(devices=devices)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Place variables that are made in this context."""
        return contextlib.nullcontext() if self.distribution is None else self.distribution.scope()

    def place(self, array: Any, axis: int | None = 0) -> Any:
        """Divide an array over the devices.

        Parameters
        ----------
        array : array
            What to place.
        axis : int or None
            The axis that is divided; None copies the whole to each device.

        Returns
        -------
        array
            The array, on the devices; as it was where there is one.
        """
        if self.distribution is None:
            return array
        axes = [None] * array.ndim
        if axis is not None and array.shape[axis] % len(self.distribution.device_mesh.devices) == 0:
            axes[axis] = self.distribution.batch_dim_name
        layout = keras.distribution.TensorLayout(axes, self.distribution.device_mesh)
        return keras.distribution.distribute_tensor(array, layout)
