"""What the displays share."""

from abc import ABC, abstractmethod
from typing import Any, Self

from numpy.typing import ArrayLike

#: Colours that people with any colour vision tell apart, and that differ in brightness, so that
#: they can be told apart in grey print as well (from the scheme "viridis").
GREYS = ("#440154", "#31688e", "#35b779", "#b5a614", "#7e3a8c", "#21918c", "#90793a", "#5a5a5a")


class AxesDisplay(ABC):
    """Base of the displays that draw on one pair of axes, as scikit-learn's displays do."""

    ax_: Any
    figure_: Any

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        object
            This display, with the attributes `ax_` and `figure_`.
        """
        self.ax_ = new_figure(self._size()).subplots() if ax is None else ax
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self

    def _size(self) -> tuple[float, float]:
        """Return the width and height of a new figure, in inches."""
        return 4.6, 4.4

    @abstractmethod
    def _draw(self, ax: Any) -> None: ...


class ProbabilityDisplay(AxesDisplay):
    """Base of the displays that are made from probabilities of the classes."""

    from_predictions: Any

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, ax: Any = None, **params: Any
    ) -> Self:
        """Predict images, and show the display.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like
            Images that it was not trained on.
        y : array-like of shape (n,)
            Their labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.
        **params : object
            Passed to `from_predictions`.

        Returns
        -------
        object
            The display.
        """
        p = estimator.predict_proba(X)
        found: Self = cls.from_predictions(y, p, estimator.classes_, ax=ax, **params)
        return found


def new_figure(size: tuple[float, float]) -> Any:
    """Return a new figure."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def legend_columns(n: int) -> int:
    """Return the number of columns of a legend beside the axes."""
    return 1 + (n - 1) // 16 if n else 1


def add_legend(ax: Any, n: int, title: str | None = None) -> None:
    """Add a legend beside the axes."""
    ax.legend(
        title=title,
        fontsize="x-small",
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        ncols=legend_columns(n),
    )


def shorten(name: Any, most: int = 24) -> str:
    """Shorten a name for an axis; the middle is left out."""
    text = str(name)
    if len(text) > most:
        text = f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"
    # Dollars begin formulas, and matplotlib leaves labels that begin with "_" out of legends.
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text
