"""Images and labels in one file."""

import os
from pathlib import Path

import numpy as np
import pytest

from skcell.datasets import load_npz

DATA = Path(os.environ.get("SKCELL_DATA", Path(__file__).parents[3] / "shared" / "data"))
IMAGES = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)


def save(folder, **arrays):
    np.savez(folder / "cells.npz", **arrays)
    return folder / "cells.npz"


@pytest.mark.parametrize("images", ["images", "X"])
@pytest.mark.parametrize("labels", ["target", "y", "labels"])
def test_names_of_the_arrays(tmp_path, images, labels):
    data = load_npz(save(tmp_path, **{images: IMAGES, labels: ["b", "a", "b", "c"]}))
    np.testing.assert_array_equal(data.images, IMAGES)
    assert data.target.tolist() == [1, 0, 1, 2]
    assert data.target_names.tolist() == ["a", "b", "c"]
    assert set(data) == {"images", "target", "target_names"}


def test_splits_and_file_names(tmp_path):
    path = save(
        tmp_path,
        X=IMAGES,
        y=[0, 1, 0, 1],
        split=["train", "Validation", "test", "train"],
        filename=["1.png", "2.png", "3.png", "4.png"],
    )
    data = load_npz(str(path))
    assert data.split.tolist() == ["train", "val", "test", "train"]
    assert data.filenames.tolist() == ["1.png", "2.png", "3.png", "4.png"]


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        ([[5], [7], [7], [5]], [0, 1, 1, 0], ["5", "7"]),
        ([1.0, 0.0, 1.0, 0.0], [1, 0, 1, 0], ["0", "1"]),
        ([True, False, True, False], [1, 0, 1, 0], ["False", "True"]),
        ([b"b", b"a", b"b", b"a"], [1, 0, 1, 0], ["a", "b"]),
    ],
)
def test_labels_of_any_kind_become_codes(tmp_path, labels, codes, names):
    data = load_npz(save(tmp_path, images=IMAGES, labels=labels))
    assert data.target.tolist() == codes
    assert data.target_names.tolist() == names


@pytest.mark.parametrize("labels", [[2, 0, 2, 0], ["y", "z", "y", "z"]])
def test_the_files_own_class_names_are_kept(tmp_path, labels):
    data = load_npz(save(tmp_path, images=IMAGES, y=labels, target_names=["z", "x", "y"]))
    assert data.target.tolist() == [2, 0, 2, 0]
    assert data.target_names.tolist() == ["z", "x", "y"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_images_get_a_channel_and_keep_their_dtype(tmp_path, dtype):
    data = load_npz(save(tmp_path, images=IMAGES[..., 0].astype(dtype), y=[0, 1, 0, 1]))
    assert data.images.shape == (4, 6, 5, 1)
    assert data.images.dtype == dtype


def test_medmnist_layout(tmp_path):
    parts = {"train": slice(0, 2), "val": slice(2, 3), "test": slice(3, 4)}
    labels = np.array([[1], [0], [2], [1]], dtype=np.uint8)
    arrays = {f"{split}_images": IMAGES[part] for split, part in parts.items()}
    arrays |= {f"{split}_labels": labels[part] for split, part in parts.items()}
    data = load_npz(save(tmp_path, **arrays))
    np.testing.assert_array_equal(data.images, IMAGES)
    assert data.target.tolist() == [1, 0, 2, 1]
    assert data.split.tolist() == ["train", "train", "val", "test"]


GOOD = {"images": IMAGES, "y": [0, 1, 0, 1]}
MED = {"train_images": IMAGES, "train_labels": [0, 1, 0, 1]}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, r"no labels among its arrays \['images'\]. Expected images"),
        ({"pictures": IMAGES, "y": [0]}, "no images among its arrays"),
        ({**GOOD, "y": [0, 1, 0]}, "different lengths, {'images': 4, 'labels': 3}"),
        ({**GOOD, "split": ["train"]}, "different lengths"),
        ({**GOOD, "split": ["fold1"] * 4}, r"splits \['fold1'\]; expected 'train'"),
        ({**GOOD, "y": np.zeros((4, 14))}, "Several labels per image are not supported"),
        ({**GOOD, "y": [0.5, 1, 0, 1]}, "fractions"),
        ({**GOOD, "y": np.array(["a", 1, "b", None], dtype=object)}, "never unpickled"),
        ({**GOOD, "images": IMAGES.astype(int)}, "no known range"),
        ({**GOOD, "images": IMAGES.reshape(4, -1)}, "Expected images of shape"),
        ({**GOOD, "target_names": ["a"]}, r"labels \[1\] are not among the target_names"),
        ({**MED, "val_images": IMAGES}, "no val_labels"),
        ({**MED, "train_labels": [0, 1]}, "4 train_images and 2 train_labels"),
        ({**MED, "val_images": IMAGES[:, :3], "val_labels": [0] * 4}, "all must have the same"),
    ],
)
def test_files_that_do_not_fit_are_explained(tmp_path, arrays, message):
    path = save(tmp_path, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


def test_damaged_files_are_explained(tmp_path):
    path = save(tmp_path, **GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        load_npz(path)
    flipped = bytearray(content)
    flipped[len(content) // 4] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="damaged or incomplete"):
        load_npz(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="damaged or incomplete"):
        load_npz(path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"not an \.npz file"):
        load_npz(path)
    np.save(tmp_path / "one.npy", IMAGES)
    with pytest.raises(ValueError, match="one array, not several"):
        load_npz(tmp_path / "one.npy")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_npz(tmp_path / "absent.npz")


@pytest.mark.skipif(not (DATA / "pbc_28.npz").is_file(), reason=f"no real cells in {DATA}")
def test_real_cells():
    data = load_npz(DATA / "pbc_28.npz")
    assert data.images.shape == (13_674, 28, 28, 3)
    assert len(data.target_names) == 8
    assert set(data.split) == {"train", "val"}
    assert len(data.filenames) == len(data.target) == 13_674
