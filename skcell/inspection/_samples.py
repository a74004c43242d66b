"""Displays of images: mistakes, explanations, augmentation, resampling."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from skcell._images import check_labels
from skcell._pages import to_picture
from skcell.classifiers import classifier_of, zoom_images
from skcell.inspection._maps import confirm_maps, grad_cam, occlusion_map, spotlight
from skcell.inspection._plotting import new_figure, shorten


def find_confusions(
    y_true: NDArray[Any], y_pred: NDArray[Any], confidence: NDArray[np.float64]
) -> list[tuple[Any, Any, list[int]]]:
    """Group wrong predictions by their true and predicted class."""
    wrong = np.flatnonzero(y_pred != y_true)
    pairs: dict[tuple[Any, Any], list[int]] = {}
    for i in wrong[np.argsort(-confidence[wrong], kind="stable")].tolist():
        pairs.setdefault((y_true[i], y_pred[i]), []).append(i)
    often = sorted(pairs.items(), key=lambda item: -len(item[1]))
    return [(a, b, found) for (a, b), found in often]


class _PictureGrid:
    """Rows of pictures with a name for each row and a title for each picture."""

    def __init__(self, rows: Sequence[tuple[str, Sequence[tuple[Any, str]]]]):
        self.rows = rows

    def plot(self) -> Self:
        """Draw on a new figure.

        Returns
        -------
        object
            This display.
        """
        n_rows, n_columns = len(self.rows), max((len(p) for _, p in self.rows), default=0)
        self.figure_ = new_figure((2.2 + 1.15 * max(1, n_columns), 0.3 + 1.45 * max(1, n_rows)))
        self.axes_ = self.figure_.subplots(max(1, n_rows), max(1, n_columns), squeeze=False)
        for ax in self.axes_.ravel():
            ax.set_axis_off()
        for row, (name, pictures) in zip(self.axes_, self.rows, strict=False):
            row[0].text(
                -0.08,
                0.5,
                name,
                transform=row[0].transAxes,
                ha="right",
                va="center",
                fontsize="small",
            )
            for ax, (picture, title) in zip(row, pictures, strict=False):
                shown = np.asarray(picture)
                ax.imshow(shown, cmap="gray" if shown.ndim == 2 else None, vmin=0, vmax=255)
                ax.set_title(title, fontsize="x-small")
        return self


class ConfusionPicturesDisplay(_PictureGrid):
    """Show images of the most frequent confusions, the most certain ones first.

    Parameters
    ----------
    rows : list of (str, list of (picture, str))
        Name of each confusion, and its pictures with their titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_rows, n_columns)
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.inspection import ConfusionPicturesDisplay
    >>> images = np.zeros((3, 8, 8), np.uint8)
    >>> p = [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]
    >>> display = ConfusionPicturesDisplay.from_predictions(images, ["a", "a", "b"], p)
    >>> display.rows[0][0]
    'a, taken for b: 1'
    """

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, n_confusions: int = 5, n_images: int = 6
    ) -> Self:
        """Predict images, and show the most frequent confusions.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n, H, W, C) or (n, H, W)
            Images that it was not trained on.
        y : array-like of shape (n,)
            Their labels.
        n_confusions : int, default=5
            Number of pairs of classes.
        n_images : int, default=6
            Number of images of each.

        Returns
        -------
        ConfusionPicturesDisplay
            The display.
        """
        p = estimator.predict_proba(X)
        return cls.from_predictions(
            X, y, p, estimator.classes_, n_confusions=n_confusions, n_images=n_images
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        y_true: ArrayLike,
        probabilities: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        n_confusions: int = 5,
        n_images: int = 6,
    ) -> Self:
        """Show the most frequent confusions.

        Parameters
        ----------
        X : array-like of shape (n, H, W, C) or (n, H, W)
            The images.
        y_true : array-like of shape (n,)
            True labels.
        probabilities : array-like of shape (n, n_classes)
            Probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The class of each column; None takes the sorted labels.
        n_confusions, n_images : int
            Number of pairs of classes, and of images of each.

        Returns
        -------
        ConfusionPicturesDisplay
            The display.
        """
        images, p = np.asarray(X), np.asarray(probabilities, dtype=np.float64)
        labels = check_labels(y_true, len(p), "y_true")
        names = np.unique(labels) if classes is None else np.asarray(classes)
        predicted, confidence = names[p.argmax(axis=1)], p.max(axis=1)
        rows = [
            (
                f"{shorten(a)}, taken for {shorten(b)}: {len(found)}",
                [(to_picture(images[i]), f"{100 * confidence[i]:.0f} %") for i in found[:n_images]],
            )
            for a, b, found in find_confusions(labels, predicted, confidence)[:n_confusions]
        ]
        return cls(rows).plot()


class ExplanationDisplay(_PictureGrid):
    """Show images, and below each what speaks for its predicted class, or another.

    Parameters
    ----------
    rows : list of (str, list of (picture, str))
        Name of each row, and its pictures with their titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_rows, n_columns)
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    See Also
    --------
    grad_cam, occlusion_map : The maps.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import ExplanationDisplay
    >>> cells = make_cells(60, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=2, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> ExplanationDisplay.from_estimator(clf, cells.images[:3]).axes_.shape
    (2, 3)
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        target: Any = None,
        *,
        method: Literal["grad-cam", "hires-cam", "occlusion"] = "hires-cam",
    ) -> Self:
        """Explain predictions, and show them.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n, H, W, C) or (n, H, W)
            Images; about ten at most.
        target : object or array-like of shape (n,), default=None
            Class that is explained; None explains the predicted one.
        method : {"grad-cam", "hires-cam", "occlusion"}, default="hires-cam"
            How the maps are computed. Maps that `confirm_maps` does not confirm say so.

        Returns
        -------
        ExplanationDisplay
            The display.
        """
        images = np.asarray(X)
        if method == "occlusion":
            maps = np.maximum(occlusion_map(estimator, images, target), 0)
            maps = maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
        else:
            maps = grad_cam(estimator, images, target, method=method)
        p, classes = estimator.predict_proba(images), np.asarray(estimator.classes_).tolist()
        codes = p.argmax(axis=1).tolist()
        if target is not None:
            codes = [classes.index(one) for one in np.broadcast_to(target, len(p)).tolist()]
        titles = [
            f"{shorten(classes[i], 14)} {100 * row[i]:.0f} %"
            for row, i in zip(p, codes, strict=True)
        ]
        plain = [(to_picture(x), title) for x, title in zip(images, titles, strict=True)]
        confirmed = confirm_maps(estimator, images, maps, target)
        lit = [
            (spotlight(x, heat), "" if sure else "not confirmed")
            for x, heat, sure in zip(images, maps, confirmed, strict=True)
        ]
        return cls([("image", plain), (method, lit)]).plot()


