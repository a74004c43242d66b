"""Study: the same folds for all techniques, honest intervals, files, checks before training."""

import csv
import json
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from skcell import CellCNNClassifier, ImageSMOTE
from skcell.datasets import make_cells
from skcell.exceptions import DuplicateImageWarning
from skcell.metrics import accuracy_interval, estimate_over_folds
from skcell.pipeline import Pipeline
from skcell.study import (
    PLAIN_SETTINGS,
    TECHNIQUES,
    FoldResult,
    Study,
    StudyResult,
    Technique,
    resolve_techniques,
)
from skcell.study._comparison import compare, summarise
from skcell.study._progress import Progress, duration
from skcell.study._records import Validated
from skcell.study._table import caption

PLAIN = {f"clf__{name}": value for name, value in PLAIN_SETTINGS.items()}
SMALL = PLAIN | {"clf__filters": (4, 4), "clf__dense_units": 8}
NAMES = {
    *("results.csv", "folds.csv", "predictions.csv"),
    *("study.json", "study.png", "study.html"),
}
BASE = Technique("base", SMALL, "small")
SMOTE = Technique("SMOTE", {**SMALL, "smote": ImageSMOTE()}, "small, filled up")


def test_techniques_spell_out_what_they_are():
    """A change of the defaults of `CellCNNClassifier` changes one technique alone."""
    *plain, recommended = TECHNIQUES
    assert (recommended.name, recommended.parameters) == ("recommended", {})
    for technique in plain:
        clf = technique.parameters.get("clf")
        if clf is None:
            assert technique.parameters.keys() >= PLAIN.keys()
        else:
            assert (clf.standardize, clf.augmentation, clf.schedule) == (False, None, None)
    changed = {
        t.name: {k for k, v in t.parameters.items() if k not in PLAIN or PLAIN[k] != v}
        for t in plain
        if "clf" not in t.parameters
    }
    assert changed == {
        "base": set(),
        "augmentation": {"clf__augmentation"},
        "batch norm": {"clf__batch_norm"},
        "extra layers": {"clf__extra_filters"},
        "class weights": {"clf__class_weight"},
        "SMOTE": {"smote"},
        "SMOTE + augmentation": {"smote", "clf__augmentation"},
    }


@pytest.fixture(scope="module")
def data():
    cells = make_cells(90, n_classes=3, image_size=16, random_state=0)
    return cells.images, cells.target_names[cells.target]


@pytest.fixture(scope="module")
def study(data):
    return Study([BASE, SMOTE], cv=3, epochs=2, batch_size=16, verbose=False).fit(
        *data, data_name="small cells"
    )


def test_rows_are_those_of_the_study(study):
    assert [technique.name for technique in study.result_.techniques] == ["base", "SMOTE"]
    assert study.result_.complete
    assert [(fold.technique, fold.fold) for fold in study.result_.folds] == [
        (name, fold) for name in ("base", "SMOTE") for fold in range(3)
    ]
    for technique in study.result_.techniques:
        assert technique.complete
        assert_allclose(technique.accuracy, np.mean(technique.scores))
        images = study.result_.images
        correct = [
            images.codes[images.tests[fold.fold]] == fold.predicted
            for fold in study.result_.folds
            if fold.technique == technique.name
        ]
        expected = estimate_over_folds(correct, images.tests).score_interval()
        assert_allclose((technique.low, technique.high), (expected.low, expected.high))
        alone = accuracy_interval(np.concatenate(correct))
        assert technique.low < alone.low < alone.high < technique.high
        assert 0 < technique.fit_seconds < 60
    assert study.result_.data["classes"] == {"basophil": 18, "eosinophil": 48, "erythroblast": 24}


def test_scores_are_those_of_cross_val_score(study, data):
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(*data)
    fits = [fold for fold in study.result_.folds if fold.technique == "SMOTE"]
    for fold, split in zip(fits, folds, strict=True):
        seed = fold.random_state
        small = {"filters": (4, 4), "dense_units": 8, "epochs": 2, "batch_size": 16}
        clf = CellCNNClassifier(**PLAIN_SETTINGS | small, random_state=seed)
        model = Pipeline([("smote", ImageSMOTE(random_state=seed)), ("clf", clf)])
        assert_allclose(fold.accuracy, cross_val_score(model, *data, cv=[split])[0])


