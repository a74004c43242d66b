"""From a folder to answers, by the commands and by the functions below them."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

import skcell
from skcell import (
    CalibratedClassifier,
    CellCNNClassifier,
    ImageSMOTE,
    inspection,
    make_pipeline,
    workflows,
)
from skcell.datasets import list_images, load_image_folder, make_cells
from skcell.exceptions import ImageReadWarning

SKCELL = [sys.executable, "-m", "skcell.cli"]


def write_folder(root, cells, indices):
    for i in indices:
        folder = root / cells.target_names[cells.target[i]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cells.images[i]).save(folder / f"P{i % 7}_{i}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A trained model with its report, its images, and new ones."""
    root = tmp_path_factory.mktemp("models")
    cells = make_cells(240, n_classes=3, image_size=24, random_state=0)
    write_folder(root / "cells", cells, range(180))
    write_folder(root / "new", cells, range(180, 240))
    command = [*SKCELL, "train", "cells", "-o", "cells.skcell", "--epochs", "12"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (root / "train.txt").write_text(done.stdout)
    return root


# Train


def test_train_writes_a_model_and_its_test(place):
    said = (place / "train.txt").read_text()
    assert "Training on 144 images of 24 x 24 pixels" in said
    assert "A stratified fifth of the images tests the model" in said
    assert "Accuracy: " in said
    assert max(map(len, said.splitlines())) < 300
    report = place / "cells-report"
    assert {file.name for file in report.iterdir()} == {"report.html", "test.csv", "metrics.json"}
    figures = json.loads((report / "metrics.json").read_text())
    assert figures["data"]["n_train"].keys() == figures["data"]["n_test"].keys()
    with (report / "test.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == figures["test"]["n_images"] == 36
    right = np.mean([line["correct"] == "yes" for line in lines])
    assert right == pytest.approx(figures["test"]["accuracy"]["value"])
    files = {line["file"] for line in lines}
    assert all((place / "cells" / file).is_file() for file in files)
    page = (report / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    model = skcell.load(place / "cells.skcell")
    assert isinstance(model, CalibratedClassifier)
    # The test images were neither trained on nor calibrated with.
    assert model.calibration_["n_images"] + len(files) < 180


@pytest.mark.thorough
def test_a_model_is_trained_further_and_what_trained_it_never_tests(place, tmp_path):
    old = skcell.load(place / "cells.skcell")
    both = tmp_path / "both"
    shutil.copytree(place / "cells", both)
    shutil.copytree(place / "new", both, dirs_exist_ok=True)
    result = workflows.train(both, start_from=place / "cells.skcell", epochs=2)
    of_test = load_image_folder(place / "cells", 24, labels=False)
    tested_before = {
        Path(file).name for file in of_test.filenames[old.was_tested_on(of_test.images)]
    }
    tested = {Path(file).name for file in result.evaluation.files}
    assert len(tested_before) == 36
    assert tested_before < tested
    assert not old.was_trained_on(result.test_images).any()
    assert 8 <= len(tested - tested_before) <= 16, "about a fifth of the 60 new ones"
    new = result.model
    assert new.was_trained_on(of_test.images).sum() == 180 - 36
    assert new.was_tested_on(result.test_images).all()
    told = [text for text in result.choices if "the earlier model is right in" in text]
    assert [text.split(" images")[0] for text in told] == [
        f"On the {len(tested)} test",
        "On the 36",
    ]
    result.save(tmp_path / "better.skcell")
    again = skcell.load(tmp_path / "better.skcell")
    np.testing.assert_array_equal(again.test_digests_, new.test_digests_)
    with pytest.raises(ValueError, match="leave out recipe, image_size"):
        workflows.train(both, start_from=old, image_size=32)
    with pytest.raises(ValueError, match="a model that `skcell train` made; this is a Cell"):
        workflows.train(both, start_from=old.estimator_)
    # With nothing new and nothing of its test, nothing could test it.
    known = tmp_path / "known"
    for file in of_test.filenames[~old.was_tested_on(of_test.images)]:
        target = known / Path(file).relative_to(place / "cells")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    with pytest.raises(ValueError, match="No image is left for a test"):
        workflows.train(known, start_from=old)


@pytest.mark.thorough
def test_suggested_images_are_new_and_their_table_trains(place, tmp_path):
    shutil.copytree(place / "cells", tmp_path / "pool")
    shutil.copytree(place / "new", tmp_path / "pool", dirs_exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "pool" / "noise.png")
    (tmp_path / "pool" / "broken.png").write_bytes(b"no image")
    shutil.copy(place / "cells.skcell", tmp_path / "cells.skcell")
    command = [*SKCELL, "suggest", "cells.skcell", "pool", "-n", "10", "-o", "next.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "180 files that the model was trained or tested on are left out" in done.stderr
    assert "1 of 242 files could not be read" in done.stderr
    with (tmp_path / "next.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    new = {Path(file).name for file in list_images(place / "new")}
    chosen = {Path(line["image"]).name for line in lines if line["why"] == "uncertain"}
    assert len(chosen) == 10
    assert {Path(line["image"]).name for line in lines} <= new | {"noise.png"}
    assert {line["why"] for line in lines} <= {"uncertain", "unknown"}
    assert {line["label"] for line in lines} == {""}
    # Filled in, and with the names of the first images, it is a table of labels.
    with (tmp_path / "filled.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["image", "label"])
        table.writeheader()
        for path in map(Path, list_images(place / "cells") + list_images(place / "new")):
            if path.name not in new or path.name in chosen:
                table.writerow({"image": path.name, "label": path.parent.name})
    with pytest.warns(ImageReadWarning, match="files were skipped"):
        result = workflows.train(
            tmp_path / "pool",
            labels=tmp_path / "filled.csv",
            start_from=tmp_path / "cells.skcell",
            epochs=1,
            skip_broken=True,
        )
    assert result.model.was_trained_on(result.test_images).sum() == 0
    counts = result.data["n_train"], result.data["n_test"]
    assert sum(sum(of.values()) for of in counts) == 180 + len(chosen & new)
    with pytest.raises(ValueError, match="None of 180 files is new"):
        workflows.suggest_files(skcell.load(place / "cells.skcell"), list_images(place / "cells"))


@pytest.mark.thorough
def test_patients_of_an_earlier_test_stay_whole(place, tmp_path):
    """A patient of whom some images trained the earlier model trains the new one as well."""
    first = workflows.train(place / "cells", groups=r"(P\d)_", epochs=1)
    both = tmp_path / "both"
    shutil.copytree(place / "cells", both)
    shutil.copytree(place / "new", both, dirs_exist_ok=True)
    second = workflows.train(both, groups=r"(P\d)_", start_from=first.model, epochs=1)
    by_patient = [{Path(f).name[:2] for f in one.evaluation.files} for one in (first, second)]
    assert by_patient[0] == by_patient[1]
    command = [*SKCELL, "train", "both", "--from", "no.skcell", "-o", "x.skcell"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "no.skcell" in done.stderr
    assert "Starting Keras" not in done.stdout


@pytest.mark.thorough
def test_train_by_patients_keeps_them_whole(place, tmp_path):
    result = workflows.train(place / "cells", groups=r"(P\d)_", epochs=1)
    tested = {Path(file).name.split("_")[0] for file in result.evaluation.files}
    names = [Path(file).name.split("_")[0] for file in list_images(place / "cells")]
    n_tested = sum(name in tested for name in names)
    assert n_tested == len(result.evaluation.files), "all images of a tested patient are tested"
    assert set(result.evaluation.by_group) == tested
    assert result.data["n_groups"] == 7


def test_patients_on_both_sides_of_a_split_of_the_folder_are_refused(place, tmp_path):
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(8):
                noise = np.random.default_rng(i).integers(0, 255, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(noise).save(tmp_path / part / name / f"P{i}_{part}.png")
    with pytest.raises(ValueError, match=r"8 group\(s\), such as 'P0'"):
        workflows.train(tmp_path, groups=r"(P\d)_")


@pytest.mark.thorough
def test_labels_from_a_table_are_those_of_folders(place, tmp_path):
    """One flat folder, and a table with a patient for each image."""
    (tmp_path / "flat").mkdir()
    lines = ["cell;diagnosis;patient"]
    for file in map(Path, list_images(place / "new")):
        shutil.copy(file, tmp_path / "flat")
        lines.append(f"{file.stem};{file.parent.name};{file.name.split('_')[0]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    model = place / "cells.skcell"
    by_table, _ = workflows.evaluate_folder(
        model, tmp_path / "flat", labels=tmp_path / "labels.csv", columns={"image": "cell"}
    )
    by_folder, _ = workflows.evaluate_folder(model, place / "new", groups=r"(P\d)_")
    assert by_table.accuracy == by_folder.accuracy
    assert by_table.by_group == by_folder.by_group
    command = [*SKCELL, "check", "flat", "--labels", "labels.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "needs the columns 'file' and 'label'" in done.stderr
    command += ["--columns", "image=cell"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "Checking 60 images" in done.stdout, done.stderr


@pytest.mark.thorough
def test_figures_without_an_interval_can_be_written(place, tmp_path, run_here):
    """With one patient in the test, nothing is known about others."""
    cells = make_cells(120, n_classes=2, image_size=24, random_state=0)
    for i in range(120):
        folder = tmp_path / "cells" / cells.target_names[cells.target[i]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cells.images[i]).save(folder / f"P{i % 3}_{i}.png")
    result = workflows.train(tmp_path / "cells", groups=r"(P\d)_", epochs=1)
    result.save(tmp_path / "m.skcell")
    figures = json.loads((tmp_path / "m-report" / "metrics.json").read_text())
    assert figures["test"]["accuracy"]["low"] is None
    assert "(no interval)" in (tmp_path / "m-report" / "report.html").read_text()
    done = run_here("info", tmp_path / "m.skcell", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_train_removes_nothing_that_is_not_its_own(place, tmp_path, run_here):
    folder = tmp_path / "m-unfinished"
    folder.mkdir()
    (folder / "cell.png").write_text("mine")
    done = run_here("train", place / "cells", "-o", tmp_path / "m.skcell", cwd=tmp_path)
    assert done.returncode == 2
    assert "has other files" in done.stderr
    assert (folder / "cell.png").read_text() == "mine"
    (folder / "cell.png").rename(folder / "phase-1.npz")
    done = run_here("train", place / "cells", "-o", tmp_path / "m.skcell", cwd=tmp_path)
    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert (folder / "phase-1.npz").read_text() == "mine"
    done = run_here("train", "cells", "-o", "cells/m.skcell", cwd=place)
    assert "inside the image folder" in done.stderr


def test_train_uses_a_split_of_the_folder_and_tells_of_copies(place, tmp_path):
    for part, names in (("train", ("a", "b")), ("test", ("a", "b"))):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, level in (("a", 60), ("b", 180)):
        for i in range(20):
            pixels = rng.integers(level, level + 40, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / name / f"{i}.png")
            if i < 8:
                changed = pixels if i == 0 else 255 - pixels // 2
                Image.fromarray(changed).save(tmp_path / "test" / name / f"{i}.png")
    result = workflows.train(tmp_path, epochs=1)
    assert len(result.evaluation.files) == 16
    assert any("own part 'test'" in sentence for sentence in result.choices)
    assert any("of the same cell in two parts of the split" in text for text in result.warnings)


def test_train_weights_unequal_classes_and_says_so(place, tmp_path):
    cells = make_cells(200, n_classes=2, image_size=24, random_state=0)
    first = np.flatnonzero(cells.target == 0)[:90]
    second = np.flatnonzero(cells.target == 1)[:9]
    write_folder(tmp_path, cells, [*first, *second])
    result = workflows.train(tmp_path, epochs=1)
    assert result.model.estimator.class_weight == "balanced"
    assert any("Classes are weighted" in sentence for sentence in result.choices)
    assert any("fewer than 10 images" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent", "-o", "m.skcell"), "no folder 'absent'"),
        (("cells", "-o", "absent/m.skcell"), "no folder 'absent'"),
        (("cells", "-o", "cells"), "is inside the image folder"),
        (("cells", "-o", "cells/m.skcell"), "is inside the image folder"),
        (("cells", "-o", "m.png"), "must end in .skcell"),
        (("cell", "-o", "m.skcell"), "Did you mean 'cells'?"),
        (("cells", "-o", "m.skcell", "--groups", "P"), "one group in parentheses"),
        (("cells", "-o", "m.skcell", "--groups", "(X)"), "finds nothing in 180 of 180"),
        (("cells", "-o", "m.skcell", "--groups", "a.csv"), "No such file"),
        (("cells", "-o", "m.skcell", "--group-by-folder"), "no class folder has sub-folders"),
        (("cells", "-o", "m.skcell", "--recipe", "cnn", "--weights", "x"), "no pretrained network"),
    ],
)
def test_train_says_what_is_wrong_before_it_trains(arguments, said, place, run_here):
    done = run_here("train", *arguments, cwd=place)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "epoch" not in done.stdout


def test_classes_with_hardly_any_image_are_refused(tmp_path):
    cells = make_cells(60, n_classes=2, image_size=24, random_state=0)
    write_folder(tmp_path, cells, [*np.flatnonzero(cells.target == 0)[:20]])
    write_folder(tmp_path, cells, [*np.flatnonzero(cells.target == 1)[:2]])
    with pytest.raises(ValueError, match=r"at least 4 images.*2"):
        workflows.train(tmp_path)


@pytest.mark.thorough
def test_ctrl_c_keeps_what_was_learned(place, tmp_path):
    command = [*SKCELL, "train", "cells", "-o", str(tmp_path / "m.skcell"), "--epochs", "3000"]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "epoch 2/" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Training was interrupted after" in rest
    model = skcell.load(tmp_path / "m.skcell")
    assert 2 <= model.estimator_.n_iter_ < 3000


@pytest.mark.thorough
def test_final_trains_again_on_all_images(place):
    result = workflows.train(place / "cells", epochs=1, final=True)
    assert any("trained again on all images" in sentence for sentence in result.choices)
    assert result.model.calibration_["n_images"] == round(0.15 * 180)
    assert result.model.estimator_.callbacks is None


# Predict


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_is_the_prediction_of_the_model(place, run_here):
    done = run_here("predict", "cells.skcell", "new", "--probabilities", cwd=place)
    assert done.returncode == 0, done.stderr
    lines = table(done.stdout)
    model = skcell.load(place / "cells.skcell")
    cells = load_image_folder(place / "new", 24, labels=False)
    assert [str(place / line["file"]) for line in lines] == cells.filenames.tolist()
    assert [line["class"] for line in lines] == model.predict(cells.images).tolist()
    expected = model.predict_proba(cells.images)
    found = [[float(line[f"p({name})"]) for name in model.classes_] for line in lines]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    sets = model.predict_set(cells.images)
    for line, row in zip(lines, sets, strict=True):
        assert set(line["prediction_set"].split("|")) == set(model.classes_[row])
        assert line["prediction_set"].split("|")[0] == line["class"]
    assert [line["unknown"] == "yes" for line in lines] == model.is_unknown(cells.images).tolist()


def test_predict_takes_files_patterns_lists_and_standard_input(place, tmp_path, run_here):
    files = [os.path.relpath(file, place) for file in list_images(place / "new")][:4]
    (tmp_path / "list.txt").write_text("\n".join(files[:2]) + "\n")
    one_class = Path(files[0]).parent
    for sources, given, n in (
        (files[:3], None, 3),
        ([f"{one_class}/*.png"], None, len(list((place / one_class).iterdir()))),
        ([tmp_path / "list.txt"], None, 2),
        (["-"], "\n".join(files), 4),
        ([files[0], files[0]], None, 1),
    ):
        done = run_here("predict", "cells.skcell", *sources, cwd=place, input=given)
        assert done.returncode == 0, done.stderr
        assert len(table(done.stdout)) == n


def test_a_broken_file_is_a_line_with_its_error(place, tmp_path, run_here):
    good = list_images(place / "new")[0]
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "good.png").write_bytes(Path(good).read_bytes())
    done = run_here("predict", place / "cells.skcell", ".", "--sort", "uncertain", cwd=tmp_path)
    assert [line["error"] == "" for line in table(done.stdout)] == [True, False]
    done = run_here("predict", place / "cells.skcell", ".", cwd=tmp_path)
    assert done.returncode == 0
    broken, fine = table(done.stdout)
    assert "not a JPEG" in broken["error"]
    assert broken["class"] == ""
    assert fine["class"]
    assert "1 of 2 files could not be read" in done.stderr
    (tmp_path / "good.png").unlink()
    done = run_here("predict", place / "cells.skcell", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert "No image could be read" in done.stderr


def test_tables_order_and_copies(place, tmp_path, run_here):
    options = ("--sort", "uncertain", "--copy-to", tmp_path / "sorted", "--tta", "none")
    done = run_here(
        "predict", "cells.skcell", "new", "-o", tmp_path / "t.jsonl", *options, cwd=place
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    probabilities = [line["probability"] for line in lines]
    assert probabilities == sorted(probabilities)
    copied = list_images(tmp_path / "sorted")
    assert len(copied) == len(lines) == 60
    for line in lines:
        folder = "unknown" if line["unknown"] == "yes" else line["class"]
        assert (tmp_path / "sorted" / folder / Path(line["file"]).name).is_file()


def test_an_old_table_is_kept_if_there_is_no_new_one(place, tmp_path, run_here):
    (tmp_path / "t.csv").write_text("old")
    options = ("-o", tmp_path / "t.csv", "--coverage", "90")
    assert run_here("predict", "cells.skcell", "new", *options, cwd=place).returncode == 2
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "old"
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "mine").write_text("old")
    options = ("--copy-to", tmp_path / "sorted")
    done = run_here("predict", "cells.skcell", "new", *options, cwd=place)
    assert done.returncode == 2
    assert "is not empty" in done.stderr


def test_folders_of_copies_never_mix_classes():
    from skcell.cli._predict import _name_folders

    found = _name_folders(["unknown", "a:b", "a_b", "../x", ""])
    assert len(set(found.values())) == 5
    assert "unknown" not in found.values()
    assert not any("/" in name or name in (".", "..") for name in found.values())


@pytest.mark.thorough
@pytest.mark.thorough
def test_models_of_numbered_classes(place, tmp_path):
    """Folders named 0, 1 and 2 are the classes 0, 1 and 2 of a model that was fitted on numbers."""
    cells = make_cells(120, n_classes=3, image_size=24, random_state=0)
    clf = CellCNNClassifier(filters=(8,), epochs=1, random_state=0)
    model = CalibratedClassifier(clf, random_state=0).fit(cells.images[:80], cells.target[:80])
    for i in range(80, 120):
        folder = tmp_path / "cells" / str(cells.target[i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cells.images[i]).save(folder / f"{i}.png")
    result, notes = workflows.evaluate_folder(model, tmp_path / "cells")
    assert not notes
    expected = model.score(cells.images[80:], cells.target[80:])
    assert result.accuracy.value == pytest.approx(expected)
    sentence, _ = workflows.adapt_to_folder(model, tmp_path / "cells", tmp_path / "a.skcell")
    assert "40 of them with labels" in sentence
    with Image.open(tmp_path / "a-report" / "adaptation.png") as picture:
        assert picture.width > 200


def test_adaptation_leaves_the_test_part_alone(place, tmp_path, run_here):
    names = sorted(folder.name for folder in (place / "new").iterdir())
    for i, part in enumerate(("train", "test")):
        for name in names:
            files = sorted((place / "new" / name).iterdir())[i::2]
            (tmp_path / part / name).mkdir(parents=True)
            for file in files:
                (tmp_path / part / name / file.name).write_bytes(file.read_bytes())
    n_train = len(list_images(tmp_path / "train"))
    done = run_here("adapt", place / "cells.skcell", ".", "-o", place / "b.skcell", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Adapted to {n_train} images, {n_train} of them with labels" in done.stdout


def test_a_folder_is_counted(place, tmp_path, run_here):
    more = tmp_path / "more"
    more.mkdir()
    (more / "broken.png").write_bytes(b"no image")
    done = run_here("count", "cells.skcell", "new", more, "-o", tmp_path / "c.csv", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "60 images" in done.stdout
    assert "1 of 61 files could not be read" in done.stdout
    lines = table((tmp_path / "c.csv").read_text())
    counts = {folder.name: len(list(folder.iterdir())) for folder in (place / "new").iterdir()}
    assert sum(int(line["images"]) for line in lines) == 60
    for line in lines:
        assert float(line["low"]) <= counts[line["class"]] / 60 <= float(line["high"])
    grouped = run_here("count", "cells.skcell", "new", "--group-by-folder", cwd=place)
    assert grouped.returncode == 0, grouped.stderr


def test_an_adapted_model_that_is_not_calibrated_does_not_count(place, tmp_path, run_here):
    flat = tmp_path / "theirs"
    flat.mkdir()
    for i, file in enumerate(list_images(place / "new")):
        (flat / f"{i}.png").write_bytes(Path(file).read_bytes())
    done = run_here("adapt", "cells.skcell", flat, "-o", tmp_path / "a.skcell", cwd=place)
    assert "Cells" in done.stdout, done.stderr
    done = run_here("count", tmp_path / "a.skcell", flat, cwd=place)
    assert done.returncode == 2
    assert "not calibrated" in done.stderr + done.stdout


def test_uncertain_images_are_marked(place, run_here):
    done = run_here("predict", "cells.skcell", "new", "--min-confidence", "0.9", cwd=place)
    for line in table(done.stdout):
        assert (line["uncertain"] == "yes") == (float(line["probability"]) < 0.9)


def test_parquet(place, tmp_path, run_here):
    pandas = pytest.importorskip("pandas", reason="pandas comes with skcell[tests]")
    pytest.importorskip("pyarrow", reason="pyarrow comes with skcell[parquet]")
    done = run_here("predict", "cells.skcell", "new", "-o", tmp_path / "t.parquet", cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(pandas.read_parquet(tmp_path / "t.parquet")) == 60


def test_images_from_elsewhere_are_told_first(place, tmp_path, run_here):
    for i, file in enumerate(list_images(place / "new")):
        with Image.open(file) as image:
            Image.fromarray((np.asarray(image) * 0.5).astype(np.uint8)).save(tmp_path / f"{i}.png")
    done = run_here("predict", place / "cells.skcell", tmp_path, cwd=tmp_path)
    assert done.returncode == 0
    assert "differ from the training images" in done.stderr
    assert "or adapt it" in done.stderr
    theirs = tmp_path.parent / "theirs.skcell"
    done = run_here("adapt", place / "cells.skcell", tmp_path, "-o", theirs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Adapted to 60 images" in done.stdout
    done = run_here("predict", theirs, tmp_path, cwd=tmp_path)
    # Images without labels are no evidence that the adapted model is right about them.
    assert "differ from the training images" in done.stderr
    assert "not calibrated for what it predicts now" in done.stderr
    lines = list(csv.DictReader(done.stdout.splitlines()))
    assert {line["prediction_set"] for line in lines} == {""}
    done = run_here("predict", theirs, tmp_path / "0.png", cwd=tmp_path)
    assert "With fewer than 10 images no test of a domain shift" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.skcell", "new"), "No such file"),
        (("train.txt", "new"), "not a model of skcell"),
        (("cells.skcell", "absent"), "no image 'absent'"),
        (("cells.skcell", "new", "-o", "t.xlsx"), "must end in .csv"),
        (("cells.skcell", "new", "--coverage", "2"), "between 0 and 1"),
    ],
)
def test_predict_says_what_is_wrong(arguments, said, place, run_here):
    done = run_here("predict", *arguments, cwd=place)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(AssertionError, match="Traceback"):  # Python's own, with --debug
        run_here("--debug", "predict", *arguments, cwd=place)


def test_memory_does_not_grow_with_the_number_of_files(place):
    model = skcell.load(place / "cells.skcell")
    files = list_images(place / "new")[:8]
    n = 0
    for one in workflows.predict_files(model, files * 200):
        n += 1
        assert one.label in model.classes_
    assert n == 1600


# Evaluate, info, export


@pytest.mark.thorough
def test_evaluate_agrees_with_the_model(place, tmp_path, run_here):
    page = tmp_path / "test.html"
    arguments = ("cells.skcell", "new", "--groups", r"(P\d)_", "-o", page)
    done = run_here("evaluate", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "test-metrics.json").read_text())
    model = skcell.load(place / "cells.skcell")
    cells = load_image_folder(place / "new", 24)
    y = cells.target_names[cells.target]
    assert figures["accuracy"]["value"] == pytest.approx(model.score(cells.images, y))
    assert len(figures["groups"]) == 7
    assert np.sum(figures["confusion"]["counts"]) == 60
    assert page.is_file()
    assert len((tmp_path / "test-predictions.csv").read_text().splitlines()) == 61


def test_evaluate_tells_of_classes_that_do_not_match(place, tmp_path, run_here):
    folders = sorted((place / "new").iterdir())
    (tmp_path / "stranger").mkdir()
    (tmp_path / folders[0].name).mkdir()
    for source, target in ((folders[0], folders[0].name), (folders[1], "stranger")):
        for file in source.iterdir():
            (tmp_path / target / file.name).write_bytes(file.read_bytes())
    done = run_here("evaluate", place / "cells.skcell", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "does not know stranger" in done.stdout
    assert f"no images of {folders[1].name}, {folders[2].name}" in done.stdout
    for file in list((tmp_path / folders[0].name).iterdir()):
        (tmp_path / "other").mkdir(exist_ok=True)
        file.rename(tmp_path / "other" / file.name)
    (tmp_path / folders[0].name).rmdir()
    done = run_here("evaluate", place / "cells.skcell", tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "has the name of a class of the model" in done.stderr


def test_info_needs_no_keras_and_speaks_json(place, run_here):
    code = "import sys; from skcell.cli import main; sys.argv[1:] = ['info', 'cells.skcell']\n"
    code += "try: main()\nfinally: assert not {'keras', 'tensorflow'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "24 x 24 x 3 uint8" in done.stdout
    assert "of 36 images" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = json.loads(run_here("info", "cells.skcell", "--json", cwd=place).stdout)
    assert found["training"]["data"]["name"] == "cells"


@pytest.mark.thorough
def test_export_by_the_command(place, tmp_path, run_here):
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with skcell[onnx]")
    out = tmp_path / "cells.onnx"
    done = run_here("export", "cells.skcell", "-o", out, "--sample", "new", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "predicts as cells.skcell does" in done.stdout
    assert out.is_file()


def test_hostile_names_are_text_on_the_page(place, tmp_path):
    name = "<script>alert(1)</script>"
    cells = make_cells(60, n_classes=2, image_size=24, random_state=0)
    y = np.array([name.replace("/", "_"), "b"])[cells.target]
    clf = CellCNNClassifier(filters=(8,), epochs=1, random_state=0, batch_norm=False)
    model = CalibratedClassifier(clf, random_state=0).fit(cells.images, y)
    result = inspection.evaluate(model, cells.images, y, files=[name] * 60)
    look = inspection.make_figures(model, result)
    page = inspection.make_page(result, look, title=name, paragraphs=[name], warnings=[name])
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.thorough
def test_files_that_study_and_search_write_are_models(place, tmp_path, run_here):
    """Pipelines of samplers are predicted with as well."""
    cells = make_cells(80, n_classes=2, image_size=24, random_state=0)
    clf = CellCNNClassifier(filters=(8,), epochs=1, random_state=0)
    model = make_pipeline(ImageSMOTE(random_state=0), clf)
    skcell.save(model.fit(cells.images, cells.target_names[cells.target]), tmp_path / "m.skcell")
    done = run_here("predict", tmp_path / "m.skcell", "new", cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(table(done.stdout)) == 60
    done = run_here("adapt", tmp_path / "m.skcell", "new", "-o", tmp_path / "a.skcell", cwd=place)
    assert done.returncode == 2
    assert "adapt the classifier inside" in done.stderr


# The functions below them


def test_a_folder_without_classes(place, tmp_path):
    cells = load_image_folder(place / "new", 24, labels=False)
    assert cells.images.shape == (60, 24, 24, 3)
    assert "target" not in cells
    with pytest.raises(ValueError, match="No image was found"):
        load_image_folder(tmp_path, labels=False)


def test_figures_agree_with_scikit_learn(place):
    from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score

    model = skcell.load(place / "cells.skcell")
    cells = load_image_folder(place / "new", 24)
    y = cells.target_names[cells.target]
    result = inspection.evaluate(model, cells.images, y)
    predicted = model.predict(cells.images)
    assert result.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(y, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(y, predicted, average="macro"))
    precisions = precision_score(y, predicted, average=None, zero_division=0)
    assert [row["precision"] for row in result.per_class] == pytest.approx(precisions.tolist())
    share, accuracy = result.accuracy_above(0.9)
    sure = model.predict_proba(cells.images).max(axis=1) >= 0.9
    assert share == pytest.approx(sure.mean())
    if sure.any():
        assert accuracy == pytest.approx((predicted == y)[sure].mean())


def test_a_second_ctrl_c_interrupts_as_usual():
    stop = workflows.StopOnInterrupt()

    class Model:
        stop_training = False

    stop.set_model(Model())
    usual = signal.getsignal(signal.SIGINT)
    stop.on_train_begin()
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.01)
    assert stop.stopped
    assert stop.model.stop_training
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    stop.close()
    assert signal.getsignal(signal.SIGINT) is usual


@pytest.mark.thorough
def test_a_killed_training_is_resumed_by_the_command(place, tmp_path, run_here):
    options = ("-o", tmp_path / "m.skcell", "--epochs", "6")
    done = run_here("train", "cells", *options, "--resume", cwd=place)
    assert done.returncode == 2
    assert "no unfinished training" in done.stderr
    command = [*SKCELL, "train", "cells", *map(str, options)]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "epoch 3/" in line:
            break
    process.kill()
    process.communicate()
    assert (tmp_path / "m-unfinished").is_dir()
    done = run_here("train", "cells", *options, "--resume", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/" not in done.stdout
    assert not (tmp_path / "m-unfinished").exists()
    X = load_image_folder(place / "new", 24, labels=False).images
    whole = workflows.train(place / "cells", epochs=6).model
    resumed = skcell.load(tmp_path / "m.skcell")
    np.testing.assert_allclose(resumed.predict_proba(X), whole.predict_proba(X), atol=1e-6)


def test_a_table_is_kept_in_every_format_with_an_unreadable_file(place, tmp_path):
    """Labels of numbers and one broken file: Parquet once lost the whole table at the end."""
    from skcell.workflows import to_record, write_predictions

    model = skcell.load(place / "cells.skcell")
    files = [Path(file) for file in list_images(place / "new")[:3]]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    found = list(workflows.predict_files(model, [*files, broken]))
    assert [one.error == "" for one in found] == [True, True, True, False]
    found = [replace(one, label=None if one.error else 7) for one in found]
    records = [to_record(one, probabilities=True, classes=model.classes_) for one in found]
    with (tmp_path / "t.parquet").open("wb") as file:
        write_predictions(records, file, "parquet")
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(tmp_path / "t.parquet")
    assert table["class"].tolist()[:3] == [7, 7, 7]
    assert pandas.isna(table["class"].iloc[3])


def test_cells_that_a_spreadsheet_takes_for_formulas_and_escapes(tmp_path):
    from skcell._files import to_csv
    from skcell._text import printable

    table = to_csv([{"file": "=1+1.png", "n": -3}, {"file": "a,b", "n": 2.5}]).decode()
    assert list(csv.reader(table.splitlines())) == [
        ["file", "n"],
        ["'=1+1.png", "-3"],
        ["a,b", "2.5"],
    ]
    assert to_csv([], ["a", "b"]) == b"a,b\n"
    assert "\x1b" not in printable("blast\x1b]52;c;cm0gLXJm\x07")


@pytest.mark.thorough
def test_an_interrupted_training_is_a_fact_of_the_model(place, cells, tmp_path):
    class Stop(keras.callbacks.Callback):
        stopped = False

        def __deepcopy__(self, memo):
            return self

        def on_epoch_end(self, epoch, logs=None):
            self.stopped = self.model.stop_training = True

    write_folder(tmp_path / "cells", cells, range(60))
    result = workflows.train(tmp_path / "cells", epochs=9, callbacks=[Stop()])
    assert result.data["epochs"] == {"done": 1, "planned": 9, "interrupted": True}
    _, page, *_ = result.save(tmp_path / "m.skcell")
    assert "interrupted after 1 of 9 epochs" in page.read_text()
    assert "1 of 9; training was interrupted by the user" in page.read_text()


def test_images_of_another_size_are_told(place):
    from skcell.workflows._folders import compare_sizes

    training = {"data": {"file_size": [24, 24]}}
    files = list_images(place / "new")
    assert compare_sizes(training, files) == []
    (said,) = compare_sizes({"data": {"file_size": [200, 200]}}, files)
    assert "crop them" in said


def test_what_is_written_in_a_list_on_windows_is_found(tmp_path, cells):
    Image.fromarray(cells.images[0]).save(tmp_path / "a b.png")
    path = str(tmp_path / "a b.png")
    listed = tmp_path / "list.txt"
    listed.write_bytes(f'"{path}" \r\n\r\n'.encode("utf-16"))
    assert workflows.find_images([str(listed)]) == [path]
    listed.write_text("absent.png\n")
    with pytest.raises(FileNotFoundError, match=r"line 1: there is no file 'absent\.png'"):
        workflows.find_images([str(listed)])
    (tmp_path / "x.txt").mkdir()
    Image.fromarray(cells.images[0]).save(tmp_path / "x.txt" / "1.png")
    assert len(workflows.find_images([str(tmp_path / "x.txt")])) == 1


def test_patients_widen_all_intervals_of_an_evaluation(place, cells):
    model = skcell.load(place / "cells.skcell")
    X, y = cells.images[:80], cells.target_names[cells.target[:80]]
    small = np.stack([np.asarray(Image.fromarray(x).resize((24, 24))) for x in X])
    known = np.isin(y, model.classes_)
    groups = np.arange(80) % 4
    alone = inspection.evaluate(model, small[known], y[known])
    grouped = inspection.evaluate(model, small[known], y[known], groups=groups[known])
    wide = [one.high - one.low for one in (grouped.set_coverage, grouped.accuracy)]
    narrow = [one.high - one.low for one in (alone.set_coverage, alone.accuracy)]
    assert all(np.array(wide) >= narrow)
    for mine, theirs in zip(grouped.per_class, alone.per_class, strict=True):
        assert mine["recall"].value == theirs["recall"].value
    expected = f1_score(y[known], alone.y_pred, average="macro", zero_division=0)
    assert alone.macro_f1 == pytest.approx(expected)


def test_a_second_training_leaves_the_folder_of_the_first_alone(tmp_path):
    from skcell.cli._models import _alone

    folder = tmp_path / "m-unfinished"
    with _alone(folder):
        with pytest.raises(OSError, match="Another training writes to"), _alone(folder):
            pass
        assert [file.name for file in folder.iterdir()] == ["lock"]
    assert not folder.exists()
