"""The holdout of early stopping: every class on both sides, copies and groups on one."""

import numpy as np
import pytest

from skcell._holdout import describe_copies, find_copies, split_holdout


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8])
def test_a_class_of_two_is_on_both_sides(fraction):
    y = np.repeat([0, 1, 2], [60, 38, 2])
    for seed in range(50):
        train, held = split_holdout(y, fraction=fraction, groups=None, random_state=seed)
        assert set(y[train]) == set(y[held]) == {0, 1, 2}
        assert len(held) == round(100 * fraction)
        assert sorted([*train, *held]) == list(range(100))
        assert abs((y[held] == 0).sum() - 60 * fraction) <= 2, "stratified"


def test_copies_are_on_one_side_also_across_groups():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 4, 4, 3), np.uint8)
    rows = rng.integers(0, 40, 120)  # a bootstrap
    X, y = images[rows], np.arange(40)[rows] % 2
    copies = find_copies(X)
    assert len(np.unique(copies)) == len(np.unique(rows))
    for groups in (None, rows // 2):
        for seed in range(5):
            train, held = split_holdout(
                y, fraction=0.2, groups=groups, random_state=seed, copies=copies
            )
            assert not set(rows[train]) & set(rows[held])
    few = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])  # one copy joins the first two groups
    joined = np.array([0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for seed in range(10):
        train, held = split_holdout(
            np.arange(12) % 2, fraction=0.3, groups=few, random_state=seed, copies=joined
        )
        assert not set(few[train]) & set(few[held])
        assert not set(joined[train]) & set(joined[held])


def test_copies_of_paths_are_the_same_path_or_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    X = np.array([str(tmp_path / name) for name in "abca"])
    assert find_copies(X).tolist() == [0, 1, 2, 0]
    assert find_copies(X, content=True).tolist() == [0, 0, 1, 0]


def test_a_class_that_no_choice_of_groups_holds_out_is_said():
    y = np.repeat([0, 1, 2], [12, 12, 2])
    groups = np.repeat(np.arange(13), 2)  # class 2 is one group: it must train
    with pytest.raises(ValueError, match="No group can be held out"):
        split_holdout(y[:14], fraction=0.5, groups=np.repeat([0, 1], [12, 2]), random_state=0)
    with pytest.warns(UserWarning, match="No image of class .*2.* is held out"):
        split_holdout(y, fraction=0.2, groups=groups, random_state=0)


def test_copies_that_invalidate_scores_are_told_with_names():
    copies, y = np.array([0, 1, 0, 2, 1]), np.array(["x", "y", "x", "y", "x"])
    splits = [(np.array([0, 2, 3]), np.array([1, 4])), (np.array([1, 3, 4]), np.array([0, 2]))]
    names = np.array(list("abcde"))
    (told,) = describe_copies(copies, y, splits, names)
    assert "under two labels: b = e is x and y" in told
    splits = [(np.array([0, 3]), np.array([1, 2, 4]))]
    told = describe_copies(copies, y, splits, names)
    assert "both sides of a split" in told[1]
    assert "a = c" in told[1]
    assert describe_copies(np.arange(5), y, splits, names) == []
