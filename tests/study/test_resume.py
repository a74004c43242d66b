"""A study goes on where it stopped, whatever stopped it; its techniques, scores and report."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

from skcell import CellCNNClassifier, ImageAugmenter, SEInceptionResNetClassifier
from skcell.datasets import make_cells
from skcell.metrics import estimate_over_folds, holm_correction
from skcell.study import PLAIN_SETTINGS, Study, Technique, load_techniques, resolve_techniques
from skcell.study._journal import Journal

PLAIN = {f"clf__{name}": value for name, value in PLAIN_SETTINGS.items()}
SMALL = PLAIN | {"clf__filters": (4, 4), "clf__dense_units": 8}
TECHNIQUES = [
    Technique("base", SMALL, "small"),
    Technique("norm", {**SMALL, "clf__batch_norm": True}, "normalised <b>"),
    Technique("balanced", {**SMALL, "clf__class_weight": "balanced"}),
]


@pytest.fixture(scope="module")
def data():
    cells = make_cells(90, n_classes=3, image_size=16, random_state=0)
    return cells.images, cells.target_names[cells.target]


def make(techniques=TECHNIQUES, **params):
    return Study(techniques, **{"cv": 3, "epochs": 2, "verbose": False, "refit": False, **params})


@pytest.fixture(scope="module")
def study(data):
    return make().fit(*data)


def counted(monkeypatch):
    """Count the fits that are made."""
    from skcell.study import _fits

    made, original = [], _fits.Fit.evaluate

    def run(self, *args):
        made.append((self.technique.name, self.fold))
        return original(self, *args)

    monkeypatch.setattr(_fits.Fit, "evaluate", run)
    return made


# Going on


def test_what_is_done_is_not_done_again(data, study, tmp_path, monkeypatch, capsys):
    file = tmp_path / "deep" / "fits.jsonl"
    make(TECHNIQUES[:2], results_file=file).fit(*data)
    made = counted(monkeypatch)
    again = make(results_file=file, verbose=True).fit(*data)
    assert made == [("balanced", 0), ("balanced", 1), ("balanced", 2)]
    assert [technique.scores for technique in again.result_.techniques] == [
        technique.scores for technique in study.result_.techniques
    ]
    assert [technique.means for technique in again.result_.techniques] == [
        technique.means for technique in study.result_.techniques
    ]
    assert "Resuming: 6 of 9 fits are done already." in capsys.readouterr().out
    make(results_file=file).fit(*data)
    assert len(made) == 3


@pytest.mark.parametrize("change", ["pixel", "label", "epochs", "seed", "parameter", "scoring"])
def test_other_data_and_settings_are_noticed_and_not_mixed_in(
    data, tmp_path, monkeypatch, capsys, change
):
    file = tmp_path / "fits.jsonl"
    make(TECHNIQUES[:1], results_file=file).fit(*data)
    made = counted(monkeypatch)
    X, y = data[0].copy(), data[1].copy()
    techniques, params = TECHNIQUES[:1], {}
    if change == "pixel":
        X[0, 0, 0, 0] ^= 1
    elif change == "label":
        y[0] = next(label for label in y if label != y[0])
    elif change == "parameter":
        techniques = [Technique("base", {**SMALL, "clf__augmentation": ImageAugmenter()})]
    else:
        params = {
            "epochs": {"epochs": 3},
            "seed": {"random_state": 1},
            "scoring": {"scoring": ["neg_log_loss"]},
        }[change]
    make(techniques, results_file=file, verbose=True, **params).fit(X, y)
    assert len(made) == 3
    assert "3 results of other data or settings" in (capsys.readouterr().out)
    make(TECHNIQUES[:1], results_file=file).fit(*data)
    assert len(made) == 3, "those of before are still there"


def test_changed_files_are_noticed(tmp_path, monkeypatch):
    from PIL import Image

    rng = np.random.default_rng(0)
    paths = []
    for i in range(12):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(paths[-1])
    y, file = np.arange(12) % 2, tmp_path / "fits.jsonl"
    params = {"cv": 2, "epochs": 1, "results_file": file}
    technique = [Technique("base", {**SMALL, "clf__image_shape": (12, 12, 3)})]
    make(technique, **params).fit(paths, y)
    made = counted(monkeypatch)
    make(technique, **params).fit(paths, y)
    assert made == []
    time.sleep(0.01)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(paths[3])
    make(technique, **params).fit(paths, y)
    assert len(made) == 2


def test_a_line_cut_short_is_one_fit_to_do_again(data, study, tmp_path, monkeypatch):
    file = tmp_path / "fits.jsonl"
    make(TECHNIQUES[:1], results_file=file).fit(*data)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    made = counted(monkeypatch)
    again = make(TECHNIQUES[:1], results_file=file).fit(*data)
    assert made == [("base", 2)]
    assert again.result_.techniques[0].scores == study.result_.techniques[0].scores
    assert len(file.read_bytes().splitlines()) == 3


def test_another_file_is_refused_and_left_alone(data, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n")
    with pytest.raises(ValueError, match=r"notes\.txt does not hold results"):
        make(results_file=file).fit(*data)
    assert file.read_text() == "my notes\n"


SCRIPT = """
import sys
from skcell.datasets import make_cells
from skcell.study import Study, Technique
cells = make_cells(90, n_classes=3, image_size=16, random_state=0)
SMALL = {"clf__filters": (4, 4), "clf__dense_units": 8}
techniques = [Technique(f"{i}", {**SMALL, "clf__dropout": i / 10}) for i in range(5)]
study = Study(techniques, cv=4, epochs=2, refit=False, results_file=sys.argv[1])
study.fit(cells.images, cells.target)
"""


@pytest.mark.thorough
def test_killed_at_any_moment_only_the_running_fit_is_lost(tmp_path):
    file = tmp_path / "fits.jsonl"
    rng = np.random.default_rng(os.getpid())
    done = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        printed = 0
        for line in process.stdout:
            printed += line.startswith("[")
            if printed == 4:
                time.sleep(float(rng.uniform(0, 0.3)))
                process.send_signal(signal.SIGKILL)
                break
        process.wait(60)
        process.stdout.close()
        journal = Journal(file)
        assert len(journal) >= done + 4
        done = len(journal)
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)], check=True, capture_output=True, text=True
    ).stdout
    assert f"Resuming: {done} of 20 fits are done already" in out
    assert sum(line.startswith("[") for line in out.splitlines()) == 20 - done
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 20


# Workers


@pytest.mark.thorough
def test_results_of_workers_are_kept_as_they_come(data, study, tmp_path):
    file = tmp_path / "fits.jsonl"
    found = make(n_jobs=2, results_file=file).fit(*data)
    assert [technique.scores for technique in found.result_.techniques] == [
        technique.scores for technique in study.result_.techniques
    ]
    assert len(file.read_text().splitlines()) == 9


@pytest.fixture(scope="module")
def grid():
    """A search over the same settings."""
    small = PLAIN_SETTINGS | {"filters": (4, 4), "dense_units": 8, "epochs": 2}
    clf = CellCNNClassifier(**small, random_state=0)
    return GridSearchCV(clf, {"batch_norm": [False, True]}, cv=3, refit=False)


@pytest.mark.thorough
def test_a_dask_cluster_gives_the_same(data, study, grid, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="comes with skcell[tests]")
    sent, scatter = [], distributed.Client.scatter

    def counted_scatter(self, things, **params):
        sent.append(things)
        return scatter(self, things, **params)

    monkeypatch.setattr(distributed.Client, "scatter", counted_scatter)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        found = make(n_jobs=2).fit(*data)
        assert sum(thing is data[0] for thing in sent) == 1, "images go out once, not in each fit"
        searched = clone(grid).set_params(n_jobs=2).fit(*data)
    assert [technique.scores for technique in found.result_.techniques] == [
        technique.scores for technique in study.result_.techniques
    ]
    assert_same_search(searched, grid.fit(*data))


@pytest.fixture
def ray_cluster(monkeypatch):
    """Ray with two workers; and what was put into its store."""
    ray = pytest.importorskip("ray", reason="comes with skcell[tests]")
    from ray.util.joblib import register_ray

    register_ray()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    sent, put = [], ray.put
    monkeypatch.setattr(ray, "put", lambda thing: (sent.append(thing), put(thing))[1])
    with parallel_config(backend="ray"):
        yield sent
    ray.shutdown()


@pytest.mark.thorough
def test_a_ray_cluster_gives_the_same(data, study, tmp_path, ray_cluster):
    file = tmp_path / "fits.jsonl"
    found = make(n_jobs=2, results_file=file).fit(*data)
    assert [technique.scores for technique in found.result_.techniques] == [
        technique.scores for technique in study.result_.techniques
    ]
    assert len(file.read_text().splitlines()) == 9
    assert [thing is data[0] for thing in ray_cluster] == [True], "images go out once"


@pytest.mark.slow
def test_a_grid_search_on_a_ray_cluster_gives_the_same(data, grid, ray_cluster):
    found = clone(grid).set_params(n_jobs=2).fit(*data)
    with parallel_config(backend="loky"):
        assert_same_search(found, grid.fit(*data))


def assert_same_search(one, other):
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
    )


# Comparisons and scores


def test_differences_are_paired_and_corrected(study):
    base, *others = study.result_.techniques
    assert np.isnan(base.difference)
    raw = []
    for technique in others:
        d = np.array(technique.scores) - np.array(base.scores)
        assert np.isclose(technique.difference, d.mean())
        images = study.result_.images
        correct = {
            name: [
                (images.codes[images.tests[fold.fold]] == fold.predicted).astype(float)
                for fold in study.result_.folds
                if fold.technique == name
            ]
            for name in (base.name, technique.name)
        }
        gained = [a - b for a, b in zip(correct[technique.name], correct[base.name], strict=True)]
        estimate = estimate_over_folds(gained, images.tests)
        ends = estimate.interval(0.975)  # of two
        found = technique.difference_low, technique.difference_high
        np.testing.assert_allclose(found, (ends.low, ends.high))
        raw.append(estimate.p_value)
    np.testing.assert_allclose([technique.p_value for technique in others], holm_correction(raw))


def test_scores_are_scikit_learns(data):
    from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    X, y = data
    found = make(TECHNIQUES[:1], scoring={"loss": "neg_log_loss"}).fit(X, y).result_.folds[1]
    train, test = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))[1]
    seed = found.random_state
    small = PLAIN_SETTINGS | {"filters": (4, 4), "dense_units": 8, "epochs": 2}
    clf = CellCNNClassifier(**small, random_state=seed)
    clf.fit(X[train], y[train])
    p, predicted = clf.predict_proba(X[test]), clf.predict(X[test])
    assert np.isclose(
        found.scores["balanced_accuracy"], balanced_accuracy_score(y[test], predicted)
    )
    assert np.isclose(found.scores["f1_macro"], f1_score(y[test], predicted, average="macro"))
    assert np.isclose(found.scores["auc"], roc_auc_score(y[test], p, multi_class="ovr"))
    recalls = recall_score(y[test], predicted, average=None)
    assert np.allclose([found.scores[f"recall {c}"] for c in np.unique(y)], recalls)
    assert found.scores["loss"] < 0


def test_table_and_best_estimator(data):
    pytest.importorskip("pandas", reason="comes with skcell[tests]")
    study = make(refit=True, n_repeats=2).fit(*data)
    table = study.result_.table
    assert list(table.index) == ["base", "norm", "balanced"]
    assert np.isclose(
        table.loc["norm", "accuracy"], study.result_.techniques[1].accuracy, atol=1e-6
    )
    assert {"difference", "p_value", "auc", "recall basophil"} <= set(table.columns)
    assert study.result_.configuration["protocol"].startswith(
        "3-fold cross-validation, 2 times, stratified"
    )
    assert len(study.result_.folds) == 18
    best = max(study.result_.techniques, key=lambda technique: technique.accuracy)
    fitted = study.best_estimator_
    assert fitted.get_params()["clf__batch_norm"] == best.parameters.get("clf__batch_norm", False)
    assert fitted.predict(data[0]).shape == (90,)


def test_repeats_of_a_splitter_are_refused(data):
    with pytest.raises(ValueError, match="repeats=2 needs cv to be a number of folds"):
        make(cv=[(np.arange(60), np.arange(60, 90))], n_repeats=2).fit(*data)


# The page


def test_report_is_one_page_with_nothing_to_load(study, tmp_path):
    file = study.result_.report(tmp_path / "new" / "study.html")
    page = file.read_text()
    assert "normalised &lt;b&gt;" in page
    assert 'src="data:image/png;base64,' in page
    assert "http://" not in page
    assert "https://" not in page
    for technique in study.result_.techniques:
        assert f"{100 * technique.accuracy:.1f} %" in page
    assert ">nan" not in page
    assert "nan " not in page


LOOK = """
<script>
const picture = document.querySelector("img"), table = document.querySelector("table");
document.body.dataset.seen = [
  picture.complete && picture.naturalWidth > 500,
  table.querySelectorAll("tr").length,
  document.body.scrollWidth <= window.innerWidth,
].join(" ");
</script>
"""


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.thorough
def test_report_in_a_browser(study, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser: apt-get install chromium")
    page = study.result_.report(tmp_path / "study.html")
    page.write_text(page.read_text().replace("</body>", LOOK + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    options += ["--disable-background-networking", "--no-first-run", f"--window-size={width},900"]
    dom = subprocess.run(
        [browser, *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert 'data-seen="true 4 true"' in dom, (
        "the plot, a head and three techniques, nothing cut off"
    )
    assert "<title>Study of cells</title>" in dom


# Techniques from a file


def test_rows_from_toml(tmp_path):
    file = tmp_path / "techniques.toml"
    file.write_text(
        """
        [[techniques]]
        name = "base"
        [[techniques]]
        name = "wide"
        description = "twice the filters"
        parameters = { "clf__filters" = [64, 128], "clf__dropout" = 0.5 }
        [[techniques]]
        name = "composite, turned"
        [techniques.parameters]
        clf = { type = "SEInceptionResNetClassifier", n_blocks = 2 }
        clf__augmentation = { type = "ImageAugmenter", rotation = 0.1 }
        """
    )
    base, wide, composite = load_techniques(file)
    assert base is resolve_techniques(["base"])[0]
    assert wide.parameters == {"clf__filters": (64, 128), "clf__dropout": 0.5}
    assert wide.description == "twice the filters"
    assert isinstance(composite.parameters["clf"], SEInceptionResNetClassifier)
    assert composite.parameters["clf__augmentation"].rotation == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("techniques = 3", r"should hold \[\[techniques\]\]"),
        ("[[technique]]\nname = 'base'", r"'techniques' is missing"),
        ("[[techniques]]\nname = 'bse'", r"Did you mean 'base'"),
        ("[[techniques]]\nname = 'a'\nclf__l2 = 1", r"no 'clf__l2'; put it under parameters"),
        ("[[techniques]]\nname = 'a'\nparameters = {clf = {type = 'Sve'}}", r"names no estimator"),
        ("[[techniques]]\nname = 'a'\nparameters = {clf = {type = 'ImageSMOTE', k = 1}}", r"k"),
        ("[[techniques", r"techniques.toml does not name techniques of a study"),
    ],
)
def test_bad_rows_are_said_with_the_file(tmp_path, text, message):
    file = tmp_path / "techniques.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_techniques(file)


def test_rows_may_be_renamed_or_be_the_same(data, tmp_path, monkeypatch):
    file = tmp_path / "fits.jsonl"
    make(TECHNIQUES[:2], results_file=file).fit(*data)
    made = counted(monkeypatch)
    renamed = [Technique("reference", SMALL), *TECHNIQUES[1:2]]
    found = make(renamed, results_file=file).fit(*data)
    assert made == []
    assert [technique.name for technique in found.result_.techniques] == ["reference", "norm"]
    twins = [Technique("a", SMALL), Technique("b", SMALL)]
    found = make(twins, results_file=file).fit(*data)
    assert [len(technique.scores) for technique in found.result_.techniques] == [3, 3]
    assert found.result_.techniques[1].difference == 0


def test_what_cannot_be_kept_or_written_is_said_before_training(data, tmp_path):
    class Odd:  # holds what can be neither taken apart nor pickled
        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, y_true, y_pred):
            return 0.5

    scoring = {"odd": make_scorer(Odd())}
    with pytest.raises(ValueError, match="cannot be kept"):
        make(TECHNIQUES[:1], scoring=scoring, results_file=tmp_path / "fits.jsonl").fit(*data)
    with pytest.raises(OSError, match="proc"):
        make(TECHNIQUES[:1], results_file="/proc/no/fits.jsonl").fit(*data)


def test_an_edited_score_is_another_score(data, tmp_path, monkeypatch):
    def run(score):
        file = tmp_path / "fits.jsonl"
        return make(TECHNIQUES[:1], scoring={"mine": make_scorer(score)}, results_file=file).fit(
            *data
        )

    made = counted(monkeypatch)
    for value in (0.1, 0.1, 0.9):
        found = run(lambda y_true, y_pred, value=value: value)
        assert found.result_.techniques[0].means["mine"] == pytest.approx(value)
    assert len(made) == 6


@pytest.mark.thorough
def test_a_whole_classifier_keeps_what_is_its_own(data):
    class Hears(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            Hears.epochs += 1

        def __deepcopy__(self, memo):
            return self

    clf = CellCNNClassifier(filters=(4,), dense_units=8, epochs=5, callbacks=[Hears()])
    found = make([Technique("own", {"clf": clf})], cv=2).fit(*data)
    assert Hears.epochs == 10
    assert found.result_.techniques[0].parameters["clf__batch_size"] == 32
    assert found.result_.techniques[0].parameters["clf"].random_state == 0
    assert "clf__epochs" not in found.result_.techniques[0].parameters
