"""Display of curves: ROC and precision-recall of each class against the others."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from skcell._images import check_labels
from skcell.inspection._plotting import (
    GREYS,
    ProbabilityDisplay,
    add_legend,
    legend_columns,
    shorten,
)

CurveKind = Literal["roc", "precision_recall"]


class ClassCurvesDisplay(ProbabilityDisplay):
    """Show the ROC or precision-recall curve of each class against the others.

    Parameters
    ----------
    kind : {"roc", "precision_recall"}
        Kind of the curves.
    curves : dict of object to list of (x, y)
        For each class, a curve for each fold: false and true positive rate, or recall and
        precision.
    areas : dict of object to list of float
        For each class, the area under each curve, or the average precision.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    See Also
    --------
    sklearn.metrics.RocCurveDisplay : The curve of two classes.

    Examples
    --------
    >>> from skcell.inspection import ClassCurvesDisplay
    >>> p = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]]
    >>> ClassCurvesDisplay.from_predictions(["a", "b", "b", "a"], p).areas["a"]
    [1.0]
    """

    def __init__(
        self,
        kind: CurveKind,
        curves: Mapping[Any, list[tuple[NDArray[np.float64], NDArray[np.float64]]]],
        areas: Mapping[Any, list[float]],
    ):
        self.kind = kind
        self.curves = curves
        self.areas = areas

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        kind: CurveKind = "roc",
        ax: Any = None,
    ) -> Self:
        """Show the curves of the folds of a cross-validation.

        Parameters
        ----------
        cv_results : dict
            Result of ``sklearn.model_selection.cross_validate`` with ``return_estimator=True`` and
            ``return_indices=True``.
        X : array-like
            The images.
        y : array-like of shape (n,)
            Their labels.
        kind : {"roc", "precision_recall"}, default="roc"
            Kind of the curves.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        ClassCurvesDisplay
            The display.

        Raises
        ------
        ValueError
            If the estimators or indices were not kept.
        """
        if "estimator" not in cv_results or "indices" not in cv_results:
            raise ValueError(
                "cv_results lacks the estimators or indices; call cross_validate with "
                "return_estimator=True and return_indices=True."
            )
        images, labels = np.asarray(X), np.asarray(y)
        classes = np.unique(labels)
        p = np.zeros((len(labels), len(classes)))
        folds = np.full(len(labels), -1)
        tests = cv_results["indices"]["test"]
        if len(np.unique(np.concatenate(tests))) < sum(map(len, tests)):
            raise ValueError(
                "Some images are in several tests, as with ShuffleSplit or repeated folds; use "
                "folds that test each image once."
            )
        for number, (fitted, test) in enumerate(zip(cv_results["estimator"], tests, strict=True)):
            columns = np.searchsorted(classes, fitted.classes_)
            p[np.ix_(test, columns)] = fitted.predict_proba(images[test])
            folds[test] = number
        kept = folds >= 0
        return cls.from_predictions(
            labels[kept], p[kept], classes, folds=folds[kept], kind=kind, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        probabilities: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        folds: ArrayLike | None = None,
        kind: CurveKind = "roc",
        ax: Any = None,
    ) -> Self:
        """Show the curves of predictions.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels.
        probabilities : array-like of shape (n, n_classes)
            Probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted labels.
        folds : array-like of shape (n,), default=None
            Fold of each image; each then has a curve of its own, since probabilities of different
            models are not compared.
        kind : {"roc", "precision_recall"}, default="roc"
            Kind of the curves.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        ClassCurvesDisplay
            The display.

        Raises
        ------
        ValueError
            If the arrays do not fit, or `kind` is unknown.
        """
        if kind not in ("roc", "precision_recall"):
            raise ValueError(f"kind must be 'roc' or 'precision_recall'; got {kind!r}.")
        p = np.asarray(probabilities, dtype=np.float64)
        labels = check_labels(y_true, len(p), "y_true")
        names = np.unique(labels) if classes is None else np.asarray(classes)
        if p.ndim != 2 or p.shape[1] != len(names):
            raise ValueError(f"probabilities has the shape {p.shape} for {len(names)} classes.")
        parts = np.zeros(len(labels)) if folds is None else np.asarray(folds)
        curves: dict[Any, list[Any]] = {}
        areas: dict[Any, list[float]] = {}
        for column, name in enumerate(names.tolist()):
            for fold in np.unique(parts):
                is_one, score = (labels == name)[parts == fold], p[parts == fold, column]
                if not is_one.any() or is_one.all():  # there is nothing to tell apart
                    continue
                if kind == "roc":
                    x, y, _ = roc_curve(is_one, score)
                    area = float(auc(x, y))
                else:
                    y, x, _ = precision_recall_curve(is_one, score)
                    area = float(average_precision_score(is_one, score))
                curves.setdefault(name, []).append((x, y))
                areas.setdefault(name, []).append(area)
        return cls(kind, curves, areas).plot(ax=ax)

    def _size(self) -> tuple[float, float]:
        return 4.4 + 2.8 * legend_columns(len(self.areas)), 4.4

    def _draw(self, ax: Any) -> None:
        styles = ("-", "--", ":", "-.")
        # The classes with the smallest areas are named first.
        order = sorted(self.areas, key=lambda name: float(np.mean(self.areas[name])))
        numbers = {name: i for i, name in enumerate(self.areas)}  # a class keeps its colour
        for name in order:
            number, found = numbers[name], self.areas[name]
            spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
            label = f"{shorten(name)}: {np.mean(found):.3f}{spread}"
            for i, (x, y) in enumerate(self.curves[name]):
                ax.plot(
                    x,
                    y,
                    styles[number % len(styles)],
                    color=GREYS[number % len(GREYS)],
                    linewidth=1.5 if len(found) == 1 else 0.8,
                    label=label if i == 0 else None,
                )
        roc = self.kind == "roc"
        ax.set_xlabel("False positive rate" if roc else "Recall")
        ax.set_ylabel("True positive rate" if roc else "Precision")
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        if order:  # with one class there is nothing to tell apart
            add_legend(ax, len(order), "Area under the curve" if roc else "Average precision")
