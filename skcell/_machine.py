"""What this machine computes fastest with, and how much of it this process may use."""

import contextlib
import functools
import os

import keras
from archspec.cpu.detect import detected_info

#: Policies whose variables are the same, so that a model can move from one to the other.
EXCHANGEABLE_POLICIES = frozenset({"float32", "mixed_bfloat16"})

#: NVIDIA's compute capability from which a GPU multiplies bfloat16 by tensor cores.
_BFLOAT16_CAPABILITY = (8, 0)


def choose_dtype_policy(dtype_policy: str | None = None) -> str:
    """Choose the Keras dtype policy of networks that are trained from random weights."""
    if dtype_policy is not None:
        return dtype_policy
    policy = str(keras.config.dtype_policy().name)
    return "mixed_bfloat16" if policy == "float32" and has_fast_bfloat16() else policy


@functools.cache
def has_fast_bfloat16() -> bool:
    """Return whether the backend trains faster in bfloat16 on this machine.

    This is so on a GPU with tensor cores for bfloat16, on a TPU, and for TensorFlow on a CPU with
    instructions for bfloat16 (AVX512_BF16, which every CPU with AMX has too).
    """
    share_machine()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            # not `archspec.cpu.host()`: a virtual machine hides some instructions of its processor,
            # which is then taken for an older one without those that it does have
            return "avx512_bf16" in detected_info().features
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(d.get("compute_capability", (0, 0)) >= _BFLOAT16_CAPABILITY for d in details)
    if backend == "jax":
        import jax

        device = jax.local_devices()[0]
        version = str(getattr(device, "compute_capability", "0.0")).split(".")
        is_number = all(part.isdigit() for part in version)  # an AMD GPU has a name
        return device.platform == "tpu" or (
            is_number and tuple(map(int, version)) >= _BFLOAT16_CAPABILITY
        )
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= _BFLOAT16_CAPABILITY


def share_machine() -> None:
    """Limit this process to the cores that joblib assigned and to the GPU memory that it needs.

    joblib limits its workers by `OMP_NUM_THREADS`, which only some of TensorFlow's kernels respect.
    By default, TensorFlow and JAX allocate almost all memory of a GPU, which leaves none for other
    processes. These settings only take effect before the first operation of the backend.
    """
    if keras.backend.backend() == "jax":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    granted = os.environ.get("OMP_NUM_THREADS", "")
    with contextlib.suppress(RuntimeError):  # TensorFlow is already running: too late to change
        if granted.isdigit() and tf.config.threading.get_intra_op_parallelism_threads() == 0:
            tf.config.threading.set_intra_op_parallelism_threads(int(granted))
            tf.config.threading.set_inter_op_parallelism_threads(int(granted))
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
