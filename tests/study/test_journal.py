"""The file of results: what is in it is kept, whatever else is in it, and whoever else writes."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from skcell.datasets import make_cells
from skcell.study import PLAIN_SETTINGS, Study, Technique
from skcell.study._journal import Journal

PLAIN = {f"clf__{name}": value for name, value in PLAIN_SETTINGS.items()}
SMALL = PLAIN | {"clf__filters": (4, 4), "clf__dense_units": 8}
TECHNIQUES = [Technique("base", SMALL), Technique("norm", {**SMALL, "clf__batch_norm": True})]


@pytest.fixture(scope="module")
def data():
    cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
    return cells.images, cells.target_names[cells.target]


def make(file, techniques=TECHNIQUES, **params):
    settings = {"cv": 2, "epochs": 1, "verbose": False, "refit": False, **params}
    return Study(techniques, results_file=file, **settings)


@pytest.mark.parametrize(
    "odd",
    [
        b"\n",
        b"\0" * 512 + b"\n",
        b"<<<<<<< HEAD\n",
        b"not json\n",
        b'{"key": "x"}\n',
        b"[1, 2]\n",
        b"\xff\xfe\n",
    ],
    ids=["blank", "nul", "merge", "text", "fields", "list", "bytes"],
)
def test_an_odd_line_is_passed_over_and_kept(data, tmp_path, odd, capsys):
    file = tmp_path / "fits.jsonl"
    first = make(file).fit(*data)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + odd + b"".join(lines[1:]))
    again = make(file, verbose=True).fit(*data)
    assert "4 of 4 fits are done already" in capsys.readouterr().out
    assert [fold.finished for fold in again.result_.folds] == [
        fold.finished for fold in first.result_.folds
    ]
    assert odd in file.read_bytes()


def test_fields_of_a_later_version_are_no_damage(data, tmp_path):
    file = tmp_path / "fits.jsonl"
    first = make(file).fit(*data)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**r, "later": [1]}) + "\n" for r in records))
    again = make(file).fit(*data)
    assert [fold.finished for fold in again.result_.folds] == [
        fold.finished for fold in first.result_.folds
    ]


@pytest.mark.parametrize("content", [b'{"mine": 1}', b"a,b\n1,2\n", b"a,b", b"\x89PNG\0\0"])
def test_a_file_of_something_else_is_left_as_it_is(data, tmp_path, content):
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold results of a study"):
        make(file).fit(*data)
    assert file.read_bytes() == content


def test_a_result_cut_short_by_a_kill_is_taken_off_and_nothing_else(data, tmp_path):
    file = tmp_path / "fits.jsonl"
    make(file).fit(*data)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2])
    make(file).fit(*data)
    assert file.read_bytes().splitlines(keepends=True)[:3] == lines[:3]
    assert len(file.read_bytes().splitlines()) == 4
    file.write_bytes(b"".join(lines) + b"a note of the user's")
    make(file, epochs=2).fit(*data)
    assert b"a note of the user's\n" in file.read_bytes()


SCRIPT = """
import sys
from skcell.datasets import make_cells
from skcell.study import Technique, Study
cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
small = {"clf__filters": (4, 4), "clf__dense_units": 8}
Study([Technique("base", small)], cv=2, epochs=200, results_file=sys.argv[1], refit=False).fit(
    cells.images, cells.target_names[cells.target]
)
"""


@pytest.mark.thorough
def test_a_second_process_on_one_file_is_told(data, tmp_path):
    file = tmp_path / "fits.jsonl"
    command = [sys.executable, "-c", SCRIPT, str(file)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 120
        while not file.is_file() or not file.read_bytes():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        before = file.read_bytes()
        with pytest.raises(OSError, match=r"Another process is writing to .*fits\.jsonl now"):
            make(file).fit(*data)
        assert file.read_bytes().startswith(before)
    finally:
        first.kill()
        first.communicate()
    make(file).fit(*data)  # whose lock died with it


def test_files_replaced_with_their_size_and_time_kept_are_noticed(tmp_path, capsys):
    rng = np.random.default_rng(0)
    paths = []
    for i in range(40):
        paths.append(str(tmp_path / f"{i}.bmp"))
        pixels = rng.integers(0, 100, (16, 16, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    X, y = np.array(paths), np.arange(40) % 2
    file = tmp_path / "fits.jsonl"
    make(file, TECHNIQUES[:1]).fit(X, y)
    stat = os.stat(paths[0])
    Image.fromarray(np.full((16, 16, 3), 7, np.uint8)).save(paths[0])
    os.utime(paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert os.stat(paths[0]).st_size == stat.st_size
    capsys.readouterr()
    make(file, TECHNIQUES[:1], verbose=True).fit(X, y)
    assert "are done already" not in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 4


def test_a_disk_that_takes_no_more_keeps_what_was_measured(data, tmp_path):
    resource = pytest.importorskip("resource", reason="this system bounds no size of files")
    file = tmp_path / "fits.jsonl"
    make(file, TECHNIQUES[:1]).fit(*data)
    full = file.stat().st_size + 100
    study = make(file)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            study.fit(*data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(study.result_.folds) == 3, "the fit at hand is there, though it could not be kept"
    assert [len(technique.scores) for technique in study.result_.techniques] == [2, 1]
    assert not study.result_.complete
    again = make(file).fit(*data)  # there is room again
    assert again.result_.complete
    assert [fold.finished for fold in again.result_.folds[:2]] == [
        f.finished for f in study.result_.folds[:2]
    ]


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "."])
def test_what_is_no_file_is_refused(data, name):
    with pytest.raises(ValueError, match="is not a file"):
        make(name).fit(*data)


@pytest.mark.thorough
def test_results_of_another_backend_are_not_taken(tmp_path):
    pytest.importorskip("jax", reason="jax is not installed; it comes with skcell[tests]")
    file = tmp_path / "fits.jsonl"
    command = [sys.executable, "-c", SCRIPT.replace("200", "1"), str(file)]
    for backend in ("tensorflow", "jax", "jax"):
        environment = {**os.environ, "KERAS_BACKEND": backend}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    backends = [record["environment"]["backend"] for record in records]
    assert backends == ["tensorflow"] * 2 + ["jax"] * 2
    assert all(record["environment"]["versions"]["keras"] for record in records)
    assert all(record["finished"] for record in records)


def test_a_journal_of_nothing_keeps_nothing():
    journal = Journal(None)
    assert len(journal) == 0
    assert journal.get("x") is None
