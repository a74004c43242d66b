"""The command, run as a user runs it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from skcell import __version__

SKCELL = [sys.executable, "-m", "skcell.cli"]


def skcell(*arguments, cwd, **options):
    return subprocess.run(
        [*SKCELL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture
def folder(tmp_path):
    """20 grey images of two classes."""
    rng = np.random.default_rng(0)
    for name, level in (("dense", 60), ("pale", 200)):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(level - 40, level + 40, size=(20, 20), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "cells" / name / f"{i}.png")
    return tmp_path / "cells"


@pytest.mark.thorough
def test_a_first_fit_writes_no_chatter_and_an_error_at_the_start_is_kept():
    code = (
        "import numpy as np; from skcell import CellCNNClassifier;"
        "X = np.zeros((8, 16, 16, 3), np.uint8); y = np.arange(8) % 2;"
        "CellCNNClassifier(filters=(4,), epochs=1).fit(X, y)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    code = (
        "import os; from skcell._lazy import without_chatter\n"
        "with without_chatter():\n"
        "    os.write(2, b'I0000 00:00:1.2  5 port.cc:1] on\\nE0000 00:00:1.2  5 a.cc:1] bad\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr == "E0000 00:00:1.2  5 a.cc:1] bad\n"


def test_help_and_version_import_no_backend(tmp_path):
    code = (
        "import sys;"
        "from typer.testing import CliRunner; from skcell.cli import app;"
        "run = CliRunner().invoke(app, ['study', '--help']);"
        "assert run.exit_code == 0 and '--holdout' in run.output;"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert skcell("--version", cwd=tmp_path).stdout == f"skcell {__version__}\n"


def test_study_of_a_folder(tmp_path, folder):
    run = skcell(
        *("study", "cells", "--image-size", "16", "--epochs", "2", "--cv", "2"),
        *("--techniques", "base,smote", "--random-state", "3", "--out", "result"),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[:2] == ["Starting Keras ...", "Loading cells ..."]
    assert lines[2].startswith("Study of cells: 20 images, 2 classes; 2-fold cross-validation")
    assert sum(line.startswith("[") for line in lines) == 4
    assert "SMOTE" in run.stdout
    assert "95 % interval" in run.stdout
    report = json.loads((tmp_path / "result" / "study.json").read_text())
    assert report["data"]["classes"] == {"dense": 10, "pale": 10}
    assert report["configuration"]["random_state"] == 3
    assert {p.name for p in (tmp_path / "result").glob("[!.]*")} == {
        "results.csv",
        "folds.csv",
        "predictions.csv",
        "study.json",
        "study.png",
        "study.html",
        "fits.jsonl",
        "best.skcell",
    }


def test_own_split_is_used(tmp_path, run_here):
    rng = np.random.default_rng(0)
    labels = np.tile(["x", "y"], 10)
    images = rng.integers(0, 256, size=(20, 12, 12), dtype=np.uint8)
    split = np.repeat(["train", "val", "test"], [10, 6, 4])
    np.savez(tmp_path / "cells.npz", images=images, target=labels, split=split)
    run = run_here(
        *("study", "cells.npz", "--epochs", "1", "--techniques", "base"),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "one holdout: 10 training and 6 validation images" in run.stdout
    report = json.loads((tmp_path / "skcell-study" / "study.json").read_text())
    assert report["data"]["n_images"] == 16  # the published test part stays unseen


def _hear_ctrl_c():
    """Undo what a shell does to commands in its background, and they to their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.thorough
