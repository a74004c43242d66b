"""The core of the suite on Keras' other backends, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif("KERAS_BACKEND" in os.environ, reason="a backend is chosen already"),
]


def run(backend, *arguments, **environment):
    """Run pytest on a backend, with more settings of the environment."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *arguments],
        env={**os.environ, "KERAS_BACKEND": backend, **environment},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    return done.stdout


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_core_of_the_suite(backend):
    parts = ("_engine", "networks", "classifiers", "inspection", "test_common.py")
    run(backend, "-m", "core and not slow", *(str(TESTS / part) for part in parts))


def test_the_plain_call_on_torch():
    run("torch", "-k", "plain_call", str(TESTS / "classifiers" / "test_base.py"))


def test_maps_on_torch():
    run("torch", "-m", "core", str(TESTS / "inspection"))


def test_one_fit_on_two_devices():
    two = "--xla_force_host_platform_device_count=2"
    out = run("jax", "-k", "devices and not other", str(TESTS / "_engine"), XLA_FLAGS=two)
    assert "skipped" not in out, out