def test_scores_are_those_of_a_grid_search(study, data):
    """The whole study is one search over parameters of a pipeline, for the seed of each fold."""
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(*data))
    for number, split in enumerate(folds):
        pipeline, settings = study.as_grid(fold=number)
        search = GridSearchCV(pipeline, settings, cv=[split], refit=False).fit(*data)
        expected = [fold.accuracy for fold in study.result_.folds if fold.fold == number]
        assert_allclose(search.cv_results_["mean_test_score"], expected)
    assert study.as_grid()[1][0]["clf__random_state"] == [0]


def test_again_gives_the_same(study, data):
    again = Study([SMOTE], cv=3, epochs=2, batch_size=16, verbose=False).fit(*data)
    assert again.result_.techniques[0].scores == study.result_.techniques[1].scores


@pytest.mark.thorough
def test_all_named_rows_run():
    cells = make_cells(80, n_classes=2, image_size=16, random_state=0)
    study = Study(cv=2, epochs=1, verbose=False).fit(cells.images, cells.target)
    for technique in study.result_.techniques:
        for name in ("accuracy", "balanced_accuracy", "f1_macro", "auc"):
            found = technique.summaries[name]
            assert not found.low < 0, name  # a t interval of two folds is wide, or there is none
            assert not found.high > 1, name
    assert [technique.name for technique in study.result_.techniques] == [
        technique.name for technique in TECHNIQUES
    ]
    assert all(technique.description for technique in study.result_.techniques)


@pytest.mark.thorough
def test_workers_give_the_same(study, data):
    parallel = Study([BASE, SMOTE], cv=3, epochs=2, batch_size=16, n_jobs=2, verbose=False)
    assert [r.scores for r in parallel.fit(*data).result_.techniques] == [
        r.scores for r in study.result_.techniques
    ]


def test_files(study, tmp_path):
    files = study.result_.save(tmp_path / "new" / "folder")
    assert {f.name for f in files} == NAMES
    assert {f.name for f in files} == {f.name for f in files[0].parent.iterdir()}  # no leftovers
    folder = files[0].parent

    with open(folder / "results.csv", encoding="utf-8") as file:
        results = list(csv.DictReader(file))
    assert [r["technique"] for r in results] == ["base", "SMOTE"]
    assert_allclose(float(results[0]["accuracy"]), study.result_.techniques[0].accuracy, atol=1e-6)
    # Defaults too, which another version may change.
    smote = json.loads(results[1]["parameters"])["smote"]
    for name, value in {**ImageSMOTE().get_params(), "random_state": 0}.items():
        assert f"{name}={value!r}" in smote
    with open(folder / "folds.csv", encoding="utf-8") as file:
        folds = list(csv.DictReader(file))
    assert len(folds) == 6
    assert sum(int(fold["n_test"]) for fold in folds[:3]) == 90

    report = json.loads((folder / "study.json").read_text())
    assert report["complete"] is True
    assert report["started"] <= report["finished"]
    assert report["configuration"]["random_state"] == 0
    assert report["configuration"]["epochs"] == 2
    for name in CellCNNClassifier().get_params():
        assert f"{name}=" in report["configuration"]["pipeline"]
    assert [technique["name"] for technique in report["configuration"]["techniques"]] == [
        "base",
        "SMOTE",
    ]
    assert report["data"]["image_shape"] == [16, 16, 3]
    assert report["data"]["name"] == "small cells"
    assert report["environment"]["versions"]["scikit-learn"]
    assert report["environment"]["cores"] >= 1
    assert report["results"][0]["folds"] == 3
    assert str(folder) not in json.dumps(report)

    with Image.open(folder / "study.png") as image:
        assert image.width > 800


