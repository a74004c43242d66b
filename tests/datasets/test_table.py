"""Labels, patients and parts from a table beside a folder of images."""

import numpy as np
import pytest
from PIL import Image

from skcell.datasets import load_image_folder
from skcell.exceptions import ImageReadError, ImageReadWarning

FILES = ("a/1.png", "a/2.png", "b/3.png", "b/4.png")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "cells"
    for i, name in enumerate(FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (10 * i, 0, 0)).save(folder / name)
    return folder


@pytest.fixture
def load(root):
    def read(text, *, name="labels.csv", encoding="utf-8", **options):
        table = root.parent / name
        table.write_bytes(text.encode(encoding))
        return load_image_folder(root, 8, labels=table, **options)

    return read


def labels_of(cells):
    """Label by file, as the pixels say which file it is."""
    numbers = cells.images[:, 0, 0, 0] // 10
    names = cells.target_names[cells.target]
    return {FILES[i]: str(name) for i, name in zip(numbers, names, strict=True)}


EXPECTED = dict(zip(FILES, ("x", "y", "x", "y"), strict=True))


PATHS = "a\\1.png,x\n./a/2.png,y\ncells/b/3.png,x\n/data/cells/b/4.png,y\n"
QUOTES = '"x",1.PNG,"one, two"\ny,2,\nx,3,\ny,4,"three\nlines"\n\n'


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("image,label\n1.png,x\n2.png,y\n3.png,x\n4.png,y\n", "a.csv", "utf-8"),
        ("id;class\r\n1;x\r\n2;y\r\n3;x\r\n4;y\r\n", "a.csv", "utf-8-sig"),
        ("sep=;\nFile Name;Label\n1;x\n2;y\n3;x\n4;y\n", "a.csv", "utf-16"),
        ("filename\tdx\na/1\tx\na/2\ty\nb/3\tx\nb/4\ty\n", "a.tsv", "cp1252"),
        (f"path,label\n{PATHS}", "a.csv", "utf-8"),
        ("image,x,y\n1,1,0\n2,0,1\n3,1.0,0.0\n4,0,1\n", "a.csv", "utf-8"),
        (f"label,image,note\n{QUOTES}", "a.csv", "utf-8"),
    ],
    ids=["names", "semicolons", "for Excel", "tabs", "paths", "a column a class", "quotes"],
)
def test_tables_as_people_have_them(load, text, name, encoding):
    assert labels_of(load(text, name=name, encoding=encoding)) == EXPECTED


def test_parquet(root):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    table = root.parent / "labels.parquet"
    columns = {"id": [1, 2, 3, 4], "diagnosis": list("xyxy"), "split": [float("nan")] * 4}
    pandas.DataFrame(columns).to_parquet(table)
    assert labels_of(load_image_folder(root, 8, labels=table)) == EXPECTED
    table.write_bytes(b"image,label\n")
    with pytest.raises(ValueError, match="no Parquet file"):
        load_image_folder(root, 8, labels=table)


def test_columns_that_are_asked_for(load):
    text = "id,cell,label,truth\n4,1,?,x\n3,2,?,y\n2,3,?,x\n1,4,?,y\n"
    cells = load(text, columns={"image": "cell", "label": "truth"})
    assert labels_of(cells) == EXPECTED
    with pytest.raises(ValueError, match=r"no column 'trth'; it has 'id', 'cell'"):
        load(text, columns={"label": "trth"})
    with pytest.raises(ValueError, match=r"columns has \['labels'\]"):
        load(text, columns={"labels": "truth"})
    with pytest.raises(ValueError, match=r"needs the columns 'file' and 'label'.*label=NAME"):
        load("image,truth\n1,x\n")


def test_patients_and_parts(load):
    cells = load(
        "image,label,patient,split\n1,x,P1,train\n2,y,P1,Training\n3,x,P2,test\n4,y,P2,test\n"
    )
    assert cells.split.tolist() == ["train", "train", "test", "test"]
    assert cells.groups.tolist() == ["P1", "P1", "P2", "P2"]
    assert cells.groups_named
    assert [str(file)[-7:] for file in cells.filenames] == list(FILES)


@pytest.mark.parametrize(
    ("lines", "said", "left"),
    [
        ("1,x\n2,y\n3,x\n", "no line of a table is for it", 3),
        ("1,x\n2,y\n3,x\n4,y\n9,y\n", "has no image '9'", 4),
        ("1,x\n2,y\n3,x\n4,y\n4,x\n", "there are two values, 'y' and 'x'", 3),
        ("1,x\n2,y\n3,x\n4,\n", "its label is blank", 3),
        ("1,x\n2,y\n3,x\n4,y\n,y\n", "its image is blank", 4),
    ],
)
def test_what_cannot_be_used_is_refused_or_left_out(load, lines, said, left):
    with pytest.raises(ImageReadError, match=said) as error:
        load(f"image,label\n{lines}")
    assert len(error.value.failures) == 1
    with pytest.warns(ImageReadWarning, match=said):
        cells = load(f"image,label\n{lines}", on_error="warn")
    assert labels_of(cells).items() <= EXPECTED.items()
    assert len(cells.target) == left


def test_several_tables(root, load):
    (root.parent / "more.csv").write_text("image,label\n3,x\n4,y\n")
    (root.parent / "first.csv").write_text("image,label\n1,x\n2,y\n3,x\n")
    tables = [root.parent / "first.csv", root.parent / "more.csv"]
    assert labels_of(load_image_folder(root, 8, labels=tables)) == EXPECTED
    (root.parent / "more.csv").write_text("image,label\n3,y\n4,y\n")
    with pytest.raises(ImageReadError, match="there are two values, 'x' and 'y'"):
        load_image_folder(root, 8, labels=tables)


def test_a_name_in_two_folders_needs_its_path(root, load):
    Image.new("RGB", (8, 8)).save(root / "b" / "1.png")
    with pytest.raises(ImageReadError, match="'1' is in several folders; give its path"):
        load("image,label\n1,x\n2,y\n3,x\n4,y\n")
    cells = load("image,label\na/1,x\nb/1,y\n2,y\n3,x\n4,y\n")
    assert len(cells.target) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("image,label\n1,x\n2,y,z\n", "line 3 has 3 values, and there are 2 columns"),
        ("image,label\n7,x\n8,y\n", "No image of .* is named in"),
        ("image,label\n1,x\n2,x\n3,x\n4,x\n", "one class only, 'x'"),
        ("image,x,y\n1,1,1\n2,0,1\n3,1,0\n4,0,1\n", "it is of 2 classes"),
        ("image,label,patient\n1,x,P\n2,y,\n3,x,P\n4,y,P\n", "its group is blank"),
        ("image,label,split\n1,x,train\n2,y,fold3\n3,x,test\n4,y,test\n", "its part is 'fold3'"),
    ],
)
def test_tables_that_are_refused(load, text, said):
    with pytest.raises(ValueError, match=said):
        load(text)


def test_a_spreadsheet_is_to_be_saved_as_text(root):
    with pytest.raises(ValueError, match="Save it as CSV"):
        load_image_folder(root, 8, labels=root.parent / "labels.xlsx")
    with pytest.raises(ValueError, match="pass its name as labels"):
        load_image_folder(root, 8, columns={"image": "id"})
    (root / "labels.csv").write_text("image,label\n1,x\n2,y\n3,x\n4,y\n")
    cells = load_image_folder(root, 8, labels=root / "labels.csv", ignore="*4.png")
    assert np.unique(cells.target).tolist() == [0, 1]
    assert len(cells.target) == 3
