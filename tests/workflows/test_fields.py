"""From segmented fields to a folder of cells that a model is trained on."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from skcell import CalibratedClassifier, CellCNNClassifier
from skcell.datasets import find_nuclei, find_objects, load_image_folder, make_cells
from skcell.exceptions import ImageReadError, ImageReadWarning
from skcell.workflows import crop_folder, predict_fields

SIZE, SIDE = 4, 24  # cells on a side of a field, and pixels of a cell


@pytest.fixture
def place(tmp_path):
    """Three fields of drawn cells, with a mask of squares around the cells for each."""
    cells = make_cells(3 * SIZE**2, n_classes=2, image_size=SIDE, random_state=0)
    (tmp_path / "fields").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(3):
        some = cells.images[number * SIZE**2 : (number + 1) * SIZE**2]
        field = some.reshape(SIZE, SIZE, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
        Image.fromarray(field.reshape(SIZE * SIDE, SIZE * SIDE, 3)).save(
            tmp_path / "fields" / f"f{number}.png"
        )
        mask = np.zeros((SIZE, SIDE, SIZE, SIDE), np.uint8)
        for row in range(SIZE):
            for column in range(SIZE):
                mask[row, 6:18, column, 6:18] = 1 + SIZE * row + column
        mask = mask.reshape(SIZE * SIDE, -1)
        Image.fromarray(mask).save(tmp_path / "masks" / f"f{number}_mask.png")
    return tmp_path, cells


def test_cells_are_cut_out_and_can_be_loaded_by_their_table(place):
    root, cells = place
    command = [sys.executable, "-m", "skcell.cli", "crop", "fields", "masks", "-o", "cells"]
    done = subprocess.run(
        [*command, "--size", "24"], cwd=root, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "48 cells of 3 fields were cut out, each 24 x 24 pixels" in done.stdout
    with (root / "cells" / "cells.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[5]["image"] == "f0_0006.png"
    assert [
        lines[5][name] for name in ("field", "object", "x", "y", "width", "height", "area")
    ] == (["f0.png", "6", "30", "30", "12", "12", "144"])
    names = cells.target_names[cells.target]
    for line, name in zip(lines, names, strict=True):
        line["label"] = name
    with (root / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    columns = {"group": "field"}
    found = load_image_folder(root / "cells", 24, labels=root / "labels.csv", columns=columns)
    order = np.argsort(found.filenames)
    np.testing.assert_array_equal(found.images[order], cells.images)
    assert (found.target_names[found.target][order] == names).all()
    assert set(found.groups) == {"f0.png", "f1.png", "f2.png"}
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_cutting_does_not_start_keras():
    code = "import sys; from skcell.workflows import crop_folder; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_without_a_size_nearly_all_objects_fit(place):
    root, _ = place
    found = crop_folder(root / "fields", root / "masks", root / "out")
    assert found.size == 16
    assert found.left_out == {}
    assert "48 cells of 3 fields" in str(found)


def test_masks_beside_their_fields(place):
    root, _ = place
    for file in (root / "masks").iterdir():
        file.rename(root / "fields" / file.name)
    assert crop_folder(root / "fields", root / "fields", root / "out").n_cells == 48
    (root / "masks").rename(root / "fields" / "masks")
    for file in (root / "fields").glob("*_mask.png"):
        file.rename(root / "fields" / "masks" / file.name)
    assert crop_folder(root / "fields", root / "fields" / "masks", root / "2").n_cells == 48


def test_boxes_with_classes(place):
    root, _ = place
    (root / "boxes.csv").write_text(
        "image,x,y,width,height,label\n"
        "f0.png,6,6,12,12,a\nf1.png,30,6,12,12,b\nf2.png,84,84,12,12,b\nf2.png,30,30,12,12,a\n"
    )
    found = crop_folder(root / "fields", root / "boxes.csv", root / "out", size=24)
    assert (found.n_cells, found.left_out) == (3, {"touch the edge of a field": 1})
    loaded = load_image_folder(root / "out", 24, labels=found.table)
    assert loaded.target_names[loaded.target].tolist() == ["a", "a", "b"]


def test_a_field_of_16_bits_stays_one(place):
    root, _ = place
    deep = np.random.default_rng(0).integers(0, 65536, (96, 96), dtype=np.uint16)
    for file in list((root / "fields").iterdir())[1:]:
        (root / "masks" / f"{file.stem}_mask.png").unlink()
        file.unlink()
    (left,) = (root / "fields").iterdir()
    left.unlink()
    Image.fromarray(deep).save(left)
    found = crop_folder(root / "fields", root / "masks", root / "out", size=24)
    loaded = load_image_folder(root / "out", 24, labels=False, channels=1, ignore="*.csv")
    assert found.n_cells == 16
    assert loaded.images.dtype == np.uint16
    np.testing.assert_array_equal(loaded.images[0, ..., 0], deep[:24, :24])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda masks: (masks / "f1_mask.png").unlink(), r"f1\.png: has no mask"),
        (
            lambda masks: (masks / "f1.npy").write_bytes((masks / "f1_mask.png").read_bytes()),
            r"f1\.png: has 2 masks: f1\.npy, f1_mask\.png",
        ),
        (
            lambda masks: Image.fromarray(np.ones((9, 5), np.uint8)).save(masks / "f1_mask.png"),
            "the mask is 5 x 9 pixels, and its field 96 x 96",
        ),
        (
            lambda masks: (masks / "f1_mask.png").rename(masks / "f7.png"),
            r"f7\.png: is of no field",
        ),
        (lambda masks: (masks / "f1_mask.png").write_bytes(b"x"), "cannot identify image file"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(place, spoil, said):
    root, _ = place
    spoil(root / "masks")
    with pytest.raises(ImageReadError, match=said):
        crop_folder(root / "fields", root / "masks", root / "out")
    assert not (root / "out").exists()
    assert not list(root.glob(".skcell-*"))
    with pytest.warns(ImageReadWarning, match="were skipped"):
        found = crop_folder(root / "fields", root / "masks", root / "out", skip_broken=True)
    assert (found.n_cells, found.n_fields) == (32, 2)


def test_each_object_of_a_field_is_predicted(place):
    root, cells = place
    extra = make_cells(160, n_classes=2, image_size=SIDE, random_state=1)
    clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=12, random_state=0)
    model = CalibratedClassifier(clf, random_state=0)
    model.fit(extra.images, extra.target_names[extra.target])
    (root / "masks" / "f2_mask.png").write_bytes((root / "masks" / "f0_mask.png").read_bytes())
    edge = np.asarray(Image.open(root / "masks" / "f1_mask.png")).copy()
    edge[:8, 6:18] = 1
    Image.fromarray(edge).save(root / "masks" / "f1_mask.png")
    records, notes = predict_fields(
        model, root / "fields", root / "masks", size=SIDE, overlay=root / "seen"
    )
    assert notes == []
    assert len(records) == 48
    labels = cells.target_names[cells.target]
    found = np.array([one["class"] for one in records], object)
    at_edge = found == None  # noqa: E711 # an array
    assert np.flatnonzero(at_edge).tolist() == [16]
    assert records[16]["error"] == "at the edge of the field, or tiny"
    direct = model.predict(cells.images)
    assert (found[~at_edge] == direct[~at_edge]).all(), "as from files of single cells"
    assert (found[~at_edge] == labels[~at_edge]).mean() > 0.8
    assert {name: records[5][name] for name in ("field", "object", "x", "y")} == {
        "field": "f0.png",
        "object": 6,
        "x": 30,
        "y": 30,
    }
    pictures = sorted((root / "seen").iterdir())
    assert [file.name for file in pictures] == ["f0.png", "f1.png", "f2.png"]
    drawn, plain = (np.asarray(Image.open(root / p / "f0.png")) for p in ("seen", "fields"))
    assert drawn.shape == plain.shape
    assert (drawn[12:16, 9:16] == plain[12:16, 9:16]).all(), "the cell itself is not covered"
    for file in (root / "fields").iterdir():
        Image.fromarray(np.asarray(Image.open(file)) // 3).save(file)
    _, notes = predict_fields(model, root / "fields", root / "masks", size=SIDE)
    assert any("differ from the training images" in text for text in notes)
    with pytest.raises(ValueError, match="does not say how large its training images were"):
        predict_fields(model, root / "fields", root / "masks")


def test_masks_without_an_object(place):
    root, _ = place
    for file in (root / "masks").iterdir():
        Image.fromarray(np.zeros((96, 96), np.uint8)).save(file)
    with pytest.raises(ValueError, match="masks of 3 fields have no object"):
        crop_folder(root / "fields", root / "masks", root / "out")


def test_boxes_of_yolo_with_classes(place):
    root, _ = place
    (root / "yolo").mkdir()
    for number in range(3):
        (root / "yolo" / f"f{number}.txt").write_text(
            "1 0.375 0.625 0.125 0.125\n0 .125 .125 .1 .1\n"
        )
    (root / "yolo" / "classes.txt").write_text("round\nlong\n")
    found = crop_folder(root / "fields", root / "yolo", root / "out", size=24)
    assert found.n_cells == 6
    with found.table.open(newline="") as file:
        first = next(csv.DictReader(file))
    assert [first[n] for n in ("label", "x", "y", "width", "height")] == [
        "long",
        "30",
        "54",
        "12",
        "12",
    ]
    (root / "yolo" / "f1.txt").write_text("7 0.375 0.625 0.125 0.125\n")
    with pytest.raises(ImageReadError, match=r"line 1 is not a class of classes.txt"):
        crop_folder(root / "fields", root / "yolo", root / "other", size=24)
    (root / "yolo" / "f1.txt").write_text("1 30 60 12 12\n")
    with pytest.raises(ImageReadError, match="not in fractions of the field"):
        crop_folder(root / "fields", root / "yolo", root / "other", size=24)


def test_nuclei_of_real_white_cells_are_found(real_folder, tmp_path):
    """Twelve real cells, and nothing of the red cells around them."""
    names = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
    tiles = []
    for name in names:
        for file in sorted((real_folder / "val" / name).glob("*.jpg"))[:3]:
            with Image.open(file) as image:
                tiles.append(np.asarray(image.convert("RGB")))
    side = 120
    field = np.full((3 * side, 4 * side, 3), (253, 236, 215), np.uint8)
    for k, tile in enumerate(tiles):
        row, column = divmod(k, 4)
        field[row * side + 12 :, column * side + 12 :][:96, :96] = tile
    mask = find_nuclei(field)
    centres = [one.centre for one in find_objects(mask, split=False)]
    cells = {(int(y // side), int(x // side)) for y, x in centres}
    assert len(centres) == len(cells) == 12
    (tmp_path / "fields").mkdir()
    Image.fromarray(field).save(tmp_path / "fields" / "a.png")
    found = crop_folder(tmp_path / "fields", None, tmp_path / "cells")
    assert found.n_cells == 12
    assert 60 < found.size <= 180
    # Without cells there is nothing, and without colour it is refused.
    assert find_nuclei(np.full((60, 60, 3), 240, np.uint8)).max() == 0
    red = field[:24, :24]
    assert find_nuclei(np.tile(red, (4, 4, 1))).max() == 0
    Image.fromarray(field).convert("L").save(tmp_path / "fields" / "a.png")
    with pytest.raises(ImageReadError, match="found by their colour"):
        crop_folder(tmp_path / "fields", None, tmp_path / "other")
