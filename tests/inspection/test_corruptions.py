"""Corruptions do what their names say, the same every time, and scores under them are right."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import balanced_accuracy_score

from skcell.inspection import CorruptionDisplay, corruption_report
from skcell.inspection._corruptions import MICROSCOPE


class BrightnessClassifier(ClassifierMixin, BaseEstimator):
    """Calls images bright or dark."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.where(X.reshape(len(X), -1).mean(axis=1) > 128, "bright", "dark")


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(0)
    levels = np.repeat([100, 160], 10)
    images = rng.normal(levels[:, None, None, None], 12, (20, 32, 32, 3))
    images = np.clip(images, 0, 255).astype(np.uint8)
    return images, np.repeat(["dark", "bright"], 10)


def test_each_corruption_changes_images_more_with_its_strength(cells):
    images = cells.images[:8]
    for named in MICROSCOPE.values():
        for one, changes in named.items():
            assert len(changes) == 5
            apart = []
            for change in changes:
                changed = change(images, np.random.default_rng(1))
                again = change(images, np.random.default_rng(1))
                assert changed.dtype == np.uint8
                assert changed.shape == images.shape
                assert (changed == again).all(), "the same for the same seed"
                apart.append(np.abs(changed.astype(int) - images).mean())
            assert apart[4] > apart[0], one
            assert apart[4] > 0.3, one


def test_scores_are_those_of_the_changed_images(two):
    images, labels = two
    clf = BrightnessClassifier().fit(images, labels)
    own = {
        "light": {
            "darker": [
                lambda x, rng, f=f: (x * f).astype(np.uint8) for f in (1, 0.9, 0.85, 0.75, 0.5)
            ]
        }
    }
    report = corruption_report(clf, images, labels, own)
    expected = [
        (clf.predict((images * f).astype(np.uint8)) == labels).mean()
        for f in (1, 0.9, 0.85, 0.75, 0.5)
    ]
    assert [one.value for one in report.accuracy["darker"]] == expected
    assert report.clean_accuracy.value == 1
    assert report.clean_accuracy.low < 1
    assert report.mean_accuracy == pytest.approx(np.mean(expected))
    darkest = clf.predict((images * 0.5).astype(np.uint8))
    assert report.balanced_accuracy["darker"][4] == balanced_accuracy_score(labels, darkest)
    frame = report.to_frame()
    assert len(frame) == 5
    assert ((frame.low <= frame.accuracy) & (frame.accuracy <= frame.high)).all()
    assert len(CorruptionDisplay(report).plot().ax_.lines) == 2


def test_images_that_are_not_square(two):
    images, labels = two
    clf = BrightnessClassifier().fit(images, labels)
    report = corruption_report(clf, images[:, :24], labels, strengths=[5])
    assert len(report.accuracy) == 18


def test_a_test_without_a_class(two):
    """The mean of the recalls is that of the classes that are there."""
    images, labels = two
    clf = BrightnessClassifier().fit(images, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = corruption_report(clf, images[:10], labels[:10], strengths=[5])
    assert report.clean_balanced_accuracy == 1


def test_grey_images_and_a_choice_of_images(two):
    images, labels = two
    clf = BrightnessClassifier().fit(images, labels)
    grey = corruption_report(clf, images[..., 0], labels, strengths=[2], max_images=8)
    assert grey.n_images == 8
    assert not {"colour", "stain"} & set(grey.kinds.values())
    again = corruption_report(clf, images[..., 0], labels, strengths=[2], max_images=8)
    assert grey.to_records() == again.to_records()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"corruptions": "rain"}, "corruptions must be 'microscope' or a dict, got 'rain'"),
        ({"strengths": [0]}, "strengths must be from 1 to 5"),
        ({"strengths": []}, "strengths must be from 1 to 5"),
        ({"corruptions": {"a": {"b": []}}}, "'b' has 0 strengths; give 5"),
        (
            {"corruptions": {k: {"b": [lambda x, rng: x] * 5} for k in "ac"}},
            "two corruptions 'b'",
        ),
    ],
)
def test_wrong_arguments(two, arguments, match):
    clf = BrightnessClassifier().fit(*two)
    with pytest.raises(ValueError, match=match):
        corruption_report(clf, *two, **arguments)
    with pytest.raises(ValueError, match="images of uint8"):
        corruption_report(clf, two[0] / 255, two[1])
