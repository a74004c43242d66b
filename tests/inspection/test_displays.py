"""Displays hold the right figures, and can be drawn for one class and for thirty."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score
from sklearn.model_selection import ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcell import CellCNNClassifier, ImageAugmenter, ImageSMOTE, TransferClassifier
from skcell.classifiers import zoom_images
from skcell.inspection import (
    AccuracyCoverageDisplay,
    AdaptationDisplay,
    AugmentationDisplay,
    ClassCurvesDisplay,
    ClassRecallDisplay,
    ConfusionPicturesDisplay,
    EmbeddingDisplay,
    ExplanationDisplay,
    ReliabilityDisplay,
    ResamplingDisplay,
    TrainingCurvesDisplay,
)
from skcell.resampling import ImageSampler


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted(cells):
    clf = CellCNNClassifier(
        filters=(8, 16), dense_units=16, epochs=4, early_stopping=True, random_state=0
    )
    return clf.fit(cells.images[:160], cells.target[:160])


def predictions(n_classes, n=300, seed=0):
    rng = np.random.default_rng(seed)
    names = np.array([f"a class with a name of forty characters {i:02d}" for i in range(n_classes)])
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    p = rng.dirichlet(np.ones(n_classes), n)
    p[np.arange(n), np.where(rng.random(n) < 0.8, y, rng.integers(0, n_classes, n))] += 0.4
    return names[y], p / p.sum(axis=1, keepdims=True), names


def check_drawing(figure):
    """Nothing lies outside of the figure, and no text on another on the axes."""
    figure.canvas.draw()
    box = figure.bbox
    for ax in figure.axes:
        found = ax.get_tightbbox()
        assert found is None or (found.x0 >= -2 and found.x1 <= box.x1 + 2), "cut off"


@pytest.mark.parametrize("n_classes", [1, 2, 30])
def test_any_number_of_classes_can_be_drawn(n_classes):
    y, p, names = predictions(n_classes)
    predicted = names[p.argmax(axis=1)]
    recall = ClassRecallDisplay.from_predictions(y, predicted)
    values = [one.value for one in recall.recall]
    assert np.allclose(values, recall_score(y, predicted, labels=recall.classes, average=None))
    assert all(one.low <= one.value <= one.high for one in recall.recall)
    check_drawing(recall.figure_)
    labels = [label.get_text() for label in recall.ax_.get_yticklabels()]
    assert len(set(labels)) == n_classes, "shortened names differ"
    check_drawing(ReliabilityDisplay.from_predictions(y, p, names).figure_)
    curve = AccuracyCoverageDisplay.from_predictions(y, p, names)
    assert curve.accuracy[-1] == pytest.approx((predicted == y).mean())
    check_drawing(curve.figure_)
    check_drawing(ClassCurvesDisplay.from_predictions(y, p, names).figure_)
    points = np.random.default_rng(0).normal(size=(len(y), 2))
    check_drawing(EmbeddingDisplay(points, y, predicted != y).plot().figure_)


def test_curves_agree_with_scikit_learn():
    y, p, names = predictions(4)
    roc = ClassCurvesDisplay.from_predictions(y, p, names)
    precision = ClassCurvesDisplay.from_predictions(y, p, names, kind="precision_recall")
    for column, name in enumerate(names):
        assert roc.areas[name] == [pytest.approx(roc_auc_score(y == name, p[:, column]))]
        expected = average_precision_score(y == name, p[:, column])
        assert precision.areas[name] == [pytest.approx(expected)]
    mean = np.mean([roc.areas[name][0] for name in names])
    assert mean == pytest.approx(roc_auc_score(y, p, multi_class="ovr", labels=names))
    with pytest.raises(ValueError, match="kind must be"):
        ClassCurvesDisplay.from_predictions(y, p, names, kind="lift")
    with pytest.raises(ValueError, match="for 3 classes"):
        ClassCurvesDisplay.from_predictions(y, p, names[:3])


def test_curves_of_folds(cells):
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255.0)
    clf = make_pipeline(flat, LogisticRegression(max_iter=50))
    results = cross_validate(
        clf, cells.images, cells.target, cv=3, return_estimator=True, return_indices=True
    )
    display = ClassCurvesDisplay.from_cv_results(results, cells.images, cells.target)
    assert {len(curves) for curves in display.curves.values()} == {3}
    test = results["indices"]["test"][1]
    p = results["estimator"][1].predict_proba(cells.images[test])
    assert display.areas[2][1] == pytest.approx(roc_auc_score(cells.target[test] == 2, p[:, 2]))
    with pytest.raises(ValueError, match="return_estimator=True"):
        ClassCurvesDisplay.from_cv_results({}, cells.images, cells.target)


def test_folds_that_test_an_image_twice_are_refused(cells):
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255.0)
    results = cross_validate(
        make_pipeline(flat, LogisticRegression(max_iter=10)),
        cells.images,
        cells.target,
        cv=ShuffleSplit(3, random_state=0),
        return_estimator=True,
        return_indices=True,
    )
    with pytest.raises(ValueError, match="test each image once"):
        ClassCurvesDisplay.from_cv_results(results, cells.images, cells.target)


def test_names_with_dollars_and_underscores_are_shown():
    y = np.array([r"a$\frac$", "_other", "b"] * 20)
    display = EmbeddingDisplay(np.random.default_rng(0).normal(size=(60, 2)), y).plot()
    display.figure_.canvas.draw()
    shown = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert len(shown) == 3
    assert any("_other" in text for text in shown)
    ClassRecallDisplay.from_predictions(y, y).figure_.canvas.draw()


def test_displays_of_a_classifier(fitted, cells):
    X, y = cells.images[160:], cells.target[160:]
    for display in (
        ClassRecallDisplay,
        ReliabilityDisplay,
        AccuracyCoverageDisplay,
        ClassCurvesDisplay,
        EmbeddingDisplay,
    ):
        figure, ax = plt.subplots()
        shown = display.from_estimator(fitted, X, y, ax=ax)
        assert shown.ax_ is ax
        assert shown.figure_ is figure
    pca = EmbeddingDisplay.from_estimator(fitted, X, y, method="pca")
    assert pca.points.shape == (80, 2)
    assert (pca.is_wrong == (fitted.predict(X) != y)).all()
    with pytest.raises(ValueError, match="at least three"):
        EmbeddingDisplay.from_estimator(fitted, X[:2], y[:2])


def test_an_adaptation_is_shown_for_each_class_that_is_predicted(fitted, cells):
    X = zoom_images(cells.images, 0.75)
    adapted = fitted.adapt(X)
    found = adapted.predict(X)
    display = AdaptationDisplay.from_estimators(fitted, adapted, X, X_home=cells.images)
    (taken, seen, home) = display.rows
    assert (taken[0], home[0]) == ("as taken", "of the training")
    assert seen[0] == f"resized to {100 * adapted.adaptation_['zoom']:.0f} %"
    assert len(taken[1]) == len(seen[1]) == len(home[1]) == 8
    assert {title for _, title in seen[1]} >= set(map(str, np.unique(found)[:8]))
    first = np.flatnonzero(found == found[0])[0]
    np.testing.assert_array_equal(taken[1][0][0], X[first])
    np.testing.assert_array_equal(
        seen[1][0][0], zoom_images(X[:1], adapted.adaptation_["zoom"])[first]
    )


@pytest.mark.thorough
def test_training_curves_have_phases_and_the_best_epoch(fitted, cells):
    with warnings.catch_warnings(action="error"):
        TrainingCurvesDisplay({"loss": [0.5] * 40}).plot()  # without markers
    display = TrainingCurvesDisplay.from_estimator(fitted)
    assert display.best_epoch == fitted.best_epochs()["epochs"]
    assert len(display.axes_) == 2
    line = display.axes_[0].lines[0]
    assert line.get_ydata().tolist() == fitted.history_["loss"]
    transfer = TransferClassifier(
        backbone="mobilenet_v2",
        weights=None,
        input_size=32,
        epochs=1,
        fine_tuning_epochs=1,
        random_state=0,
    ).fit(cells.images[:40], cells.target[:40])
    shown = TrainingCurvesDisplay.from_estimator(transfer)
    assert [text.get_text() for text in shown.axes_[0].texts] == ["fine-tuning"]


def test_pictures_of_confusions_are_the_most_frequent_and_certain(cells):
    y, p, names = predictions(4, n=240)
    p[:30] = [0.05, 0.9, 0.03, 0.02]
    y = y.copy()
    y[:30] = names[0]
    display = ConfusionPicturesDisplay.from_predictions(cells.images, y, p, names, n_images=3)
    title, pictures = display.rows[0]
    assert title.startswith(names[0][:15])
    assert len(pictures) == 3
    assert [t for _, t in pictures] == ["90 %"] * 3 or pictures[0][1] >= "90 %"
    assert display.axes_.shape[1] == 3
    right = ConfusionPicturesDisplay.from_predictions(
        cells.images[:3], ["a", "b", "a"], np.eye(2)[[0, 1, 0]]
    )
    assert right.rows == []


def test_explanations_augmentation_and_resampling(fitted, cells):
    for method in ("grad-cam", "occlusion"):
        shown = ExplanationDisplay.from_estimator(fitted, cells.images[:3], method=method)
        assert shown.axes_.shape == (2, 3)
    views = AugmentationDisplay.from_augmenter("symmetries", cells.images[:2], n_views=4)
    assert views.axes_.shape == (2, 5)
    original = np.sort(np.asarray(views.rows[0][1][0][0]).ravel())
    for picture, _ in views.rows[0][1][1:]:
        assert (np.sort(np.asarray(picture).ravel()) == original).all(), "the same pixels, moved"
    grey = AugmentationDisplay.from_augmenter(
        ImageAugmenter(rotation=0.1), cells.images[:1, ..., 0]
    )
    assert grey.axes_.shape == (1, 7)
    few = np.concatenate(
        [np.flatnonzero(cells.target == 0), np.flatnonzero(cells.target == 1)[:12]]
    )
    sampler = ImageSMOTE(random_state=0)
    shown = ResamplingDisplay.from_sampler(sampler, cells.images[few], cells.target[few])
    for _, ((first, _), (child, _), (second, _)) in shown.rows:
        a, c, b = (np.asarray(x).astype(int) for x in (first, child, second))
        assert (c >= np.minimum(a, b) - 1).all()
        assert (c <= np.maximum(a, b) + 1).all()
    assert not hasattr(sampler, "parents_"), "the sampler itself is not fitted"
    from imblearn.over_sampling import RandomOverSampler

    with pytest.raises(TypeError, match="does not say what its images were made of"):
        ResamplingDisplay.from_sampler(
            ImageSampler(RandomOverSampler()), cells.images[few], cells.target[few]
        )
