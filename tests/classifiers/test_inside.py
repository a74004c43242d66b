"""The classifier and its images are found wherever an estimator holds others."""

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline as sklearn_pipeline

from skcell import CellCNNClassifier, ImageSMOTE, make_pipeline
from skcell.classifiers import classifier_of, find_image_spec
from skcell.datasets import make_cells


@pytest.fixture(scope="module")
def cells():
    return make_cells(40, n_classes=2, image_size=16, random_state=0)


@pytest.fixture(scope="module")
def clf(cells):
    clf = CellCNNClassifier(filters=(4,), dense_units=4, epochs=1, random_state=0)
    return clf.fit(cells.images, cells.target)


@pytest.mark.parametrize(
    "around",
    [
        lambda clf: make_pipeline(ImageSMOTE(), clf),
        lambda clf: sklearn_pipeline("passthrough", clf),
        lambda clf: GridSearchCV(clf, {"dropout": [0.0]}, cv=2),
        lambda clf: FrozenEstimator(clf),
        lambda clf: CalibratedClassifierCV(FrozenEstimator(make_pipeline(ImageSMOTE(), clf))),
        lambda clf: VotingClassifier([("pipe", make_pipeline(ImageSMOTE(), clf))]),
    ],
)
def test_an_estimator_around_one(cells, clf, around):
    model = around(clf).fit(cells.images, cells.target)
    assert isinstance(classifier_of(model), CellCNNClassifier)
    assert find_image_spec(model).shape == (16, 16, 3)


def test_none_or_several_are_refused(cells, clf):
    rows = cells.images.reshape(len(cells.images), -1)
    logistic = LogisticRegression(max_iter=10).fit(rows, cells.target)
    with pytest.raises(TypeError, match="one classifier of skcell; LogisticRegression contains 0"):
        classifier_of(logistic)
    assert find_image_spec(logistic) is None
    bagging = BaggingClassifier(
        CellCNNClassifier(
            filters=(4,), dense_units=4, epochs=1, image_shape=(16, 16, 3), random_state=0
        ),
        n_estimators=2,
    )
    with pytest.raises(TypeError, match="contains 2"):
        classifier_of(bagging.fit(rows, cells.target))
