"""Train a model from a folder of images, and test it on images that it never saw."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skcell._digest import digest_images, short_digests
from skcell._environment import software
from skcell._holdout import Purpose, join_groups, split_holdout
from skcell._sklearn import full_repr
from skcell.calibration import CalibratedClassifier
from skcell.classifiers import (
    BaseCellClassifier,
    CellCNNClassifier,
    Checkpoint,
    SEInceptionResNetClassifier,
    TransferClassifier,
    classifier_of,
    find_image_spec,
)
from skcell.cleaning import DatasetCheck, check_dataset, count_labels
from skcell.datasets import ImageFolder, Labels
from skcell.inspection import Evaluation, evaluate, make_card, make_figures, write_evaluation
from skcell.metrics import accuracy_interval
from skcell.persistence import describe_model, load, save
from skcell.workflows._check import choose_size, find_groups, test_part_of, typical_size

Recipe = Literal["auto", "cnn", "composite", "transfer"]

#: Share of the images that test the model, if the folder has no split of its own.
TEST_FRACTION = 0.2

#: Share of the other images that calibrates the model.
CALIBRATION_FRACTION = 0.15

#: Fewest images of a class that can be split into training, calibration and test at all.
FEWEST = 4

#: With a larger ratio of the largest class to the smallest, classes are weighted.
UNEQUAL = 5

#: Fewest new images of a class of which some test a model that was trained further.
_FEWEST_NEW = 5

_ABOUT = 0.03  # by which a fifth may differ
_TEST = Purpose("the test", "add images")


@dataclass(frozen=True)
class TrainingResult:
    """Result of `train`.

    Parameters
    ----------
    model : CalibratedClassifier
        The trained model.
    evaluation : Evaluation
        Its test, on images that it never saw.
    choices : list of str
        What was chosen, and why.
    warnings : list of str
        What is wrong with the data.
    data : dict
        Name, number of images of each class in training and test, split, and digest.
    check : DatasetCheck
        What was found in the data, with pictures.
    tested_model : CalibratedClassifier
        The model that was tested: `model`, unless this was trained again on all images.
    test_images : ndarray of shape (n_test, H, W, C)
        The images that it was tested on.
    """

    model: CalibratedClassifier
    evaluation: Evaluation
    choices: list[str]
    warnings: list[str]
    data: dict[str, Any] = field(repr=False)
    check: DatasetCheck = field(repr=False)
    tested_model: CalibratedClassifier = field(repr=False)
    test_images: NDArray[Any] = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the model, and beside it a folder with its test.

        Parameters
        ----------
        path : str or path-like
            File of the model. The folder has its name without the ending, and ``-report``.

        Returns
        -------
        list of pathlib.Path
            The model; the page; the test images with their predictions; and the figures.
        """
        model = Path(path).expanduser()
        figures = {
            "data": self.data,
            "choices": self.choices,
            "warnings": self.warnings,
            "test": self.evaluation.to_dict(),
            "calibration": self.model.calibration_,
        }
        save(self.model, model, training=figures)
        folder = report_folder(model)
        report = write_evaluation(
            (folder / "report.html", folder / "test.csv", folder / "metrics.json"),
            self.evaluation,
            make_figures(self.tested_model, self.evaluation, self.test_images, self.data["folder"]),
            figures,
            title=f"Model of {self.data['name']}",
            paragraphs=self.choices,
            warnings=self.warnings,
            details={**figures, "parameters": full_repr(self.model)},
            check=self.check,
            card=make_card(describe_model(self.model, figures), self.evaluation, self.data["name"]),
        )
        return [model, *report]


def report_folder(model: Path) -> Path:
    """Return the folder beside a model file for what was found out about it."""
    return model.with_name(f"{model.stem}-report")


