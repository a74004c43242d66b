"""What to label next: doubtful images that differ from each other."""

import numpy as np
import pytest

from skcell.model_selection import choose_to_label


def test_doubtful_images_of_each_cluster_are_chosen():
    """Of five clusters, one is certain, and one has most of the doubtful images."""
    rng = np.random.default_rng(0)
    sizes = [400, 300, 20, 20, 20]
    cluster = np.repeat(range(5), sizes)
    features = np.eye(5)[cluster] * 10 + rng.normal(0, 0.1, (len(cluster), 5))
    first = np.where(cluster == 0, 0.99, rng.uniform(0.4, 0.6, len(cluster)))
    chosen = choose_to_label(np.c_[first, 1 - first], features, 36, random_state=0)
    assert len(chosen) == len(set(chosen)) == 36
    assert set(cluster[chosen]) == {1, 2, 3, 4}
    margin = np.abs(2 * first - 1)[chosen]
    assert (np.diff(margin) >= 0).all(), "the most doubtful come first"


def test_with_few_images_all_are_chosen():
    p = [[0.8, 0.2], [0.5, 0.5], [0.6, 0.4]]
    assert choose_to_label(p, np.zeros((3, 2)), 5).tolist() == [1, 2, 0]
    same = choose_to_label(np.tile([1.0, 0.0], (60, 1)), np.zeros((60, 2)), 5)
    assert len(set(same)) == 5, "images that are all certain, and all alike"
    again = [choose_to_label(p, np.zeros((3, 2)), 1, random_state=3).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    ("p", "x", "n", "said"),
    [
        ([0.5, 0.5], [[1.0]], 1, "of shape"),
        ([[0.5, 0.5]], [[1.0], [2.0]], 1, "of shape"),
        ([[0.5, 0.5]], [[1.0]], 0, "n must be 1 or more"),
    ],
)
def test_what_is_refused(p, x, n, said):
    with pytest.raises(ValueError, match=said):
        choose_to_label(p, x, n)
