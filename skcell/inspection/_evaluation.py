"""How good a model is on labelled images."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_score

from skcell._files import without_nan
from skcell._holdout import check_groups
from skcell.calibration import CalibratedClassifier, ShiftReport
from skcell.metrics import (
    Estimate,
    Reliability,
    accuracy_coverage_curve,
    accuracy_interval,
    balanced_accuracy_interval,
    measure_reliability,
)


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Parameters
    ----------
    files : list of str
        Names of the images.
    classes : list
        Classes that the model knows.
    y_true, y_pred : ndarray of shape (n,)
        True and predicted labels.
    probabilities : ndarray of shape (n, n_classes)
        Probability of each class.
    accuracy, balanced_accuracy : Estimate
        Share of correct predictions; mean of the recalls of the classes.
    macro_f1 : float
        Mean F1 score of the classes that occur or are predicted, as scikit-learn computes it.
    per_class : list of dict
        For each class that occurs: `class`, `n`, `recall` (an `Estimate`) and `precision`.
    confusion : ndarray of int of shape (n_classes, n_classes)
        Number of images of each true class (rows) with each predicted class (columns).
    reliability : Reliability
        Log loss, and whether predictions are correct as often as their probabilities say.
    prediction_sets : ndarray of bool of shape (n, n_classes) or None
        Prediction sets, if the model is calibrated.
    not_calibrated : str
        Why a model that could be calibrated is not; else empty.
    coverage : float
        Share of the true classes that the sets should contain.
    unknown : ndarray of bool of shape (n,) or None
        Which images are unknown, if the model can say.
    shift : ShiftReport or None
        How the images differ from the reference images, if the model can say.
    groups : ndarray of shape (n,) or None
        Patient or slide of each image.
    by_group : dict of str to Estimate
        Accuracy of each group, if groups were given.
    """

    files: list[str]
    classes: list[Any]
    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    probabilities: NDArray[np.float64]
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: float
    per_class: list[dict[str, Any]]
    confusion: NDArray[np.intp]
    reliability: Reliability
    prediction_sets: NDArray[np.bool_] | None = None
    not_calibrated: str = ""
    coverage: float = 0.9
    unknown: NDArray[np.bool_] | None = None
    shift: ShiftReport | None = None
    groups: NDArray[Any] | None = None
    by_group: dict[str, Estimate] = field(default_factory=dict)

    @property
    def set_coverage(self) -> Estimate | None:
        """Share of images whose set contains the true class."""
        if self.prediction_sets is None:
            return None
        codes = np.searchsorted(self.classes, self.y_true)
        return accuracy_interval(self.prediction_sets[np.arange(len(codes)), codes], self.groups)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values.

        Returns
        -------
        dict
            Scores, figures of the classes, confusion, calibration, and what else is known.
        """
        found, calibration = self.set_coverage, self.reliability
        figures = {
            "n_images": len(self.y_true),
            "accuracy": asdict(self.accuracy),
            "balanced_accuracy": asdict(self.balanced_accuracy),
            "macro_f1": self.macro_f1,
            "classes": [
                {**row, "class": _text(row["class"]), "recall": asdict(row["recall"])}
                for row in self.per_class
            ],
            "confusion": {
                "classes": [_text(label) for label in self.classes],
                "counts": self.confusion.tolist(),
            },
            "log_loss": asdict(calibration.log_loss),
            "calibration_error": asdict(calibration.error),
            "not_calibrated": self.not_calibrated or None,
            "prediction_sets": None
            if found is None or self.prediction_sets is None
            else {
                "wanted_coverage": self.coverage,
                "coverage": asdict(found),
                "mean_size": float(self.prediction_sets.sum(axis=1).mean()),
            },
            "unknown_share": None if self.unknown is None else float(self.unknown.mean()),
            "shift": None
            if self.shift is None
            else {"shifted": self.shift.shifted, "differences": self.shift.differences},
            "groups": {name: asdict(score) for name, score in self.by_group.items()},
        }
        return {**without_nan(figures)}

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line for each image, the wrong and most certain ones first.

        Returns
        -------
        list of dict
            `file`, `true`, `predicted`, `probability`, `correct`, and what else is known.
        """
        confidence = self.probabilities.max(axis=1)
        is_correct = self.y_true == self.y_pred
        records = []
        for i in np.lexsort((-confidence, is_correct)):
            record = {
                "file": self.files[i],
                "true": self.y_true[i],
                "predicted": self.y_pred[i],
                "probability": round(float(confidence[i]), 6),
                "correct": "yes" if is_correct[i] else "no",
            }
            if self.prediction_sets is not None:
                names = [
                    c
                    for c, is_in in zip(self.classes, self.prediction_sets[i], strict=True)
                    if is_in
                ]
                record["prediction_set"] = "|".join(map(str, names))
            if self.unknown is not None:
                record["unknown"] = "yes" if self.unknown[i] else "no"
            records.append(record)
        return records

    def accuracy_above(self, confidence: float) -> tuple[float, float]:
        """Return the share of images predicted with at least this probability, and its accuracy.

        Parameters
        ----------
        confidence : float
            Probability of the predicted class.

        Returns
        -------
        coverage, accuracy : float
            Share of the images, and accuracy on them; NaN if there are none.
        """
        shares, accuracies, limits = accuracy_coverage_curve(
            self.y_true, self.probabilities, self.classes
        )
        n = int(np.searchsorted(-limits, -confidence, side="right"))
        return (float(shares[n - 1]), float(accuracies[n - 1])) if n else (0.0, math.nan)


