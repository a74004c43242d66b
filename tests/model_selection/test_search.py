"""OptunaPruningSearchCV: a scikit-learn search that prunes, goes on, and is shared."""

import json
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcell import (
    CellCNNClassifier,
    ImageAugmenter,
    ImageSMOTE,
    Pipeline,
    SEInceptionResNetClassifier,
    TransferClassifier,
    make_pipeline,
)
from skcell.model_selection import OptunaPruningSearchCV, default_space
from skcell.model_selection._storage import relevant_trials
from skcell.study import PLAIN_SETTINGS

optuna.logging.set_verbosity(optuna.logging.WARNING)

RATE = {"learning_rate": FloatDistribution(1e-5, 1e-1, log=True)}


def small(**params):
    return CellCNNClassifier(
        **{
            **PLAIN_SETTINGS,
            "filters": (8,),
            "dense_units": 16,
            "epochs": 3,
            "random_state": 0,
            **params,
        }
    )


def search(estimator=None, space=None, **params):
    estimator = small() if estimator is None else estimator
    space = RATE if space is None else space
    return OptunaPruningSearchCV(
        estimator, space, **{"n_trials": 4, "cv": 2, "random_state": 0, **params}
    )


@pytest.fixture(scope="module")
def data(cells):
    return cells.images[:80, ::2, ::2], cells.target[:80]


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@parametrize_with_checks(
    [
        OptunaPruningSearchCV(
            LogisticRegression(),
            {"C": FloatDistribution(0.1, 10)},
            n_trials=2,
            cv=2,
            random_state=0,
        )
    ]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


# What scikit-learn's searches do


def test_it_finds_what_is_plainly_best(data):
    X, y = data
    found = search(space={"learning_rate": [1e-7, 0.01]}, n_trials=6).fit(X, y)
    assert found.best_params_ == {"learning_rate": 0.01}
    assert found.best_score_ == np.nanmax(found.cv_results_["mean_test_score"])
    assert found.best_score_ == found.cv_results_["mean_test_score"][found.best_index_]
    assert found.best_estimator_.learning_rate == 0.01
    assert found.predict(X).shape == (80,)
    assert found.score(X, y) == np.mean(found.predict(X) == y)
    np.testing.assert_array_equal(found.classes_, np.unique(y))
    assert is_classifier(found)
    assert found.n_splits_ == 2


def test_scores_are_those_of_cross_val_score(data):
    X, y = data
    found = search(n_trials=1, cv=3).fit(X, y)
    expected = cross_val_score(small(**found.best_params_), X, y, cv=3)
    ours = [found.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    np.testing.assert_allclose(ours, expected)


def test_fits_forget_each_other_in_nested_cross_validation(iris):
    model = search(LogisticRegression(), {"C": FloatDistribution(1e-3, 1e3, log=True)})
    first = cross_val_score(model, *iris, cv=3)
    np.testing.assert_array_equal(cross_val_score(model, *iris, cv=3), first)
    model.fit(*iris)
    model.fit(*iris)
    assert len(model.cv_results_["params"]) == 4


def test_plain_estimators_lists_and_scipy_distributions(iris):
    model = plain_pipeline(StandardScaler(), SVC())
    space = {
        "svc__C": stats.loguniform(1e-2, 1e2),
        "svc__degree": stats.randint(2, 5),
        "svc__kernel": ["linear", "poly"],
        "standardscaler": [StandardScaler(), "passthrough"],
    }
    found = search(model, space, n_trials=12, cv=3).fit(*iris)
    results = found.cv_results_
    assert len(results["params"]) == 12
    assert all(1e-2 <= p["svc__C"] <= 1e2 for p in results["params"])
    assert {p["svc__degree"] for p in results["params"]} <= {2, 3, 4}
    assert {type(p["standardscaler"]) for p in results["params"]} == {StandardScaler, str}
    assert set(results["state"]) <= {"COMPLETE", "PRUNED"}
    assert found.best_score_ > 0.9


def test_parameters_of_a_step_go_with_the_step_that_was_chosen(iris):
    model = plain_pipeline(StandardScaler(), LogisticRegression())
    model.steps[1] = ("clf", model.steps[1][1])
    space = {
        "clf": [LogisticRegression(), DecisionTreeClassifier(random_state=0)],
        "clf__C": FloatDistribution(0.1, 10),
        "clf__max_depth": IntDistribution(1, 5),
    }
    found = search(model, space, n_trials=10, cv=3).fit(*iris)
    for params in found.cv_results_["params"]:
        tree = isinstance(params["clf"], DecisionTreeClassifier)
        assert ("clf__max_depth" in params) == tree
        assert ("clf__C" in params) == (not tree)


def test_several_scores(iris):
    found = search(
        LogisticRegression(),
        {"C": FloatDistribution(1e-3, 1e3, log=True)},
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        pruner=optuna.pruners.NopPruner(),
    ).fit(*iris)
    results = found.cv_results_
    assert found.best_score_ == results["mean_test_neg_log_loss"].max()
    assert results["mean_test_accuracy"].shape == (4,)
    assert found.multimetric_


def test_groups_and_weights_reach_splitter_and_fit(data):
    X, y = data
    groups = np.arange(80) // 4
    found = search(cv=GroupKFold(2), n_trials=1)
    found.fit(X, y, groups=groups, sample_weight=np.ones(80))
    assert found.n_splits_ == 2


def test_a_pipeline_is_searched_and_pickled(data):
    X, y = data
    model = Pipeline([("smote", ImageSMOTE(k_neighbors=2, random_state=0)), ("clf", small())])
    space = {"smote": [ImageSMOTE(k_neighbors=2, random_state=0), "passthrough"]}
    space["clf__augmentation"] = [None, ImageAugmenter()]
    found = search(model, space).fit(X, y)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(X), found.predict_proba(X))


# Pruning


def test_scores_are_reported_after_each_epoch_of_each_fold(data):
    found = search(n_trials=1, cv=2).fit(*data)
    trial = found.study_.trials[0]
    assert list(trial.intermediate_values) == [0, 1, 2, 3, 4, 5]
    last = [trial.intermediate_values[i] for i in (2, 5)]
    ours = [found.cv_results_[f"split{i}_test_score"][0] for i in range(2)]
    np.testing.assert_allclose(last, ours)


def test_epoch_scores_see_through_the_steps_before(data):
    X, y = data
    model = make_pipeline(ImageSMOTE(k_neighbors=2, random_state=0), small())
    found = search(model, {"cellcnnclassifier__learning_rate": [0.01]}, n_trials=1).fit(X, y)
    trial = found.study_.trials[0]
    assert trial.intermediate_values[5] == found.cv_results_["split1_test_score"][0]


@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.MedianPruner(n_startup_trials=2),
        optuna.pruners.HyperbandPruner(min_resource=1, max_resource=6),
        optuna.pruners.SuccessiveHalvingPruner(),
    ],
    ids=lambda p: type(p).__name__,
)
def test_bad_trials_are_given_up(data, pruner):
    X, y = data
    sampler = optuna.samplers.GridSampler(
        {"learning_rate": [1e-9, 2e-9, 3e-9, 4e-9, 0.01, 0.02, 0.03, 0.011]}, seed=3
    )
    space = {"learning_rate": FloatDistribution(1e-10, 1)}
    found = search(space=space, n_trials=8, pruner=pruner, sampler=sampler).fit(X, y)
    states = Counter(found.cv_results_["state"])
    assert states["PRUNED"] >= 1
    pruned = found.cv_results_["state"] == "PRUNED"
    assert np.isnan(found.cv_results_["mean_test_score"][pruned]).all()
    assert found.best_params_["learning_rate"] > 1e-3