def train(
    folder: str | os.PathLike[str] | ImageFolder,
    *,
    recipe: Recipe = "auto",
    image_size: int | None = None,
    epochs: int | None = None,
    backbone: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    labels: Labels | None = None,
    columns: Mapping[str, str] | None = None,
    groups: str | None = None,
    group_by_folder: bool = False,
    start_from: str | os.PathLike[str] | CalibratedClassifier | None = None,
    final: bool = False,
    skip_broken: bool = False,
    ignore: Sequence[str] | None = None,
    random_state: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    notify: Callable[[str], None] = lambda text: None,
) -> TrainingResult:
    """Train, calibrate and test a model on a folder of images.

    Parameters
    ----------
    folder : str or path-like
        Folder with a sub-folder for each class; or with ``train`` and ``test`` (or ``val``), which
        have these.
    recipe : {"auto", "cnn", "composite", "transfer"}, default="auto"
        The classifier: `CellCNNClassifier`, `SEInceptionResNetClassifier` or `TransferClassifier`.
        "auto" is "transfer" if `weights` or `backbone` is given, and "cnn" otherwise.
    image_size : int, default=None
        Height and width that images are resized to; None chooses by the files.
    epochs : int, default=None
        Number of epochs; None chooses by the number of images.
    backbone, weights : str, default=None
        Pretrained network of "transfer", and the file with its weights, or "imagenet".
    labels, columns : path-like (or several) and mapping, default=None
        Tables of labels instead of sub-folders, as for `skcell.datasets.load_image_folder`.
    groups : str, default=None
        Patients or slides, as for `skcell.datasets.read_groups`; they stay whole in every split.
        None takes those of the table of labels, if it has any.
    group_by_folder : bool, default=False
        Whether each sub-folder of a class folder is one patient or slide.
    start_from : path-like or CalibratedClassifier, default=None
        Model, or its file, whose network is trained further; it must be one that `train` made. The
        network, the size of images and the classes are those of this model; the folder may have
        further classes. Pass its images again, with those that are new: what is missing may be
        forgotten. Images that it was trained on never test, and those of its test, and their
        patients, test again. Both models are scored on the same test.
    final : bool, default=False
        Whether the model is trained again, on all images, after its test. The scores are those of
        the model before.
    skip_broken : bool, default=False
        Whether files that cannot be read are skipped.
    ignore : sequence of str, default=None
        Patterns of files that are left out, such as ``"*_mask.png"``.
    random_state : int, default=0
        Seed of the split, the weights and all else.
    checkpoint : str or path-like, default=None
        Folder in which the state of training is kept after each epoch. The same call with the same
        folder continues a training that was killed.
    callbacks : sequence of keras.callbacks.Callback
        Called during training.
    notify : callable
        Called with a sentence about each step.

    Returns
    -------
    TrainingResult
        Model, test, and what was chosen.

    Raises
    ------
    ValueError
        If the folder cannot be used, before training starts.
    ImageReadError
        If files cannot be read.
    """
    if not isinstance(folder, ImageFolder):
        folder = ImageFolder.scan(folder, labels=labels or True, columns=columns, ignore=ignore)
    root, on_error = folder.root, "warn" if skip_broken else "raise"
    file_size = typical_size(folder.files)
    choices, earlier = [], None
    if start_from is not None:
        if recipe != "auto" or image_size or backbone or weights:
            raise ValueError(
                "A training that starts from a model has its network and size of images; leave out "
                "recipe, image_size, backbone and weights."
            )
        earlier = _open_earlier(start_from)
        height, width, channels = find_image_spec(earlier).shape
        image_size, clf = height, clone(classifier_of(earlier))
        choices.append(
            f"Training starts from an earlier model, a {type(clf).__name__} of "
            f"{len(earlier.classes_)} classes."
        )
    else:
        channels, (clf, reason) = 3, _choose_classifier(recipe, backbone, weights)
        if image_size is None:
            image_size, why = choose_size(file_size)
            choices.append(why)
        height, width = image_size, image_size
        choices.append(reason)
    notify(f"Reading {len(folder.files):,} images ...")
    cells = folder.load(
        (height, width),
        channels=channels,
        dtype="auto" if earlier is None else find_image_spec(earlier).dtype,
        on_error=on_error,
    )
    y = cells.target_names[cells.target]
    found = find_groups(cells, groups, group_by_folder, root)
    _check_counts(y)
    names = np.array([os.path.relpath(file, root) for file in cells.filenames])
    check = check_dataset(
        cells.images,
        y,
        found,
        lambda duplicates: _split(cells, y, found, duplicates.clusters, random_state, earlier),
        names=names.tolist(),
        files=cells.filenames.tolist(),
        random_state=random_state,
    )
    train_part, test_part = (np.flatnonzero(check.split == part) for part in ("train", "test"))
    split = _describe_split(cells, len(test_part) / len(y), found is not None, earlier is not None)
    duplicates = check.duplicates
    told = [f"{f.message} {f.advice}" for f in check.findings if f.severity != "note"]
    choices.append(split)
    counts = np.unique(y[train_part], return_counts=True)[1]
    if counts.max() >= UNEQUAL * counts.min():
        clf.set_params(class_weight="balanced")
        choices.append(
            f"Classes are weighted, since the largest has {counts.max():,} training images and the "
            f"smallest {counts.min():,}."
        )
    clf.set_params(random_state=random_state)
    if epochs is not None:
        clf.set_params(epochs=epochs)
    digests = digest_images(cells.images)
    digest = hashlib.sha256(b"".join(sorted(digests))).hexdigest()  # in any order
    if checkpoint is not None:
        callbacks = [*callbacks, Checkpoint(checkpoint, json.dumps(software()))]
    clf.set_params(callbacks=list(callbacks) or None, verbose=1)
    for sentence in told:
        notify(f"Warning: {sentence}")
    model = CalibratedClassifier(
        clf, validation_fraction=CALIBRATION_FRACTION, random_state=random_state
    )
    # Copies of an image are not on both sides of the calibration either.
    together: NDArray[Any] | None = found
    if len(duplicates):
        clusters = duplicates.clusters
        together = clusters if found is None else join_groups(found, clusters)
    part = None if together is None else together[train_part]
    notify(f"Training on {len(train_part):,} images of {image_size} x {image_size} pixels ...")
    more = {} if earlier is None else {"init_from": classifier_of(earlier)}
    model.fit(cells.images[train_part], y[train_part], groups=part, **more)
    choices.append(_describe_calibration(model, has_groups=found is not None))
    epochs_done = _count_epochs(model, callbacks)
    if epochs_done["interrupted"]:
        choices.append(
            "Training was interrupted after {done} of {planned} epochs; this is not the model that "
            "was asked for.".format(**epochs_done)
        )
    notify(f"Testing on {len(test_part):,} images ...")
    evaluation = evaluate(
        model,
        cells.images[test_part],
        y[test_part],
        groups=None if found is None else found[test_part],
        files=names[test_part].tolist(),
    )
    model.test_digests_ = short_digests(cells.images[test_part])
    if earlier is not None:
        model.training_digests_ = np.union1d(model.training_digests_, earlier.training_digests_)
        choices += _compare_models(earlier, model, cells.images[test_part], y[test_part])
    tested = model
    final = final and not _stopped(callbacks)
    if final:
        notify(f"Training again, on all {len(y):,} images ...")
        again = clone(model).fit(cells.images, y, groups=together, **more)
        final = not _stopped(callbacks)  # else it is kept as it was before
        model = again if final else model
    if final:
        choices.append(
            "After the test, the model was trained again on all images. The scores are those of "
            "the model before."
        )
    for fitted in (model, model.estimator, tested, tested.estimator):
        classifier_of(fitted).set_params(callbacks=None, verbose=0)
    data = {
        "name": os.path.basename(os.path.abspath(root)),
        "folder": root,
        "digest": digest,
        "image_size": image_size,
        "split": split,
        "n_train": count_labels(y[train_part]),
        "n_test": count_labels(y[test_part]),
        "n_groups": None if found is None else len(np.unique(found)),
        "trained_on_all": final,
        "file_size": file_size,
        "epochs": epochs_done,
    }
    images = cells.images[test_part]
    return TrainingResult(model, evaluation, choices, told, data, check, tested, images)


