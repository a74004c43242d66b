"""Displays of predictions: recall of the classes, reliability, abstaining."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell._images import check_labels
from skcell.inspection._plotting import GREYS, AxesDisplay, ProbabilityDisplay, shorten
from skcell.metrics import (
    Estimate,
    Reliability,
    accuracy_coverage_curve,
    accuracy_interval,
    measure_reliability,
)


class ClassRecallDisplay(AxesDisplay):
    """Show the recall of each class, with its 95 % interval and number of images.

    Parameters
    ----------
    classes : list
        Classes.
    recall : list of Estimate
        Share of the images of each class that was found, with its interval.
    counts : list of int
        Number of images.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : Which classes are mistaken for which.

    Examples
    --------
    >>> from skcell.inspection import ClassRecallDisplay
    >>> display = ClassRecallDisplay.from_predictions(["a", "a", "b"], ["a", "b", "b"])
    >>> print(display.recall[0])
    50.0 % (9.5 to 90.5)
    """

    def __init__(self, classes: Sequence[Any], recall: Sequence[Estimate], counts: Sequence[int]):
        self.classes = classes
        self.recall = recall
        self.counts = counts

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Predict images, and show the recall of each class.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like
            Images that it was not trained on.
        y : array-like of shape (n,)
            Their labels.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image, for the intervals.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        ClassRecallDisplay
            The display.
        """
        return cls.from_predictions(y, estimator.predict(X), groups=groups, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Show the recall of each class.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,)
            True and predicted labels.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image. Images of one are alike, so that intervals are wider;
            a class of one patient has none.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        ClassRecallDisplay
            The display.
        """
        predicted = np.asarray(y_pred)
        labels = check_labels(y_true, len(predicted), "y_true")
        classes = np.unique(labels).tolist()
        names = None if groups is None else check_labels(groups, len(labels), "groups", "entry")
        parts = [labels == label for label in classes]
        recall = [
            accuracy_interval((labels == predicted)[of], None if names is None else names[of])
            for of in parts
        ]
        return cls(classes, recall, [int(of.sum()) for of in parts]).plot(ax=ax)

    def _size(self) -> tuple[float, float]:
        return 6.4, 1.2 + 0.32 * len(self.classes)

    def _draw(self, ax: Any) -> None:
        n = len(self.classes)
        rows = np.arange(n)[::-1]
        value, low, high = np.array([astuple(one) for one in self.recall]).T
        ax.hlines(rows, low, high, color=GREYS[1], linewidth=3, alpha=0.5)
        ax.plot(value, rows, "o", color=GREYS[0])
        names = [f"{shorten(c)} ({k:,})" for c, k in zip(self.classes, self.counts, strict=True)]
        ax.set_yticks(rows, names, fontsize="small")
        ax.set_ylim(-0.7, n - 0.3)
        ax.set_xlim(min(0.5, float(np.nanmin([*low, *value])) - 0.02), 1.01)
        ax.grid(axis="x", alpha=0.3)
        ax.set_xlabel("Recall, with its 95 % interval")


class ReliabilityDisplay(ProbabilityDisplay):
    """Show whether predictions are correct as often as their probabilities say.

    Parameters
    ----------
    reliability : Reliability
        Result of `skcell.metrics.measure_reliability`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The same for two classes.

    Examples
    --------
    >>> from skcell.inspection import ReliabilityDisplay
    >>> p = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    >>> ReliabilityDisplay.from_predictions([0, 1, 1], p).ax_.get_xlabel()
    'Stated probability'
    """

    def __init__(self, reliability: Reliability):
        self.reliability = reliability

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        probabilities: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Show how reliable probabilities are.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels.
        probabilities : array-like of shape (n, n_classes)
            Probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted labels.
        groups : array-like of shape (n,), default=None
            Patient or slide of each image, for the intervals.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        ReliabilityDisplay
            The display.
        """
        names = np.unique(np.asarray(y_true)) if classes is None else classes
        return cls(measure_reliability(y_true, probabilities, names, groups=groups)).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        found = self.reliability
        ax.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":")
        ax.vlines(found.confidence, found.low, found.high, color=GREYS[1], alpha=0.5, lw=3)
        sizes = 12 + 90 * np.sqrt(found.counts / max(1, found.counts.sum()))
        ax.scatter(found.confidence, found.accuracy, sizes, color=GREYS[0], zorder=3)
        ax.set_title(f"Calibration error {found.error}", fontsize="medium")
        ax.set_xlabel("Stated probability")
        ax.set_ylabel("Accuracy")
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")


class AccuracyCoverageDisplay(ProbabilityDisplay):
    """Show the accuracy on the most certain images, by their share.

    Parameters
    ----------
    coverage, accuracy : ndarray of shape (n,)
        Share of the images that are decided, and accuracy on them.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell.inspection import AccuracyCoverageDisplay
    >>> p = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    >>> AccuracyCoverageDisplay.from_predictions([0, 1, 1], p).accuracy.round(2)
    array([1.  , 1.  , 0.67])
    """

    def __init__(self, coverage: NDArray[np.float64], accuracy: NDArray[np.float64]):
        self.coverage = coverage
        self.accuracy = accuracy

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        probabilities: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        ax: Any = None,
    ) -> Self:
        """Show the accuracy on the most certain images.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels.
        probabilities : array-like of shape (n, n_classes)
            Probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        AccuracyCoverageDisplay
            The display.
        """
        names = np.unique(np.asarray(y_true)) if classes is None else classes
        coverage, accuracy, _ = accuracy_coverage_curve(y_true, probabilities, names)
        return cls(coverage, accuracy).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        ax.plot(self.coverage, self.accuracy, color=GREYS[0])
        steady = self.accuracy[len(self.accuracy) // 20 :]  # the first images jump
        ax.set(xlim=(0, 1.02), ylim=(max(0.0, float(steady.min()) - 0.02), 1.005))
        ax.set_xlabel("Share of the images that the model decides")
        ax.set_ylabel("Accuracy on them")
        ax.grid(alpha=0.3)