def test_wilcoxon_compares_folds(iris):
    found = search(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": [1, 4]},
        n_trials=8,
        cv=8,
        pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.2),
    ).fit(*iris)
    whole = [t for t in found.study_.trials if t.state == TrialState.COMPLETE]
    assert list(whole[0].intermediate_values) == list(range(7))
    assert found.best_params_ == {"max_depth": 4}


@pytest.mark.thorough
def test_two_phases_of_a_fit_are_reported_one_after_the_other(cells):
    clf = TransferClassifier(
        "mobilenet_v2_0.35",
        weights=None,
        input_size=32,
        epochs=2,
        unfreeze=1,
        fine_tuning_epochs=1,
        cache="memory",
        random_state=0,
    )
    found = search(clf, {"dropout": [0.0]}, n_trials=1).fit(cells.images[:40], cells.target[:40])
    assert list(found.study_.trials[0].intermediate_values) == list(range(6))


def test_the_refit_has_no_holdout_and_the_epochs_that_folds_found(data):
    X, y = data
    clf = small(early_stopping=True, epochs=30, patience=2)
    found = search(clf, {"learning_rate": [0.02]}, n_trials=1).fit(X, y)
    epochs = [fold["epochs"]["epochs"] for fold in found.study_.trials[0].user_attrs["folds"]]
    best = found.best_estimator_
    assert best.early_stopping is False
    assert best.n_iter_ == round(np.mean(epochs))
    assert "val_loss" not in best.history_


