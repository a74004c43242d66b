"""Intervals against their formulas, and their coverage."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from skcell.metrics import (
    Estimate,
    accuracy_interval,
    balanced_accuracy_interval,
    corrected_resampled_ttest,
    mean_interval,
)


def ends(estimate):
    return estimate.low, estimate.high


def of(n_correct, n):
    return np.arange(n) < n_correct


@pytest.mark.parametrize(("n_correct", "n"), [(85, 100), (0, 7), (7, 7), (1, 2), (9000, 9500)])
def test_accuracy_interval_is_wilsons(n_correct, n):
    found = accuracy_interval(of(n_correct, n))
    expected = stats.binomtest(n_correct, n).proportion_ci(method="wilson")
    assert_allclose(ends(found), expected, atol=1e-12)
    assert found.value == n_correct / n
    assert {type(one) for one in (found.value, found.low, found.high)} == {float}


def test_accuracy_interval_narrows_with_images_and_widens_with_confidence():
    def width(*arguments, **level):
        return np.ptp(ends(accuracy_interval(of(*arguments), **level)))

    assert width(800, 1000) < width(80, 100)
    assert width(80, 100, confidence_level=0.99) > width(80, 100, confidence_level=0.9)
    with pytest.raises(ValueError, match="confidence_level"):
        accuracy_interval([True], confidence_level=1.0)


def test_an_estimate_prints_itself():
    assert str(Estimate(0.9, 0.82, 0.951)) == "90.0 % (82.0 to 95.1)"
    assert f"{Estimate(0.1234, 0.1, 0.15):.3f}" == "0.123 (0.100 to 0.150)"
    assert str(accuracy_interval([True, False], [1, 1])) == "50.0 % (no interval)"


def test_the_resampled_interval_is_nadeau_and_bengios():
    scores = np.array([0.84, 0.86, 0.83, 0.85, 0.87])
    reach = 2.7764451051977987 * math.sqrt((1 / 5 + 200 / 800) * scores.var(ddof=1))
    found = corrected_resampled_ttest(scores, n_train=800, n_test=200).interval()
    assert_allclose(ends(found), (scores.mean() - reach, scores.mean() + reach))
    assert found.value == pytest.approx(scores.mean())


def test_the_resampled_interval_covers_means_of_overlapping_training_sets():
    """Equicorrelated scores, with the correlation that the correction assumes: 95 % is 95 %."""
    rng = np.random.default_rng(0)
    n_splits, share = 10, 0.1
    correlation = share  # n_test / (n_test + n_train)
    common = rng.normal(size=(4000, 1)) * math.sqrt(correlation)
    scores = common + rng.normal(size=(4000, n_splits)) * math.sqrt(1 - correlation)
    found = [corrected_resampled_ttest(row, n_train=0.9, n_test=0.1).interval() for row in scores]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert abs(covered - 0.95) < 0.015


@pytest.mark.parametrize("scores", [[0.5], [], [[0.1, 0.2]], [0.1, np.nan]])
def test_scores_that_say_nothing_are_refused(scores):
    with pytest.raises(ValueError, match=r"scores|sample"):
        corrected_resampled_ttest(scores, n_train=8, n_test=2)


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
        found = balanced_accuracy_interval(y, np.where(correct, y, -1), groups)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.9


def test_balanced_accuracy_of_one_class_is_the_accuracy():
    y, groups = np.zeros(40, int), np.arange(40) // 10
    predicted = (np.arange(40) >= 30).astype(int)
    found = balanced_accuracy_interval(y, predicted, groups)
    assert_allclose(ends(found), ends(accuracy_interval(predicted == y, groups)))
    assert np.isnan(ends(balanced_accuracy_interval([0, 0, 1], [0, 0, 1], [1, 2, 2]))).all()


def test_balanced_accuracy_is_scikit_learns_and_its_interval_that_of_equal_classes():
    rng = np.random.default_rng(0)
    y, predicted = rng.integers(0, 3, 90), rng.integers(0, 3, 90)
    found = balanced_accuracy_interval(y, predicted)
    assert found.value == pytest.approx(balanced_accuracy_score(y, predicted))
    assert found.low < found.value < found.high


def test_means_without_groups_have_the_t_interval():
    values = np.random.default_rng(0).normal(size=50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert_allclose(ends(mean_interval(values)), expected)
    assert_allclose(ends(mean_interval(values, np.arange(50))), expected)
    assert np.isnan(ends(mean_interval(values, np.zeros(50)))).all()
