"""Steps of training, validation and prediction, implemented for each backend.

Keras' `fit` passes each batch through data adapters. Here a batch goes directly to the compiled
step. With jax on an accelerator, the images are copied to the device once, and several steps run
in one call.
"""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell._engine._devices import Devices
from skcell._keras import computes_in_half, single_precision
from skcell.networks import fold_batch_norm

Batch = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

#: Index of the last finished batch, and the scores of the epoch so far.
Done = tuple[int, dict[str, Any]]

Forward = Callable[[NDArray[Any]], NDArray[Any]]

Precision = Callable[[keras.Model], contextlib.AbstractContextManager[None]]

#: Number of training steps in one call if the images are stored on the device.
STEPS_PER_CALL = 8

#: Images are stored on the device if they need at most this fraction of its memory.
RESIDENT_SHARE = 0.4


class Batches(Protocol):
    """The batches of one epoch, as an iterable and as indices into images and targets."""

    images: NDArray[Any] | None  # None for files and for images that need a conversion
    targets: NDArray[Any]
    indices: NDArray[Any]  # (batches, size)
    batch_weights: NDArray[Any]  # (batches, size)
    on_device: Any  # copies of images and targets on the device, kept as long as this object

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def sample(self, n_images: int) -> Iterator[NDArray[Any]]:
        """Yield batches with at most `n_images` images in total; every call yields the same."""


class Steps(Protocol):
    """Training and validation steps of a compiled model."""

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        """Train on each batch in turn."""

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        """Score each batch in turn."""


def make_steps(model: keras.Model, devices: Devices) -> Steps:
    """Prepare the steps of a compiled Keras model; each step is traced when it is first used."""
    _build_metrics(model)
    backends: dict[str, Callable[[keras.Model, Devices], Steps]] = {
        "tensorflow": _TensorFlowSteps,
        "jax": _JaxSteps,
        "torch": _TorchSteps,
    }
    return backends[keras.backend.backend()](model, devices)


def _build_metrics(model: keras.Model) -> None:
    """Create the variables of the metrics, because a compiled step cannot create variables.

    Keras creates them in the first call of loss and metrics, so both are called once here.
    """
    targets = np.zeros((1, *model.outputs[0].shape[1:]), np.float32)
    weights = np.ones(1, np.float32)
    y, w = ops.convert_to_tensor(targets), ops.convert_to_tensor(weights)
    model.compute_loss(y=y, y_pred=y, sample_weight=w)
    model.compute_metrics(None, y, y, w)
    model.reset_metrics()


def _test_step(model: keras.Model, *arguments: Any) -> Any:
    with single_precision(model):  # as in prediction
        return model.test_step(*arguments)


class _TensorFlowSteps:
    def __init__(self, model: keras.Model, devices: Devices):
        import tensorflow as tf

        options = {"jit_compile": bool(model.jit_compile), "reduce_retracing": True}
        self._train = tf.function(lambda *batch: model.train_step(batch), **options)
        self._test = tf.function(lambda *batch: _test_step(model, batch), **options)
        # The functions of several models share the same Python code, so TensorFlow would take
        # them for a single function that is traced too often, and would warn.
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
                yield i, _test_step(self._model, tuple(map(ops.convert_to_tensor, batch)))


class _JaxSteps:
    def __init__(self, model: keras.Model, devices: Devices):
        import jax

        self._model, self._place = model, devices.place
        jit = jax.jit if model.jit_compile else lambda function: function
        test_step = functools.partial(_test_step, model)
        self._one = {"train": jit(model.train_step), "test": jit(test_step)}
        # `_one` takes a batch from the host, `_many` several batches from images on the device.
        self._many = {
            "train": jit(_several(model.train_step)),
            "test": jit(_several(test_step)),
        }

    def train(self, batches: Batches) -> Generator[Done, None, None]:
        return self._run("train", batches)

    def test(self, batches: Batches) -> Generator[Done, None, None]:
        return self._run("test", batches)

    def _variables(self, kind: str) -> list[list[keras.Variable]]:
        # The order is that of the state in Keras' `train_step` and `test_step` for JAX.
        model = self._model
        optimizer = [model.optimizer.variables] if kind == "train" else []
        weights = [model.trainable_variables, model.non_trainable_variables]
        return [*weights, *optimizer, model.metrics_variables]

    def _run(self, kind: str, batches: Batches) -> Generator[Done, None, None]:
        # JAX steps are pure functions from a state to a new state. The state stays outside the
        # variables during the epoch, and is assigned to them at the end or after an error.
        variables = self._variables(kind)
        state: Any = tuple([v.value for v in group] for group in variables)
        logs: dict[str, Any]
        try:
            if self._resident(batches):
                for start in range(0, len(batches), STEPS_PER_CALL):
                    (*jobs, active), last = _jobs(batches, start)
                    # Axis 0 counts the steps; axis 1, within a batch, is divided over devices.
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
        """Copy images and targets to the devices if they fit; return whether they are there."""
        import jax

        if batches.on_device is None and batches.images is not None:
            # A CPU reports no memory limit, so images are never copied there.
            memory_limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
            if batches.images.nbytes <= RESIDENT_SHARE * memory_limit:
                data = (batches.images, batches.targets)
                batches.on_device = tuple(self._place(_upload(a), axis=None) for a in data)
        return batches.on_device is not None