class AugmentationDisplay(_PictureGrid):
    """Show what augmentation makes of images.

    Parameters
    ----------
    rows : list of (str, list of (picture, str))
        Name of each row, and its pictures with their titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_rows, n_columns)
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell import ImageAugmenter
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import AugmentationDisplay
    >>> images = make_cells(2, n_classes=2, image_size=32, random_state=0).images
    >>> AugmentationDisplay.from_augmenter(ImageAugmenter(rotation=0.1), images).axes_.shape
    (2, 7)
    """

    @classmethod
    def from_augmenter(cls, augmenter: Any, X: ArrayLike, *, n_views: int = 6) -> Self:
        """Change images as in training, and show them.

        Parameters
        ----------
        augmenter : ImageAugmenter or str
            The augmentation, or the name of a preset.
        X : array-like of shape (n, H, W, C) or (n, H, W)
            Images; about six at most.
        n_views : int, default=6
            Number of changed copies of each.

        Returns
        -------
        AugmentationDisplay
            The display.
        """
        from skcell._digest import digest_images
        from skcell.resampling import ImageAugmenter

        if isinstance(augmenter, str):
            augmenter = ImageAugmenter.from_preset(augmenter)
        images = np.asarray(X)
        stack = images[..., None] if images.ndim == 3 else images
        digests = digest_images(stack)
        views = [augmenter.make_view(stack, digests, view) for view in range(n_views)]
        rows = [
            (
                "",
                [(to_picture(one), "image"), *((to_picture(view[i]), "") for view in views)],
            )
            for i, one in enumerate(stack)
        ]
        return cls(rows).plot()