def test_files_are_replaced(study, tmp_path):
    study.result_.save(tmp_path)
    (tmp_path / "results.csv").write_text("old")
    study.result_.save(tmp_path)
    assert (tmp_path / "results.csv").read_text().startswith("technique,")


def test_predefined_split_has_wilsons_interval(data):
    test_fold = np.where(np.arange(90) % 5, -1, 0)
    study = Study([BASE], cv=PredefinedSplit(test_fold), epochs=1, verbose=False).fit(*data)
    (technique,), (fold,) = study.result_.techniques, study.result_.folds
    assert fold.n_test == 18
    assert fold.n_train == 72
    expected = accuracy_interval(np.arange(18) < fold.n_correct)
    assert_allclose((technique.low, technique.high), (expected.low, expected.high))
    assert (
        study.result_.configuration["protocol"]
        == "one holdout: 72 training and 18 validation images"
    )


def test_groups_stay_whole(data):
    X, y = data
    groups = np.arange(90) // 3
    study = Study([BASE], cv=3, epochs=1, verbose=False).fit(X, y, groups)
    assert "whole groups" in study.result_.configuration["protocol"]
    assert study.result_.data["n_groups"] == 30
    assert all(fold.n_test % 3 == 0 for fold in study.result_.folds)


def test_groups_reach_early_stopping(data):
    X, y = data
    technique = Technique(
        "stop", {**SMALL, "clf__early_stopping": True, "clf__validation_fraction": 0.3}
    )
    groups = np.repeat(["a", "b"], 45)
    with pytest.raises(ValueError, match=r"groups names 1 group"):
        Study([technique], cv=2, epochs=1, verbose=False).fit(X, y, groups)


def test_repeated_splits(data):
    cv = RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)
    study = Study([BASE], cv=cv, epochs=1, verbose=False).fit(*data)
    assert len(study.result_.techniques[0].scores) == 4
    assert "4 splits (RepeatedStratifiedKFold)" in study.result_.configuration["protocol"]


def test_paths(real_folder):
    files = [
        str(file)
        for name in ("platelet", "lymphocyte")
        for file in sorted((real_folder / "train" / name).iterdir())[:8]
    ]
    y = np.repeat(["platelet", "lymphocyte"], 8)
    study = Study([BASE], cv=2, epochs=1, verbose=False).fit(files, y)
    assert study.result_.data["image_shape"] is None
    with pytest.raises(ValueError, match=r"'SMOTE' resamples pixels .* file paths"):
        Study([SMOTE], cv=2, epochs=1, verbose=False).fit(files, y)


def test_log(data, capsys):
    Study([BASE], cv=2, epochs=1).fit(*data, data_name="mine")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Study of mine: 90 images, 3 classes; 2-fold cross-validation")
    assert "2 fits" in lines[1]
    assert lines[2].startswith("[1/2] base, fold 1/2: accuracy 0.")
    assert "left" in lines[2]
    assert "all done in" in lines[3]
    assert len(lines) == 4


def test_interrupt_keeps_finished_fits(data, tmp_path):
    stop = _StopAfter(epochs=5)  # of 2 epochs each: in the third fit
    technique = Technique("second", {**SMALL, "clf__callbacks": [stop]})
    study = Study([BASE, technique], cv=3, epochs=2, verbose=False).fit(*data)
    assert not study.result_.complete
    assert [len(technique.scores) for technique in study.result_.techniques] == [3, 2]
    assert not study.result_.techniques[1].complete
    study.result_.save(tmp_path)
    report = json.loads((tmp_path / "study.json").read_text())
    assert report["complete"] is False
    assert report["results"][1]["folds"] == 2
    assert report["results"][1]["folds_planned"] == 3


def test_interrupt_before_anything_is_an_interrupt(data):
    technique = Technique("base", {**SMALL, "clf__callbacks": [_StopAfter(epochs=1)]})
    study = Study([technique], cv=3, epochs=2, verbose=False)
    with pytest.raises(KeyboardInterrupt):
        study.fit(*data)
    with pytest.raises(NotFittedError):
        check_is_fitted(study)


