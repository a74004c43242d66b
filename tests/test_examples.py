"""The examples run as they stand; here at a small size."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
@pytest.mark.thorough
def test_example_runs(example, tmp_path):
    env = {**os.environ, "SKCELL_EXAMPLE_CELLS": "160"}
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", str(example)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "accuracy" in done.stdout