class ResamplingDisplay(_PictureGrid):
    """Show synthetic images beside the images that they were made of.

    Parameters
    ----------
    rows : list of (str, list of (picture, str))
        Name of each row, and its pictures with their titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_rows, n_columns)
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell import ImageSMOTE
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import ResamplingDisplay
    >>> cells = make_cells(41, n_classes=2, image_size=32, random_state=0)
    >>> display = ResamplingDisplay.from_sampler(
    ...     ImageSMOTE(random_state=0), cells.images[:30], cells.target[:30], n_images=2
    ... )
    >>> [title for _, title in display.rows[0][1]]
    ['parent', 'synthetic', 'parent']
    """

    @classmethod
    def from_sampler(cls, sampler: Any, X: ArrayLike, y: ArrayLike, *, n_images: int = 5) -> Self:
        """Resample images, and show some that are new.

        Parameters
        ----------
        sampler : ImageSMOTE
            The sampler; it is cloned.
        X : array-like of shape (n, H, W, C) or (n, H, W)
            Images.
        y : array-like of shape (n,)
            Their labels.
        n_images : int, default=5
            Number of synthetic images.

        Returns
        -------
        ResamplingDisplay
            The display: the two parents of each synthetic image, and the image between them.

        Raises
        ------
        TypeError
            If the sampler does not say what its images were made of.
        """
        images, labels = np.asarray(X), np.asarray(y)
        fitted = clone(sampler)
        new_images, new_labels = fitted.fit_resample(images, labels)
        if not hasattr(fitted, "parents_"):
            raise TypeError(
                f"{type(sampler).__name__} does not say what its images were made of; "
                "ResamplingDisplay shows those of ImageSMOTE."
            )
        n_new = len(fitted.parents_)
        start = len(new_images) - n_new
        chosen = np.unique(np.linspace(0, n_new - 1, min(n_images, n_new)).astype(int))
        rows = []
        for i in chosen if n_new else ():
            a, b = fitted.parents_[i]
            rows.append(
                (
                    f"{shorten(new_labels[start + i])}, {100 * fitted.steps_[i]:.0f} % of the way",
                    [
                        (to_picture(images[a]), "parent"),
                        (to_picture(new_images[start + i]), "synthetic"),
                        (to_picture(images[b]), "parent"),
                    ],
                )
            )
        return cls(rows).plot()


class AdaptationDisplay(_PictureGrid):
    """Show images of another laboratory as they are, and as an adapted network sees them.

    Parameters
    ----------
    rows : list of (str, list of (picture, str))
        Name of each row, and its pictures with their titles.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_rows, n_columns)
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import AdaptationDisplay
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8,), epochs=2, random_state=0)
    >>> clf = clf.fit(cells.images[:40], cells.target[:40])
    >>> adapted = clf.adapt(cells.images[40:])
    >>> display = AdaptationDisplay.from_estimators(clf, adapted, cells.images[40:])
    >>> display.rows[0][0]
    'as taken'
    """

    @classmethod
    def from_estimators(
        cls,
        estimator: Any,
        adapted: Any,
        X: ArrayLike,
        *,
        X_home: ArrayLike | None = None,
        n_images: int = 8,
    ) -> Self:
        """Choose images of all classes that are predicted, and show them.

        Parameters
        ----------
        estimator, adapted : estimator
            A fitted classifier, and the copy that its method `adapt` returned.
        X : array-like of shape (n, H, W, C) or (n, H, W)
            Images of the other laboratory.
        X_home : array-like, default=None
            Images of the training, to be shown below: in size, they should be like the second row.
        n_images : int, default=8
            Number of images.

        Returns
        -------
        AdaptationDisplay
            The display. A title is the class that is predicted in each row.
        """
        images = np.asarray(X)
        named = [np.asarray(one.predict(images)) for one in (estimator, adapted)]
        # The first image of each class, then the second, and so on.
        turn = [int((named[1][:i] == label).sum()) for i, label in enumerate(named[1])]
        chosen = np.argsort(turn, kind="stable")[:n_images]
        zoom = classifier_of(adapted).adaptation_["zoom"]
        layers = images if images.ndim == 4 else images[..., None]
        seen = zoom_images(layers[chosen], zoom)
        rows = [
            (
                name,
                [(to_picture(x), shorten(label, 14)) for x, label in zip(of, labels, strict=True)],
            )
            for name, of, labels in (
                ("as taken", layers[chosen], named[0][chosen]),
                (f"resized to {100 * zoom:.0f} %", seen, named[1][chosen]),
            )
        ]
        if X_home is not None:
            home = np.asarray(X_home)[:n_images]
            rows.append(("of the training", [(to_picture(x), "") for x in home]))
        return cls(rows).plot()
