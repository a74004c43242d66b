"""Intervals against their formulas, and their coverage."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skcell.metrics import (
    accuracy_interval,
    balanced_accuracy_interval,
    cross_validated_interval,
    design_effect,
    grouped_accuracy_interval,
    mean_interval,
)


@pytest.mark.parametrize(("n_correct", "n"), [(85, 100), (0, 7), (7, 7), (1, 2), (9000, 9500)])
def test_accuracy_interval_is_wilsons(n_correct, n):
    z, p = stats.norm.ppf(0.975), n_correct / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert_allclose(accuracy_interval(n_correct, n), (centre - reach, centre + reach), atol=1e-12)


def test_accuracy_interval_narrows_with_images_and_widens_with_confidence():
    def width(*arguments):
        low, high = accuracy_interval(*arguments)
        return high - low

    assert width(800, 1000) < width(80, 100)
    assert width(80, 100, 0.99) > width(80, 100, 0.9)


@pytest.mark.parametrize("n", [np.int64(10), 10])
def test_accuracy_interval_takes_numpy_integers(n):
    low, high = accuracy_interval(np.int64(8), n)
    assert type(low) is type(high) is float
    assert 0 <= low < 0.8 < high <= 1


@pytest.mark.parametrize("arguments", [(3, 2), (-1, 2), (0, 0), (1, 2, 1.0)])
def test_accuracy_interval_refuses(arguments):
    with pytest.raises(ValueError, match=r"n_correct|'n'|confidence"):
        accuracy_interval(*arguments)


def test_cross_validated_interval_is_nadeau_and_bengios():
    scores = np.array([0.84, 0.86, 0.83, 0.85, 0.87])
    reach = 2.7764451051977987 * math.sqrt((1 / 5 + 200 / 800) * scores.var(ddof=1))
    expected = scores.mean() - reach, scores.mean() + reach
    assert_allclose(cross_validated_interval(scores, n_train=800, n_test=200), expected)


def test_cross_validated_interval_covers_means_of_overlapping_training_sets():
    """Equicorrelated scores, with the correlation that the correction assumes: 95 % is 95 %."""
    rng = np.random.default_rng(0)
    n_splits, share = 10, 0.1
    correlation = share  # n_test / (n_test + n_train)
    common = rng.normal(size=(4000, 1)) * math.sqrt(correlation)
    scores = common + rng.normal(size=(4000, n_splits)) * math.sqrt(1 - correlation)
    ends = [cross_validated_interval(row, n_train=0.9, n_test=0.1) for row in scores]
    covered = np.mean([low <= 0 <= high for low, high in ends])
    assert abs(covered - 0.95) < 0.015


@pytest.mark.parametrize("scores", [[0.5], [], [[0.1, 0.2]], [0.1, np.nan]])
def test_cross_validated_interval_refuses(scores):
    with pytest.raises(ValueError, match=r"scores|sample"):
        cross_validated_interval(scores, n_train=8, n_test=2)


@pytest.mark.parametrize("n_patients", [5, 20])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_balanced_accuracy_of_patients_is_covered(n_patients, spread):
    """The same patients are in all eight classes, so the recalls are not independent."""
    rng = np.random.default_rng(0)
    logits = np.linspace(1.5, 3, 8)
    many = rng.normal(0, spread, (200_000, 1))
    truth = (1 / (1 + np.exp(-logits - many))).mean()
    covered = []
    for _ in range(300):
        groups = np.repeat(np.arange(n_patients), 80)
        y = np.tile(np.arange(8), len(groups) // 8)
        chance = 1 / (1 + np.exp(-logits[y] - rng.normal(0, spread, n_patients)[groups]))
        correct = rng.random(len(y)) < chance
        low, high = balanced_accuracy_interval(y, np.where(correct, y, -1), groups)
        covered.append(low <= truth <= high)
    assert np.mean(covered) > 0.9


def test_balanced_accuracy_of_one_class_is_the_accuracy():
    y, groups = np.zeros(40, int), np.arange(40) // 10
    predicted = (np.arange(40) >= 30).astype(int)
    assert_allclose(
        balanced_accuracy_interval(y, predicted, groups),
        grouped_accuracy_interval(predicted == y, groups),
    )
    assert np.isnan(balanced_accuracy_interval([0, 0, 1], [0, 0, 1], [1, 2, 2])).all()


def test_grouped_intervals_without_groups():
    correct = [True] * 30 + [False] * 10
    assert grouped_accuracy_interval(correct, None) == accuracy_interval(30, 40)
    assert design_effect(correct, None) == 1
    values = np.random.default_rng(0).normal(size=50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert_allclose(mean_interval(values), expected)
    assert_allclose(mean_interval(values, np.arange(50)), expected)
    assert np.isnan(mean_interval(values, np.zeros(50))).all()
