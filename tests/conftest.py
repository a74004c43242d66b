"""Data and settings that all tests share."""

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from typer.testing import CliRunner

import skcell  # noqa: F401 # first, since it sets up TensorFlow, which test modules import

mpl.use("Agg")

DATA = Path(os.environ.get("SKCELL_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


WEIGHTS = Path(os.environ.get("SKCELL_WEIGHTS", DATA / ".." / "weights"))


@pytest.fixture(autouse=True)
def same_environment():
    """Let no test change what later ones, and the processes they start, are given.

    A Dask cluster sets OMP_NUM_THREADS=1 for good in the process that starts it. Processes
    started later then compute on one thread, with other last bits.
    """
    before = dict(os.environ)
    yield
    for name in set(os.environ) | set(before):
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name] and name != "PYTEST_CURRENT_TEST":
            os.environ[name] = before[name]


@pytest.fixture(scope="session")
def mobilenet_weights():
    """ImageNet weights of `mobilenet_v2_0.35`, without its top."""
    file = WEIGHTS / "mobilenet_v2_0.35_notop.weights.h5"
    if not file.is_file():
        pytest.skip(f"weights are not at {file}; set SKCELL_WEIGHTS to the folder that has them")
    return file


@pytest.fixture(scope="session")
def real_folder():
    """Folder of real cells, 96x96 JPEG."""
    folder = DATA / "pbc_96"
    if not folder.is_dir():
        pytest.skip(f"real cells are not at {folder}; set SKCELL_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def real_cells():
    """600 real cells of 28x28 and their class names, in random order."""
    file = DATA / "pbc_28.npz"
    if not file.is_file():
        pytest.skip(f"real cells are not at {file}; set SKCELL_DATA to the folder that has them")
    with np.load(file) as data:
        rows = np.random.default_rng(0).permutation(len(data["X"]))[:600]
        return data["X"][rows], data["y"][rows]


@pytest.fixture(scope="session")
def cells():
    """240 drawn cells of four classes, 24x24 RGB, quick to learn."""
    from skcell.datasets import make_cells

    return make_cells(240, n_classes=4, image_size=24, noise=0.3, random_state=0)


@pytest.fixture(scope="session")
def run_here():
    """Run a command in this process, which has started Keras already; a traceback is a failure."""
    from skcell.cli import app

    def run(*arguments, cwd, input=None):
        with contextlib.chdir(cwd):
            done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError("".join(traceback.format_exception(done.exception)))
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    return run


@pytest.fixture
def predict_elsewhere(tmp_path):
    """Pickle a classifier, and let another process predict with it."""

    def predict(clf, X):
        (tmp_path / "clf.pkl").write_bytes(pickle.dumps(clf))
        np.save(tmp_path / "X.npy", X)
        code = (
            "import pickle, numpy as np; clf = pickle.load(open('clf.pkl', 'rb'));"
            "np.save('p.npy', clf.predict_proba(np.load('X.npy')))"
        )
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
        return np.load(tmp_path / "p.npy")

    return predict


@pytest.fixture
def computed(monkeypatch):
    """Numbers of images put through a network for their features."""
    from skcell.preprocessing import _image_features

    seen = []
    original = _image_features._compute

    def compute(extractor, images, size):
        seen.append(len(images))
        return original(extractor, images, size)

    monkeypatch.setattr(_image_features, "_compute", compute)
    return seen