def _describe_calibration(model: CalibratedClassifier, *, has_groups: bool) -> str:
    """Say what calibrated a model, and where this is not enough.

    Without patients or slides, the groups of a calibration are those of copies of an image.
    """
    found = model.calibration_
    n, n_wrong = found["n_images"], found["n_wrong"]
    n_groups = found["n_groups"] if has_groups else None
    of = "" if n_groups is None else f" of {n_groups} patients or slides"
    text = (
        f"{n:,} of the training images{of} were held out, to calibrate probabilities, prediction "
        "sets and the detector of unknown images."
    )
    needed = 9  # of units, for sets that cover 90 %
    if (n if n_groups is None else n_groups) < needed:
        text += (
            f" Prediction sets that cover 90 % need {needed} {'images' if of == '' else 'patients'}"
            "; until then every class is in each set."
        )
    if not n_wrong:
        text += (
            " None of them was predicted wrongly, so they hardly say how certain a prediction may "
            "be: probabilities were changed little."
        )
    return text


def _count_epochs(model: CalibratedClassifier, callbacks: Sequence[Any]) -> dict[str, Any]:
    """Return how many epochs were trained, how many were planned, and whether a user ended it."""
    clf = classifier_of(model)
    planned = [c.params.get("epochs") for c in callbacks if getattr(c, "params", None)]
    done = int(clf.n_iter_)
    return {
        "done": done,
        "planned": max([done, *(int(n) for n in planned if n)]),
        "interrupted": _stopped(callbacks),
    }


