"""What is chosen for this machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from skcell._machine import choose_dtype_policy, has_fast_bfloat16


def test_bfloat16_is_chosen_where_the_processor_has_it():
    info = Path("/proc/cpuinfo")
    if keras.backend.backend() != "tensorflow" or not info.exists():
        pytest.skip("reads the flags of a Linux processor, for TensorFlow")
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("the GPU decides here, not the processor")
    assert has_fast_bfloat16() == ("avx512_bf16" in info.read_text().split())


def test_a_choice_of_the_user_is_kept():
    assert choose_dtype_policy("mixed_float16") == "mixed_float16"
    assert choose_dtype_policy() in ("float32", "mixed_bfloat16")


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_onednn_is_switched_on_unless_the_user_says_otherwise(given, expected):
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("oneDNN is switched on for x86 processors only")
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    code = "import skcell, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


@pytest.mark.thorough
def test_where_tensorflow_was_first_workers_use_onednn_as_it_does():
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("oneDNN is switched on for x86 processors only")
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    code = (
        "import os, tensorflow; from tensorflow.python.util import _pywrap_util_port as port;"
        "used = port.IsMklEnabled(); import skcell;"
        "print(int(used), os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    used, told = done.stdout.split()
    assert used == told
