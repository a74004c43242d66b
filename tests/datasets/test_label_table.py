"""A table of labels is on disk after each change, and never half."""

import csv
import resource
import subprocess
import sys

import pytest
from PIL import Image

from skcell.datasets import LabelTable, load_image_folder


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_labels_are_written_read_again_and_trained_on(tmp_path):
    folder = tmp_path / "cells"
    (folder / "slide").mkdir(parents=True)
    names = ["slide/a.png", "=1+1.png", "b.PNG", "é, x.png"]
    for name in names:
        Image.new("RGB", (8, 8), "red").save(folder / name)
    table = LabelTable(tmp_path / "labels.csv")
    for name, label in zip(names, ["+ve", "-ve", "+ve", "-ve"], strict=True):
        table.set(name, label)
        assert LabelTable(table.path).labels == table.labels
    table.set("b.PNG", "-ve")
    table.set("slide/a.png", "")
    table.set("slide/a.png", "+ve")
    cells = load_image_folder(folder, labels=table.path)
    found = {
        file[len(str(folder)) + 1 :]: cells.target_names[k]
        for file, k in zip(cells.filenames, cells.target, strict=True)
    }
    assert found == dict(zip(names, ["+ve", "-ve", "-ve", "-ve"], strict=True))
    assert all(not cell.startswith(("=", "+")) for row in read(table.path) for cell in row)


def test_other_columns_and_lines_are_kept(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(
        "Diagnosis;File;x;note\r\n;a.png;-3,5;größer\r\nold;b.png;7;\r\n".encode("cp1252")
    )
    table = LabelTable(path)
    table.set("a.png", "new")
    table.set("c.png", "new")
    table.set("c.png", "")
    assert path.read_text(encoding="utf-8").splitlines() == [
        "Diagnosis;File;x;note",
        "new;a.png;-3,5;größer",
        "old;b.png;7;",
    ]


def test_two_programs_write_one_table(tmp_path):
    path = tmp_path / "labels.csv"
    code = (
        "import sys; from skcell.datasets import LabelTable; table = LabelTable(sys.argv[1])\n"
        "for i in range(30): table.set(f'{sys.argv[2]}{i}.png', sys.argv[2])"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    labels = LabelTable(path).labels
    assert labels == {f"{name}{i}.png": name for name in "ab" for i in range(30)}


def test_a_label_that_cannot_be_written_leaves_the_table_as_it_was(tmp_path):
    table = LabelTable(tmp_path / "labels.csv")
    table.set("a.png", "old")
    before = table.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # bytes, as on a full disk
    try:
        with pytest.raises(OSError, match=r"The label was not saved: labels.csv cannot be written"):
            table.set("b.png", "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert table.path.read_bytes() == before
    assert table.labels == {"a.png": "old"}
    table.set("b.png", "new")
    assert LabelTable(table.path).labels == {"a.png": "old", "b.png": "new"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.xlsx", None, "labels are written as CSV"),
        ("labels.csv", "a,b\n1,2\n", "needs the columns 'image' and 'label'"),
        ("labels.csv", "image,label\n1,2,3\n", "has 3 values, and there are 2 columns"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        LabelTable(path)
