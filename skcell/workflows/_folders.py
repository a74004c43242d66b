"""Evaluate a model on a folder of images, and adapt it to one."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import decode_files
from skcell._text import normal_form
from skcell.calibration import CalibratedClassifier, ShiftReport
from skcell.classifiers import classifier_of, find_image_spec
from skcell.cleaning import check_dataset
from skcell.datasets import SPLITS, ImageFolder, Labels
from skcell.inspection import (
    AdaptationDisplay,
    Evaluation,
    evaluate,
    make_card,
    make_figures,
    write_evaluation,
)
from skcell.persistence import load, read_info, save
from skcell.workflows._check import find_groups, test_part_of, typical_size
from skcell.workflows._training import report_folder

#: Number of images that are tested for a shift before all are predicted.
_FIRST = 200

#: Ratio of the sizes of files from which the difference is reported.
_OTHER_SIZE = 3


def check_first(model: Any, files: Sequence[str], training: Mapping[str, Any]) -> list[str]:
    """Say what is to be known before files are predicted: no calibration, or a shift."""
    spec = find_image_spec(model)
    if not isinstance(model, CalibratedClassifier) or spec is None or spec.dtype == "float32":
        return []
    sentences = [why] if (why := model.why_not_calibrated()) else []
    sentences += compare_sizes(training, files)
    order = np.random.default_rng(0).permutation(len(files))[:_FIRST]
    images, _, _ = decode_files([files[i] for i in np.sort(order)], spec.shape, spec.dtype)
    if len(images) < ShiftReport.fewest:
        return [*sentences, ShiftReport.too_few]
    report = model.detect_shift(images)
    return [*sentences, str(report)] if report.shifted else sentences


def compare_sizes(training: Mapping[str, Any], files: Sequence[str]) -> list[str]:
    """Say if files are much larger or smaller than those that a model was trained on."""
    data = training.get("data")
    known = data.get("file_size") if isinstance(data, Mapping) else None
    found = typical_size(files)
    if not known or not found or 1 / _OTHER_SIZE < min(found) / min(known) < _OTHER_SIZE:
        return []
    told = [" x ".join(str(side) for side in sides[::-1]) for sides in (found, known)]
    return [
        f"The images are about {told[0]} pixels, those of training were about {told[1]}. If they "
        "show many cells, or cells of another size, their predictions mean nothing: crop them as "
        "the training images were."
    ]


def evaluate_folder(
    model: Any,
    folder: str | os.PathLike[str] | ImageFolder,
    *,
    page: str | os.PathLike[str] | None = None,
    labels: Labels | None = None,
    columns: Mapping[str, str] | None = None,
    groups: str | None = None,
    group_by_folder: bool = False,
    coverage: float = 0.9,
    skip_broken: bool = False,
    ignore: Sequence[str] | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> tuple[Evaluation, list[str]]:
    """Evaluate a model on a folder with a sub-folder for each class.

    Parameters
    ----------
    model : estimator, str or path-like
        The model, or its file. A file also says how the model was trained.
    folder : str or path-like
        The folder. If it has parts, ``test`` or else ``val`` is used.
    page : str or path-like, default=None
        Page to write, ``*.html``: the images and their problems, scores, confusions with pictures,
        calibration, accuracy under corruptions, explanations, wrong predictions, and a model card.
        Beside it, ``*-predictions.csv`` and ``*-metrics.json`` have its numbers.
    labels, columns : path-like (or several) and mapping, default=None
        Tables of labels instead of sub-folders, as for `skcell.datasets.load_image_folder`.
    groups : str, default=None
        Patients or slides, as for `skcell.datasets.read_groups`. For a page, the images of all
        parts of the folder are checked, and need a group.
    group_by_folder : bool, default=False
        Whether each sub-folder of a class folder is one patient or slide.
    coverage : float, default=0.9
        Share of the true classes that prediction sets should contain.
    skip_broken : bool, default=False
        Whether files that cannot be read are skipped.
    ignore : sequence of str, default=None
        Patterns of files that are left out, such as ``"*_mask.png"``.
    notify : callable
        Called with a sentence about each step.

    Returns
    -------
    evaluation : Evaluation
        The figures, on the images of classes that the model knows and that it was not trained on.
    notes : list of str
        Classes that the folder or the model lacks, the part that was used, and the number of images
        that the model was trained on.

    Raises
    ------
    ValueError
        If no image is left, or the model takes no images from files.
    """
    info = None
    if isinstance(model, (str, os.PathLike)):
        info, model, file = read_info(model), load(model), Path(model)
    if not isinstance(folder, ImageFolder):
        folder = ImageFolder.scan(
            folder, labels=labels or True, columns=columns, one_class=True, ignore=ignore
        )
    root = folder.root
    cells = _load(model, folder, skip_broken)
    y = cells.target_names[cells.target]
    if page is not None:  # what it refuses, it refuses before the model is evaluated
        notify(f"Checking {len(y):,} images ...")
        check = check_dataset(
            cells.images,
            y,
            find_groups(cells, groups, group_by_folder, root),
            cells.get("split"),
            names=[os.path.relpath(file, root) for file in cells.filenames],
            files=cells.filenames.tolist(),
        )
    notes = compare_sizes({} if info is None else info.training, cells.filenames.tolist())
    used = _choose_images(model, cells, root, notes)
    by_name = {normal_form(label): label for label in model.classes_.tolist()}
    images = cells.images[used]
    result = evaluate(
        model,
        images,
        np.array([by_name[name] for name in y[used]]),
        groups=find_groups(cells, groups, group_by_folder, root, used),
        files=[os.path.relpath(file, root) for file in cells.filenames[used]],
        coverage=coverage,
    )
    if page is None:
        return result, notes
    figures = make_figures(model, result, images, root, deep=True, notify=notify)
    out, scores = Path(page).expanduser(), result.to_dict()
    name = os.path.basename(os.path.abspath(root))
    known = {} if info is None else json.loads(json.dumps(asdict(info), default=str))
    write_evaluation(
        (
            out,
            out.with_name(f"{out.stem}-predictions.csv"),
            out.with_name(f"{out.stem}-metrics.json"),
        ),
        result,
        figures,
        scores,
        title=f"{type(model).__name__ if info is None else file.name} on {name}",
        paragraphs=notes,
        check=check,
        card=() if info is None else make_card(info, result, name),
        details={**known, "test": scores},
    )
    return result, notes


def _choose_images(model: Any, cells: Any, root: str, notes: list[str]) -> NDArray[np.bool_]:
    """Choose the images that say something about a model, and note what is left out."""
    labels = cells.target_names[cells.target]
    used = np.ones(len(labels), bool)
    if "split" in cells:
        part = test_part_of(cells)
        used = cells.split == part
        notes.append(f"The part {part!r} of the folder is used.")
    known = {normal_form(label) for label in model.classes_.tolist()}
    surplus = sorted(set(labels[used]) - known)
    if surplus:
        strange = used & np.isin(labels, surplus)
        sentence = f"The model does not know {', '.join(surplus)}: {strange.sum()} images left out."
        if isinstance(model, CalibratedClassifier):
            share = float(model.is_unknown(cells.images[strange]).mean())
            sentence += f" Of these, {100 * share:.0f} % are called unknown."
        notes.append(sentence)
        used &= ~strange
    if not used.any():
        raise ValueError(
            f"No folder in {root!r} has the name of a class of the model: "
            f"{', '.join(map(normal_form, model.classes_.tolist()))}."
        )
    if isinstance(model, CalibratedClassifier):
        seen = np.flatnonzero(used)[model.was_trained_on(cells.images[used])]
        if len(seen) == used.sum():
            raise ValueError(
                f"The model was trained on all {len(seen):,} images, so a score on them says "
                "nothing about new images. Use others, or the test that was written beside the "
                "model."
            )
        if len(seen):
            notes.append(
                f"The model was trained on {len(seen):,} of the {used.sum():,} images; they are "
                "left out, since a score on them says nothing about new images."
            )
            used[seen] = False
    missing = sorted(known - set(labels[used]))
    if missing:
        notes.append(f"The folder has no images of {', '.join(missing)}.")
    return used


def adapt_to_folder(
    model: Any,
    folder: str | os.PathLike[str],
    path: Path,
    *,
    groups: str | None = None,
    group_by_folder: bool = False,
    skip_broken: bool = False,
    ignore: Sequence[str] | None = None,
) -> tuple[str, list[tuple[Any, float, float]]]:
    """Adapt a model to the images of a folder, and save it.

    Parameters
    ----------
    model : estimator
        The model: a classifier, or a `CalibratedClassifier`.
    folder : str or path-like
        Images of the other microscope. If it has sub-folders with the names of classes, they are
        labels; of parts, ``train`` alone is used.
    path : Path
        File of the adapted model.
    groups : str, default=None
        Patients or slides of the labelled images, as for `skcell.datasets.read_groups`; they stay
        whole where the labelled images calibrate the model.
    group_by_folder : bool, default=False
        Whether each sub-folder of a class folder is one patient or slide.
    skip_broken : bool, default=False
        Whether files that cannot be read are skipped.
    ignore : sequence of str, default=None
        Patterns of files that are left out, such as ``"*_mask.png"``.

    Returns
    -------
    sentence : str
        What the model was adapted to.
    shares : list of (class, before, after)
        Mean probability of each class before and after.
    """
    if not hasattr(model, "adapt"):
        raise TypeError(f"{type(model).__name__} cannot be adapted; adapt the classifier inside.")
    root = os.path.expanduser(os.fspath(folder))
    by_name = {normal_form(label): label for label in model.classes_.tolist()}
    folders = [normal_form(name) for name in os.listdir(root)] if os.path.isdir(root) else []
    parts = [name for name in folders if name.lower() in SPLITS]
    if set(folders) & set(by_name) or parts:
        cells = _load(model, ImageFolder.scan(root, one_class=True, ignore=ignore), skip_broken)
        labels, images = cells.target_names[cells.target], cells.images
        used = np.ones(len(labels), bool)
        if "split" in cells:  # the other parts are for a test of the adapted model
            used = cells.split == "train"
        known = used & np.isin(labels, list(by_name))
        found = find_groups(cells, groups, group_by_folder, root, known)
        labelled: dict[str, Any] = {}
        if known.any():
            named = np.array([by_name[name] for name in labels[known]])
            labelled = {"X_labelled": images[known], "y_labelled": named}
            labelled |= {} if found is None else {"groups": found}
        images = images[used]
        adapted = model.adapt(images, **labelled)
    elif groups is not None or group_by_folder:
        raise ValueError(
            f"Groups are of labelled images, and {root!r} has no folder with the name of a class."
        )
    else:
        found_files = ImageFolder.scan(root, labels=False, ignore=ignore)
        images = _load(model, found_files, skip_broken).images
        adapted = model.adapt(images)
    before, after = (m.predict_proba(images).mean(axis=0) for m in (model, adapted))
    told = classifier_of(adapted).adaptation_
    sentence = (
        f"Adapted to {told['n_images']:,} images, {told['n_labelled']:,} of them with labels. "
        f"{_describe_zoom(told['zoom'])} The statistics were moved by {100 * told['move']:.0f} %."
    )
    why = adapted.why_not_calibrated() if isinstance(adapted, CalibratedClassifier) else ""
    if isinstance(adapted, CalibratedClassifier):
        sentence += (
            f" {why}"
            if why
            else (
                f" Probabilities and prediction sets were calibrated by the "
                f"{adapted.calibration_['n_images']:,} labelled images."
            )
        )
    training = {
        "adaptation": told,
        "calibrated": not why,
        "folder": os.path.basename(os.path.abspath(root)),
    }
    save(adapted, path, training=training)
    pictures = report_folder(path) / "adaptation.png"
    pictures.parent.mkdir(exist_ok=True)
    display = AdaptationDisplay.from_estimators(model, adapted, images[:_FIRST])
    display.figure_.savefig(pictures, dpi=100)
    sentence += f" Some images, as they are and as the network now sees them, are in {pictures}."
    return sentence, list(zip(model.classes_.tolist(), before, after, strict=True))


def _describe_zoom(zoom: float) -> str:
    if zoom == 1.0:
        return "Cells have about the size that they had in training."
    return (
        f"Cells are {'smaller' if zoom > 1 else 'larger'} than in training: images are resized to "
        f"{100 * zoom:.0f} % before the network sees them."
    )


def _load(model: Any, folder: ImageFolder, skip_broken: bool) -> Any:
    """Load a folder as the model takes images; it may lack classes that the model knows."""
    spec = find_image_spec(model)
    if spec is None or spec.dtype == "float32":
        raise ValueError("The model was not trained on images with integer pixels, as files have.")
    height, width, channels = spec.shape
    on_error = "warn" if skip_broken else "raise"
    return folder.load((height, width), channels=channels, dtype=spec.dtype, on_error=on_error)
