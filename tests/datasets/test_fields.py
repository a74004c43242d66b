"""Cells out of fields: the right squares, and a sentence for what is no mask."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from skcell.datasets import crop_cells, find_objects, read_boxes, read_mask


@pytest.fixture
def mask():
    """Three objects: inside, near the edge, and at the edge; and a tiny one."""
    mask = np.zeros((60, 80), np.uint16)
    mask[20:31, 30:41], mask[2:12, 60:72], mask[50:60, 10:20], mask[5:7, 5:7] = 7, 300, 2, 9
    return mask


def test_objects_of_a_label_image(mask):
    found = find_objects(mask)
    assert [one.number for one in found] == [2, 7, 9, 300]
    seven = found[1]
    assert seven.box == (20, 30, 31, 41)
    assert seven.centre == (25, 35)
    assert seven.area == 121
    assert seven.extent == 11
    assert [one.box for one in find_objects(mask.astype(float))] == [one.box for one in found]


def test_connected_parts_of_a_mask_without_numbers(mask):
    for plain in (mask > 0, (mask > 0) * np.uint8(255)):
        assert sorted(one.area for one in find_objects(plain)) == [4, 100, 120, 121]
    assert find_objects(np.zeros((5, 5), np.uint8)) == []


def test_crops_are_centred_and_filled_by_reflection(mask):
    field = np.random.default_rng(0).integers(1, 256, (*mask.shape, 3), dtype=np.uint8)
    crops, kept, left_out = crop_cells(field, find_objects(mask), 21)
    assert [one.number for one in kept] == [7, 300]
    assert left_out == {"touch the edge of a field": 1, "have fewer than 16 pixels": 1}
    assert crops.dtype == np.uint8
    np.testing.assert_array_equal(crops[0], field[15:36, 25:46])
    assert crops.min() > 0, "nothing is filled with black"
    np.testing.assert_array_equal(crops[1][3:], field[:18, 56:77])
    np.testing.assert_array_equal(crops[1][:3], field[:3, 56:77][::-1])
    huge, _, _ = crop_cells(field[..., 0], find_objects(mask), 300)
    assert huge.shape == (2, 300, 300, 1)
    assert huge.min() > 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((4, 4, 3), np.uint8), "two axes"),
        (np.full((4, 4), 0.3), "fractions, such as probabilities"),
        (np.full((4, 4), -1), "whole numbers of 0 or more"),
        (np.full((4, 4), "a"), "whole numbers of 0 or more"),
        (np.arange(40_000).reshape(200, 200), "39,999 objects, more than 20,000"),
    ],
)
def test_what_is_no_mask(mask, said):
    with pytest.raises(ValueError, match=said):
        find_objects(mask)


def test_files_of_masks(mask, tmp_path):
    np.save(tmp_path / "a.npy", mask)
    Image.fromarray(mask).save(tmp_path / "a.png")
    Image.fromarray(mask.astype(np.int32)).save(tmp_path / "a.tif")
    for name in ("a.npy", "a.png", "a.tif"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), mask)
    np.save(tmp_path / "b_seg.npy", {"masks": mask}, allow_pickle=True)
    with pytest.raises(ValueError, match=r"could run code\. Save the masks as TIFF or PNG"):
        read_mask(tmp_path / "b_seg.npy")
    (tmp_path / "c.npy").write_bytes(pickle.dumps(mask))
    with pytest.raises(ValueError, match="could run code"):
        read_mask(tmp_path / "c.npy")
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(tmp_path / "colours.png")
    with pytest.raises(ValueError, match="picture with the mode RGB"):
        read_mask(tmp_path / "colours.png")


def test_boxes(tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text("Image;x;y;width;height;label\nf/a.png;10;20;31;11;blast\na.png;1;2;3;4;\n")
    found = read_boxes(table)
    assert list(found) == ["a.png"]
    first = found["a.png"][0]
    assert (first.box, first.centre, first.label) == ((20, 10, 31, 41), (25, 25), "blast")
    coco = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "blast"}],
        "annotations": [{"image_id": 5, "category_id": 1, "bbox": [10, 20, 31, 11]}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    assert read_boxes(tmp_path / "boxes.json")["a.png"] == [first]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "image,x,y\na,1,2\n", "needs the columns image, x, y, width, height"),
        ("a.csv", "image,x,y,width,height\na,1,2,wide,4\n", "line 2: a box needs four numbers"),
        ("a.csv", "image,x,y,width,height\na,1,2,0,4\n", "a box of 0.0 x 4.0 pixels"),
        ("a.json", '{"images": []}', "no COCO file of boxes"),
        ("a.json", "[1, 2]", "no COCO file of boxes"),
        ("a.json", "{", "no COCO file of boxes"),
    ],
)
def test_what_are_no_boxes(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        read_boxes(tmp_path / name)