def test_ctrl_c_keeps_rows(tmp_path):
    process = subprocess.Popen(
        [*SKCELL, "study", "--quick", "--techniques", "base", "--epochs", "4", "--cv", "20"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=_hear_ctrl_c,
    )
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("[ 2/20]"):
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Interrupted" in out
    report = json.loads((tmp_path / "skcell-study" / "study.json").read_text())
    assert report["complete"] is False
    assert 2 <= report["results"][0]["folds"] < 20
    assert len(report["folds"]) == report["results"][0]["folds"]
    assert (tmp_path / "skcell-study" / "study.png").stat().st_size > 5000


@pytest.mark.thorough
def test_ctrl_c_at_once(tmp_path):
    process = subprocess.Popen(
        [*SKCELL, "study", "--quick"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hear_ctrl_c,
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no folder or file 'nowhere'"),
        (["generate"], "Did you mean 'generated'"),
        (["broken.npz"], "broken.npz"),
        (["one_class"], "one_class"),
        (["--techniques", "base,smot"], "Did you mean 'SMOTE'"),
        (["--cv", "3", "--holdout"], "cannot be used together"),
        (["--out", "broken.npz/x"], "Cannot write to --out"),
        (["few"], "cv=5 needs .* class b has 1"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, message, run_here):
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    for name in ("one_class/a", "few/a", "few/b"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (16, 16)).save(tmp_path / name / "1.png")
    for i in range(5):
        Image.new("L", (16, 16)).save(tmp_path / "few" / "a" / f"{i}.png")
    run = run_here("study", *arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("Error: ")
    assert re.search(message, run.stderr)


@pytest.mark.parametrize(
    "arguments", [["study", "--cv", "1"], ["study", "--epochs", "0"], ["study", "--typo"], ["x"]]
)
def test_bad_options(tmp_path, arguments, run_here):
    run = run_here(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "Error" in run.stderr


@pytest.mark.thorough
def test_broken_file_is_named_or_skipped(tmp_path, folder, run_here):
    (folder / "pale" / "broken.png").write_bytes(b"no image")
    options = ["study", "cells", "--epochs", "1", "--holdout", "--techniques", "base"]
    run = run_here(*options, cwd=tmp_path)
    assert run.returncode == 2
    assert "broken.png" in run.stderr
    assert "--skip-broken" in run.stderr
    run = skcell(*options, "--image-size", "16", "--skip-broken", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "broken.png" in run.stderr
    assert "20 images" in run.stdout


def test_study_by_groups_in_file_names(tmp_path, folder, run_here):
    settings = ("--image-size", "16", "--epochs", "1", "--cv", "2", "--techniques", "base")
    run = run_here("study", "cells", *settings, "--groups", r"(\d)\.png", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    told = json.loads((tmp_path / "skcell-study" / "study.json").read_text())
    assert told["data"]["n_groups"] == 10
    model = tmp_path / "skcell-study" / "best.skcell"
    assert "best.skcell" in run.stdout.replace("\n", "")
    assert run_here("info", str(model), cwd=tmp_path).returncode == 0
    run = run_here("study", "cells", *settings, "--groups", "(x)", cwd=tmp_path)
    assert run.returncode == 2
    assert "finds nothing in 20 of 20" in run.stderr


@pytest.mark.thorough
def test_search_goes_on_and_keeps_the_best(tmp_path, folder, run_here):
    command = ["search", "cells", "--image-size", "16", "--epochs", "1", "--cv", "2"]
    command += ["--storage", "kept.db", "--name", "mine"]
    first = run_here(*command, "--n-trials", "2", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert sum(line.startswith("[") for line in first.stdout.splitlines()) == 2
    more = run_here(*command, "--n-trials", "3", cwd=tmp_path)
    assert sum(line.startswith("[") for line in more.stdout.splitlines()) == 1
    assert "Best mean accuracy" in more.stdout
    best = json.loads((tmp_path / "skcell-search" / "best.json").read_text())
    assert sum(best["trials"].values()) == 3
    assert len((tmp_path / "skcell-search" / "trials.csv").read_text().splitlines()) == 4
    code = (
        "import skcell, numpy as np; model = skcell.load('skcell-search/best.skcell');"
        "print(model.predict(np.zeros((2, 16, 16, 3), np.uint8)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "dense" in done.stdout or "pale" in done.stdout, done.stderr


def test_search_says_what_is_wrong_at_once(tmp_path, folder, run_here):
    run = run_here("search", "cells", "--cv", "30", cwd=tmp_path)
    assert run.returncode == 2
    assert "cannot have" in run.stderr or "n_splits=30" in run.stderr or "stratified" in run.stderr
    run = run_here("search", "--technique", "bse", cwd=tmp_path)
    assert run.returncode == 2
    assert "Did you mean 'base'" in run.stderr
    url = "postgresql://me:secret@127.0.0.1:9/cells"
    run = run_here("search", "cells", "--image-size", "16", "--storage", url, cwd=tmp_path)
    assert run.returncode == 2
    assert "cannot be used" in run.stderr
    assert "secret" not in run.stderr


@pytest.mark.thorough
def test_study_goes_on_and_reads_rows_from_a_file(tmp_path, folder, run_here):
    (tmp_path / "techniques.toml").write_text(
        """
        [[techniques]]
        name = "small"
        parameters = { clf__filters = [4, 4], clf__dense_units = 8 }
        """
    )
    command = ["study", "cells", "--image-size", "16", "--epochs", "1", "--cv", "2"]
    assert run_here(*command, "--techniques", "techniques.toml", cwd=tmp_path).returncode == 0
    again = run_here(*command, "--techniques", "techniques.toml", cwd=tmp_path)
    assert "Resuming: 2 of 2 fits are done already." in again.stdout
    page = (tmp_path / "skcell-study" / "study.html").read_text()
    assert "<td>small</td>" in page


def test_a_backbone_without_a_row_for_it_is_an_error(tmp_path, run_here):
    run = run_here("study", "--backbone", "mobilenet_v2", cwd=tmp_path)
    assert run.returncode == 2
    assert "--transfer" in run.stderr


DEEP = "techniques = " + "[" * 3000 + "]" * 3000
SOME = '[[techniques]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("arguments", "toml", "message"),
    [
        (["--n-jobs", "0"], None, "--n-jobs is 0"),
        (["--image-size", "100000"], None, "--image-size.*2048"),
        (["--epochs", "-1"], None, "--epochs.*1"),
        (["--cv", "3", "--holdout"], None, "cannot be used together"),
        (["--techniques", "nonsense"], None, "nonsense.*base"),
        (["--score", "acuracy"], None, "acuracy.*accuracy"),
        (["--group-by-folder"], None, "no class folder has sub-folders"),
        (["--out", "cells/result"], None, "is inside the image folder.*Use another"),
        (["--out", "cells"], None, "is inside the image folder"),
        (["--out", "cells/a/0.png"], None, "0.png|images"),
        (["--backbone", "mobilenet_v2"], None, "--transfer"),
        ([], SOME + 'parameters = {"clf__filters" = [0]}', "Technique 'a'.*filters must be"),
        ([], SOME + 'parameters = {"clf__dtype_policy" = "nonsense"}', "nonsense"),
        ([], SOME + "parameters = 3", "techniques.toml.*parameters"),
        ([], "[[techniques]]\nname = 5", "techniques.toml.*name"),
        ([], 'techniques = ["bas"]', "bas.*base"),
        ([], 'techniques = "base"', "techniques.toml"),
        ([], 'techniques = [["base"]]', "techniques.toml"),
        ([], DEEP, "techniques.toml"),
        ([], SOME + 'parameters = {"clf" = {type = "Nonsense"}}', "Nonsense"),
        ([], SOME + 'parameters = {"clf__filter" = [4]}', "filter.*filters"),
        ([], "\x00", "techniques.toml"),
    ],
)
def test_what_cannot_be_is_one_line_and_no_traceback(
    tmp_path, run_here, folder, arguments, toml, message
):
    if toml is not None:
        (tmp_path / "techniques.toml").write_text(toml)
        arguments = [*arguments, "--techniques", "techniques.toml"]
    run = run_here("study", "cells", "--image-size", 16, *arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    text = " ".join(run.stderr.replace("│", " ").split())
    assert re.search(message, text), run.stderr
    assert len(run.stderr) < 1000
    assert "Traceback" not in run.stdout + run.stderr


def test_names_of_techniques_may_stand_alone_in_toml(tmp_path, run_here, folder):
    (tmp_path / "techniques.toml").write_text('techniques = ["base"]')
    options = ("--image-size", 16, "--techniques", "techniques.toml", "--epochs", 1, "--cv", 2)
    run = run_here("study", "cells", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "base" in run.stdout


def zip_images(file):
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(2000):
            archive.writestr(f"cells/{'xy'[i % 2]}/{i}.png", b"\x89PNG")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: zip_images(f / "a.zip"), "a.zip.*[Uu]npack"),
        (lambda f: (f / "a.npz").write_bytes(b"PK\x03\x04" + b"\0" * 99), "a.npz"),
        (lambda f: [(f / "a" / c).mkdir(parents=True) for c in "xy"], "x"),
        (
            lambda f: [
                ((f / "a" / c).mkdir(parents=True), (f / "a" / c / "1.gif").write_bytes(b"GIF89a"))
                for c in "xy"
            ],
            "gif.*(PNG|png)",
        ),
        (lambda f: None, "a"),
    ],
    ids=["zip", "npz", "empty", "gif", "missing"],
)
def test_data_that_are_none_are_said_shortly(tmp_path, run_here, make, message):
    make(tmp_path)
    name = next((p.name for p in tmp_path.iterdir()), "a")
    run = run_here("study", name, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert re.search(message, run.stderr), run.stderr
    assert len(run.stderr) < 1000


def test_brackets_in_names_are_shown(tmp_path, run_here, folder):
    folder.rename(tmp_path / "cells [2] [red]")
    (tmp_path / "techniques.toml").write_text(
        '[[techniques]]\nname = "small [/red] $x"\nparameters = {"clf__filters" = [4]}'
    )
    options = ("--image-size", 16, "--epochs", 1, "--cv", 2, "--out", "out [1]")
    run = run_here(
        "study",
        "cells [2] [red]",
        "--techniques",
        "techniques.toml",
        *options,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "cells [2] [red]" in run.stdout
    assert "small [/red] $x" in run.stdout
    assert "out [1]" in run.stdout
    assert (tmp_path / "out [1]" / "study.html").is_file()


@pytest.mark.thorough
def test_a_technique_that_fails_is_exit_code_one_and_the_others_are_kept(
    tmp_path, run_here, folder
):
    (tmp_path / "techniques.toml").write_text(
        '[[techniques]]\nname = "base"\n[[techniques]]\nname = "boom"\n'
        'parameters = {"clf__learning_rate" = 1e30, "clf__optimizer" = "sgd"}'
    )
    options = ("--image-size", 16, "--epochs", 1, "--cv", 2)
    run = run_here("study", "cells", "--techniques", "techniques.toml", *options, cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert "diverged" in run.stdout + run.stderr
    assert "base" in (tmp_path / "skcell-study" / "results.csv").read_text()
    again = run_here("study", "cells", "--techniques", "techniques.toml", *options, cwd=tmp_path)
    assert again.returncode == 1
    assert "4 of 4 fits are done already" in again.stdout


def test_demo_writes_a_folder_and_says_what_comes_next(tmp_path):
    run = skcell("demo", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("Next: skcell check skcell-demo/cells -o check.html\n")
    run = skcell("check", "skcell-demo/cells", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    assert run.stdout.endswith("Next: skcell train skcell-demo/cells -o cells.skcell\n")
    assert len(list((tmp_path / "skcell-demo" / "new").iterdir())) == 60
    run = skcell("demo", cwd=tmp_path)
    assert run.returncode == 2
    assert "exists already" in run.stderr