def evaluate(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    files: Sequence[str] | None = None,
    coverage: float = 0.9,
) -> Evaluation:
    """Evaluate a model on images with known classes.

    Parameters
    ----------
    model : estimator
        A fitted classifier, such as `skcell.load` returns.
    X : array-like
        Images that the model was not trained on, or paths of image files.
    y : array-like of shape (n,)
        Their classes, by the names that the model knows.
    groups : array-like of shape (n,), default=None
        Patient or slide of each image. All intervals then allow for images of one group being
        alike; there is none where all images are of one group.
    files : sequence of str, default=None
        Names of the images; None numbers them.
    coverage : float, default=0.9
        Share of the true classes that prediction sets should contain.

    Returns
    -------
    Evaluation
        The figures.

    Raises
    ------
    ValueError
        If `y` has classes that the model does not know.
    """
    y_true = np.asarray(y)
    groups = check_groups(groups, len(y_true))
    classes = np.asarray(model.classes_)
    unknown_labels = sorted(set(y_true.tolist()) - set(classes.tolist()))
    if unknown_labels:
        raise ValueError(
            f"The model does not know the classes {unknown_labels}; it knows {classes.tolist()}. "
            "Leave out their images, or rename the folders to the names that the model knows."
        )
    more: dict[str, Any] = {}
    if isinstance(model, CalibratedClassifier):
        found = model.assess(X, coverage)
        probabilities = found.probabilities
        more = {
            "prediction_sets": found.prediction_sets,
            "not_calibrated": model.why_not_calibrated(),
            "unknown": found.unknown,
            "shift": model.detect_shift(found),
        }
    else:
        probabilities = model.predict_proba(X)
    y_pred = classes[probabilities.argmax(axis=1)]
    correct = y_true == y_pred
    n = len(correct)
    present = [label for label in classes.tolist() if label in set(y_true.tolist())]
    precisions = precision_score(y_true, y_pred, labels=present, average=None, zero_division=0)
    per_class = []
    for label, precision in zip(present, precisions, strict=True):
        of = y_true == label
        per_class.append(
            {
                "class": label,
                "n": int(of.sum()),
                "recall": accuracy_interval(correct[of], None if groups is None else groups[of]),
                "precision": float(precision),
            }
        )
    names = [] if groups is None else np.unique(groups).tolist()
    by_group = {str(name): accuracy_interval(correct[groups == name]) for name in names}
    return Evaluation(
        files=[str(i) for i in range(n)] if files is None else [str(file) for file in files],
        classes=classes.tolist(),
        y_true=y_true,
        y_pred=y_pred,
        probabilities=probabilities,
        accuracy=accuracy_interval(correct, groups),
        balanced_accuracy=balanced_accuracy_interval(y_true, y_pred, groups),
        macro_f1=float(f1_score(y_true, y_pred, average="macro", zero_division=0)),
        per_class=per_class,
        confusion=confusion_matrix(y_true, y_pred, labels=classes),
        reliability=measure_reliability(y_true, probabilities, classes, groups=groups),
        coverage=coverage,
        groups=groups,
        by_group=by_group,
        **more,
    )


def _text(label: Any) -> Any:
    return label if isinstance(label, (str, int, float)) else str(label)