WILD = Technique("wild", {**SMALL, "clf__learning_rate": 1e30})


def test_a_row_that_fails_is_marked_and_the_others_are_measured(data, tmp_path, monkeypatch):
    techniques = [BASE, WILD, Technique("second", {**SMALL, "clf__dropout": 0.5})]
    file = tmp_path / "fits.jsonl"
    study = Study(techniques, cv=2, epochs=2, verbose=False, results_file=file).fit(*data)
    assert study.result_.complete
    base, wild, second = study.result_.techniques
    assert "FloatingPointError: Training diverged" in wild.error
    assert np.isnan(wild.accuracy)
    assert not base.error
    assert not second.error
    assert not np.isnan(second.p_value)
    assert study.best_estimator_.get_params()["clf__learning_rate"] == 1e-3
    assert "wild failed: FloatingPointError" in caption(study.result_)
    study.result_.save(tmp_path)
    assert "diverged" in (tmp_path / "results.csv").read_text()
    assert "failed: Floating" in (tmp_path / "study.html").read_text()
    # A divergence would come again: the same study again fits nothing.
    lines = file.read_text().count("\n")
    again = Study(techniques, cv=2, epochs=2, verbose=False, results_file=file).fit(*data)
    assert file.read_text().count("\n") == lines
    assert again.result_.techniques[1].error == wild.error


def test_if_every_row_fails_its_error_is_raised(data):
    with pytest.raises(FloatingPointError, match="diverged"):
        Study([WILD], cv=2, epochs=2, verbose=False).fit(*data)


def test_balanced_accuracy_may_decide_and_has_interval_and_p(data):
    techniques = [BASE, Technique("weights", {**SMALL, "clf__class_weight": {"basophil": 5.0}})]
    study = Study(
        techniques, cv=3, epochs=3, score="balanced_accuracy", refit=False, verbose=False
    ).fit(*data)
    found = study.result_.techniques[1].summaries["balanced_accuracy"]
    folds = [
        fold.scores["balanced_accuracy"]
        for fold in study.result_.folds
        if fold.technique == "weights"
    ]
    assert found.mean == pytest.approx(np.mean(folds))
    assert found.low <= found.mean <= found.high
    assert 0 <= found.p_value <= 1
    assert (found.difference_low <= 0 <= found.difference_high) == (found.p_value >= 0.05)
    with pytest.raises(ValueError, match="Did you mean 'balanced_accuracy'"):
        Study(techniques, score="balanced_acuracy", verbose=False).fit(*data)


def test_predictions_are_those_that_were_scored(data, tmp_path):
    X, y = data
    names = [f"cell {i}" for i in range(90)]
    file = tmp_path / "fits.jsonl"
    params = {"cv": 3, "epochs": 2, "verbose": False, "refit": False, "results_file": file}
    study = Study([BASE], **params).fit(X, y, image_names=names)
    kept = study.result_.predictions
    assert sorted(kept["index"]) == list(range(90))
    np.testing.assert_array_equal(kept["true"], y[kept["index"]])
    assert kept["image"][0] == names[kept["index"][0]]
    columns = np.stack([kept[f"p {label}"] for label in np.unique(y)], axis=1)
    np.testing.assert_allclose(columns.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.unique(y)[columns.argmax(axis=1)], kept["predicted"])
    for fold in study.result_.folds:
        of = kept["fold"] == fold.fold
        assert (kept["true"][of] == kept["predicted"][of]).sum() == fold.n_correct
    again = Study([BASE], **params).fit(X, y)  # from the file
    for name in set(kept) - {"image"}:
        np.testing.assert_array_equal(again.result_.predictions[name], kept[name])
    study.result_.save(tmp_path)
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert len(lines) == 91
    assert lines[0].startswith("technique,fold,index,image,true,predicted,p ")


