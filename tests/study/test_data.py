"""The command's data: by name, with the splits that suit them."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit

from skcell.study import load_study_data


def write(path, n, **arrays):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(n, 8, 8, 3), dtype=np.uint8)
    np.savez(path, images=images, **arrays)
    return images


def test_generated_cells_follow_the_seed():
    one, two = (load_study_data(quick=True, random_state=seed) for seed in (0, 1))
    assert one.name == "generated cells"
    assert one.images.shape == two.images.shape == (300, 24, 24, 3)
    assert not np.array_equal(one.images, two.images)
    assert one.choose_cv(random_state=0) == 3
    assert load_study_data(quick=True, image_size=16).images.shape == (300, 16, 16, 3)


def test_published_test_part_stays_unseen(tmp_path):
    split = np.repeat(["train", "test", "val"], [6, 4, 2])
    images = write(tmp_path / "a.npz", 12, target=np.tile(["x", "y"], 6), split=split)
    data = load_study_data(tmp_path / "a.npz")
    assert data.name == "a.npz"
    np.testing.assert_array_equal(data.images, images[split != "test"])
    assert data.test_fold.tolist() == [-1] * 6 + [0] * 2
    assert set(data.labels) == {"x", "y"}
    assert isinstance(data.choose_cv(random_state=0), PredefinedSplit)
    assert isinstance(data.choose_cv(holdout=True, random_state=0), PredefinedSplit)
    assert data.choose_cv(4, random_state=0) == 4


@pytest.mark.parametrize("parts", [["train", "train"], ["val", "test"]])
def test_a_split_of_one_side_is_none(tmp_path, parts):
    write(tmp_path / "a.npz", 12, target=np.tile(["x", "y"], 6), split=np.repeat(parts, 6))
    data = load_study_data(tmp_path / "a.npz")
    assert data.test_fold is None
    assert data.choose_cv(random_state=0) == 5


def test_a_holdout_is_a_stratified_fifth(tmp_path):
    write(tmp_path / "a.npz", 20, target=np.tile(["x", "y"], 10))
    data = load_study_data(tmp_path / "a.npz")
    holdout = data.choose_cv(holdout=True, random_state=0)
    assert isinstance(holdout, PredefinedSplit)
    ((_, test),) = holdout.split()
    assert sorted(data.labels[test]) == ["x", "x", "y", "y"]
    assert data.choose_cv(random_state=0) == 5


def test_quick_takes_a_stratified_sample(tmp_path):
    split = np.repeat(["train", "val"], [4000, 400])
    target = np.where(np.arange(4400) % 400, "common", "rare")
    write(tmp_path / "a.npz", 4400, target=target, split=split)
    data = load_study_data(tmp_path / "a.npz", quick=True)
    assert 1190 < len(data.labels) < 1220
    assert (data.labels == "rare").sum() >= 7
    assert abs((data.test_fold == 0).mean() - 1 / 11) < 0.01
    again = load_study_data(tmp_path / "a.npz", quick=True)
    np.testing.assert_array_equal(data.images, again.images)


def test_size_of_arrays_is_given(tmp_path):
    write(tmp_path / "a.npz", 4, target=["x", "y"] * 2)
    with pytest.raises(ValueError, match="omit image_size"):
        load_study_data(tmp_path / "a.npz", image_size=16)
    with pytest.raises(FileNotFoundError, match="Did you mean 'bloodmnist'"):
        load_study_data("bloodmist")


def test_a_test_part_is_left_alone_where_there_is_no_validation_part(tmp_path):
    split = np.repeat(["train", "test"], [8, 4])
    images = write(tmp_path / "a.npz", 12, target=np.tile(["x", "y"], 6), split=split)
    data = load_study_data(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.images, images[:8])
    assert data.n_unseen == 4
    assert data.test_fold is None
    assert data.choose_cv(random_state=0) == 5
