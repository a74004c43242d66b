"""The pipeline does not leak: asserted on identities of images, not on scores."""

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import SMOTE
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.neural_network import MLPClassifier

from skcell import CellCNNClassifier, ImageAugmenter, ImageSampler, ImageSMOTE, make_pipeline
from skcell.pipeline import Pipeline

LAST = {}


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what it was fitted on, and stops early by its word."""

    def __init__(self, early_stopping=True, validation_fraction=0.25, random_state=0):
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None):
        LAST.update(X=X, y=y, w=sample_weight, groups=groups, X_val=X_val, y_val=y_val)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        LAST["X_predicted"] = X
        return np.resize(self.classes_, len(X))


class Halve(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_seen_ = len(X)
        return self

    def transform(self, X):
        return X // 2


@pytest.fixture
def tagged(cells):
    """Images whose every pixel says which image it is, and cannot arise from two others."""
    X = np.zeros((240, 4, 4, 1), np.uint16)
    X += (np.arange(240, dtype=np.uint16) * 200)[:, None, None, None]
    return X, cells.target


def names(X):
    return set(np.unique(X).tolist())


@pytest.mark.parametrize(
    "sampler",
    [
        ImageSMOTE(random_state=0),
        ImageAugmenter(random_state=0),
        ImageSampler(SMOTE(random_state=0)),
        ImageSampler(RandomUnderSampler(random_state=0)),
    ],
    ids=lambda s: repr(s)[:30],
)
def test_holdout_is_real_and_no_parent_of_anything_trained_on(tagged, sampler):
    X, y = tagged
    model = make_pipeline(sampler, Recorder()).fit(X, y)
    assert len(LAST["X_val"]) == 60
    assert names(LAST["X_val"]) <= names(X), "nothing synthetic validates"
    held = LAST["X_val"][:, 0, 0, 0] // 200
    np.testing.assert_array_equal(LAST["y_val"], y[held])
    np.testing.assert_allclose(np.bincount(LAST["y_val"]), np.bincount(y) / 4, atol=1)
    origin = getattr(model[0], "sample_indices_", np.arange(180))
    assert origin.max() < 180, "what is sampled from is the training part alone"


def test_sampler_never_sees_the_holdout(tagged):
    X, y = tagged

    class Spy(ImageSMOTE):
        def _fit_resample(self, X, y):
            LAST["sampled"] = names(X)
            return super()._fit_resample(X, y)

    make_pipeline(Spy(random_state=0), Recorder()).fit(X, y)
    assert len(LAST["sampled"]) == 180
    assert not LAST["sampled"] & names(LAST["X_val"])


def test_cross_validation_resamples_inside_the_fold(tagged):
    X, y = tagged

    class Spy(ImageSMOTE):
        def _fit_resample(self, X, y):
            LAST["sampled"] = names(X)
            return super()._fit_resample(X, y)

    class Check(Recorder):
        def predict(self, X):
            LAST.setdefault("overlaps", []).append(len(LAST["sampled"] & names(X)))
            assert names(X) <= set(range(0, 48000, 200)), "scored on real images alone"
            return super().predict(X)

    LAST.clear()
    cross_val_score(make_pipeline(Spy(), Check()), X, y, cv=3, error_score="raise")
    assert LAST["overlaps"] == [0, 0, 0]


def test_groups_stay_together(tagged):
    X, y = tagged
    groups = np.arange(240) // 8
    make_pipeline(ImageSMOTE(random_state=0), Recorder()).fit(X, y, groups=groups)
    held = LAST["X_val"][:, 0, 0, 0] // 200
    trained = np.setdiff1d(np.arange(240), held)
    assert len(held)
    assert not set(groups[held]) & set(groups[trained])


def test_transformers_see_the_training_part_and_transform_the_holdout(tagged):
    X, y = tagged
    model = Pipeline(
        [("half", Halve()), ("smote", ImageSMOTE(random_state=0)), ("clf", Recorder())]
    )
    model.fit(X, y)
    assert model["half"].n_seen_ == 180
    assert names(LAST["X_val"]) <= {n // 2 for n in names(X)}
    model.predict(X)
    assert names(LAST["X_predicted"]) == {n // 2 for n in names(X)}


def test_pipelines_that_end_in_a_transformer_or_in_nothing(tagged):
    X, y = tagged
    for last in (Halve(), "passthrough", None):
        found = make_pipeline(Halve(), last).fit(X, y).transform(X)
        np.testing.assert_array_equal(found, X // 4 if isinstance(last, Halve) else X // 2)
    np.testing.assert_array_equal(make_pipeline(Halve()).fit_transform(X, y), X // 2)


@pytest.mark.parametrize(
    "final",
    [
        VotingClassifier([("a", CellCNNClassifier(early_stopping=True))]),
        MLPClassifier(early_stopping=True),
    ],
)
def test_early_stopping_that_would_see_resampled_images_is_refused(tagged, final):
    X, y = tagged
    with pytest.raises(ValueError, match="early_stopping=True after a sampler"):
        make_pipeline(ImageSMOTE(), final).fit(X.reshape(240, -1), y)


def test_other_estimators_keep_all_their_samples(tagged):
    X, y = tagged
    rows = X.reshape(240, -1)
    alone = HistGradientBoostingClassifier(max_iter=3).fit(rows, y)
    piped = make_pipeline(HistGradientBoostingClassifier(max_iter=3)).fit(rows, y)
    np.testing.assert_array_equal(piped.predict_proba(rows), alone.predict_proba(rows))


def test_own_validation_set_is_used_and_transformed(tagged):
    X, y = tagged
    make_pipeline(Halve(), Recorder()).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert len(LAST["X"]) == 200
    assert names(LAST["X_val"]) == {n // 2 for n in names(X[200:])}


def test_without_early_stopping_everything_trains(tagged):
    X, y = tagged
    make_pipeline(Halve(), Recorder(early_stopping=False)).fit(X, y)
    assert len(LAST["X"]) == 240
    assert LAST["X_val"] is None


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    "sampler", [ImageSMOTE(random_state=0), ImageAugmenter(n_copies=2, random_state=0)]
)
def test_weights_follow_their_images(tagged, sampler, early):
    X, y = tagged
    weights = 1.0 + np.arange(240)
    model = make_pipeline(clone(sampler), Recorder(early_stopping=early))
    model.fit(X, y, sample_weight=weights)
    origin = model[0].sample_indices_
    assert len(LAST["w"]) == len(LAST["X"]) == len(origin)
    real = len(LAST["X"]) - (origin >= 0).sum() + len(np.unique(origin))
    np.testing.assert_array_equal(LAST["w"][:real], 1.0 + LAST["X"][:real, 0, 0, 0] // 200)
    np.testing.assert_array_equal(LAST["w"], LAST["w"][:real][origin])


def test_weights_through_a_sampler_that_tells_no_origin_is_an_error(tagged):
    X, y = tagged

    class Mute(ImageSMOTE):
        def _fit_resample(self, X, y):
            out = super()._fit_resample(X, y)
            del self.sample_indices_
            return out

    with pytest.raises(ValueError, match="'mute': Mute does not report which sample"):
        make_pipeline(Mute(), Recorder()).fit(X, y, sample_weight=np.ones(240))


def test_weights_reach_an_ensemble(tagged):
    X, y = tagged
    ensemble = VotingClassifier([("a", LogisticRegression(max_iter=5))])
    model = make_pipeline(ensemble).fit(X.reshape(240, -1), y, sample_weight=np.ones(240))
    assert model.predict(X.reshape(240, -1)).shape == (240,)


def test_classifier_without_weights_is_named(tagged):
    X, y = tagged
    with pytest.raises(TypeError, match=r"groups was given .* LogisticRegression\.fit does not"):
        make_pipeline(LogisticRegression()).fit(X.reshape(240, -1), y, groups=y)


def test_metadata_routing(tagged):
    X, y = tagged
    groups = np.arange(240) // 8
    with sklearn.config_context(enable_metadata_routing=True):
        clf = Recorder().set_fit_request(groups=True, sample_weight=True)
        clf.set_score_request(sample_weight=False)
        make_pipeline(ImageSMOTE(random_state=0), clf).fit(
            X, y, groups=groups, sample_weight=np.ones(240)
        )
    assert len(LAST["w"]) == len(LAST["X"])
    assert len(LAST["X_val"])


def test_step_parameters_still_work(tagged):
    X, y = tagged
    make_pipeline(Halve(), Recorder()).fit(X, y, recorder__sample_weight=np.ones(240))
    assert len(LAST["w"]) == len(LAST["X"]) == 180


def test_caching_gives_the_same(tagged, tmp_path):
    X, y = tagged
    for _ in range(2):
        make_pipeline(ImageSMOTE(random_state=0), Recorder(), memory=str(tmp_path)).fit(
            X, y, sample_weight=np.ones(240)
        )
        assert len(LAST["w"]) == len(LAST["X"])


def test_files_are_held_out_too(cells, tmp_path):
    from PIL import Image

    paths = []
    for i, image in enumerate(cells.images[:80]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    make_pipeline(Recorder()).fit(paths, cells.target[:80])
    assert len(LAST["X_val"]) == 20
    assert not set(LAST["X_val"]) & set(LAST["X"])


def test_the_whole_study_is_parameters_of_one_pipeline(cells):
    clf = CellCNNClassifier(
        filters=(8,), dense_units=8, epochs=1, random_state=0, early_stopping=True
    )
    model = Pipeline([("smote", ImageSMOTE(random_state=0)), ("clf", clf)])
    search = GridSearchCV(
        model,
        [
            {"smote": ["passthrough"], "clf__augmentation": [None, ImageAugmenter()]},
            {"smote__k_neighbors": [1, 5], "clf__batch_norm": [True]},
        ],
        cv=2,
        error_score="raise",
    ).fit(cells.images, cells.target)
    assert len(search.cv_results_["params"]) == 4
    scores = cross_validate(
        model, cells.images, cells.target, cv=2, params={"sample_weight": np.ones(240)}
    )
    assert scores["test_score"].shape == (2,)


def test_groups_reach_splitter_and_holdout_in_a_search(tagged):
    X, y = tagged
    groups = np.arange(240) // 8
    search = GridSearchCV(
        make_pipeline(ImageSMOTE(random_state=0), Recorder()),
        {"imagesmote__k_neighbors": [2]},
        cv=StratifiedGroupKFold(2),
        refit=False,
    )
    search.fit(X, y, groups=groups, recorder__groups=groups)
    held = LAST["X_val"][:, 0, 0, 0] // 200
    # SMOTE keeps the originals first; two folds leave half of the images to train.
    n_train = 120 - len(held)
    real = LAST["X"][:n_train, 0, 0, 0] // 200
    assert len(held)
    assert not set(groups[held]) & set(groups[real])


def test_own_validation_set_is_transformed_once_under_routing(tagged):
    X, y = tagged
    with sklearn.config_context(enable_metadata_routing=True):
        clf = Recorder().set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(Halve(), clf, transform_input=["X_val"])
        model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert names(LAST["X_val"]) == {n // 2 for n in names(X[200:])}


@pytest.mark.parametrize("early", [False, True])
def test_groups_pass_samplers_whatever_the_classifier_does_with_them(cells, early):
    X, y = cells.images[:90, ::3, ::3], cells.target[:90]
    clf = CellCNNClassifier(
        filters=(4,), dense_units=8, epochs=1, random_state=0, early_stopping=early
    )
    model = Pipeline([("smote", ImageSMOTE(k_neighbors=2, random_state=0)), ("clf", clf)])
    model.fit(X, y, groups=np.arange(90) // 3)
    assert ("val_loss" in model[-1].history_) == early


def test_a_search_at_the_end_gets_the_groups_of_parents(tagged):
    X, y = tagged

    class NoHoldout(BaseEstimator):
        def fit(self, X, y, groups=None):
            LAST.update(X=X, groups=groups)
            return self

    groups = np.arange(240) // 4
    make_pipeline(ImageAugmenter(random_state=0), NoHoldout()).fit(X, y, groups=groups)
    assert len(LAST["groups"]) == len(LAST["X"]) > 240


def test_copies_of_one_image_are_on_one_side_of_the_holdout(tagged):
    X, y = tagged
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = rng.integers(0, 240, 240)  # what bagging gives each of its members
        make_pipeline(ImageSMOTE(random_state=0), Recorder()).fit(X[rows], y[rows])
        assert len(LAST["X_val"]) > 0
        assert not names(LAST["X"][: 240 - len(LAST["X_val"])]) & names(LAST["X_val"])


def test_an_ensemble_of_bootstraps_keeps_holdouts_apart(cells):
    seen = []

    class Keeps(Recorder):
        def fit(self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None):
            seen.append((X, X_val))
            return super().fit(X, y, X_val=X_val, y_val=y_val)

    rows = cells.images.reshape(240, -1)
    unique = len(np.unique(rows, axis=0))
    bag = BaggingClassifier(make_pipeline("passthrough", Keeps()), n_estimators=3, random_state=0)
    bag.fit(rows, cells.target)
    assert unique == 240
    assert len(seen) == 3
    for train, held in seen:
        assert len(np.unique(train, axis=0)) < len(train), "it was a bootstrap"
        assert not {row.tobytes() for row in train} & {row.tobytes() for row in held}


@pytest.mark.parametrize(
    "sampler", [ImageSMOTE(random_state=0), ImageAugmenter(random_state=0)], ids=["SMOTE", "copies"]
)
def test_images_of_weight_zero_have_no_descendants(tagged, sampler):
    X, y = tagged
    weights = (np.arange(240) % 3 > 0).astype(float)
    there = weights > 0
    make_pipeline(clone(sampler), Recorder(early_stopping=False)).fit(X, y, sample_weight=weights)
    weighted = LAST["X"], LAST["y"]
    make_pipeline(clone(sampler), Recorder(early_stopping=False)).fit(X[there], y[there])
    np.testing.assert_array_equal(weighted[0], LAST["X"])
    np.testing.assert_array_equal(weighted[1], LAST["y"])
