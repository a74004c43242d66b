"""The figures of an evaluation: pictures, explanations, curves, corruptions."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import decode_picture
from skcell._pages import LARGEST, png_uri, to_data_uri
from skcell.calibration import CalibratedClassifier
from skcell.classifiers import classifier_of
from skcell.exceptions import ImageReadError
from skcell.inspection._classes import (
    AccuracyCoverageDisplay,
    ClassRecallDisplay,
    ReliabilityDisplay,
)
from skcell.inspection._corruption_report import (
    CorruptionDisplay,
    CorruptionReport,
    corruption_report,
)
from skcell.inspection._curves import ClassCurvesDisplay
from skcell.inspection._embedding import EmbeddingDisplay
from skcell.inspection._evaluation import Evaluation
from skcell.inspection._maps import confirm_maps, grad_cam, spotlight
from skcell.inspection._samples import find_confusions
from skcell.inspection._training_curves import TrainingCurvesDisplay

#: Number of wrong images, of confusions, and of images of each, on a page.
MOST_WRONG = 60
MOST_CONFUSIONS = 6
MOST_OF_EACH = 6

#: Number of images in the map, and of those that are corrupted, at these strengths.
MAPPED = 400
CORRUPTED = 150
STRENGTHS = (1, 3, 5)

_MOST_CURVES = 12  # classes whose curves can be distinguished


@dataclass(frozen=True)
class Figures:
    """What a page shows besides figures."""

    wrong: list[int]
    correct: list[int]
    confusions: list[tuple[Any, Any, int, list[int]]]
    pictures: dict[int, str] = field(repr=False)
    heat: dict[int, str] = field(repr=False)
    confirmed: dict[int, bool] = field(repr=False)
    plots: dict[str, tuple[str, str]] = field(repr=False)
    corruption: CorruptionReport | None = None


def make_figures(
    model: Any,
    found: Evaluation,
    images: NDArray[Any] | None = None,
    root: str | None = None,
    *,
    deep: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> Figures:
    """Explain and draw the images of an evaluation, as the model takes them; files are shown."""
    confidence = found.probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    is_right = found.y_true == found.y_pred
    wrong = [int(i) for i in order if not is_right[i]]
    first: dict[Any, int] = {}  # the most certain correct one of each class
    for i in order[is_right[order]].tolist():
        first.setdefault(found.y_true[i], i)
    correct = [first[label] for label in found.classes if label in first]
    often = find_confusions(found.y_true, found.y_pred, confidence)[:MOST_CONFUSIONS]
    confusions = [(a, b, len(some), some[:MOST_OF_EACH]) for a, b, some in often]
    shown = sorted({*wrong[:MOST_WRONG], *correct, *(i for *_, some in confusions for i in some)})
    pictures: dict[int, str] = {}
    heat: dict[int, str] = {}
    confirmed: dict[int, bool] = {}
    if root is not None:
        paths = [os.path.join(root, found.files[i]) for i in shown]
        pictures = {i: uri for i, path in zip(shown, paths, strict=True) if (uri := _picture(path))}
    if images is not None:
        heat, confirmed = _explain(model, found, images, np.array(shown, np.intp))
    plots = _plot_predictions(model, found)
    corruption = None
    if deep and images is not None:
        notify("Evaluating under image corruptions ...")
        more, corruption = _corrupt_and_embed(model, found, images)
        plots |= more
    return Figures(wrong, correct, confusions, pictures, heat, confirmed, plots, corruption)


def _picture(path: str) -> str:
    try:
        return to_data_uri(decode_picture(path, LARGEST))
    except ImageReadError:  # a page without a picture is better than none
        return ""


def _explain(
    model: Any, found: Evaluation, images: NDArray[Any], shown: NDArray[np.intp]
) -> tuple[dict[int, str], dict[int, bool]]:
    if not len(shown):
        return {}, {}
    images = images[shown]
    try:
        maps = grad_cam(model, images, found.y_pred[shown])
    except (TypeError, ValueError):  # no network, or none with height and width
        return {}, {}
    confirmed = confirm_maps(model, images, maps, found.y_pred[shown])
    lit = (spotlight(image, heat) for image, heat in zip(images, maps, strict=True))
    return (
        {int(i): to_data_uri(one) for i, one in zip(shown, lit, strict=True)},
        dict(zip(shown.tolist(), confirmed.tolist(), strict=True)),
    )


def _plot_predictions(model: Any, found: Evaluation) -> dict[str, tuple[str, str]]:
    y, p, classes = found.y_true, found.probabilities, found.classes
    plots = {
        "recall": (
            "Recall of each class with its 95 % interval",
            _draw(
                (6.4, 1.2 + 0.3 * len(found.per_class)),
                ClassRecallDisplay.from_predictions,
                y,
                found.y_pred,
                groups=found.groups,
            ),
        ),
        "reliability": (
            "Accuracy by stated probability",
            _draw((4.6, 4.4), ReliabilityDisplay(found.reliability).plot),
        ),
        "coverage": (
            "Accuracy by the share of images that the model decides",
            _draw((4.6, 4.4), AccuracyCoverageDisplay.from_predictions, y, p, classes),
        ),
    }
    if len(classes) <= _MOST_CURVES:
        for kind, name in (("roc", "ROC"), ("precision_recall", "Precision-recall")):
            plots[kind] = (
                f"{name} curve of each class against the others",
                _draw((7.0, 4.2), ClassCurvesDisplay.from_predictions, y, p, classes, kind=kind),
            )
    clf = _classifier(model)
    if clf is not None and len(getattr(clf, "history_", {}).get("loss", ())) > 1:
        plots["training"] = (
            "Loss and accuracy over the epochs of training",
            _draw((8.4, 3.4), TrainingCurvesDisplay.from_estimator, clf, columns=2),
        )
    return plots


def _classifier(model: Any) -> Any:
    try:
        return classifier_of(model)
    except TypeError:  # there are none, or several
        return None


def _corrupt_and_embed(
    model: Any, found: Evaluation, images: NDArray[Any]
) -> tuple[dict[str, tuple[str, str]], CorruptionReport | None]:
    """Return the map of the images, and the accuracy under corruptions."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(found.files))[:MAPPED])
    images, labels = images[chosen], found.y_true[chosen]
    plots = {}
    inner = model.estimator_ if isinstance(model, CalibratedClassifier) else model
    try:
        uri = _draw((7.2, 4.8), EmbeddingDisplay.from_estimator, inner, images, labels)
        plots["map"] = ("Embedding of the images: near are those with similar features", uri)
    except (TypeError, ValueError):  # no network, or too few images
        pass
    corruption = None
    if images.dtype == np.uint8 and images.shape[3] in (1, 3) and len(images):
        corruption = corruption_report(
            model,
            images,
            labels,
            groups=None if found.groups is None else found.groups[chosen],
            strengths=STRENGTHS,
            max_images=CORRUPTED,
        )
        display = CorruptionDisplay(corruption)
        plots["corruption"] = (
            "Accuracy by strength of each kind of corruption",
            _draw((6.4, 4.2), display.plot),
        )
    return plots, corruption


def _draw(
    size: tuple[float, float], plot: Callable[..., Any], *args: Any, columns: int = 1, **kwargs: Any
) -> str:
    """Draw on a figure of its own, and return it as a ``data:`` address."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, columns)
    plot(*args, **kwargs, **{"ax" if columns == 1 else "axes": axes})
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return png_uri(stream.getvalue())