def _stopped(callbacks: Sequence[Any]) -> bool:
    """Return whether the user ended training."""
    return any(getattr(callback, "stopped", False) for callback in callbacks)


def _check_counts(labels: NDArray[Any]) -> None:
    """Refuse classes that cannot be split."""
    counts = count_labels(labels)
    few = {name: n for name, n in counts.items() if n < FEWEST}
    told = ", ".join(f"{name} {n}" for name, n in few.items())
    if few:
        raise ValueError(
            f"Each class needs at least {FEWEST} images for training, calibration and test, and "
            f"many more to be learned; there are: {told}. Add images, or leave these classes out."
        )
    n = len(labels)
    n_test = round(TEST_FRACTION * n)
    if min(n_test, round(CALIBRATION_FRACTION * (n - n_test))) < len(counts):
        raise ValueError(
            f"{n} images of {len(counts)} classes are too few: at least one image of each class is "
            "needed to calibrate the model and one to test it. Add images."
        )


def _split(
    cells: Any,
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    copies: NDArray[np.intp],
    seed: int,
    earlier: CalibratedClassifier | None,
) -> NDArray[np.str_]:
    """Return the part of each image, "train" or "test".

    What trained an earlier model never tests, and what tested it tests again.
    """
    trained = (
        np.zeros(len(labels), bool) if earlier is None else earlier.was_trained_on(cells.images)
    )
    if "split" in cells:
        name = test_part_of(cells)
        is_test = cells.split == name
        if not is_test.any() or is_test.all():
            raise ValueError("The folder has a split, but no images in both of its parts.")
        missing = np.setdiff1d(labels, labels[~is_test]).tolist()
        if missing:
            raise ValueError(f"The training part has no images of {', '.join(missing)}.")
        if groups is not None:
            shared = np.intersect1d(groups[is_test], groups[~is_test])
            if len(shared):
                raise ValueError(
                    f"{len(shared)} group(s), such as {str(shared[0])!r}, have images both in the "
                    f"part {name!r} of the folder and in another. Move all images of a patient or "
                    "slide to one part, or remove the parts, so that whole groups are split."
                )
        if (trained & is_test).any():
            raise ValueError(
                f"The earlier model was trained on {(trained & is_test).sum():,} images of the "
                f"part {name!r}, so they cannot test the new one. Move them to the part 'train'."
            )
        return np.where(is_test, "test", "train")
    together = copies if groups is None else join_groups(groups, copies)
    fixed = np.isin(together, together[trained])
    is_test = np.zeros(len(labels), bool)
    if earlier is not None:
        is_test = ~fixed & np.isin(together, together[earlier.was_tested_on(cells.images)])
    rest = ~(fixed | is_test)
    if earlier is not None:  # a class with few new images is learned, and not tested by them
        names, counts = np.unique(labels[rest], return_counts=True)
        rest &= np.isin(labels, names[counts >= _FEWEST_NEW])
    if rest.any() or earlier is None:
        _, test = split_holdout(
            labels[rest],
            fraction=TEST_FRACTION,
            groups=None if groups is None else groups[rest],
            copies=np.unique(copies[rest], return_inverse=True)[1],
            random_state=seed,
            purpose=_TEST,
        )
        is_test[np.flatnonzero(rest)[test]] = True
        is_test = ~fixed & np.isin(together, together[is_test])  # patients stay whole
    if not is_test.any():
        raise ValueError(
            "No image is left for a test: the earlier model was trained on all, or on others of "
            f"their patients, except a few. Add {_FEWEST_NEW} or more new images of a class, or "
            "images of the earlier test."
        )
    return np.where(is_test, "test", "train")


