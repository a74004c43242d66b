"""Calibration, prediction sets and shift: by simulation, and against other implementations."""

import copy
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestNeighbors

from skcell import CalibratedClassifier, CellCNNClassifier, ImageSMOTE, make_pipeline
from skcell.calibration import (
    ConformalSets,
    ReferenceProfile,
    UnknownDetector,
    fit_temperature,
    scale_probabilities,
)
from skcell.exceptions import AdaptationWarning
from skcell.metrics import accuracy_coverage_curve, describe_images, measure_reliability

SMALL = {"filters": (8, 16), "dense_units": 32, "epochs": 6, "random_state": 0}


def simulate(n, n_classes=5, seed=0, sharpness=1.0):
    """True probabilities, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_classes, 0.3 * sharpness), size=n)
    codes = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return p, codes


@pytest.fixture(scope="module")
def fitted(cells):
    y = cells.target_names[cells.target]
    clf = CellCNNClassifier(**{**SMALL, "epochs": 20})
    clf = CalibratedClassifier(clf, random_state=0, validation_fraction=0.25)
    return clf.fit(cells.images[:180], y[:180]), cells.images[180:], y[180:]


# Temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_applied_is_found(temperature):
    p, codes = simulate(20_000)
    distorted = scale_probabilities(p, 1 / temperature)
    assert fit_temperature(distorted, codes) == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(scale_probabilities(distorted, temperature), p, atol=1e-6)


def test_no_wrong_image_is_no_certainty():
    """Twenty correct predictions at 0.98 say little; the optimum of their log loss is T = 0."""
    confident = fit_temperature([[0.98, 0.02]] * 20, [0] * 20)
    assert 0.7 < confident <= 1
    assert fit_temperature([[0.98, 0.02]] * 19 + [[0.999, 0.001]], [0] * 19 + [1]) > 1.2
    assert fit_temperature(np.tile([0.6, 0.4], (5000, 1)), [0] * 5000) == pytest.approx(
        0.2, abs=0.01
    )


def test_the_temperature_is_that_of_scikit_learn():
    p, codes = simulate(2000)
    X = np.log(scale_probabilities(p, 0.4))
    model = LogisticRegression(C=1e9, max_iter=2000).fit(X, codes)
    try:
        rival = CalibratedClassifierCV(FrozenEstimator(model), method="temperature", ensemble=False)
        rival.fit(X, codes)
    except Exception as error:
        if "temperature" not in str(error):
            raise
        pytest.skip("scikit-learn before 1.8 has no temperature scaling")
    mine = fit_temperature(model.predict_proba(X), codes)
    np.testing.assert_allclose(
        scale_probabilities(model.predict_proba(X), mine), rival.predict_proba(X), atol=5e-3
    )


# Prediction sets


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_cover_the_true_class_as_often_as_stated(method, coverage):
    hits = []
    for seed in range(200):
        p, codes = simulate(300, seed=seed)
        wrong = scale_probabilities(p, 0.5)  # too sure: the guarantee does not need good ones
        sets = ConformalSets.fit(wrong[:100], codes[:100], method)
        found = sets.predict(wrong[100:], coverage)
        hits.append(found[np.arange(200), codes[100:]].mean())
    # Its exact mean is between the coverage and the coverage plus 1/101, but for ties of APS.
    assert coverage - 0.01 < np.mean(hits) < coverage + (0.02 if method == "lac" else 0.15)


def test_sets_by_class_cover_each_class():
    marginal, by_class = [], []
    for seed in range(100):
        p, codes = simulate(600, n_classes=3, seed=seed)
        p = p * [1.0, 0.6, 0.2]  # the last class is hardly ever predicted
        p /= p.sum(axis=1, keepdims=True)
        sets = ConformalSets.fit(p[:300], codes[:300])
        hard = codes[300:] == 2
        for found, kept in ((False, marginal), (True, by_class)):
            inside = sets.predict(p[300:], 0.9, by_class=found)
            kept.append(inside[np.arange(300), codes[300:]][hard].mean())
    assert np.mean(marginal) < 0.87
    assert 0.89 < np.mean(by_class) < 0.93


@pytest.mark.parametrize("coverage", [0.9, 0.95])
def test_sets_cover_images_of_new_patients(coverage):
    """Patients differ in how hard their images are; ordinary sets cover too few of new ones."""
    rng = np.random.default_rng(0)

    def patients(n):
        shift = np.repeat(rng.normal(0, 1.5, n), 40)
        logits = rng.normal(1.5 + shift[:, None] * [1, 0], 1)
        return scale_probabilities(np.exp(logits), 1.0), np.repeat(np.arange(n), 40)

    hit = {"images": [], "patients": []}
    for _ in range(300):
        p, groups = patients(20)
        new, _ = patients(1)
        for name, known in (("images", None), ("patients", groups)):
            sets = ConformalSets.fit(p, np.zeros(len(p), np.intp), groups=known)
            # The limit itself, without the most probable class that is always in the set.
            hit[name].append((1 - new[:, 0] <= sets._limit(slice(None), coverage)).mean())
    assert np.mean(hit["patients"]) > coverage - 0.015
    assert np.mean(hit["patients"]) > np.mean(hit["images"])
    assert ConformalSets.fit(p[:320], np.zeros(320, int), groups=groups[:320]).predict(new).all()
    assert ConformalSets.fit(p, np.zeros(len(p), int), groups=groups).n_units == 20


def test_adaptive_sets_do_not_grow_with_certainty():
    p = np.tile([1.0, 0.0, 0.0], (50, 1))
    sets = ConformalSets.fit(p, [0] * 50, "aps")
    assert sets.predict(p, 0.9).sum(axis=1).tolist() == [1] * 50


@pytest.mark.parametrize(("method", "name"), [("lac", "lac"), ("aps", "aps")])
def test_sets_are_those_of_mapie(method, name):
    mapie = pytest.importorskip("mapie.classification", reason="mapie comes with skcell[tests]")
    p, codes = simulate(600, n_classes=4)

    class Fixed(LogisticRegression):
        def predict_proba(self, X):
            return np.asarray(X)

        def predict(self, X):
            return np.asarray(X).argmax(axis=1)

    model = Fixed().fit(p, codes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rival = mapie.SplitConformalClassifier(
            model, confidence_level=0.9, conformity_score=name, prefit=True, random_state=0
        )
        rival.conformalize(p[:300], codes[:300])
        include = {} if method == "lac" else {"include_last_label": True}
        _, theirs = rival.predict_set(p[300:], conformity_score_params=include)
    mine = ConformalSets.fit(p[:300], codes[:300], method).predict(p[300:], 0.9)
    theirs = theirs[:, :, 0].copy()
    theirs[np.arange(300), p[300:].argmax(axis=1)] = True  # which is always in ours
    if method == "lac":
        np.testing.assert_array_equal(mine, theirs)
    else:  # theirs puts the class that crosses the limit in, ours leaves it out
        assert (mine == theirs).mean() > 0.8


def test_too_few_images_for_a_coverage_put_every_class_in():
    p, codes = simulate(8)
    sets = ConformalSets.fit(p, codes)
    assert sets.predict(p, 0.9).all()
    assert not sets.predict(p, 0.8).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        sets.predict(p, 1.0)
    with pytest.raises(ValueError, match="'lac' or 'aps'"):
        ConformalSets.fit(p, codes, "raps")


# Unknown


def test_distances_are_those_of_an_independent_search():
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=(50, 6)), rng.normal(size=(20, 6))
    detector = UnknownDetector(n_neighbors=3, max_samples=50).fit(known)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, new)]
    expected = np.sort(np.linalg.norm(unit[1][:, None] - unit[0][None], axis=2), axis=1)[:, 2]
    np.testing.assert_allclose(-detector.score_samples(new), expected)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_rare_as_stated(rate):
    alarms = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        train, held, new = (rng.normal(size=(n, 8)) + 3 for n in (200, 300, 500))
        detector = UnknownDetector(false_alarm_rate=rate, random_state=0).fit(train)
        alarms.append((detector.set_threshold(held).predict(new) < 0).mean())
    assert 0.4 * rate < np.mean(alarms) <= 1.1 * rate


def test_with_groups_a_large_patient_does_not_decide_alone():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(200, 4)) + 5
    large, small = rng.normal(size=(900, 4)) + 5, rng.normal(size=(30, 4)) * 3 + 5
    detector = UnknownDetector(false_alarm_rate=0.1, random_state=0).fit(train)
    held = np.concatenate([large, small])
    alone = detector.set_threshold(held).offset_
    grouped = detector.set_threshold(held, np.repeat(["a", "b"], [900, 30])).offset_
    assert grouped < alone


def test_strange_images_are_unknown(fitted):
    clf, X, _ = fitted
    rng = np.random.default_rng(0)
    assert clf.is_unknown(X).mean() < 0.15
    noise = rng.integers(0, 256, X.shape, dtype=np.uint8)
    known, strange = (clf.assess(images).known_scores for images in (X, noise))
    assert roc_auc_score(np.repeat([1, 0], len(X)), np.concatenate([known, strange])) > 0.85


# Shift


def test_a_shift_is_told_and_its_absence_is_not(fitted):
    clf, X, _ = fitted
    at_home = clf.detect_shift(X)
    assert not at_home.shifted
    assert at_home.n_images == len(X)
    dark = clf.detect_shift((X * 0.6).astype(np.uint8))
    assert dark.shifted
    name, value = next(iter(dark.differences.items()))
    assert "pixels" in name
    assert value < -1


def test_a_shift_says_what_may_be_left_of_the_accuracy(fitted):
    clf, X, _ = fitted
    at_home = clf.detect_shift(X)
    assert at_home.kept[1] == pytest.approx(1, abs=0.05)
    assert "kept" not in str(at_home), "nothing is said where nothing differs"
    rng = np.random.default_rng(0)
    noisy = np.clip(X + rng.normal(0, 90, X.shape), 0, 255).astype(np.uint8)
    elsewhere = clf.detect_shift(noisy)
    low, high = elsewhere.kept
    assert low < high < at_home.kept[1]
    assert f"kept {100 * low:.0f} to {100 * high:.0f} % of their accuracy" in str(elsewhere)
    with pytest.warns(AdaptationWarning):
        adapted = clf.adapt(noisy)
    assert adapted.detect_shift(noisy).kept is None, "its probabilities are not calibrated"


def test_a_folder_of_one_class_is_no_shift(fitted, cells):
    clf, _, _ = fitted
    y = cells.target_names[cells.target]
    for label in np.unique(y):
        assert not clf.detect_shift(cells.images[180:][y[180:] == label]).shifted


def test_features_of_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
    names, found = describe_images(images)
    assert len(names) == found.shape[1] == 10
    np.testing.assert_allclose(
        found[:, names.index("medium pixels, channel green")],
        np.median(images[..., 1].reshape(5, -1), axis=1),
    )
    blurred = np.repeat(np.repeat(images[:, ::2, ::2], 2, axis=1), 2, axis=2)
    assert (describe_images(blurred)[1][:, -1] < found[:, -1]).all()
    flat = describe_images(np.full((2, 8, 8), 3, np.uint8))[1]
    assert np.isfinite(flat).all()
    assert np.isfinite(describe_images(np.ones((2, 1, 1)))[1]).all()


def test_false_alarms_of_a_shift_are_rare_for_small_homes_and_heavy_tails():
    rng = np.random.default_rng(0)
    told = {60: [], 225: []}
    for n, alarms in told.items():
        for _ in range(100):
            values, codes = rng.standard_t(3, (n + 200, 10)), rng.integers(0, 8, n + 200)
            values += codes[:, None]
            home = ReferenceProfile.fit(range(10), values[:n], codes[:n], 8)
            alarms.append(home.compare(values[n:], codes[n:]).shifted)
            assert home.compare(values[n:] + 4, codes[n:]).shifted
    assert max(map(np.mean, told.values())) <= 0.02


def test_another_patient_is_no_shift_if_patients_differ_as_much():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 30)
    values = rng.normal(size=(300, 1)) + rng.normal(0, 1.5, 10)[groups, None]
    codes = np.zeros(300, np.intp)
    home = ReferenceProfile.fit(["a"], values, codes, 1, groups)
    assert home.between[0] > 0.5
    other = rng.normal(size=(100, 1)) + 2.5
    assert ReferenceProfile.fit(["a"], values, codes, 1).compare(other, codes[:100]).shifted
    assert not home.compare(other, codes[:100]).shifted
    assert home.compare(other + 12, codes[:100]).shifted


def test_a_feature_that_never_differs_at_home_is_no_division_by_zero():
    home = ReferenceProfile.fit(["a", "b"], np.ones((30, 2)), np.zeros(30, np.intp), 2)
    assert not home.compare(np.ones((30, 2)), np.zeros(30, np.intp)).shifted
    assert home.compare(np.full((30, 2), 2.0), np.ones(30, np.intp)).shifted


# The classifier


def test_it_is_calibrated_on_images_that_it_was_not_trained_on(fitted):
    clf, X, y = fitted
    assert clf.calibration_["n_images"] == 45
    assert clf.calibration_["log_loss_after"] <= clf.calibration_["log_loss_before"] + 1e-9
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_array_equal(clf.predict(X), clf.estimator_.predict(X))
    raw = clf.estimator_.predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(X), scale_probabilities(raw, clf.temperature_))
    assert clf.score(X, y) > 0.5
    found = clf.assess(X, 0.8)
    np.testing.assert_array_equal(found.prediction_sets, clf.predict_set(X, 0.8))
    np.testing.assert_array_equal(found.unknown, clf.is_unknown(X))
    np.testing.assert_array_equal(found.labels, clf.predict(X))


def test_a_person_decides_about_uncertain_images(fitted):
    clf, X, _ = fitted
    p = clf.predict_proba(X)
    assert not clf.assess(X).uncertain.any()
    np.testing.assert_array_equal(clf.assess(X, min_confidence=0.8).uncertain, p.max(axis=1) < 0.8)
    first = clf.classes_[0]
    found = clf.assess(X, min_confidence={first: 1.0})
    np.testing.assert_array_equal(found.uncertain, (found.labels == first) & (p.max(axis=1) < 1))
    with pytest.raises(ValueError, match=r"has \['x'\], but the classes are"):
        clf.assess(X, min_confidence={"x": 1.0})
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        clf.assess(X, min_confidence=3)


def test_early_stopping_and_calibration_share_a_holdout(cells):
    """So calibration costs no further data, and samplers never see it."""
    seen = {}

    class Watched(CellCNNClassifier):
        def fit(self, X, y, *args, X_val=None, y_val=None, **kwargs):
            seen.update(train=len(X), val=len(X_val))
            return super().fit(X, y, *args, X_val=X_val, y_val=y_val, **kwargs)

    y = cells.target_names[cells.target]
    keep = np.flatnonzero((y != y[0]) | (np.arange(len(y)) % 3 == 0))  # one class is rarer
    clf = Watched(**SMALL, early_stopping=True)
    model = CalibratedClassifier(make_pipeline(ImageSMOTE(random_state=0), clf), random_state=0)
    model.fit(cells.images[keep], y[keep])
    n_held = model.calibration_["n_images"]
    assert seen["val"] == n_held == round(0.15 * len(keep))
    assert seen["train"] > len(keep) - n_held


def test_groups_are_held_out_whole(cells):
    y, groups = cells.target_names[cells.target], np.arange(240) // 4
    held = {}

    class Watched(CellCNNClassifier):
        def fit(self, X, y, *args, **kwargs):
            held["train"] = {image.tobytes() for image in X}
            return super().fit(X, y, *args, **kwargs)

    clf = CalibratedClassifier(Watched(**{**SMALL, "epochs": 1}), random_state=0)
    clf.fit(cells.images, y, groups=groups)
    is_train = np.array([image.tobytes() in held["train"] for image in cells.images])
    assert all(len(set(is_train[groups == group])) == 1 for group in np.unique(groups))


def test_a_fitted_classifier_can_be_calibrated(cells):
    y = cells.target_names[cells.target]
    clf = CellCNNClassifier(**SMALL).fit(cells.images[:120], y[:120])
    model = CalibratedClassifier(FrozenEstimator(clf)).fit(cells.images[120:200], y[120:200])
    assert model.estimator_ is clf
    assert model.calibration_["n_images"] == 80
    assert model.is_unknown(cells.images[200:]).mean() < 0.2


def test_paths_are_assessed_like_arrays(fitted, tmp_path):
    from PIL import Image

    clf, X, _ = fitted
    paths = []
    for i, image in enumerate(X[:12]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    np.testing.assert_array_equal(clf.assess(paths).probabilities, clf.assess(X[:12]).probabilities)


def test_images_of_the_fit_are_recognised(fitted, cells, tmp_path):
    from PIL import Image

    clf, X, y = fitted
    assert clf.was_trained_on(cells.images).tolist() == [True] * 180 + [False] * len(X)
    Image.fromarray(cells.images[3]).save(tmp_path / "3.png")
    assert clf.was_trained_on([str(tmp_path / "3.png")]).tolist() == [True]
    adapted = clf.adapt(X, X[:40], y[:40])
    assert adapted.was_trained_on(X).tolist() == [True] * 40 + [False] * (len(X) - 40)
    assert adapted.was_trained_on(cells.images[:180]).all()
    assert not clf.was_trained_on(X).any(), "the original is as it was"


def test_it_is_cross_validated_like_any_classifier(cells):
    clf = CalibratedClassifier(CellCNNClassifier(**SMALL), random_state=0)
    scores = cross_val_score(clone(clf), cells.images, cells.target, cv=2, scoring="neg_log_loss")
    assert np.isfinite(scores).all()


def test_an_adapted_copy(fitted):
    clf, X, _ = fitted
    elsewhere = (X * 0.6).astype(np.uint8)
    assert clf.detect_shift(elsewhere).shifted
    blank = np.full((30, *X.shape[1:]), 120, np.uint8)
    assert clf.is_unknown(blank).all()
    with pytest.warns(AdaptationWarning, match="not calibrated for what it predicts now"):
        adapted = clf.adapt(elsewhere)
    assert adapted.estimator_ is not clf.estimator_
    assert adapted.estimator_.adaptation_["n_images"] == len(X)
    assert clf.calibrated_, "the original is as it was"
    assert not adapted.calibrated_
    # Images without labels are no evidence that predictions are correct: both alarms stay.
    assert adapted.detect_shift(elsewhere).shifted
    assert adapted.is_unknown(blank).all()
    found = adapted.assess(elsewhere, min_confidence=0.01)
    assert found.prediction_sets is None
    assert found.list_prediction_sets() is None
    assert found.uncertain.all()
    with pytest.raises(ValueError, match="16 or more labelled images from there"):
        adapted.predict_set(elsewhere)


def test_labelled_images_calibrate_an_adapted_copy(fitted):
    clf, X, y = fitted
    elsewhere = (X * 0.6).astype(np.uint8)
    with pytest.warns(AdaptationWarning, match="not calibrated"):
        assert not clf.adapt(elsewhere, elsewhere[:15], y[:15]).calibrated_
    adapted = clf.adapt(elsewhere, elsewhere[:40], y[:40])
    assert adapted.calibrated_
    assert adapted.calibration_["n_images"] == 40
    assert len(adapted.sets_.scores) == 40
    assert not adapted.detect_shift(elsewhere[40:]).shifted
    assert not adapted.detect_shift(X[40:]).shifted, "the first home stays"
    assert len(clf.references_) == 1, "the original is as it was"
    rest = np.searchsorted(adapted.classes_, y[40:])
    sets = adapted.predict_set(elsewhere[40:], 0.9)
    assert sets[np.arange(len(rest)), rest].mean() > 0.75
    groups = np.arange(40) // 10
    by_patient = clf.adapt(elsewhere, elsewhere[:40], y[:40], groups=groups)
    assert by_patient.calibration_["n_groups"] == 4
    assert by_patient.predict_set(elsewhere, 0.9).all(), "0.9 needs nine patients"
    with pytest.warns(AdaptationWarning, match="of one group"):
        assert not clf.adapt(elsewhere, elsewhere[:40], y[:40], groups=[0] * 40).calibrated_


def test_sets_are_refused_with_symmetries_that_were_not_calibrated(fitted):
    clf, X, _ = fitted
    other = copy.deepcopy(clf)
    other.estimator_.set_params(tta="d4")
    with pytest.raises(ValueError, match="averages over other symmetries"):
        other.predict_set(X)
    assert other.assess(X).prediction_sets is None


def test_what_is_refused(cells):
    X, y = cells.images[:60], cells.target_names[cells.target[:60]]
    with pytest.raises(TypeError, match="CalibratedClassifierCV"):
        CalibratedClassifier(LogisticRegression()).fit(X, y)
    steps = make_pipeline(NearestNeighbors(), CellCNNClassifier())
    with pytest.raises(TypeError, match="pipeline of samplers"):
        CalibratedClassifier(steps).fit(X, y)
    alone = y.copy()
    alone[0] = "alone"
    with pytest.raises(ValueError, match=r"calibration holds out.*'alone' has only one image"):
        CalibratedClassifier(CellCNNClassifier(**SMALL)).fit(X, alone)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.01 of 60 images holds out 1"):
        CalibratedClassifier(CellCNNClassifier(**SMALL), validation_fraction=0.01).fit(X, y)


# Metrics


def test_the_calibration_error_of_a_hand_made_example():
    p = [[0.95, 0.05], [0.95, 0.05], [0.95, 0.05], [0.65, 0.35]]
    found = measure_reliability([0, 0, 1, 1], p, [0, 1], n_bins=10)
    assert found.plug_in_error == pytest.approx((3 * (0.95 - 2 / 3) + 0.65) / 4)
    assert found.log_loss.value == pytest.approx(-np.log([0.95, 0.95, 0.05, 0.35]).mean())
    assert found.log_loss.low == 0, "no loss is lower"
    assert found.counts.tolist() == [1, 3]
    assert found.error.low <= found.error.value <= found.error.high


@pytest.mark.parametrize("sharpness", [1.0, 0.5])
def test_the_interval_of_the_calibration_error_covers_it(sharpness):
    """1.0 is perfectly calibrated: the error is 0, which a plug-in estimate never shows."""
    p, codes = simulate(200_000)
    stated = scale_probabilities(p, sharpness)
    true = measure_reliability(codes, stated, np.arange(5)).plug_in_error
    true = 0.0 if sharpness == 1 else true
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(150):
        some = rng.choice(len(p), 200, replace=False)
        found = measure_reliability(codes[some], stated[some], np.arange(5), n_simulations=300)
        assert found.error.low <= found.error.value <= found.error.high
        covered.append(found.error.low <= true <= found.error.high)
    assert np.mean(covered) > 0.88


def test_true_probabilities_are_calibrated_and_sharper_ones_are_not():
    p, codes = simulate(5000)
    classes = np.arange(5)
    assert measure_reliability(codes, p, classes).error.value < 0.02
    sharper = scale_probabilities(p, 0.3)
    assert measure_reliability(codes, sharper, classes).error.value > 0.05
    # Images of one patient are right or wrong together.
    groups = np.repeat(np.arange(50), 100)
    gaps = p.max(axis=1) - (p.argmax(axis=1) == codes)
    order = np.argsort(gaps + np.random.default_rng(0).normal(0, 1, 5000), kind="stable")
    alone = measure_reliability(codes[order], p[order], classes)
    whole = measure_reliability(codes[order], p[order], classes, groups=groups)
    wide, narrow = (found.error.high - found.error.low for found in (whole, alone))
    assert wide > 1.2 * narrow
    known = np.isfinite(whole.low)  # a bin of one patient has no interval
    assert (whole.high - whole.low)[known].mean() > (alone.high - alone.low)[known].mean()


def test_accuracy_of_the_most_certain():
    p, codes = simulate(2000)
    coverage, accuracy, limits = accuracy_coverage_curve(codes, p, np.arange(5))
    assert coverage[-1] == 1
    assert accuracy[-1] == (p.argmax(axis=1) == codes).mean()
    assert accuracy[200] > accuracy[-1]
    assert (np.diff(limits) < 0).all()


def test_ties_of_certainty_are_decided_together():
    p = np.tile([0.8, 0.2], (10, 1))
    codes = np.array([0] * 5 + [1] * 5)
    for order in (np.arange(10), np.arange(10)[::-1]):
        coverage, accuracy, _ = accuracy_coverage_curve(codes[order], p, [0, 1])
        assert (coverage.tolist(), accuracy.tolist()) == ([1.0], [0.5])
