"""Paired comparisons: corrected for shared training images and for many rows."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from skcell.metrics import (
    corrected_resampled_ttest,
    estimate_over_folds,
    holm_correction,
    macro_roc_auc,
)


def test_p_is_below_a_level_just_where_the_interval_leaves_out_zero():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        d = rng.normal(0.01, 0.01, 5)
        found = corrected_resampled_ttest(d, n_train=800, n_test=200)
        ends = found.interval(confidence_level=0.9)
        assert (found.p_value < 0.1) == (ends.low > 0 or ends.high < 0)
        seen.add(found.p_value < 0.1)
    assert seen == {True, False}


def test_without_overlap_it_is_the_paired_t_test():
    d = np.random.default_rng(0).normal(0.3, 1, 20)
    assert np.isclose(
        corrected_resampled_ttest(d, n_train=1e12, n_test=1).p_value,
        stats.ttest_1samp(d, 0).pvalue,
        rtol=1e-6,
    )


@pytest.mark.parametrize(("d", "p"), [([0.0, 0.0], 1.0), ([0.1, 0.1], 0.0)])
def test_equal_differences(d, p):
    assert corrected_resampled_ttest(d, n_train=2, n_test=1).p_value == p


def test_one_difference_is_refused():
    with pytest.raises(ValueError, match="at least two scores"):
        corrected_resampled_ttest([0.1], n_train=2, n_test=1)


def test_holm_against_scipys_adjustment_by_hand():
    assert np.allclose(holm_correction([0.01, 0.02, 0.03, 0.5]), [0.04, 0.06, 0.06, 0.5])
    np.testing.assert_allclose(holm_correction([np.nan, 0.03, 0.01]), [np.nan, 0.03, 0.02])
    assert holm_correction([0.9, 0.8]).max() == 1.0
    assert holm_correction([]).shape == (0,)


def test_auc_is_scikit_learns_and_skips_missing_classes():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    expected = roc_auc_score(y, p, multi_class="ovr", average="macro")
    assert np.isclose(macro_roc_auc(y, p, [0, 1, 2]), expected)
    without = np.where(y == 2, 1, y)
    expected = np.mean([roc_auc_score(without == c, p[:, c]) for c in (0, 1)])
    assert np.isclose(macro_roc_auc(without, p, [0, 1, 2]), expected)
    assert np.isnan(macro_roc_auc([0, 0], [[1, 0], [1, 0]], [0, 1]))


def simulate_folds(rng, spread, difference=0.0, n=600, n_folds=5):
    """Differences of two techniques that disagree about 15 % of images, more or less by fold."""
    units = np.split(rng.permutation(n), n_folds)
    values = []
    for part in units:
        gain = difference + rng.normal(0, spread)
        p = np.array([0.075 + gain / 2, 0.85, 0.075 - gain / 2]).clip(0)
        values.append(rng.choice([1.0, 0.0, -1.0], len(part), p=p / p.sum()))
    return values, units


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05])
def test_a_technique_against_itself_is_no_finding(spread):
    rng = np.random.default_rng(0)
    found = [estimate_over_folds(*simulate_folds(rng, spread)) for _ in range(400)]
    assert np.mean([one.p_value <= 0.05 for one in found]) <= 0.06
    ends = [one.interval() for one in found]
    assert np.mean([one.low <= 0 <= one.high for one in ends]) >= 0.93


def test_five_points_of_600_images_are_found():
    rng = np.random.default_rng(0)
    found = [estimate_over_folds(*simulate_folds(rng, 0.01, 0.05)) for _ in range(200)]
    assert np.mean([one.p_value <= 0.05 for one in found]) > 0.6
    alone = [
        corrected_resampled_ttest([v.mean() for v in values], n_train=480, n_test=120).p_value
        for values in (simulate_folds(rng, 0.01, 0.05)[0] for _ in range(200))
    ]
    assert np.mean(np.array(alone) <= 0.05) < 0.5, "folds alone tell less"


def test_images_of_a_patient_and_classes_count():
    rng = np.random.default_rng(0)
    values, units = simulate_folds(rng, 0.0)
    alone = estimate_over_folds(values, units)
    assert alone.mean == pytest.approx(np.mean([v.mean() for v in values]))
    assert alone.n_units == 600
    of_patients = [np.zeros(len(v), int) for v in values]
    for k, v in enumerate(values):
        of_patients[k][np.argsort(v, kind="stable")] = np.arange(len(v)) // 12 + 10 * k
    grouped = estimate_over_folds(values, of_patients)
    assert grouped.standard_error > 1.5 * alone.standard_error
    assert np.isinf(estimate_over_folds(values, [np.zeros(120)] * 5).standard_error)
    classes = [np.arange(120) % 3 for _ in values]
    balanced = estimate_over_folds(values, units, classes)
    assert balanced.mean == pytest.approx(alone.mean)
    with pytest.raises(ValueError, match="two folds"):
        estimate_over_folds(values[:1], units[:1])
