"""The core of the suite on a second Keras backend, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CORE = "steps or bit or traces_nothing or reset or forward or partial_fit or early or files"


def run(*arguments, **environment):
    """Run pytest under jax, with more settings of the environment."""
    pytest.importorskip("jax", reason="jax is not installed; it comes with skcell[tests]")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        env={**os.environ, "KERAS_BACKEND": "jax", **environment},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    return done.stdout


@pytest.mark.skipif("KERAS_BACKEND" in os.environ, reason="a backend is chosen already")
def test_core_of_the_suite_on_jax():
    parts = [str(TESTS / part) for part in ("networks", "classifiers", "test_common.py")]
    run("-k", CORE, *parts)


@pytest.mark.skipif("KERAS_BACKEND" in os.environ, reason="a backend is chosen already")
def test_one_fit_on_two_devices():
    two = "--xla_force_host_platform_device_count=2"
    out = run("-k", "devices and not other", str(TESTS / "networks"), XLA_FLAGS=two)
    assert "skipped" not in out, out
