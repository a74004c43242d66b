"""Steps of training, validation and prediction, as each backend runs them best.

Keras' own `fit` feeds one batch at a time through data adapters. Here a batch goes straight to the
compiled step; on an accelerator under jax the images go there once, and several steps are one call.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell.engine._devices import Devices

Batch = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

#: Index of the last batch done, and scores of the epoch so far.
Done = tuple[int, dict[str, Any]]

Forward = Callable[[NDArray[Any]], NDArray[Any]]

#: Training steps in one call where the images lie on the device.
STEPS_PER_CALL = 8

#: Images stay on the device if they take no more than this share of its memory.
RESIDENT_SHARE = 0.4


class Batches(Protocol):
    """One epoch's batches: to iterate over, and as row numbers of what they are made of."""

    images: NDArray[Any] | None  # None where they are files
    targets: NDArray[Any]
    indices: NDArray[Any]  # (batches, size)
    batch_weights: NDArray[Any]  # (batches, size)
    on_device: Any  # what a device holds of images and targets, kept as long as these

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def sample(self, n_images: int) -> Iterator[NDArray[Any]]:
        """Yield batches of images, up to so many, the same whenever it is asked for."""


class Steps(Protocol):
    """How a compiled model trains and is scored."""

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        """Train on each batch in turn."""

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        """Score each batch in turn."""


def make_steps(model: keras.Model, devices: Devices) -> Steps:
    """Prepare the steps of a compiled Keras model; each is traced when first used."""
    _build_metrics(model)
    backends: dict[str, Callable[[keras.Model, Devices], Steps]] = {
        "tensorflow": _TensorFlowSteps,
        "jax": _JaxSteps,
        "torch": _TorchSteps,
    }
    return backends[keras.backend.backend()](model, devices)


def _build_metrics(model: keras.Model) -> None:
    """Make the variables of metrics, which compiled steps cannot make."""
    targets = np.zeros((1, *model.outputs[0].shape[1:]), np.float32)
    weights = np.ones(1, np.float32)
    y, w = ops.convert_to_tensor(targets), ops.convert_to_tensor(weights)
    model.compute_loss(y=y, y_pred=y, sample_weight=w)
    model.compute_metrics(None, y, y, w)
    model.reset_metrics()


class _TensorFlowSteps:
    def __init__(self, model: keras.Model, devices: Devices):
        import tensorflow as tf

        options = {"jit_compile": bool(model.jit_compile), "reduce_retracing": True}
        self._train = tf.function(lambda *batch: model.train_step(batch), **options)
        self._test = tf.function(lambda *batch: model.test_step(batch), **options)
        # TensorFlow takes the functions of several models, of one code, for one traced too often.
        self._train._omit_frequent_tracing_warning = True
        self._test._omit_frequent_tracing_warning = True

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        return ((i, self._train(*batch)) for i, batch in enumerate(batches))

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        return ((i, self._test(*batch)) for i, batch in enumerate(batches))


class _TorchSteps:
    def __init__(self, model: keras.Model, devices: Devices):
        self._model = model

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        self._model.train()
        try:
            for i, batch in enumerate(batches):
                yield i, self._model.train_step(tuple(map(ops.convert_to_tensor, batch)))
        finally:
            self._model.eval()

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        import torch

        for i, batch in enumerate(batches):
            with torch.no_grad():
                yield i, self._model.test_step(tuple(map(ops.convert_to_tensor, batch)))


class _JaxSteps:
    def __init__(self, model: keras.Model, devices: Devices):
        import jax

        self._model, self._place = model, devices.place
        jit = jax.jit if model.jit_compile else lambda function: function
        self._one = {"train": jit(model.train_step), "test": jit(model.test_step)}
        self._many = {
            "train": jit(_several(model.train_step)),
            "test": jit(_several(model.test_step)),
        }

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        return self._run("train", batches)

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        return self._run("test", batches)

    def _variables(self, kind: str) -> list[list[keras.Variable]]:
        model = self._model
        optimizer = [model.optimizer.variables] if kind == "train" else []
        weights = [model.trainable_variables, model.non_trainable_variables]
        return [*weights, *optimizer, model.metrics_variables]

    def _run(self, kind: str, batches: Batches) -> Generator[Done, None, None]:
        variables = self._variables(kind)
        state: Any = tuple([v.value for v in group] for group in variables)
        logs: dict[str, Any]
        try:
            if self._resident(batches):
                for start in range(0, len(batches), STEPS_PER_CALL):
                    (*jobs, active), last = _jobs(batches, start)
                    jobs = [self._place(part, axis=1) for part in jobs]
                    logs, state = self._many[kind](state, batches.on_device, (*jobs, active))
                    yield last, logs
            else:
                for i, batch in enumerate(batches):
                    batch = tuple(map(self._place, batch))
                    logs, state = self._one[kind](state, batch)
                    yield i, logs
        finally:
            for group, values in zip(variables, state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)

    def _resident(self, batches: Batches) -> bool:
        """Put images and targets on the devices, if they are in memory and fit there."""
        import jax

        if batches.on_device is None and batches.images is not None:
            memory_limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
            if batches.images.nbytes <= RESIDENT_SHARE * memory_limit:
                data = (batches.images, batches.targets)
                batches.on_device = tuple(self._place(_upload(a), axis=None) for a in data)
        return batches.on_device is not None