# Errors


class Fails(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if self.C > 1:
            raise RuntimeError("this C is too large")
        return super().fit(X, y, sample_weight)


def test_errors_are_recorded_and_do_not_end_the_search(iris):
    found = search(Fails(), {"C": [0.1, 10.0]}, n_trials=8).fit(*iris)
    results = found.cv_results_
    failed = results["state"] == "FAIL"
    assert 0 < failed.sum() < 8
    assert set(results["error"][failed]) == {"RuntimeError: this C is too large"}
    assert found.best_params_ == {"C": 0.1}


def test_errors_are_raised_where_asked(iris):
    with pytest.raises(RuntimeError, match="this C is too large"):
        search(Fails(), {"C": [10.0]}, error_score="raise").fit(*iris)


def test_if_all_fail_the_first_error_is_raised(iris):
    with pytest.raises(RuntimeError, match="this C is too large") as error:
        search(Fails(), {"C": [10.0]}).fit(*iris)
    assert "Each of 4 trials failed" in error.value.__notes__[0]


class Greedy(CellCNNClassifier):
    """Runs out of memory with batches of more than ten images."""

    def _train(self, *args, **kwargs):
        if self.batch_size > 10:
            raise MemoryError
        return super()._train(*args, **kwargs)


@pytest.mark.thorough
def test_out_of_memory_halves_the_batch_and_says_so(data):
    clf = Greedy(filters=(8,), dense_units=16, epochs=1, batch_size=32, random_state=0)
    with pytest.warns(
        ResourceWarning, match=r"Out of memory with batch_size=32; trying again with 16"
    ):
        found = search(clf, n_trials=1).fit(*data)
    assert found.cv_results_["batch_size"].tolist() == [8]
    assert found.best_estimator_.batch_size == 8


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"space": {}}, r"param_distributions is empty"),
        ({"space": {"learnig_rate": [1.0]}}, r"no parameter 'learnig_rate'.*'learning_rate'"),
        ({"space": {"learning_rate": []}}, r"list for learning_rate is empty"),
        ({"space": {"learning_rate": 0.1}}, r"searched over 0.1; give an Optuna distribution"),
        ({"cv": 30}, r"30 stratified folds need at least 30 samples of each class; class "),
        ({"objectives": ["accuracy"]}, r"should be two or more of"),
        ({"storage": "postgresql://cells@127.0.0.1:9/none"}, r"storage .* cannot be used"),
        ({"storage": "/proc/no/search.db"}, r"proc"),
    ],
)
def test_bad_input_is_an_error_at_once(data, params, message):
    began = time.monotonic()
    with pytest.raises((ValueError, OSError), match=message):
        search(**params).fit(*data)
    assert time.monotonic() - began < 30