def _open_earlier(start_from: Any) -> CalibratedClassifier:
    """Load a model to train further, or say why it cannot be."""
    model = load(start_from) if isinstance(start_from, (str, os.PathLike)) else start_from
    inner = getattr(model, "estimator_", None)
    spec = find_image_spec(model)
    if not isinstance(model, CalibratedClassifier) or not isinstance(inner, BaseCellClassifier):
        raise ValueError(
            f"Training can only start from a model that `skcell train` made; this is a "
            f"{type(model).__name__}{'' if inner is None else f' of a {type(inner).__name__}'}."
        )
    if spec is None or spec.dtype == "float32":
        raise ValueError("The earlier model does not take images with the pixels of files.")
    return model


def _compare_models(
    earlier: CalibratedClassifier, model: CalibratedClassifier, X: NDArray[Any], y: NDArray[Any]
) -> list[str]:
    """Say how accurate the earlier model and the new one are on the same test images."""
    known = np.isin(y, earlier.classes_)
    again = known & earlier.was_tested_on(X)
    told = []
    for used, what in ((known, "test images of its classes"), (again, "images of its own test")):
        if used.any():
            right = [accuracy_interval(m.predict(X[used]) == y[used]) for m in (earlier, model)]
            told.append(
                f"On the {used.sum():,} {what}, the earlier model is right in {right[0]}, and this "
                f"one in {right[1]}."
            )
    return told


def _describe_split(cells: Any, share: float, by_group: bool, further: bool) -> str:
    if "split" in cells:
        return f"The test images are those in the folder's own part {test_part_of(cells)!r}."
    if further:
        return (
            "The images that tested the earlier model, and a fifth of the new ones, are the test. "
            "Neither model was trained on them."
        )
    part = "A stratified fifth"
    if abs(share - TEST_FRACTION) > _ABOUT:  # groups or clusters of copies are large
        part = f"A part of {100 * share:.0f} %"
    whole = ", in whole groups" if by_group else ""
    return f"{part} of the images tests the model{whole}; it was never trained on."


def _choose_classifier(
    recipe: Recipe, backbone: str | None, weights: str | os.PathLike[str] | None
) -> tuple[BaseCellClassifier, str]:
    """Return the classifier, and a sentence that says why."""
    pretrained = backbone is not None or weights is not None
    if pretrained and recipe in ("cnn", "composite"):
        raise ValueError(f"recipe={recipe!r} has no pretrained network, so no weights.")
    if recipe == "transfer" or (recipe == "auto" and pretrained):
        clf = TransferClassifier()
        if backbone is not None:
            clf.set_params(backbone=backbone)
        if weights is not None:
            clf.set_params(weights=weights)
        return clf, f"The network is {clf.backbone}, pretrained on everyday images and fine-tuned."
    if recipe == "composite":
        return SEInceptionResNetClassifier(), "The network is the composite one, as asked for."
    why = "as asked for" if recipe == "cnn" else "since no pretrained weights were named"
    return CellCNNClassifier(), f"The network is CellCNNClassifier with its defaults, {why}."
