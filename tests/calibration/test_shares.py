"""Counts: corrected by what is confused, with intervals that hold."""

import numpy as np
import pytest

from skcell import CalibratedClassifier, CellCNNClassifier, load, save
from skcell.calibration import estimate_shares
from skcell.datasets import make_cells


def simulate(rng, table, shares, n):
    codes = rng.choice(len(shares), n, p=shares)
    return codes, np.array([rng.choice(len(shares), p=table[code]) for code in codes])


def test_a_rare_class_is_not_counted_twice():
    """Of 950 images of one class, 5 % are taken for the rare one, which has 50."""
    rng = np.random.default_rng(0)
    table = np.array([[0.95, 0.05], [0.1, 0.9]])
    codes, held_out = simulate(rng, table, [0.5, 0.5], 2000)
    _, predicted = simulate(rng, table, [0.95, 0.05], 1000)
    raw = (predicted == 1).mean()
    share = estimate_shares(predicted, held_out, codes, 2)[1]
    assert raw > 0.08
    assert abs(share.value - 0.05) < 0.02
    assert share.low < 0.05 < share.high


def test_intervals_contain_planted_shares():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(120):
        table = np.eye(5) * 0.85 + rng.dirichlet(np.full(5, 0.5), 5) * 0.15
        table /= table.sum(axis=1, keepdims=True)
        shares = rng.dirichlet(np.full(5, 0.5))
        codes, held_out = simulate(rng, table, np.full(5, 0.2), 150)
        _, predicted = simulate(rng, table, shares, 200)
        found = estimate_shares(predicted, held_out, codes, 5)
        covered += [one.low <= share <= one.high for one, share in zip(found, shares, strict=True)]
        assert sum(one.value for one in found) == pytest.approx(1)
    assert np.mean(covered) > 0.93


def test_patients_widen_intervals():
    rng = np.random.default_rng(0)
    codes, held_out = simulate(rng, np.array([[0.95, 0.05], [0.05, 0.95]]), [0.5, 0.5], 400)
    patients = np.repeat(np.arange(8), 50)
    predicted = (rng.random(400) < np.repeat(rng.uniform(0.1, 0.9, 8), 50)).astype(int)
    alone, grouped = (
        estimate_shares(predicted, held_out, codes, 2, groups=groups)[1]
        for groups in (None, patients)
    )
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_one_patient_says_nothing_about_others():
    codes = [0, 1] * 20
    for groups in ({"groups": [0] * 40}, {"held_out_groups": [0] * 40}):
        shares = estimate_shares(codes, codes, codes, 2, **groups)
        assert shares[0].value == pytest.approx(0.5)
        assert all(np.isnan(share.low) and np.isnan(share.high) for share in shares)


def test_a_class_that_no_patient_had_may_still_occur():
    patients = np.repeat(np.arange(5), 40)
    share = estimate_shares([0] * 200, [0, 1] * 50, [0, 1] * 50, 2, groups=patients)[1]
    assert share.low < 0.001
    assert 0.001 < share.high < 0.1


def test_without_an_image_there_is_no_share():
    with pytest.raises(ValueError, match="no image"):
        estimate_shares([], [0, 1], [0, 1], 2)


def test_a_classifier_counts_and_says_when_it_means_nothing(tmp_path):
    cells = make_cells(400, n_classes=3, image_size=24, random_state=0)
    X, y = cells.images, cells.target
    clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=15, random_state=0)
    model = CalibratedClassifier(clf, validation_fraction=0.3, random_state=0)
    model.fit(X[:250], y[:250])
    found = model.count(X[250:])
    assert sum(found.counts) == found.n_images == 150
    assert not found.warnings
    for code, share in enumerate(found.shares):
        assert share.low <= (y[250:] == code).mean() <= share.high
    save(model, tmp_path / "model.skcell")
    again = load(tmp_path / "model.skcell")
    assert again.count(model.assess(X[250:])).shares == found.shares
    dark = model.count(X[250:] // 4)
    assert any("far off" in sentence for sentence in dark.warnings)
    assert any("no test of a domain shift" in text for text in model.count(X[250:255]).warnings)
    assert str(dark).count("\n") >= 4
