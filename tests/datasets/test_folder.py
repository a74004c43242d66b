"""A folder of images, as users' folders are."""

import os
import re
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcell.datasets import load_image_folder, read_groups
from skcell.exceptions import ImageReadError, ImageReadWarning

DATA = Path(os.environ.get("SKCELL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def write(root, *names, value=0, mode="L", size=(20, 20)):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, value).save(path)


@pytest.fixture
def cells(tmp_path):
    write(tmp_path, "b/2.png", "b/10.jpg", "b/1.TIF", "a/x.bmp", "a/y.JPEG")
    return tmp_path


def test_bunch_holds_what_a_classifier_takes(cells):
    data = load_image_folder(cells, image_size=(16, 24))
    assert data.images.shape == (5, 16, 24, 3)
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(data.target, [0, 0, 1, 1, 1])
    assert data.target.dtype.kind == "i"
    np.testing.assert_array_equal(data.target_names, ["a", "b"])
    names = [os.path.relpath(name, cells) for name in data.filenames]
    assert names == [
        os.path.join(*name.split("/"))
        for name in ("a/x.bmp", "a/y.JPEG", "b/1.TIF", "b/10.jpg", "b/2.png")
    ]
    assert "split" not in data


def test_paths_alone_are_usable_as_X(cells):
    data = load_image_folder(cells, load_images=False)
    assert "images" not in data
    assert data.filenames.dtype.kind == "U"
    assert all(os.path.isfile(name) for name in data.filenames)
    loaded = load_image_folder(cells)
    np.testing.assert_array_equal(data.filenames, loaded.filenames)
    np.testing.assert_array_equal(data.target, loaded.target)


def test_order_does_not_depend_on_the_file_system(cells, monkeypatch):
    expected = load_image_folder(cells, load_images=False).filenames
    listdir, scandir = os.listdir, os.scandir

    class Reversed(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __next__(self):
            if self:
                return self.pop(0)
            raise StopIteration

        def __iter__(self):
            return self

    def backwards(path):
        with scandir(path) as entries:
            return Reversed(sorted(entries, key=lambda entry: entry.name, reverse=True))

    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
    monkeypatch.setattr(os, "scandir", backwards)
    found = load_image_folder(cells, load_images=False).filenames
    np.testing.assert_array_equal(found, expected)


def test_class_names_do_not_depend_on_unicode_spelling(tmp_path):
    decomposed = unicodedata.normalize("NFD", "kernhaltig_ä")
    write(tmp_path, f"{decomposed}/1.png", "other/1.png")
    names = load_image_folder(tmp_path).target_names
    assert names[0] == unicodedata.normalize("NFC", decomposed)


@pytest.mark.parametrize(
    "folders",
    [("train", "val", "test"), ("Training", "VALID", "testing"), ("train", "validation", "Test")],
)
def test_splits_are_recognised_and_ordered(tmp_path, folders):
    for value, folder in enumerate(folders):
        write(tmp_path, f"{folder}/b/1.png", f"{folder}/a/1.png", value=value)
    data = load_image_folder(tmp_path)
    assert data.split.tolist() == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert data.target.tolist() == [0, 1] * 3
    assert data.images[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_class_may_be_absent_from_one_split(tmp_path):
    write(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png")
    (tmp_path / "val" / "b").mkdir()
    data = load_image_folder(tmp_path)
    assert data.target_names.tolist() == ["a", "b"]
    assert data.target[data.split == "val"].tolist() == [0]


@pytest.mark.parametrize("other", ["notes/a/1.png", "Validation/a/1.png"])
def test_splits_mixed_with_something_else_are_an_error(tmp_path, other):
    write(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", other)
    with pytest.raises(ValueError, match="either all classes, or one folder each for train"):
        load_image_folder(tmp_path)


def test_nested_folders_belong_to_their_class_and_links_are_followed_once(cells):
    write(cells, "a/slide 2/deep/z.png")
    try:
        (cells / "a" / "slide 2" / "back").symlink_to(cells / "a", target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links on this system")
    data = load_image_folder(cells)
    assert data.target.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.filenames[2].endswith("z.png")


def test_hidden_files_and_droppings_are_ignored(cells):
    for name in ("a/.DS_Store", "a/._x.jpg", "b/Thumbs.db", "b/desktop.ini", "README.txt"):
        (cells / name).write_text("x")
    write(cells, "__MACOSX/a/1.png", ".git/1.png", "a/.cache/1.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_image_folder(cells).target) == 5


@pytest.mark.parametrize("load_images", [True, False])
def test_stray_files_are_named_or_skipped(cells, load_images):
    (cells / "a" / "notes.txt").write_text("x")
    write(cells, "contact sheet.png")
    with pytest.raises(ImageReadError, match="2 of 7 files cannot be used") as caught:
        load_image_folder(cells, load_images=load_images)
    assert caught.value.failures == {
        str(
            cells / "a" / "notes.txt"
        ): "not an image file (.jpg, .jpeg, .jpe, .jfif, .png, .bmp, .webp, .tif, .tiff)",
        str(cells / "contact sheet.png"): "an image outside the folders of the classes",
    }
    with pytest.warns(ImageReadWarning, match="2 of 7 files were skipped"):
        data = load_image_folder(cells, load_images=load_images, on_error="warn")
    assert len(data.filenames) == 5


def test_broken_and_stray_files_share_one_report(cells):
    (cells / "a" / "notes.txt").write_text("x")
    (cells / "b" / "10.jpg").write_bytes(b"")
    with pytest.raises(ImageReadError, match="2 of 6 files cannot be used"):
        load_image_folder(cells)
    with pytest.warns(ImageReadWarning, match="2 of 6") as caught:
        data = load_image_folder(cells, on_error="warn")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert len(data.images) == len(data.target) == len(data.filenames) == 4
    assert not any(name.endswith("10.jpg") for name in data.filenames)


def test_a_class_of_broken_images_alone_is_an_error(cells):
    for name in ("x.bmp", "y.JPEG"):
        (cells / "a" / name).write_bytes(b"")
    with (
        pytest.warns(ImageReadWarning),
        pytest.raises(ValueError, match="No image of 'a' could be read"),
    ):
        load_image_folder(cells, on_error="warn")


def test_16_bit_files_decide_the_dtype(cells):
    write(cells, "a/deep.png", value=1000, mode="I;16")
    data = load_image_folder(cells, channels=1)
    assert data.images.dtype == np.uint16
    assert data.images[0].max() == 1000
    assert load_image_folder(cells, channels=1, dtype="uint8").images.dtype == np.uint8


def test_channels_are_as_asked(cells):
    assert load_image_folder(cells, channels=1).images.shape[-1] == 1
    with pytest.raises(ImageReadError, match="5 of 5 files cannot be used"):
        load_image_folder(cells, channels=4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "is empty. Expected one sub-folder per class"),
        (["1.png"], "has no sub-folders but has images"),
        (["a/1.png"], "holds one class only, 'a'"),
        (["train/1.png", "val/1.png"], "has no sub-folders but has images"),
    ],
)
def test_wrong_layouts_are_explained(tmp_path, names, message):
    write(tmp_path, *names)
    with pytest.raises(ValueError, match=message):
        load_image_folder(tmp_path)


def test_class_without_images_is_named(cells):
    (cells / "c").mkdir()
    with pytest.raises(ValueError, match=r"No image was found in '.*c'"):
        load_image_folder(cells)


def test_missing_folder_and_file_instead_of_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        load_image_folder(tmp_path / "absent")
    (tmp_path / "cells.npz").touch()
    with pytest.raises(NotADirectoryError, match="load_npz"):
        load_image_folder(tmp_path / "cells.npz")


@pytest.mark.parametrize("size", [0, (96,), (96, 96, 3), (96, 0), (9.5, 9), "96"])
def test_wrong_image_size_is_an_error(cells, size):
    with pytest.raises(ValueError, match="image_size"):
        load_image_folder(cells, image_size=size)


@pytest.mark.skipif(not (DATA / "pbc_96").is_dir(), reason=f"no real cells in {DATA}")
def test_real_cells():
    data = load_image_folder(DATA / "pbc_96", load_images=False)
    counts = dict(zip(*np.unique(data.split, return_counts=True), strict=True))
    assert counts == {"train": 11_964, "val": 1_710}
    assert data.split[0] == "train"
    assert len(data.target_names) == 8
    val = load_image_folder(DATA / "pbc_96" / "val")
    assert val.images.shape == (1_710, 96, 96, 3)
    assert "split" not in val
    np.testing.assert_array_equal(val.target, data.target[data.split == "val"])


def test_a_folder_that_cannot_be_read_is_an_error(cells):
    """Root reads everything, so the child becomes another user once all modules are loaded.

    Its Python may lie in a folder that only root can open.
    """
    write(cells, "a/slide/z.png")
    slide = cells / "a" / "slide"
    slide.chmod(0)
    code = (
        "import os, sys; from skcell.datasets import load_image_folder\n"
        "from skcell.exceptions import ImageReadError\n"
        "if os.getuid() == 0:\n"
        "    load_image_folder(sys.argv[1])\n"
        "    os.setgid(65534); os.setuid(65534)\n"
        "for on_error in ('raise', 'warn'):\n"
        "    try: print(len(load_image_folder(sys.argv[1], on_error=on_error).target))\n"
        "    except ImageReadError as error: print(str(error).splitlines()[1])\n"
    )
    parent = cells
    while parent != parent.parent:  # pytest's own folders are closed to others
        if parent.stat().st_uid == os.getuid() and str(parent) != "/":
            parent.chmod(parent.stat().st_mode | 0o055)
        parent = parent.parent
    try:
        command = [sys.executable, "-c", code, str(cells)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        slide.chmod(0o755)
    assert run.returncode == 0, run.stderr
    raised, n_loaded = run.stdout.splitlines()
    assert re.search(r"slide: cannot be opened: permission denied", raised), run.stdout
    assert n_loaded == "5"
    assert re.search(r"ImageReadWarning: 1 of 6 files .*\n.*slide: cannot be opened", run.stderr)


def test_folders_inside_a_class_are_groups(tmp_path):
    write(tmp_path, "a/p1/1.png", "a/p1/2.png", "a/p2/1.png", "b/p1/1.png", "b/2.png")
    data = load_image_folder(tmp_path)
    assert data.groups.tolist() == ["p1", "p1", "p2", "", "p1"]
    (tmp_path / "flat").mkdir()
    write(tmp_path / "flat", "a/1.png", "b/1.png")
    assert "groups" not in load_image_folder(tmp_path / "flat")


def test_a_home_is_no_folder_named_tilde(tmp_path, monkeypatch):
    write(tmp_path, "cells/a/1.png", "cells/b/1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_image_folder("~/cells").target) == 2


def test_groups_from_a_table(tmp_path):
    files = [str(tmp_path / "a" / "1.png"), str(tmp_path / "b" / "2.png")]
    source = tmp_path / "groups.csv"
    source.write_text("file,group\na/1.png,P1\n2.png,P2\n", encoding="utf-8-sig")
    assert read_groups(str(source), files, str(tmp_path)).tolist() == ["P1", "P2"]
    source.write_text("file,group\n2.png,P2\n")
    with pytest.raises(ValueError, match="no line for 1 of 2 images"):
        read_groups(str(source), files, str(tmp_path))
    source.write_text("cell,group\n2.png,P2\n")
    with pytest.raises(ValueError, match="needs the columns 'file' and 'group'"):
        read_groups(str(source), files, str(tmp_path))
    source.write_text("file,group\n2.png,P2\n2.png,P3\n")
    with pytest.raises(ValueError, match=r"two groups for '2\.png'"):
        read_groups(str(source), files, str(tmp_path))


def test_groups_are_compared_as_people_write_them(tmp_path):
    files = [str(tmp_path / "blast" / f"{i}.png") for i in range(4)]
    table = tmp_path / "groups.csv"
    table.write_text("file , group\n0.png,P1\n 1.png ,P1 \n2.png, P1\nblast\\\\3.png,P2\n")
    assert read_groups(str(table), files, str(tmp_path)).tolist() == ["P1", "P1", "P1", "P2"]
    table.write_bytes("file,group\n0.png,P1\n1.png,P1\n2.png,P2\n3.png,Pé\n".encode("utf-16"))
    assert read_groups(str(table), files, str(tmp_path)).tolist()[-1] == "Pé"
    table.write_bytes("file,group\n0.png,P1\n1.png,P1\n2.png,P2\n3.png,Pé\n".encode("cp1252"))
    assert read_groups(str(table), files, str(tmp_path)).tolist()[-1] == "Pé"
    table.write_text("file,group\n0.png,P1\n1.png,p1\n2.png,P2\n3.png,P2\n")
    with pytest.warns(UserWarning, match="'P1' and 'p1'"):
        read_groups(str(table), files, str(tmp_path))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("0.png,P1\n1.png,\n", "line 3: group is blank"),
        ("0.png,P1\n,P2\n", "line 3: file is blank"),
        ("0.png,P1\n1.png,P2\n", "names 0.png, which is in several folders"),
    ],
)
def test_tables_of_groups_that_are_refused(tmp_path, lines, said):
    files = [str(tmp_path / place / "0.png") for place in "ab"] + [str(tmp_path / "a" / "1.png")]
    table = tmp_path / "groups.csv"
    table.write_text(f"file,group\n{lines}")
    with pytest.raises(ValueError, match=said):
        read_groups(str(table), files, str(tmp_path))


def test_decomposed_names_of_groups_and_files(tmp_path):
    files = [str(tmp_path / unicodedata.normalize("NFD", "é.png")), str(tmp_path / "a.png")]
    table = tmp_path / "groups.csv"
    table.write_text("file,group\né.png,P1\na.png,P2\n", encoding="utf-8")
    assert read_groups(str(table), files, str(tmp_path)).tolist() == ["P1", "P2"]


def test_one_class_and_patterns(tmp_path):
    write(tmp_path, "a/1.png", "a/1_mask.png")
    with pytest.raises(ValueError, match="one class only"):
        load_image_folder(tmp_path)
    cells = load_image_folder(tmp_path, one_class=True, ignore="*_mask.png")
    assert [Path(file).name for file in cells.filenames] == ["1.png"]
    with pytest.raises(ValueError, match="leaves no image"):
        load_image_folder(tmp_path, one_class=True, ignore=["*"])


def test_what_lies_there_instead_is_named(tmp_path):
    write(tmp_path, "cells/1.png")
    (tmp_path / "cells" / "labels.csv").write_text("image,label\n")
    with pytest.raises(ValueError, match=r"a table, 'labels\.csv'. If it has"):
        load_image_folder(tmp_path / "cells")
    (tmp_path / "cells.zip").write_bytes(b"PK")
    with pytest.raises(NotADirectoryError, match="Unzip it first"):
        load_image_folder(tmp_path / "cells.zip")
    with pytest.raises(FileNotFoundError, match="Did you mean 'cells'"):
        load_image_folder(tmp_path / "cell")
