"""Display of the course of training."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcell.inspection._plotting import GREYS, new_figure


class TrainingCurvesDisplay:
    """Show loss and accuracy over the epochs, with the phases and the best epoch.

    Parameters
    ----------
    history : dict of str to list
        As `history_` of the classifiers.
    best_epoch : int, default=None
        The epoch whose weights are used, from 1.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        One for each score.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell.inspection import TrainingCurvesDisplay
    >>> display = TrainingCurvesDisplay({"loss": [1.0, 0.5], "accuracy": [0.5, 0.8]}).plot()
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['Loss', 'Accuracy']
    """

    def __init__(self, history: Mapping[str, Sequence[Any]], best_epoch: int | None = None):
        self.history = history
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, axes: Any = None) -> Self:
        """Show how a classifier was trained.

        Parameters
        ----------
        estimator : BaseCellClassifier
            A fitted classifier of skcell.
        axes : sequence of matplotlib.axes.Axes, default=None
            Where to draw loss and accuracy.

        Returns
        -------
        TrainingCurvesDisplay
            The display.
        """
        check_is_fitted(estimator)
        history, best = estimator.history_, None
        if estimator.best_epochs():
            best = int(np.nanargmin(history["val_loss"])) + 1
        return cls(history, best).plot(axes=axes)

    def plot(self, axes: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes, default=None
            Where to draw loss and accuracy; None makes a figure.

        Returns
        -------
        TrainingCurvesDisplay
            This display.
        """
        names = [name for name in ("loss", "accuracy") if name in self.history]
        if axes is None:
            figure = new_figure((4.2 * len(names), 3.4))
            axes = figure.subplots(1, len(names), squeeze=False)[0]
        self.axes_ = list(axes)
        self.figure_ = self.axes_[0].figure
        epochs = np.arange(1, len(self.history["loss"]) + 1)
        phases = np.asarray(self.history.get("phase", [""] * len(epochs)))
        starts = np.flatnonzero(phases[1:] != phases[:-1]) + 1
        for ax, name in zip(self.axes_, names, strict=False):
            mark = "o" if len(epochs) < 30 else ""
            ax.plot(
                epochs, self.history[name], marker=mark, ls="-", color=GREYS[1], label="training"
            )
            if f"val_{name}" in self.history:
                values = self.history[f"val_{name}"]
                ax.plot(epochs, values, marker=mark, ls="--", color=GREYS[0], label="validation")
            for start in starts:
                ax.axvline(start + 0.5, color="grey", linestyle=":", linewidth=1)
                ax.annotate(
                    phases[start],
                    (start + 0.6, 0.02),
                    xycoords=("data", "axes fraction"),
                    fontsize="x-small",
                    rotation=90,
                )
            if self.best_epoch is not None:
                ax.axvline(self.best_epoch, color="black", linewidth=1, label="best epoch")
            ax.set_xlabel("Epoch")
            ax.set_ylabel(name.capitalize())
            ax.legend(fontsize="small")
        return self
