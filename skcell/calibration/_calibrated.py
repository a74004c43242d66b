"""A classifier with calibrated probabilities, prediction sets and out-of-distribution detection."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skcell._digest import short_digests
from skcell._hints import ParameterHintsMixin
from skcell._holdout import Purpose, check_groups, find_copies, split_holdout
from skcell._images import check_labels, load_images
from skcell._sklearn import Interval, StrOptions, _check_method_params, _num_samples, _safe_indexing
from skcell.calibration._conformal import ConformalSets
from skcell.calibration._shares import CellCount, estimate_shares
from skcell.calibration._shift import ReferenceProfile, ShiftReport, expect_kept
from skcell.calibration._temperature import fit_temperature, scale_probabilities
from skcell.calibration._unknown import UnknownDetector
from skcell.classifiers import BaseCellClassifier, classifier_of
from skcell.exceptions import AdaptationWarning
from skcell.metrics import describe_images, measure_reliability

#: Number of images that are loaded at a time.
CHUNK = 512

#: Fewest labelled images that calibrate an adapted classifier, and number of their parts, each of
#: which is predicted by a classifier that was adapted without it.
FEWEST_LABELLED = 16
_PARTS = 5

#: A count says that it is doubtful if a larger share of the images is unknown.
MOST_UNKNOWN = 0.2

_PURPOSE = Purpose("calibration", "calibrate on images of your own: FrozenEstimator")

_NOT_CALIBRATED = (
    "This model is not calibrated for what it predicts now: {reason}. How certain it says it is "
    "means little, and there are no prediction sets. {remedy}"
)
_ADAPTED = {
    "reason": "it was adapted to images of another laboratory, and not calibrated there",
    "remedy": f"Adapt it again with {FEWEST_LABELLED} or more labelled images from there.",
}
_OTHER_TTA = {
    "reason": "it averages over other symmetries than when it was calibrated",
    "remedy": "Use the `tta` that it was calibrated with.",
}


@dataclass(frozen=True)
class Assessment:
    """What a `CalibratedClassifier` says about images.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Most probable class.
    probabilities : ndarray of shape (n, n_classes)
        Calibrated probability of each class.
    prediction_sets : ndarray of bool of shape (n, n_classes) or None
        Set of classes that contains the true one with the stated probability; None if the
        classifier is not calibrated for these predictions.
    unknown : ndarray of bool of shape (n,)
        Whether the image is unlike all that the classifier was trained on. Its class then means
        nothing.
    known_scores : ndarray of shape (n,)
        How known the image is: below 0 for unknown ones.
    uncertain : ndarray of bool of shape (n,)
        Whether the class is less probable than the limit that was asked for, so that a person
        should decide. If the classifier is not calibrated, a limit makes every image uncertain.
    features : ndarray of shape (n, n_features)
        Light, colour and sharpness, to be compared with those of the reference images.
    classes : ndarray of shape (n_classes,)
        Class of each column.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float64]
    prediction_sets: NDArray[np.bool_] | None
    unknown: NDArray[np.bool_]
    known_scores: NDArray[np.float64]
    uncertain: NDArray[np.bool_]
    features: NDArray[np.float64]
    classes: NDArray[Any]

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Join what was said about several parts of the images.

        Parameters
        ----------
        parts : sequence of Assessment
            One or more, of one classifier.

        Returns
        -------
        Assessment
            All images, in order.
        """
        found = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            by_image = field.name != "classes" and values[0] is not None
            found[field.name] = np.concatenate(values) if by_image else values[0]
        return cls(**found)

    def list_prediction_sets(self) -> list[list[Any]] | None:
        """List the classes of each prediction set.

        Returns
        -------
        list of list, or None
            The labels, the most probable first; None if there are no sets.
        """
        if self.prediction_sets is None:
            return None
        order = np.argsort(-self.probabilities, axis=1, kind="stable")
        labels = self.classes.tolist()
        return [
            [labels[k] for k in row if is_in[k]]
            for row, is_in in zip(order, self.prediction_sets, strict=True)
        ]


class CalibratedClassifier(ParameterHintsMixin, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Calibrate a classifier on images that it was not trained on; add prediction sets.

    A part of the training images is held out, stratified and in whole groups, before anything
    resamples or trains. If the classifier stops early, the same images decide when, so that
    calibration costs no further data. From them come

    - a temperature, which calibrates the probabilities [1]_;
    - prediction sets, which contain the true class with a stated probability [2]_;
    - the threshold of a detector of out-of-distribution images [3]_, which are called unknown;
    - a reference profile of light, colour and sharpness, by which a domain shift is detected.

    All of this holds for images that are drawn like the training images; if `groups` are passed,
    also for those of new patients. Elsewhere, check with `detect_shift`, and adapt. An adapted
    classifier is not calibrated until labelled images from there calibrate it: see `adapt`.

    Parameters
    ----------
    estimator : estimator
        A classifier of skcell, or a pipeline of samplers and one. A
        :class:`~sklearn.frozen.FrozenEstimator` of a fitted one is calibrated on all images that
        are passed to `fit`, none of which it may have been trained on.
    validation_fraction : float, default=0.15
        Share of the images that are held out.
    sets : {"lac", "aps"}, default="lac"
        Kind of the prediction sets; see `skcell.calibration.ConformalSets`.
    false_alarm_rate : float, default=0.02
        Share of images like those of training that may be called unknown.
    random_state : int, RandomState instance or None, default=None
        Seed of the holdout.

    Attributes
    ----------
    estimator_ : estimator
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    temperature_ : float
        Temperature that the logits are divided by.
    calibrated_ : bool
        Whether temperature and prediction sets are from images like those that the classifier is
        for now; False after `adapt` without enough labelled images.
    calibration_ : dict
        Numbers of images that were held out, of their groups (None if not known), and of those that
        were predicted wrongly, their log loss and expected calibration error before and after, and
        the `tta` that holds for.
    sets_ : ConformalSets
        The prediction sets.
    predicted_ : ndarray of int of shape (n_held_out,) or None
        Code of the predicted class of each image that was held out; `count` takes from it what the
        classifier confuses.
    detector_ : UnknownDetector
        The detector of unknown images, on the features of `embed`.
    references_ : list of ReferenceProfile
        Light, colour and sharpness of the images that were held out; after `adapt` with enough
        labelled images, also of these.
    test_digests_ : ndarray of uint64
        Digests of the images that `skcell.workflows.train` tested the model on.
    training_digests_ : ndarray of uint64
        The first 64 bits of a digest of each image that `fit` was given, sorted; see
        `was_trained_on`.
    n_features_in_ : int
        Number of pixel values of one image.
    feature_names_in_ : ndarray of str
        Column names, if a data frame with string column names was fitted.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Probabilities alone, of any classifier.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.
    .. [2] A. N. Angelopoulos, S. Bates, "Conformal Prediction: A Gentle Introduction", Foundations
       and Trends in Machine Learning 16, 2023.
    .. [3] Y. Sun, Y. Ming, X. Zhu, Y. Li, "Out-of-Distribution Detection with Deep Nearest
       Neighbors", ICML 2022.

    Examples
    --------
    >>> from skcell import CalibratedClassifier, CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(200, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = CalibratedClassifier(clf, random_state=0)
    >>> clf = clf.fit(cells.images[:160], cells.target_names[cells.target[:160]])
    >>> found = clf.assess(cells.images[160:], coverage=0.9)
    >>> found.prediction_sets.shape
    (40, 2)
    """

    _parameter_constraints: dict = {
        "estimator": "no_validation",
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "sets": [StrOptions({"lac", "aps"})],
        "false_alarm_rate": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        validation_fraction: float = 0.15,
        sets: Literal["lac", "aps"] = "lac",
        false_alarm_rate: float = 0.02,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.validation_fraction = validation_fraction
        self.sets = sets
        self.false_alarm_rate = false_alarm_rate
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, **fit_params: Any
    ) -> Self:
        """Train on most of the images, and calibrate on the others.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.
        y : array-like of shape (n,)
            Labels.
        groups : array-like of shape (n,), default=None
            Group of each image, such as its patient or slide; whole groups are held out.
        **fit_params : object
            Passed to `fit` of the classifier; what has an entry for each image is split.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If images or labels cannot be used, or too few could be held out.
        TypeError
            If the estimator is not around a classifier of skcell.
        """
        self._validate_params()
        _check_estimator(self.estimator)
        if y is None:
            raise ValueError(
                "This CalibratedClassifier estimator requires y to be passed, but the target y is "
                "None."
            )
        frozen = isinstance(self.estimator, FrozenEstimator)
        if not frozen:
            clone(_last(self.estimator))._check_X(X, reset=True)  # errors now, not after training
        (X,) = indexable(X)
        n = _num_samples(X)
        labels, groups = check_labels(y, n), check_groups(groups, n)
        check_classification_targets(labels)
        if len(np.unique(labels)) < 2:
            raise ValueError(
                f"CalibratedClassifier needs images of at least two classes, got 1 class: "
                f"{labels[:1].tolist()[0]!r}."
            )
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        if frozen:
            self.estimator_, rest = self.estimator.estimator, np.arange(n)
        else:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            train, rest = split_holdout(
                labels,
                fraction=self.validation_fraction,
                groups=groups,
                copies=find_copies(X),
                random_state=seed,
                purpose=_PURPOSE,
            )
            X_train, X_rest = _safe_indexing(X, train), _safe_indexing(X, rest)
            params = _check_method_params(X, fit_params, train)
            if _stops_early(self.estimator):
                params |= {"X_val": X_rest, "y_val": labels[rest]}
            self.estimator_ = clone(self.estimator).fit(X_train, labels[train], **params)
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        self._calibrate(
            X if frozen else X_rest,
            labels[rest],
            None if groups is None else groups[rest],
            None if frozen else X_train,
        )
        self.training_digests_ = np.unique(self._digest(X))
        self.test_digests_ = np.zeros(0, np.uint64)
        return self

    def _calibrate(self, X: Any, y: NDArray[Any], groups: Any, X_train: Any) -> None:
        """Set everything that is learned from images that were held out."""
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels that the classifier does not know: {unknown.tolist()}.")
        codes = np.searchsorted(self.classes_, y)
        scaled = self._fit_probabilities(self.estimator_.predict_proba(X), codes, groups)
        clf = self._classifier
        self.detector_ = UnknownDetector(
            false_alarm_rate=self.false_alarm_rate, random_state=self.random_state
        )
        embedded = clf.embed(X)
        if X_train is None:  # each is compared with the others
            self.detector_.fit(embedded)
        else:
            some = check_random_state(0).permutation(_num_samples(X_train))
            chosen = np.sort(some[: self.detector_.max_samples])
            self.detector_.fit(clf.embed(_safe_indexing(X_train, chosen)))
            self.detector_.set_threshold(embedded, groups)
        self.references_ = [self._describe_reference(X, scaled.argmax(axis=1), groups)]

    def _fit_probabilities(
        self, raw: NDArray[np.float64], codes: NDArray[np.intp], groups: Any
    ) -> NDArray[np.float64]:
        """Fit temperature and prediction sets; return the calibrated probabilities."""
        self.temperature_ = fit_temperature(raw, codes)
        scaled = scale_probabilities(raw, self.temperature_)
        self.sets_ = ConformalSets.fit(scaled, codes, self.sets, groups)
        self.predicted_ = scaled.argmax(axis=1)
        self.calibration_ = {
            "n_images": len(codes),
            "n_groups": None if groups is None else self.sets_.n_units,
            "n_wrong": int((raw.argmax(axis=1) != codes).sum()),
            "tta": self._classifier._chosen_tta(),
        }
        for when, p in {"before": raw, "after": scaled}.items():
            found = measure_reliability(codes, p, np.arange(p.shape[1]), groups=groups)
            self.calibration_ |= {
                f"log_loss_{when}": found.log_loss.value,
                f"error_{when}": found.error.value,
            }
        self.calibrated_ = True
        return scaled

    def _describe_reference(self, X: Any, codes: NDArray[np.intp], groups: Any) -> ReferenceProfile:
        parts = [describe_images(images) for images in self._read(X)]
        features = np.concatenate([part[1] for part in parts])
        return ReferenceProfile.fit(parts[0][0], features, codes, len(self.classes_), groups)

    def why_not_calibrated(self) -> str:
        """Say why the probabilities are not calibrated and there are no prediction sets.

        Returns
        -------
        str
            A sentence with what to do; empty if they are.
        """
        check_is_fitted(self)
        if not self.calibrated_:
            return _NOT_CALIBRATED.format(**_ADAPTED)
        if self._classifier._chosen_tta() != self.calibration_["tta"]:
            return _NOT_CALIBRATED.format(**_OTHER_TTA)
        return ""

    def _digest(self, X: ArrayLike) -> NDArray[np.uint64]:
        return np.concatenate([short_digests(images) for images in self._read(X)])

    @property
    def _classifier(self) -> BaseCellClassifier:
        """The fitted classifier of skcell inside the estimator."""
        return classifier_of(self.estimator_)

    def _read(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Load images as the classifier takes them, some at a time."""
        images, spec = self._classifier._check_X(X, reset=False)
        for start in range(0, len(images), CHUNK):
            yield load_images(images, slice(start, start + CHUNK), spec, n_jobs=-1)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimate the calibrated probability of each class.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        return scale_probabilities(self.estimator_.predict_proba(X), self.temperature_)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each image.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_set(
        self, X: ArrayLike, coverage: float = 0.9, *, by_class: bool = False
    ) -> NDArray[np.bool_]:
        """Predict the prediction set of each image.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.
        coverage : float, default=0.9
            Probability with which the set contains the true class.
        by_class : bool, default=False
            Whether this holds among the images of each class, and not only over all images.

        Returns
        -------
        ndarray of bool of shape (n, n_classes)
            Whether each class is in the set.

        Raises
        ------
        ValueError
            If the classifier was adapted and not calibrated, or averages over other symmetries than
            when it was calibrated.
        """
        if why := self.why_not_calibrated():
            raise ValueError(why)
        probabilities = self.predict_proba(X)
        return self.sets_.predict(probabilities, coverage, by_class=by_class)

    def is_unknown(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Say which images are nothing the classifier was trained on.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.

        Returns
        -------
        ndarray of bool of shape (n,)
            Whether each image is unknown.
        """
        check_is_fitted(self)
        return self.detector_.predict(self._classifier.embed(X)) < 0

    def assess(
        self,
        X: ArrayLike,
        coverage: float = 0.9,
        *,
        by_class: bool = False,
        min_confidence: float | Mapping[Any, float] = 0.0,
    ) -> Assessment:
        """Say everything about images, reading each of them once.

        Parameters
        ----------
        X : array-like
            Images, as for the classifier.
        coverage : float, default=0.9
            As for `predict_set`.
        by_class : bool, default=False
            As for `predict_set`.
        min_confidence : float or mapping of class to float, default=0.0
            Images whose most probable class is less probable than this are uncertain. A mapping has
            a limit for each class; for others it is 0. `skcell.metrics.accuracy_coverage_curve`
            tells how accurate the rest is.

        Returns
        -------
        Assessment
            Labels, probabilities, prediction sets and unknown images.
        """
        check_is_fitted(self)
        probabilities, known, features = [], [], []
        for images in self._read(X):
            # A classifier that was fitted on rows of pixels takes rows.
            given = images.reshape(len(images), -1) if np.ndim(X) == 2 else images
            probabilities.append(self.predict_proba(given))
            known.append(self.detector_.decision_function(self._classifier.embed(given)))
            features.append(describe_images(images)[1])
        p, scores = np.concatenate(probabilities), np.concatenate(known)
        best, limits = p.argmax(axis=1), self._limits(min_confidence)
        calibrated = not self.why_not_calibrated()
        reached = p.max(axis=1) if calibrated else np.zeros(len(p))
        return Assessment(
            labels=self.classes_[best],
            probabilities=p,
            prediction_sets=self.sets_.predict(p, coverage, by_class=by_class)
            if calibrated
            else None,
            unknown=scores < 0,
            known_scores=scores,
            uncertain=reached < limits[best],
            features=np.concatenate(features),
            classes=self.classes_,
        )

    def _limits(self, min_confidence: float | Mapping[Any, float]) -> NDArray[np.float64]:
        """Return the smallest probability of a certain prediction, for each class."""
        classes = self.classes_.tolist()
        if not isinstance(min_confidence, Mapping):
            min_confidence = dict.fromkeys(classes, min_confidence)
        unknown = sorted(map(str, set(min_confidence) - set(classes)))
        if unknown:
            raise ValueError(f"min_confidence has {unknown}, but the classes are {classes}.")
        limits = np.array([min_confidence.get(label, 0.0) for label in classes], np.float64)
        if not ((limits >= 0) & (limits <= 1)).all():
            raise ValueError(f"min_confidence must be in 0..1, got {min_confidence!r}.")
        return limits

    def was_trained_on(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which images are among those that the classifier was fitted or calibrated on.

        A score on these says nothing about new images. An image is recognised by its pixels, as
        they are after it was resized for the classifier; a copy that was changed is not, see
        `skcell.cleaning.find_duplicates`.

        Parameters
        ----------
        X : array-like
            Images, as for `fit`.

        Returns
        -------
        ndarray of bool of shape (n,)
            True for images that `fit` was given, for those that `adapt` was given with labels, and
            for those of a model that `skcell.workflows.train` started from. Of a
            :class:`~sklearn.frozen.FrozenEstimator`, the images of its own training are not known.
        """
        check_is_fitted(self)
        return np.isin(self._digest(X), self.training_digests_)

    def was_tested_on(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which images are among those that `skcell.workflows.train` tested the model on.

        Parameters
        ----------
        X : array-like
            Images, as for `fit`.

        Returns
        -------
        ndarray of bool of shape (n,)
            True for images of the test.
        """
        check_is_fitted(self)
        return np.isin(self._digest(X), self.test_digests_)

    def count(
        self,
        X: ArrayLike | Assessment,
        *,
        groups: ArrayLike | None = None,
        confidence_level: float = 0.95,
    ) -> CellCount:
        """Count the classes of images, as in a differential, with intervals.

        Shares are corrected by what the classifier confused among the images that were held out;
        see `skcell.calibration.estimate_shares`.

        Parameters
        ----------
        X : array-like or Assessment
            Images, as for the classifier; or what `assess` said about them.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image; the intervals are then for other patients as well.
        confidence_level : float, default=0.95
            Probability with which an interval covers a share.

        Returns
        -------
        CellCount
            Counts, shares, and why they may mean nothing.

        Raises
        ------
        ValueError
            If the classifier is not calibrated for these images.
        """
        if why := self.why_not_calibrated():
            raise ValueError(why)
        if self.predicted_ is None:
            raise ValueError(
                "The file of this model does not say what it confuses, since an earlier version "
                "wrote it. Train or adapt it again to count with it."
            )
        found = X if isinstance(X, Assessment) else self.assess(X)
        codes = found.probabilities.argmax(axis=1)
        n, n_classes = len(codes), len(self.classes_)
        shares = estimate_shares(
            codes,
            self.predicted_,
            self.sets_.codes,
            n_classes,
            groups=check_groups(groups, n),
            held_out_groups=self.sets_.groups,
            confidence_level=confidence_level,
        )
        doubts, n_unknown = [], int(found.unknown.sum())
        if n < ShiftReport.fewest:
            doubts.append(ShiftReport.too_few)
        elif (shift := self.detect_shift(found)).shifted:
            doubts.append(f"{shift} These shares may be far off.")
        if n_unknown > MOST_UNKNOWN * n:
            doubts.append(
                f"{100 * n_unknown / n:.0f} % of the images are unlike all that the model was "
                "trained on. They are counted as what they resemble most, so these shares may be "
                "far off: look at them first."
            )
        counts = np.bincount(codes, minlength=n_classes).tolist()
        return CellCount(self.classes_.tolist(), counts, shares, n, n_unknown, doubts)

    def detect_shift(self, X: ArrayLike | Assessment) -> ShiftReport:
        """Compare light, colour and sharpness of images with those of the reference images.

        After `adapt` with enough labelled images, these are a second reference, and the images
        are compared with the one that is nearer. Without, there is no evidence that the classifier
        is correct there, and the reference stays what it was.

        Parameters
        ----------
        X : array-like or Assessment
            Images of one microscope, 10 or more; or what `assess` said about them.

        Returns
        -------
        ShiftReport
            Whether the images differ so much from the reference images that scores measured on
            those do not hold.

        Notes
        -----
        How far images differ says nothing about how many predictions are wrong, since training with
        augmentation makes up for most differences. But where a network is wrong more often, it is
        on the whole less certain [1]_. `kept` therefore has the limits within which nine of ten
        simulated laboratories were at the same mean probability of the predicted class. These
        laboratories know no new kinds of cells, for example.

        References
        ----------
        .. [1] D. Guillory, V. Shankar, S. Ebrahimi, T. Darrell, L. Schmidt, "Predicting with
           Confidence on Unseen Distributions", ICCV 2021.
        """
        found = X if isinstance(X, Assessment) else self.assess(X)
        codes = found.probabilities.argmax(axis=1)
        reports = [one.compare(found.features, codes) for one in self.references_]
        nearest = min(
            reports, key=lambda one: (one.shifted, max(map(abs, one.differences.values())))
        )
        if self.predicted_ is None or self.why_not_calibrated():
            return nearest
        at_home = float(np.mean(self.predicted_ == self.sets_.codes))
        return replace(
            nearest, kept=expect_kept(float(found.probabilities.max(axis=1).mean()), at_home)
        )

    def adapt(
        self,
        X: ArrayLike | None,
        X_labelled: ArrayLike | None = None,
        y_labelled: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Adapt a copy to images of another microscope, stain or laboratory.

        The classifier is adapted as by its own method `adapt`. Temperature and prediction sets hold
        where they were learned, so the copy is not calibrated: it has no prediction sets. What is
        unknown and the reference profile stay as they are, because images without labels are no
        evidence that predictions are correct.

        With 16 or more labelled images, these calibrate the copy. Each fifth of them is predicted
        by a classifier that was adapted without it; from these predictions come temperature and
        sets. The sets then hold about as stated, since the classifiers differ a little
        (cross-conformal prediction [1]_). The labelled images become a second
        reference. The detector stays as it is: it says what is unlike the images of training, which
        many images of another laboratory are.

        Parameters
        ----------
        X : array-like or None
            Images of the other laboratory, 32 or more; as for `adapt` of the classifier.
        X_labelled : array-like, default=None
            Images of the other laboratory with known labels.
        y_labelled : array-like of shape (n_labelled,), default=None
            Their labels.
        groups : array-like of shape (n_labelled,), default=None
            Patient or slide of each labelled image; whole groups are predicted together.

        Returns
        -------
        CalibratedClassifier
            Adapted copy; its `calibrated_` says whether it is calibrated.

        Warns
        -----
        AdaptationWarning
            If the copy is not calibrated, and as for `adapt` of the classifier.

        References
        ----------
        .. [1] V. Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
           Intelligence 74, 2015.
        """
        check_is_fitted(self)
        adapted = copy(self)
        adapted._replace_classifier(self._classifier.adapt(X, X_labelled, y_labelled))
        adapted.calibrated_ = False
        if X_labelled is not None:
            seen = self._digest(X_labelled)
            adapted.training_digests_ = np.union1d(self.training_digests_, seen)
        n = 0 if y_labelled is None else _num_samples(y_labelled)
        if n >= FEWEST_LABELLED:
            labels = check_labels(y_labelled, n)
            adapted._calibrate_elsewhere(self, X, X_labelled, labels, check_groups(groups, n))
        else:
            warnings.warn(adapted.why_not_calibrated(), AdaptationWarning, stacklevel=2)
        return adapted

    def _replace_classifier(self, clf: BaseCellClassifier) -> None:
        """Put another fitted classifier into a copy of the estimator."""
        if hasattr(self.estimator_, "steps"):
            *before, (name, _) = self.estimator_.steps
            self.estimator_ = copy(self.estimator_)
            self.estimator_.steps = [*before, (name, clf)]
        else:
            self.estimator_ = clf

    def _calibrate_elsewhere(
        self, original: Self, X: Any, X_labelled: Any, y: NDArray[Any], groups: Any
    ) -> None:
        """Calibrate this adapted copy by labelled images, each predicted without having adapted."""
        n = len(y)
        n_parts = _PARTS if groups is None else min(_PARTS, len(np.unique(groups)))
        if n_parts < 2:
            warnings.warn(
                f"All labelled images are of one group, which cannot be divided. "
                f"{self.why_not_calibrated()}",
                AdaptationWarning,
                stacklevel=3,
            )
            return
        folds = KFold(n_parts, shuffle=True, random_state=0) if groups is None else None
        raw = np.zeros((n, len(self.classes_)))
        moved = original._classifier
        with warnings.catch_warnings():  # the adaptation itself has warned
            warnings.simplefilter("ignore", AdaptationWarning)
            moved = moved if X is None else moved.adapt(X)
        for train, test in (folds or GroupKFold(n_parts)).split(y, groups=groups):
            some = moved.adapt(None, _safe_indexing(X_labelled, train), y[train])
            raw[test] = some.predict_proba(_safe_indexing(X_labelled, test))
        scaled = self._fit_probabilities(raw, np.searchsorted(self.classes_, y), groups)
        self.references_ = [
            *original.references_,
            self._describe_reference(X_labelled, scaled.argmax(axis=1), groups),
        ]

    def get_metadata_routing(self) -> MetadataRouter:
        """Say that metadata of `fit` go to the classifier.

        Returns
        -------
        MetadataRouter
            Routes of metadata.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if getattr(estimator, "steps", None) else estimator


def _stops_early(estimator: Any) -> bool:
    return getattr(_last(estimator), "early_stopping", False) is True


def _check_estimator(estimator: Any) -> None:
    """Refuse what is no classifier of skcell, or changes images before one."""
    inner = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    steps = [step for _, step in getattr(inner, "steps", ())][:-1]
    if not isinstance(_last(inner), BaseCellClassifier) or any(
        not hasattr(step, "fit_resample") for step in steps
    ):
        raise TypeError(
            "CalibratedClassifier takes a classifier of skcell, or a pipeline of samplers and one; "
            f"got {type(inner).__name__}. For other classifiers there is scikit-learn's "
            "CalibratedClassifierCV, for their probabilities alone."
        )