def _several(step: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a step on one batch into a scan over several batches of images on the device."""
    import jax

    def one(state: Any, data: Any, job: Any) -> Any:
        (images, targets), (indices, weights, active) = data, job
        logs, new = step(state, (images[indices], targets[indices], weights))
        # Steps beyond the last batch are computed too, but their new state is discarded.
        return jax.tree.map(lambda n, o: jax.numpy.where(active, n, o), new, state), logs

    def several(state: Any, data: Any, jobs: Any) -> Any:
        state, logs = jax.lax.scan(lambda s, job: one(s, data, job), state, jobs)
        last = jobs[-1].sum() - 1  # index of the last active step
        return jax.tree.map(lambda log: log[last], logs), state

    return several


def _jobs(batches: Batches, start: int) -> tuple[Any, int]:
    """Return indices, weights and active flags of one call, and the index of its last batch.

    Calls with fewer batches are padded with inactive steps, so that all calls have the same
    shapes and the scan is compiled once.
    """
    indices = batches.indices[start : start + STEPS_PER_CALL].astype(np.int32)
    weights = batches.batch_weights[start : start + STEPS_PER_CALL]
    missing = ((0, STEPS_PER_CALL - len(indices)), (0, 0))
    active = np.arange(STEPS_PER_CALL) < len(indices)
    return (np.pad(indices, missing), np.pad(weights, missing), active), start + len(indices) - 1


def _upload(array: NDArray[Any]) -> Any:
    """Copy an array to the device, padded to one of a few lengths.

    A compiled function depends on the length of the array, so rounding the length up to a multiple
    of `unit` limits the number of compilations. The padding is never indexed.
    """
    import jax

    n = len(array)
    unit = max(1, 1 << max(0, (n - 1).bit_length() - 3))  # an eighth to a quarter of n
    padded_length = -(-n // unit) * unit
    part = min(n, 4096)  # copied in parts, so that the host never holds a padded copy
    write = jax.jit(jax.lax.dynamic_update_slice_in_dim, donate_argnums=0, static_argnums=3)
    on_device = jax.numpy.zeros((padded_length, *array.shape[1:]), array.dtype)
    # All parts have the same length; for this the last part may overlap the one before it.
    for start in [*range(0, n - part, part), n - part]:
        on_device = write(on_device, array[start : start + part], start, 0)
    return on_device


def make_forward(
    model: keras.Model, devices: Devices | None = None, *, in_half: bool = False
) -> Forward:
    """Compile the prediction for batches of any size; it is traced when it is first used.

    Layers compute in single precision; with `in_half`, those of half precision in that.
    """
    backends: dict[str, Callable[[keras.Model, Devices, Precision], Forward]] = {
        "tensorflow": _forward_tensorflow,
        "jax": _forward_jax,
        "torch": _forward_torch,
    }
    change = not in_half and computes_in_half(model)
    precision = single_precision if change else contextlib.nullcontext
    return backends[keras.backend.backend()](model, devices or Devices(), precision)


def _forward_tensorflow(model: keras.Model, devices: Devices, precision: Precision) -> Forward:
    import tensorflow as tf

    folded = fold_batch_norm(model)
    # The input signature leaves the batch size open, so that the function is traced only once.
    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)

    @functools.partial(tf.function, input_signature=[spec])
    def predict(x: Any) -> Any:
        with precision(folded):
            return folded(x, training=False)

    predict._omit_frequent_tracing_warning = True  # as for the training steps
    return lambda images: predict(images).numpy()


def _forward_jax(model: keras.Model, devices: Devices, precision: Precision) -> Forward:
    import jax

    @jax.jit
    def predict(state: Any, x: Any) -> Any:
        with precision(model):
            return model.stateless_call(*state, x, training=False)[0]

    def forward(images: NDArray[Any]) -> NDArray[Any]:
        # Padding to a power of two needs one compilation per power, not one per batch size.
        padded = np.zeros((1 << (len(images) - 1).bit_length(), *images.shape[1:]), images.dtype)
        padded[: len(images)] = images
        groups = model.trainable_variables, model.non_trainable_variables
        state = [[v.value for v in group] for group in groups]
        return np.asarray(predict(state, devices.place(padded)))[: len(images)]

    return forward


def _forward_torch(model: keras.Model, devices: Devices, precision: Precision) -> Forward:
    import torch

    def forward(images: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad(), precision(model):
            return ops.convert_to_numpy(model(ops.convert_to_tensor(images), training=False))

    return forward