def test_a_score_of_nan_is_an_error_and_ends(iris):
    with pytest.raises(ValueError, match=r"score .* is NaN on a fold"):
        search(LogisticRegression(), {"C": [1.0]}, scoring=lambda model, X, y: float("nan")).fit(
            *iris
        )


def test_a_failing_second_score_is_nan(iris):
    def fails(model, X, y):
        raise RuntimeError("no")

    found = search(
        LogisticRegression(),
        {"C": [1.0]},
        scoring={"accuracy": "accuracy", "bad": fails},
        refit="accuracy",
        n_trials=1,
    )
    with pytest.warns(UserWarning, match="Scoring failed"):
        found.fit(*iris)
    assert np.isnan(found.cv_results_["mean_test_bad"]).all()
    assert found.best_score_ > 0.8


def test_scorers_as_scikit_learn_takes_them(iris):
    def both(model, X, y):
        return {"acc": np.float32(model.score(X, y)), "n": len(y)}

    found = search(LogisticRegression(), {"C": [1.0]}, scoring=both, refit="acc", n_trials=1)
    assert found.fit(*iris).multimetric_
    assert found.best_score_ > 0.8
    found = search(
        LogisticRegression(), {"C": [1.0]}, scoring=["accuracy", "f1_macro"], refit=False
    ).fit(*iris)
    assert found.multimetric_
    assert not hasattr(found, "best_index_")


def test_a_pipeline_with_memory(data, tmp_path):
    X, y = data
    model = plain_pipeline(StandardScaler(), small(image_shape=(12, 12, 3)), memory=str(tmp_path))
    space = {"cellcnnclassifier__learning_rate": [0.01]}
    found = search(model, space, n_trials=1).fit(X.reshape(80, -1) / 255, y)
    assert found.cv_results_["state"].tolist() == ["COMPLETE"]


@pytest.mark.thorough
def test_groups_reach_early_stopping(data):
    X, y = data
    seen = []

    class Watched(CellCNNClassifier):
        def fit(self, X, y, sample_weight=None, *, groups=None, X_val=None, y_val=None):
            seen.append(None if groups is None else len(groups))
            return super().fit(X, y, sample_weight, groups=groups, X_val=X_val, y_val=y_val)

    clf = Watched(filters=(8,), dense_units=16, epochs=1, early_stopping=True, random_state=0)
    groups = np.arange(80) // 4
    search(clf, cv=GroupKFold(2), n_trials=1).fit(X, y, groups=groups)
    assert seen == [40, 40, 80]


def test_epochs_from_any_distribution_keep_folds_apart(data):
    for epochs in (stats.randint(3, 7), np.arange(3, 7), IntDistribution(3, 6)):
        found = search(small(epochs=1), {"epochs": epochs}, n_trials=1).fit(*data)
        n = found.best_params_["epochs"]
        steps = list(found.study_.trials[0].intermediate_values)
        assert steps == [*range(n), *range(6, 6 + n)]


def test_a_sampler_that_has_no_more_ends_the_search(iris):
    sampler = optuna.samplers.GridSampler({"C": [0.1, 1.0, 10.0]})
    space = {"C": FloatDistribution(0.01, 100)}
    found = search(LogisticRegression(), space, n_trials=8, sampler=sampler).fit(*iris)
    assert sorted(p["C"] for p in found.cv_results_["params"]) == [0.1, 1.0, 10.0]


# Several objectives


def test_pareto_front(data):
    found = search(
        space={"dense_units": [8, 512], "learning_rate": [1e-9, 0.01]},
        n_trials=8,
        scoring=["accuracy", "f1_macro"],
        refit="accuracy",
        objectives=["accuracy", "n_parameters", "inference_time"],
    ).fit(*data)
    assert 0 < len(found.pareto_indices_) <= 8
    assert set(found.cv_results_["state"]) == {"COMPLETE"}
    values = np.array([t.values for t in found.study_.trials])
    assert values.shape == (8, 3)
    best = values[:, 0].argmax()
    assert found.best_score_ == values[best, 0]
    n_weights = {t.params["dense_units"]: t.values[1] for t in found.study_.trials}
    if len(n_weights) == 2:
        assert n_weights[8] < n_weights[512]