def test_each_fold_has_a_seed_of_its_own_that_rows_share(data):
    study = Study(
        [BASE, Technique("same", {**SMALL, "clf__label_smoothing": 0.0})],
        cv=3,
        n_repeats=2,
        epochs=1,
        refit=False,
        verbose=False,
    ).fit(*data)
    seeds = {
        technique: [f.random_state for f in study.result_.folds if f.technique == technique]
        for technique in ("base", "same")
    }
    assert len(set(seeds["base"])) == 6
    assert seeds["base"] == seeds["same"]
    base, same = study.result_.techniques
    assert base.scores == same.scores, "the same network under the same seeds"


def test_a_score_cannot_take_the_name_of_a_column(data):
    for name in ("accuracy", "technique", "low", "p_value", "recall basophil", "f1_macro_high"):
        with pytest.raises(ValueError, match=f"A score cannot be called '{name}'"):
            Study([BASE], scoring={name: "accuracy"}, verbose=False).fit(*data)


def test_macro_f1_is_scikit_learns_where_a_fold_lacks_a_class():
    from sklearn.metrics import f1_score

    from skcell.study._fits import FoldScorer

    y, predicted = np.array(list("aabb")), np.array(list("aabc"))
    found = FoldScorer(np.array(list("abc")), {}).score(y, predicted, None)
    assert found["f1_macro"] == pytest.approx(f1_score(y, predicted, average="macro"))