def _several(step: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a step on a batch into several, on batches that are picked from images in memory."""
    import jax

    def one(state: Any, data: Any, job: Any) -> Any:
        (images, targets), (indices, weights, active) = data, job
        logs, new = step(state, (images[indices], targets[indices], weights))
        # Steps beyond the last batch change nothing.
        return jax.tree.map(lambda n, o: jax.numpy.where(active, n, o), new, state), logs

    def several(state: Any, data: Any, jobs: Any) -> Any:
        state, logs = jax.lax.scan(lambda s, job: one(s, data, job), state, jobs)
        last = jobs[-1].sum() - 1
        return jax.tree.map(lambda log: log[last], logs), state

    return several


def _jobs(batches: Batches, start: int) -> tuple[Any, int]:
    """Rows, weights and whether they count, for one call; always of the same shapes."""
    indices = batches.indices[start : start + STEPS_PER_CALL].astype(np.int32)
    weights = batches.batch_weights[start : start + STEPS_PER_CALL]
    missing = ((0, STEPS_PER_CALL - len(indices)), (0, 0))
    active = np.arange(STEPS_PER_CALL) < len(indices)
    return (np.pad(indices, missing), np.pad(weights, missing), active), start + len(indices) - 1


def _upload(array: NDArray[Any]) -> Any:
    """Copy an array to the device, in the next of few lengths: programs depend on the length."""
    import jax

    n = len(array)
    unit = max(1, 1 << max(0, (n - 1).bit_length() - 3))  # an eighth to a quarter of n
    padded_length = -(-n // unit) * unit
    part = min(n, 4096)  # copied piece by piece: the host holds no padded copy
    write = jax.jit(jax.lax.dynamic_update_slice_in_dim, donate_argnums=0, static_argnums=3)
    on_device = jax.numpy.zeros((padded_length, *array.shape[1:]), array.dtype)
    for start in [*range(0, n - part, part), n - part]:
        on_device = write(on_device, array[start : start + part], start, 0)
    return on_device


def make_forward(model: keras.Model, devices: Devices | None = None) -> Forward:
    """Compile prediction on a batch of any size; it is traced when first used."""
    backends: dict[str, Callable[[keras.Model, Devices], Forward]] = {
        "tensorflow": _forward_tensorflow,
        "jax": _forward_jax,
        "torch": _forward_torch,
    }
    return backends[keras.backend.backend()](model, devices or Devices(1))


def _forward_tensorflow(model: keras.Model, devices: Devices) -> Forward:
    import tensorflow as tf

    # Of no fixed batch size, so that it is traced once.
    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    predict = tf.function(lambda x: model(x, training=False), input_signature=[spec])
    predict._omit_frequent_tracing_warning = True  # as for training
    return lambda images: predict(images).numpy()


def _forward_jax(model: keras.Model, devices: Devices) -> Forward:
    import jax

    @jax.jit
    def predict(state: Any, x: Any) -> Any:
        return model.stateless_call(*state, x, training=False)[0]

    def forward(images: NDArray[Any]) -> NDArray[Any]:
        # One compilation for each power of two instead of one for each batch size.
        padded = np.zeros((1 << (len(images) - 1).bit_length(), *images.shape[1:]), images.dtype)
        padded[: len(images)] = images
        groups = model.trainable_variables, model.non_trainable_variables
        state = [[v.value for v in group] for group in groups]
        return np.asarray(predict(state, devices.place(padded)))[: len(images)]

    return forward


def _forward_torch(model: keras.Model, devices: Devices) -> Forward:
    import torch

    def forward(images: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            return ops.convert_to_numpy(model(ops.convert_to_tensor(images), training=False))

    return forward