# Storages


def test_a_search_goes_on_where_it_was(data, tmp_path):
    file = tmp_path / "deep" / "search.db"
    first = search(storage=file, study_name="cells", n_trials=2).fit(*data)
    more = search(storage=file, study_name="cells", n_trials=5).fit(*data)
    assert len(more.cv_results_["params"]) == 5
    for key in ("mean_test_score", "param_learning_rate"):
        np.testing.assert_array_equal(more.cv_results_[key][:2], first.cv_results_[key])
    at_once = search(n_trials=5).fit(*data)
    for ours, theirs in zip(more.cv_results_["params"], at_once.cv_results_["params"], strict=True):
        assert ours == theirs
    done = search(storage=file, study_name="cells", n_trials=5).fit(*data)
    assert len(done.study_.trials) == 5


def test_other_candidates_of_the_same_name_are_another_search(iris, tmp_path):
    model = plain_pipeline(StandardScaler(), LogisticRegression())
    params = {"storage": tmp_path / "search.db", "study_name": "s", "n_trials": 1}
    search(model, {"logisticregression": [LogisticRegression(C=1e-6)]}, **params).fit(*iris)
    with pytest.raises(ValueError, match=r"\['space'\] differ"):
        search(model, {"logisticregression": [LogisticRegression(C=100)]}, **params).fit(*iris)


def test_a_fitted_search_is_unpickled_where_its_storage_is_not(iris, tmp_path):
    file = tmp_path / "search.db"
    found = search(LogisticRegression(), {"C": [1.0]}, storage=file, study_name="s").fit(*iris)
    stored = pickle.dumps(found)
    file.unlink()
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.predict(iris[0]), found.predict(iris[0]))
    assert len(again.study_.trials) == 4
    found.storage = "postgresql://me:secret@127.0.0.1/cells"
    assert b"secret" not in pickle.dumps(found)


@pytest.mark.parametrize("kind", ["journal", "file"])
def test_what_a_process_left_running_is_not_waited_for(iris, tmp_path, kind):
    def storage():
        if kind == "file":
            return optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/search.db")
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
        return optuna.storages.JournalStorage(backend)

    params = {"study_name": "s", "n_trials": 3}
    space = {"C": FloatDistribution(0.1, 1)}
    search(LogisticRegression(), space, storage=storage(), **{**params, "n_trials": 1}).fit(*iris)
    optuna.load_study(study_name="s", storage=storage()).ask()  # and dies
    found = search(LogisticRegression(), space, storage=storage(), **params).fit(*iris)
    assert len(found.cv_results_["params"]) == 3