def test_groups_widen_the_interval_of_one_holdout(data):
    X, y = data
    test_fold = np.where(np.arange(90) < 30, 0, -1)
    params = {"cv": PredefinedSplit(test_fold), "epochs": 1, "verbose": False, "refit": False}
    alone = Study([BASE], **params).fit(X, y).result_.techniques[0]
    study = Study([BASE], **params).fit(X, y, groups=np.arange(90) // 10)
    (technique,) = study.result_.techniques
    assert technique.accuracy == alone.accuracy
    kept = study.result_.predictions
    right = kept["true"] == kept["predicted"]
    expected = accuracy_interval(right, kept["index"] // 10)
    assert_allclose((technique.low, technique.high), (expected.low, expected.high))
    assert technique.high - technique.low > alone.high - alone.low
    assert "effective number of images, for 9 groups" in caption(study.result_)
    one = Study([BASE], **params).fit(X, y, groups=np.where(np.arange(90) < 30, 0, np.arange(90)))
    assert np.isnan(one.result_.techniques[0].low)
    assert 'An interval is "none" if one split or one group' in caption(one.result_)


def test_copies_are_warned_of_with_names_and_stand_on_the_page(data, tmp_path):
    X, y = data[0].copy(), data[1]
    first, second = np.flatnonzero(y == y[0])[0], np.flatnonzero(y != y[0])[0]
    X[second] = X[first]
    with pytest.warns(DuplicateImageWarning, match=f"under two labels: {first} = {second} is"):
        study = Study([BASE], cv=2, epochs=1, verbose=False, refit=False).fit(X, y)
    assert "under two labels" in study.result_.report(tmp_path / "study.html").read_text()


def test_a_classifier_of_another_library_is_a_technique_like_others(data):
    X, y = data
    flat = make_pipeline(FunctionTransformer(_flatten), LogisticRegression(max_iter=50))
    techniques = [BASE, Technique("logistic", {"clf": flat})]
    study = Study(techniques, cv=3, epochs=1, verbose=False).fit(X, y, groups=np.arange(90) // 3)
    assert not study.result_.techniques[1].error
    assert len(study.result_.techniques[1].scores) == 3


def test_a_saved_result_is_shown_and_compared_without_the_data(tmp_path, data):
    X, y = data
    groups = np.array([f"patient {i // 3}" for i in range(len(y))])
    study = Study([BASE, SMOTE], cv=3, epochs=1, verbose=False, refit=False)
    result = study.fit(X, y, groups, image_names=[f"{i}.png" for i in range(len(y))]).result_
    result.save(tmp_path / "first")
    again = StudyResult.load(tmp_path / "first")
    assert caption(again) == caption(result)
    assert [t.summaries for t in again.techniques] == [t.summaries for t in result.techniques]
    for name, column in result.predictions.items():
        if name.startswith("p "):
            np.testing.assert_allclose(again.predictions[name], column, rtol=1e-5)
        else:
            np.testing.assert_array_equal(again.predictions[name].astype(str), column.astype(str))
    again.save(tmp_path / "second")
    for name in NAMES - {"study.png", "study.html"}:
        first, second = ((tmp_path / f / name).read_text() for f in ("first", "second"))
        assert first == second, name
    turned = again.compare_with("SMOTE")
    assert [t.name for t in turned.techniques] == ["SMOTE", "base"]
    assert turned.techniques[1].difference == pytest.approx(-result.techniques[1].difference)
    assert turned.techniques[1].p_value == pytest.approx(result.techniques[1].p_value, rel=1e-3)
    assert np.isnan(turned.techniques[0].difference)
    with pytest.raises(ValueError, match="Did you mean 'SMOTE'"):
        again.compare_with("SMOT")


def test_what_is_no_result_is_refused_and_without_predictions_nothing_is_compared(tmp_path, data):
    (tmp_path / "study.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="has format 2, and this version of skcell reads format 3"):
        StudyResult.load(tmp_path)
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(ValueError, match=r"is not a study.json that skcell wrote"):
        StudyResult.load(tmp_path / "study.json")
    study = Study([BASE], cv=2, epochs=1, verbose=False, refit=False).fit(*data)
    study.result_.save(tmp_path)
    (tmp_path / "predictions.csv").unlink()
    with pytest.raises(ValueError, match=r"keep predictions.csv beside study.json"):
        StudyResult.load(tmp_path).compare_with("base")


def _flatten(X):
    return X.reshape(len(X), -1) / 255


def test_a_fitted_study_is_fitted(data):
    study = Study([BASE], cv=2, epochs=1, verbose=False, refit=False)
    with pytest.raises(NotFittedError):
        check_is_fitted(study)
    check_is_fitted(study.fit(*data))
    assert "Not fitted" not in study._repr_html_()


@pytest.mark.parametrize("name", ["$a_b$ $", "[red]x[/blue]", "[/red]", "caf\udce9"])
def test_any_name_passes_through_table_files_page_and_journal(data, tmp_path, name, capsys):
    X, y = data
    labels = np.where(y == y[0], name, y)
    technique = Technique(name, SMALL, name)
    file = tmp_path / "fits.jsonl"
    study = Study([technique], cv=2, epochs=1, refit=False, results_file=file).fit(
        X, labels, data_name=name
    )
    study.result_.show()
    study.result_.save(tmp_path)
    shown = name.replace("\udce9", "\ufffd")
    assert shown in capsys.readouterr().out
    assert shown in (tmp_path / "results.csv").read_text()
    again = Study([technique], cv=2, epochs=1, refit=False, results_file=file, verbose=False)
    assert again.fit(X, labels).result_.techniques[0].scores == study.result_.techniques[0].scores


@pytest.mark.parametrize(
    "parameters",
    [{"clf__dtype_policy": "nonsense"}, {"clf__filters": (0,)}, {"clf__loss": "no_such_loss"}],
    ids=str,
)
def test_what_cannot_be_built_is_said_before_training(data, parameters):
    with pytest.raises(ValueError, match="Technique 'bad' cannot be used"):
        Study([BASE, Technique("bad", {**SMALL, **parameters})], verbose=False).fit(*data)


def test_rows_are_found_by_name():
    assert [
        technique.name for technique in resolve_techniques(["smote  + Augmentation", "base"])
    ] == [
        "SMOTE + augmentation",
        "base",
    ]
    with pytest.raises(ValueError, match=r"no technique 'batchnorm'\. Did you mean 'batch norm'"):
        resolve_techniques(["batchnorm"])
    with pytest.raises(ValueError, match="more than one is called 'base'"):
        resolve_techniques(["base", BASE])
    with pytest.raises(ValueError, match=r"pass \['base'\]"):
        resolve_techniques("base")


X0 = np.zeros((12, 8, 8, 3), np.uint8)
Y0 = np.repeat(["a", "b"], 6)
NAN = np.full((12, 8, 8, 3), np.nan, np.float32)


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        (X0[:0], Y0[:0], {}, "no images"),
        (X0, np.repeat("a", 12), {}, "at least two classes"),
        (X0, [str(i) for i in range(12)], {}, "class 0 has 1"),
        (X0, np.repeat(["a", "b"], [10, 2]), {}, "cv=3 needs .* class b has 2"),
        (X0, Y0[:5], {}, "inconsistent numbers"),
        (NAN, Y0, {}, "NaN or infinity"),
        (X0.reshape(12, -1), Y0, {}, "Reshape the rows"),
        (X0.astype(np.int32), Y0, {}, "dtype int32"),
        (["missing.png"] * 12, Y0, {}, "names no file"),
        (X0, Y0, {"epochs": 0}, "'epochs' parameter of Study"),
        (X0, Y0, {"cv": 1}, "'cv' parameter of Study"),
        (X0, Y0, {"techniques": ["bse"]}, "Did you mean 'base'"),
        (
            X0,
            Y0,
            {"techniques": [Technique("r", {"clf__epoch": 3})]},
            "Technique 'r' .*Did you mean 'epochs'",
        ),
        (X0, Y0, {"techniques": [Technique("r", {"clf__l2": -1})]}, "Technique 'r' .*'l2'"),
        (
            X0,
            Y0,
            {"techniques": [Technique("r", {"smote__k_neighbors": 3})]},
            "Technique 'r' cannot be used",
        ),
        (X0, Y0, {"cv": [(np.arange(8), np.arange(6, 12))]}, "same 2 image"),
        (
            X0,
            Y0,
            {"cv": [(np.arange(6), np.arange(6, 12))]},
            "class b without a single training image",
        ),
        (X0, Y0, {"cv": []}, "makes no split"),
    ],
)
def test_bad_input_is_named_before_training(X, y, options, message):
    study = Study(**{"cv": 3, "verbose": False, **options})
    with pytest.raises(ValueError, match=message):
        study.fit(X, y)
    assert not hasattr(study, "started_")


def test_groups_must_suffice():
    with pytest.raises(ValueError, match="at least 3 groups, got 2"):
        Study(cv=3).fit(X0, Y0, np.tile([0, 1], 6))
    with pytest.raises(ValueError, match="at least two groups of every class, but class a has 1"):
        Study(cv=3).fit(X0, Y0, np.repeat([0, 1, 2], [6, 3, 3]))


def test_unknown_parameter():
    with pytest.raises(TypeError, match="Did you mean 'epochs'"):
        Study(epoch=3)


class _StopAfter:
    """Presses Ctrl-C after so many epochs."""

    def __new__(cls, epochs):
        import keras

        class Stop(keras.callbacks.Callback):
            done = 0

            def __deepcopy__(self, memo):
                return self

            def on_epoch_end(self, epoch, logs=None):
                self.done += 1
                if self.done == epochs:
                    raise KeyboardInterrupt

        return Stop()


def test_time_left_follows_the_fits():
    tally = Progress(["a", "b"], 2)
    assert tally.seconds_left() is None
    for _ in range(2):
        time.sleep(0.05)
        tally.add(FoldResult("a", 0, 1, 2, 2, 0.05))
    time.sleep(0.05)
    tally.add(FoldResult("b", 0, 1, 2, 2, 0.05))
    assert 0 < tally.seconds_left() < 0.4
    assert tally.best() == ("a", 0.5)
    assert [duration(s) for s in (7, 600, 7500)] == ["7 s", "10 min", "2 h 05 min"]


def test_no_time_is_better_than_a_wrong_one():
    """A technique that was not timed may take ten times as long as the others."""
    tally = Progress(["quick", "slow"], 2)
    tally.add(FoldResult("quick", 0, 1, 2, 2, 0.1))
    assert tally.seconds_left() is None
    tally.add(FoldResult("slow", 0, 1, 2, 2, 0.1))
    assert tally.seconds_left() is not None
    tally._mark -= 60
    assert tally.seconds_left() is None, "it takes longer than was expected"


def test_time_left_knows_the_fits_of_before():
    tally = Progress(["a", "b"], 2)
    tally.add(FoldResult("a", 0, 1, 2, 2, 100.0), measured=False)
    tally.add(FoldResult("b", 0, 1, 2, 2, 0.0))
    assert 95 < tally.seconds_left() < 101


def test_a_splitter_that_breaks_groups_is_refused():
    X = np.zeros((48, 8, 8, 3), np.uint8)
    y = np.array(["a", "b"] * 24)
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    with pytest.raises(ValueError, match=r"group\(s\), for example 0, on both sides"):
        Study(["base"], cv=folds, epochs=1, verbose=False).fit(X, y, groups=np.arange(48) // 4)


def test_folds_that_agree_by_chance_are_no_certainty():
    technique = Technique("base", {})
    folds = [
        FoldResult("base", i, 15, 30, 30, 1.0, predicted=np.repeat([0, 1], 15)) for i in range(2)
    ]
    validated = Validated([np.arange(30), np.arange(30, 60)], np.zeros(60, int))
    found = summarise(technique, folds, validated=validated, confidence_level=0.95)
    alone = accuracy_interval(np.arange(60) < 30)
    assert found.low < alone.low < 0.4 < 0.6 < alone.high < found.high
    again = summarise(technique, folds * 20, validated=validated, confidence_level=0.95)
    assert again.low < alone.low < alone.high < again.high, "no image counts twice"


def test_differences_that_agree_by_chance_are_no_certainty():
    techniques = [Technique("base", {}), Technique("wide", {})]
    folds = [
        FoldResult(technique.name, i, n, 10, 10, 1.0, predicted=(np.arange(10) >= n).astype(int))
        for technique, n in zip(techniques, (5, 6), strict=True)
        for i in range(2)
    ]
    validated = Validated([np.arange(10), np.arange(10, 20)], np.zeros(20, int))
    found = [
        summarise(
            technique,
            [f for f in folds if f.technique == technique.name],
            validated=validated,
            confidence_level=0.95,
        )
        for technique in techniques
    ]
    wide = compare(found, folds, validated, 0.95)[1]
    assert wide.difference == pytest.approx(0.1)
    assert wide.p_value > 0.1, "two images of twenty"
    assert wide.difference_low < 0 < wide.difference_high


def test_a_technique_that_learned_too_little_is_told(cells, tmp_path):
    """One that is behind the others got even its training images wrong, or knows them by heart."""
    X, y = cells.images[:160], cells.target[:160]
    plain = SMALL | {"clf__filters": (8, 16), "clf__dense_units": 32, "clf__learning_rate": 3e-3}
    techniques = [
        Technique("base", plain),
        Technique("weak", plain | {"clf__learning_rate": 1e-6}),
        Technique("by heart", plain | {"clf__filters": (1,)}),
    ]
    study = Study(techniques, cv=2, epochs=20, refit=False, verbose=False).fit(X, y)
    base, weak, by_heart = study.result_.techniques
    assert weak.accuracy < base.accuracy - 0.1
    assert by_heart.accuracy < base.accuracy - 0.1
    assert weak.training_accuracy < base.accuracy - 0.1 < by_heart.training_accuracy
    study.result_.save(tmp_path)
    for result in (study.result_, StudyResult.load(tmp_path)):
        assert caption(result).count("had an accuracy of only") == 1
        assert "weak had an accuracy of only" in caption(result)


def test_caption_says_what_equal_classes_mean_and_never_calls_a_fold_a_split():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (24, 8, 8, 3), np.uint8)
    params = {**SMALL, "clf__callbacks": [_StopAfter(epochs=2)], "clf__class_weight": "balanced"}
    technique = Technique("base", params)
    study = Study([technique], cv=3, epochs=1, verbose=False).fit(X, np.array(["a", "b"] * 12))
    assert not study.result_.complete
    assert len(study.result_.folds) == 1
    text = caption(study.result_)
    assert "variance between images and between folds" in text
    assert "one split" not in text
    assert "All classes have the same size" in text
