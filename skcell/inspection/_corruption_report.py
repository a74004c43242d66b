"""Accuracy under image corruptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

from skcell._images import check_labels
from skcell._optional import import_optional
from skcell.inspection._corruptions import MICROSCOPE, Corruption
from skcell.inspection._plotting import GREYS, AxesDisplay
from skcell.metrics import Estimate, accuracy_interval

if TYPE_CHECKING:
    import pandas as pd

N_STRENGTHS = 5


@dataclass(frozen=True)
class CorruptionReport:
    """Result of `corruption_report`.

    Parameters
    ----------
    n_images : int
        Number of images.
    strengths : tuple of int
        Strengths, from 1 to 5.
    kinds : dict of str to str
        Kind of each corruption.
    clean_accuracy : Estimate
        Accuracy on the images as they are, with its 95 % interval.
    clean_balanced_accuracy : float
        Mean of the recalls of the classes.
    accuracy : dict of str to list of Estimate
        Accuracy under each corruption, by strength, with its 95 % interval.
    balanced_accuracy : dict of str to list of float
        Mean of the recalls of the classes, likewise.
    """

    n_images: int
    strengths: tuple[int, ...]
    kinds: dict[str, str]
    clean_accuracy: Estimate
    clean_balanced_accuracy: float
    accuracy: dict[str, list[Estimate]]
    balanced_accuracy: dict[str, list[float]]

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy over all corruptions and strengths."""
        return float(np.mean([one.value for rows in self.accuracy.values() for one in rows]))

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line for each corruption and strength.

        Returns
        -------
        list of dict
            `kind`, `corruption`, `strength`, `accuracy`, its 95 % interval `low` and `high`, and
            `balanced_accuracy`.
        """
        return [
            {
                "kind": kind,
                "corruption": name,
                "strength": strength,
                "accuracy": score.value,
                "low": score.low,
                "high": score.high,
                "balanced_accuracy": balanced,
            }
            for name, kind in self.kinds.items()
            for strength, score, balanced in zip(
                self.strengths, self.accuracy[name], self.balanced_accuracy[name], strict=True
            )
        ]

    def to_frame(self) -> "pd.DataFrame":
        """Return a line for each corruption and strength, as a data frame.

        Returns
        -------
        pandas.DataFrame
            Columns as in `to_records`.
        """
        pandas = import_optional("pandas", purpose="to_frame", extra="pandas")
        return pandas.DataFrame(self.to_records())


def corruption_report(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    corruptions: str | Mapping[str, Mapping[str, Sequence[Corruption]]] = "microscope",
    *,
    groups: ArrayLike | None = None,
    strengths: Sequence[int] = (1, 2, 3, 4, 5),
    max_images: int | None = None,
    random_state: int = 0,
) -> CorruptionReport:
    """Score a classifier on images that are darkened, blurred, stained otherwise, and so on.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier.
    X : array-like of uint8 of shape (n, H, W, 3), (n, H, W, 1) or (n, H, W)
        Images that it was not trained on.
    y : array-like of shape (n,)
        Their labels.
    corruptions : "microscope" or dict, default="microscope"
        What is done to the images: 18 changes of light, colour, focus, noise, stain and scale, like
        those of MedMNIST-C [1]_; or functions of your own, five strengths of each by kind and name,
        that map images and a random generator to images.
    groups : array-like of shape (n,), default=None
        Patient or slide of each image, for the intervals.
    strengths : sequence of int, default=(1, 2, 3, 4, 5)
        Which of the five strengths are tried.
    max_images : int, default=None
        Number of images that are used, drawn with the share of each class; None uses all.
    random_state : int, default=0
        Seed of the choice of images, and of noise.

    Returns
    -------
    CorruptionReport
        Accuracy as the images are, and under each corruption.

    Raises
    ------
    ValueError
        If the images are not of uint8, or a name or strength is unknown.

    See Also
    --------
    CorruptionDisplay : Shows the result.

    Notes
    -----
    Images of one channel are repeated to three, and changes of colour and stain are left out.
    Each corruption has its own random numbers, the same in every call.

    References
    ----------
    .. [1] F. Di Salvo, S. Doerrich, C. Ledig, "MedMNIST-C: Comprehensive benchmark and improved
       classifier robustness by simulating realistic image corruptions", arXiv:2406.17536, 2024.

    Examples
    --------
    >>> from skcell import CellCNNClassifier
    >>> from skcell.datasets import make_cells
    >>> from skcell.inspection import corruption_report
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=3, random_state=0)
    >>> clf = clf.fit(cells.images[:60], cells.target[:60])
    >>> report = corruption_report(clf, cells.images[60:], cells.target[60:], strengths=[3])
    >>> len(report.accuracy)
    18
    """
    if corruptions != "microscope" and not isinstance(corruptions, Mapping):
        raise ValueError(f"corruptions must be 'microscope' or a dict, got {corruptions!r}.")
    chosen = corruptions if isinstance(corruptions, Mapping) else MICROSCOPE
    levels = tuple(int(s) for s in strengths)
    if not levels or min(levels) < 1 or max(levels) > N_STRENGTHS:
        raise ValueError(f"strengths must be from 1 to {N_STRENGTHS}; got {list(strengths)}.")
    images = np.asarray(X)
    grey = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not (grey or images.shape[3] == 3):
        raise ValueError(
            "Corruptions are defined for images of uint8 with one or three channels, as from files "
            f"of 8 bits; got {images.dtype} of shape {images.shape}."
        )
    labels = check_labels(y, len(images))
    names = None if groups is None else check_labels(groups, len(images), "groups", "entry")
    if max_images is not None and max_images < len(images):
        kept = _choose(labels, max_images, random_state)
        images, labels = images[kept], labels[kept]
        names = None if names is None else names[kept]
    if grey:
        chosen = {kind: named for kind, named in chosen.items() if kind not in ("colour", "stain")}

    present = np.unique(labels)

    def score(changed: NDArray[Any]) -> tuple[Estimate, float]:
        predicted = estimator.predict(changed)
        recall = recall_score(labels, predicted, labels=present, average="macro", zero_division=0)
        return accuracy_interval(predicted == labels, names), float(recall)

    def corrupt(change: Corruption, number: int) -> NDArray[Any]:
        rng = np.random.default_rng([random_state, number])
        if not grey:
            return change(images, rng)
        found = change(images.reshape(*images.shape[:3], 1).repeat(3, axis=3), rng)
        return np.rint(found.mean(axis=3)).astype(np.uint8).reshape(images.shape)

    clean, clean_balanced = score(images)
    found: dict[str, list[tuple[Estimate, float]]] = {}
    number = 0
    for named in chosen.values():
        for one, changes in named.items():
            if one in found:
                raise ValueError(f"There are two corruptions {one!r}; names must differ.")
            if len(changes) != N_STRENGTHS:
                raise ValueError(f"{one!r} has {len(changes)} strengths; give {N_STRENGTHS}.")
            number += 1
            found[one] = [score(corrupt(changes[level - 1], number)) for level in levels]
    return CorruptionReport(
        n_images=len(labels),
        strengths=levels,
        kinds={one: kind for kind, named in chosen.items() for one in named},
        clean_accuracy=clean,
        clean_balanced_accuracy=clean_balanced,
        accuracy={one: [row[0] for row in rows] for one, rows in found.items()},
        balanced_accuracy={one: [row[1] for row in rows] for one, rows in found.items()},
    )


def _choose(labels: NDArray[Any], n: int, seed: int) -> NDArray[np.intp]:
    """Draw images, with the share of each class if each can have one."""
    counts = np.unique(labels, return_counts=True)[1]
    stratify = labels if counts.min() > 1 and n >= len(counts) <= len(labels) - n else None
    kept, _ = train_test_split(
        np.arange(len(labels)), train_size=n, stratify=stratify, random_state=seed
    )
    return np.sort(kept)


class CorruptionDisplay(AxesDisplay):
    """Show accuracy under corruptions, a line for each kind, beside the clean figure.

    Parameters
    ----------
    report : CorruptionReport
        Result of `corruption_report`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> from skcell.inspection import CorruptionDisplay, CorruptionReport
    >>> from skcell.metrics import Estimate
    >>> scores = [Estimate(0.9, 0.83, 0.94), Estimate(0.7, 0.6, 0.78)]
    >>> report = CorruptionReport(
    ...     100, (3, 5), {"haze": "light"}, Estimate(0.97, 0.92, 0.99), 0.96, {"haze": scores},
    ...     {"haze": [0.9, 0.7]},
    ... )
    >>> CorruptionDisplay(report).plot().ax_.get_ylabel()
    'Accuracy'
    """

    def __init__(self, report: CorruptionReport):
        self.report = report

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, ax: Any = None, **params: Any
    ) -> Self:
        """Score a classifier under corruptions, and show the result.

        Parameters
        ----------
        estimator, X, y
            As for `corruption_report`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.
        **params : object
            Passed to `corruption_report`.

        Returns
        -------
        CorruptionDisplay
            The display.
        """
        return cls(corruption_report(estimator, X, y, **params)).plot(ax=ax)

    def _size(self) -> tuple[float, float]:
        return 6.4, 4.2

    def _draw(self, ax: Any) -> None:
        report = self.report
        kinds = list(dict.fromkeys(report.kinds.values()))
        markers = "osD^vPX*<>"
        for number, kind in enumerate(kinds):
            names = [name for name, of in report.kinds.items() if of == kind]
            rows = [[score.value for score in report.accuracy[name]] for name in names]
            ax.plot(
                report.strengths,
                np.mean(rows, axis=0),
                marker=markers[number % len(markers)],
                color=GREYS[number % len(GREYS)],
                label=f"{kind} ({len(rows)})",
            )
        known = report.clean_accuracy
        clean, low, high = known.value, known.low, known.high
        ax.axhline(clean, color="black", linewidth=1)
        ax.axhspan(low, high, color="black", alpha=0.1, linewidth=0)
        ax.annotate(
            f"as they are: {100 * clean:.1f} %",
            (report.strengths[0], clean),
            (0, 3),
            textcoords="offset points",
            va="bottom",
            fontsize="small",
        )
        ax.set_xlabel("Strength of the corruption")
        ax.set_ylabel("Accuracy")
        ax.set_xticks(report.strengths)
        ax.set_ylim(0, 1.02)
        ax.set_title(
            f"Mean under corruptions: {100 * report.mean_accuracy:.1f} %", fontsize="medium"
        )
        ax.legend(title="Kind (number)", fontsize="small", loc="lower left")