def test_a_worker_that_was_taken_for_dead_goes_on(iris, tmp_path):
    file, killed = tmp_path / "search.db", []

    class Sleeps(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            if not killed:
                other = optuna.load_study(study_name="s", storage=f"sqlite:///{file}")
                running = [t for t in other.trials if t.state == TrialState.RUNNING]
                other.tell(running[0].number, state=TrialState.FAIL)
                killed.append(running[0].number)
            return super().fit(X, y, sample_weight)

    found = search(Sleeps(), {"C": [1.0, 2.0]}, storage=file, study_name="s", n_trials=3)
    assert len(found.fit(*iris).cv_results_["params"]) == 3
    assert killed == [0]


def test_what_texts_do_not_tell_is_another_search(iris, tmp_path):
    params = {"storage": tmp_path / "search.db", "n_trials": 1}
    space = {"C": [1.0]}
    search(LogisticRegression(), space, **params).fit(*iris)  # one name for all without
    weights = np.linspace(0.1, 1, 150)
    with pytest.raises(ValueError, match=r"\['fit parameters'\] differ"):
        search(LogisticRegression(), space, **params).fit(*iris, sample_weight=weights)

    def scored(value, study):
        scoring = lambda model, X, y: value  # noqa: E731 # of the same text
        return search(LogisticRegression(), space, scoring=scoring, study_name=study, **params)

    scored(0.1, "s").fit(*iris)
    scored(0.1, "s").fit(*iris)
    with pytest.raises(ValueError, match=r"\['scoring'\] differ"):
        scored(0.2, "s").fit(*iris)

    def voting(C):
        members = [(f"m{i}", LogisticRegression(C=C if i == 6 else 1.0)) for i in range(12)]
        return VotingClassifier(members)

    space = {"m0__C": [1.0]}
    search(voting(1e-9), space, study_name="v", **params).fit(*iris)
    with pytest.raises(ValueError, match=r"\['estimator'\] differ"):
        search(voting(1e9), space, study_name="v", **params).fit(*iris)


def test_files_are_told_by_what_is_in_them(data, tmp_path):
    from PIL import Image

    X, y = data
    params = {"n_trials": 1, "storage": tmp_path / "search.db"}
    for folder in ("here", "there"):  # another machine has them elsewhere
        (tmp_path / folder).mkdir()
        paths = [str(tmp_path / folder / f"{i}.png") for i in range(20)]
        for path, image in zip(paths, X[:20], strict=True):
            Image.fromarray(image).save(path)
        search(small(image_shape=(12, 12, 3)), **params).fit(paths, y[:20])
    Image.fromarray(X[0] // 2).save(paths[0])
    with pytest.raises(ValueError, match=r"\['data'\] differ"):
        search(small(image_shape=(12, 12, 3)), **params).fit(paths, y[:20])


def test_plain_and_skcell_candidates_are_compared_where_they_have_done_as_much(data):
    X, y = data
    model = Pipeline([("clf", small())])
    flat = plain_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1)), SVC())
    space = {"clf": [small(epochs=3), flat]}
    found = search(model, space, n_trials=6, cv=3, pruner=optuna.pruners.NopPruner()).fit(X, y)
    steps = {tuple(trial.intermediate_values) for trial in found.study_.trials}
    assert steps == {tuple(range(9)), (2, 5)}


