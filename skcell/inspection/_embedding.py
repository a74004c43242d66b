"""Display of the embedding of images: near are those with similar features."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from skcell._images import check_labels
from skcell.inspection._maps import find_networks
from skcell.inspection._plotting import GREYS, AxesDisplay, add_legend, legend_columns, shorten

_MARKERS = "osD^vP<>X*hd"


class EmbeddingDisplay(AxesDisplay):
    """Show images as points: near to each other are those with similar features.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Places of the images.
    labels : ndarray of shape (n,)
        Their classes.
    is_wrong : ndarray of bool of shape (n,), default=None
        Images that are classified wrongly; they get a ring.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Notes
    -----
    Distances between far points mean little in a map of two dimensions, above all with t-SNE.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.inspection import EmbeddingDisplay
    >>> display = EmbeddingDisplay(np.eye(2), np.array(["a", "b"])).plot()
    >>> len(display.ax_.collections)
    2
    """

    def __init__(
        self,
        points: NDArray[np.float64],
        labels: NDArray[Any],
        is_wrong: NDArray[np.bool_] | None = None,
    ):
        self.points = points
        self.labels = labels
        self.is_wrong = is_wrong

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        method: Literal["tsne", "pca"] = "tsne",
        random_state: int = 0,
        ax: Any = None,
    ) -> Self:
        """Embed images by a network, and show them.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier of skcell, or an estimator around one.
        X : array-like
            Images.
        y : array-like of shape (n,)
            Their labels.
        method : {"tsne", "pca"}, default="tsne"
            How the features are reduced to two.
        random_state : int, default=0
            Seed of t-SNE.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Returns
        -------
        EmbeddingDisplay
            The display.

        Raises
        ------
        TypeError
            If there is no network of skcell in the estimator.
        ValueError
            If `method` is unknown, or there are fewer than three images.
        """
        if method not in ("tsne", "pca"):
            raise ValueError(f"method must be 'tsne' or 'pca'; got {method!r}.")
        clf, images = next(find_networks(estimator, X))
        features = clf.embed(images)
        labels = check_labels(y, len(features))
        if len(features) < 3:
            raise ValueError(f"A map needs at least three images; got {len(features)}.")
        reducer: Any = PCA(2, random_state=random_state)
        if method == "tsne":
            perplexity = min(30, (len(features) - 1) / 3)
            reducer = TSNE(2, perplexity=perplexity, init="pca", random_state=random_state)
        points = reducer.fit_transform(features)
        return cls(points, labels, estimator.predict(X) != labels).plot(ax=ax)

    def _size(self) -> tuple[float, float]:
        return 5.2 + 2.2 * legend_columns(len(np.unique(self.labels)) + 1), 4.8

    def _draw(self, ax: Any) -> None:
        names = np.unique(self.labels).tolist()
        for number, name in enumerate(names):
            x, y = self.points[self.labels == name].T
            ax.scatter(
                x,
                y,
                s=12,
                marker=_MARKERS[number % len(_MARKERS)],
                color=GREYS[number % len(GREYS)],
                alpha=0.7,
                linewidths=0,
                label=shorten(name),
            )
        if self.is_wrong is not None and self.is_wrong.any():
            x, y = self.points[self.is_wrong].T
            ax.scatter(x, y, s=60, facecolors="none", edgecolors="black", label="wrong")
        ax.set(xticks=[], yticks=[])
        add_legend(ax, len(names) + 1)