def test_groups_go_to_those_that_take_them(data):
    X, y = data
    model = Pipeline([("clf", small(early_stopping=True))])
    flat = plain_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1)), SVC())
    space = {"clf": [small(early_stopping=True), flat]}
    found = search(model, space, n_trials=4, cv=GroupKFold(2), pruner=optuna.pruners.NopPruner())
    found.fit(X, y, groups=np.arange(80) // 4)
    assert set(found.cv_results_["state"]) == {"COMPLETE"}


@pytest.mark.parametrize("seed", [0, 1])
def test_errors_are_raised_even_if_last(iris, seed):
    sampler = optuna.samplers.GridSampler({"C": [1.0, 10.0]}, seed=seed)
    space = {"C": FloatDistribution(0.1, 100)}
    with pytest.raises(RuntimeError, match="this C is too large"):
        search(Fails(), space, n_trials=2, sampler=sampler, error_score="raise").fit(*iris)


@pytest.mark.parametrize("change", ["space", "data", "folds", "estimator"])
def test_another_search_is_not_mixed_in(data, tmp_path, change):
    X, y = data
    params = {"storage": tmp_path / "search.db", "study_name": "cells", "n_trials": 1}
    search(**params).fit(X, y)
    other = {
        "space": {"space": {"learning_rate": [0.1]}},
        "folds": {"cv": StratifiedKFold(2, shuffle=True, random_state=3)},
        "estimator": {"estimator": small(batch_norm=True)},
        "data": {},
    }[change]
    X = X.copy()
    X[0, 0, 0] += change == "data"
    with pytest.raises(ValueError, match=rf"'cells' .* another search: \['{change}'\] differ"):
        search(**{**params, **other}).fit(X, y)


@pytest.mark.thorough
def test_a_full_disk_is_said_and_what_is_done_is_kept(data, tmp_path):
    file = tmp_path / "search.db"
    params = {"storage": file, "study_name": "cells"}
    search(n_trials=2, **params).fit(*data)
    import sqlalchemy

    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    sqlalchemy.event.listen(
        storage.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA max_page_count = 1"),
    )
    storage.engine.dispose()
    with pytest.raises(OSError, match=r"cannot be used: .*full.*are kept"):
        search(n_trials=50, storage=storage, study_name="cells").fit(*data)
    again = search(n_trials=3, heartbeat_interval=1, **params).fit(
        *data
    )  # waits for nobody for long
    assert (again.cv_results_["state"] == "COMPLETE").sum() >= 3


@pytest.mark.parametrize("kind", ["postgresql", "file"])
@pytest.mark.thorough
def test_processes_that_start_at_once_do_not_trip_over_new_tables(kind, tmp_path, request):
    url = str(tmp_path / "search.db")
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").replace("/postgres", "/template1")
    code = (
        "import sys, time; from skcell.model_selection._storage import open_storage;"
        "import optuna, sqlalchemy; print('on', flush=True); sys.stdin.read();"
        "open_storage(sys.argv[1], 1)"
    )
    start = [sys.executable, "-c", code, url]
    workers = [
        subprocess.Popen(
            start,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdout.readline() == b"on\n"
    for worker in workers:
        worker.stdin.close()
    for worker in workers:
        assert worker.wait(120) == 0, worker.stderr.read()[-2000:]
        worker.stdout.close()
        worker.stderr.close()


WORKER = """
import sys
import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from sklearn.linear_model import LogisticRegression
from skcell.model_selection import OptunaPruningSearchCV

class Slow(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        import time
        time.sleep(0.15)
        print("fit", flush=True)
        return super().fit(X, y)
    def __sklearn_tags__(self):
        return super().__sklearn_tags__()

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3)); y = (X[:, 0] > 0).astype(int)
search = OptunaPruningSearchCV(
    Slow(), {"C": FloatDistribution(1e-3, 1e3, log=True)}, n_trials=24, cv=3,
    storage=sys.argv[1], study_name=sys.argv[2], heartbeat_interval=1,
    pruner=optuna.pruners.NopPruner(), random_state=0,
).fit(X, y)
print("found", len(search.cv_results_["params"]), flush=True)
"""


@pytest.mark.parametrize("kind", ["postgresql", "file"])
@pytest.mark.thorough
def test_workers_share_a_search_and_take_up_a_dead_ones_trial(kind, tmp_path, request):
    url = str(tmp_path / "search.db")
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql")
    start = [sys.executable, "-c", WORKER, url, "shared"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    victim = subprocess.Popen(start, **pipes)
    assert victim.stdout.readline() == "fit\n"
    others = [subprocess.Popen(start, **pipes) for _ in range(2)]
    for _ in range(4):
        assert victim.stdout.readline() == "fit\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait(60)
    for worker in others:
        out, err = worker.communicate(timeout=240)
        assert worker.returncode == 0, err[-3000:]
        assert out.splitlines()[-1] == "found 24"
        assert "fit" in out, "each worker had a share"
    address = url if "://" in url else f"sqlite:///{url}"
    study = optuna.load_study(study_name="shared", storage=address)
    done = relevant_trials(study)
    assert [t.state for t in done] == [TrialState.COMPLETE] * 24
    lost = [t for t in study.trials if t.state == TrialState.FAIL and "error" not in t.user_attrs]
    retried = [t for t in done if "failed_trial" in t.system_attrs]
    assert len(retried) == 1, "the trial of the killed worker"
    dead = study.trials[retried[0].system_attrs["failed_trial"]]
    assert dead in lost
    assert dead.params == retried[0].params
    values = [json.dumps(t.params) for t in done]
    assert len(set(values)) == 24, "none was run twice"


# Default spaces


@pytest.mark.parametrize(
    "estimator",
    [
        small(),
        SEInceptionResNetClassifier(filters=8, stem_filters=8, epochs=1),
        make_pipeline(ImageSMOTE(random_state=0), small(epochs=1)),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.thorough
def test_default_spaces_can_be_searched(estimator, data):
    found = search(estimator, default_space(estimator), n_trials=2, refit=False).fit(*data)
    assert set(found.cv_results_["state"]) == {"COMPLETE"}
    assert not hasattr(found, "best_estimator_")


def test_default_space_of_the_unknown_is_an_error():
    with pytest.raises(ValueError, match="no default space for LogisticRegression"):
        default_space(LogisticRegression())


def test_default_space_of_transfer_keeps_features():
    assert "augmentation" not in default_space(TransferClassifier())
    assert isinstance(default_space(small())["learning_rate"], FloatDistribution)
    assert clone(search()).n_trials == 4


# Groups, failures, choices that a file changes


def grouped(n_groups=20, of_each=6):
    """Groups with a colour of their own, whose label is a matter of chance."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), of_each)
    X = rng.normal(size=(n_groups, 8))[groups] + rng.normal(scale=0.01, size=(len(groups), 8))
    y = rng.permutation(np.arange(n_groups) % 2)[groups]
    return X, y, groups


@pytest.mark.parametrize("cv", [None, 5])
def test_numbers_of_folds_keep_groups_whole(cv):
    X, y, groups = grouped()
    model = DecisionTreeClassifier(random_state=0)
    order = np.random.default_rng(1).permutation(len(y))
    X, y, groups = X[order], y[order], groups[order]
    found = search(model, {"max_depth": [None]}, n_trials=1, cv=cv).fit(X, y, groups=groups)
    without = search(model, {"max_depth": [None]}, n_trials=1, cv=cv).fit(X, y)
    assert without.best_score_ > 0.95, "a tree knows the group again"
    assert found.best_score_ < 0.8, "and has nothing to learn about another"


def test_a_splitter_that_breaks_groups_is_refused():
    X, y, groups = grouped()
    model = DecisionTreeClassifier()
    with pytest.raises(ValueError, match="groups"):
        search(model, {"max_depth": [1]}, cv=StratifiedKFold(3, shuffle=True)).fit(
            X, y, groups=groups
        )


def test_choices_that_are_tuples_are_resumed(data, tmp_path):
    space = {"filters": optuna.distributions.CategoricalDistribution([(4,), (4, 8)])}
    params = {"storage": tmp_path / "search.db", "error_score": "raise"}
    first = search(space=space, n_trials=2, **params).fit(*data)
    assert isinstance(first.best_params_["filters"], tuple)
    again = search(space=space, n_trials=5, **params).fit(*data)
    assert again.cv_results_["state"].tolist() == ["COMPLETE"] * 5
    assert isinstance(again.best_params_["filters"], tuple)


def test_failures_are_warned_of_with_their_number_and_first_error(iris):
    with pytest.warns(FitFailedWarning, match=r"of 8 trials failed.*this C is too large"):
        search(Fails(), {"C": [0.1, 10.0]}, n_trials=8).fit(*iris)


@pytest.mark.parametrize("name", ["a%20b.db", "why?.db", "a#b.db", "ä é.db"])
def test_any_name_of_a_file_keeps_the_trials_there(iris, tmp_path, name):
    params = {"storage": tmp_path / name, "n_trials": 2}
    search(DecisionTreeClassifier(), {"max_depth": [1, 2]}, **params).fit(*iris)
    assert (tmp_path / name).is_file()
    assert not [p.name for p in tmp_path.iterdir() if not p.name.startswith(name)]


def test_a_home_is_no_folder_named_tilde(iris, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    params = {"storage": "~/search.db", "n_trials": 2}
    search(DecisionTreeClassifier(), {"max_depth": [1, 2]}, **params).fit(*iris)
    assert (tmp_path / "search.db").is_file()
    assert not (tmp_path / "~").exists()


def test_callbacks_hear_of_trials_and_epochs(data):
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has none")
    X, y = data
    model = small(epochs=2)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model.set_callbacks(monitor)
    search(model, n_trials=2, cv=2, pruner=optuna.pruners.NopPruner()).fit(X, y)
    rows = monitor.get_logs(select="most_recent").data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    assert len(epochs) == 2 * 2 * 2 + 2, "of two trials by two folds, and of the refit"
