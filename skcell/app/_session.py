"""What the page shows and does, without a word of HTTP."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skcell._console import progress_bar
from skcell._images import decode_files, decode_picture
from skcell._pages import LARGEST
from skcell._text import printable
from skcell.app._training import Training
from skcell.calibration import CalibratedClassifier, ShiftReport
from skcell.classifiers import find_image_spec
from skcell.datasets import LabelTable, list_images, match_files
from skcell.inspection import confirm_maps, grad_cam, spotlight
from skcell.model_selection import choose_to_label
from skcell.persistence import load
from skcell.workflows import Survey, report_folder, survey_files

#: Longest name of a class.
LONGEST_CLASS = 100

#: Number of labelled cells that are shown beside one that is like them, and of suggestions.
_N_NEAREST = 6
_N_SUGGESTED = 50


class Conflict(Exception):
    """An image has another label than the window believed that changes it."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"The label was changed elsewhere to {label or 'none'}; it was left as it is there."
        )
        self.label = label


class LabellingSession:
    """Predictions and labels of the images of a folder, and the training of a better model.

    Parameters
    ----------
    model : path-like
        File of a model that `skcell train` made.
    folder : path-like
        Folder of images, with or without sub-folders.
    labels : path-like
        Table of labels that is written.
    out : path-like
        File of the model that is trained; a number is added if it exists.
    notify : callable
        Called with a sentence about each step.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        labels: Path,
        out: Path,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.model, self.folder, self.out = model, folder, out
        self.table = LabelTable(labels)
        self.training = Training()
        self._lock = threading.RLock()
        self._files = list_images(folder)
        notify(f"Predicting {len(self._files):,} images ...")
        self._changes: list[int] = []  # indices, in the order of their changes
        self._generation = 0
        self._take(model, *self._look_at(model))
        for sentence in self.notes:
            notify(sentence)

    def _look_at(self, model: Path) -> tuple[CalibratedClassifier, Survey]:
        """Load a model, and ask it about all images."""
        loaded = load(model)
        if not isinstance(loaded, CalibratedClassifier):
            raise TypeError(f"{model} is no model that `skcell train` made.")
        with progress_bar("Predicting", len(self._files)) as advance:
            return loaded, survey_files(loaded, self._files, advance=advance)

    def _take(self, model: Path, loaded: CalibratedClassifier, survey: Survey) -> None:
        """Show what another model says; labels stay as they are."""
        with self._lock:
            self.model, self._loaded, self._survey = model, loaded, survey
            self._generation += 1
            self._names = [
                Path(os.path.relpath(file, self.folder)).as_posix() for file in survey.files
            ]
            self._find_labels()
            self.notes = [
                f"{printable(Path(file).name)} cannot be used: {why}"
                for file, why in survey.failures.items()
            ]
            found = survey.assessment
            if len(found.labels) >= ShiftReport.fewest:
                shift = loaded.detect_shift(found)
                self.notes += [str(shift)] if shift.shifted else []

    def _find_labels(self) -> None:
        """Read the label of each image; the table may call it by a shorter name."""
        labels = self.table.labels
        known, _ = match_files(self._survey.files, str(self.folder), labels)
        self._in_table = [name or own for name, own in zip(known, self._names, strict=True)]
        self._labels = [labels.get(name, "") for name in known]

    @property
    def n_images(self) -> int:
        """Number of images that could be read."""
        return len(self._names)

    @property
    def classes(self) -> list[str]:
        """Classes of the model, and others that have a label."""
        known = [str(name) for name in self._loaded.classes_]
        return known + sorted(set(self._labels) - set(known) - {""})

    def describe(self) -> dict[str, Any]:
        """Return what the page shows of all images, a list for each property."""
        with self._lock:
            found, p = self._survey.assessment, self._survey.assessment.probabilities
            first, second = np.sort(p, axis=1)[:, [-1, -2]].T if p.shape[1] > 1 else (p[:, 0], 0)
            return {
                "generation": self._generation,
                "version": len(self._changes),
                "model": printable(self.model.name),
                "folder": printable(self.folder.resolve().name),
                "table": printable(self.table.path.name),
                "classes": list(map(printable, self.classes)),
                "names": list(map(printable, self._names)),
                "labels": list(map(printable, self._labels)),
                "predicted": [printable(label) for label in found.labels],
                "probability": np.round(p.max(axis=1), 4).tolist(),
                "doubt": np.round(1 - (first - second), 4).tolist(),
                "unknown": found.unknown.tolist(),
                "known_score": np.round(found.known_scores, 4).tolist(),
                "suggested": self._suggest(),
                "notes": list(map(printable, self.notes)),
            }

    def _suggest(self) -> list[int]:
        """Choose images to label next among those without a label."""
        found = self._survey.assessment
        free = np.flatnonzero(~found.unknown & (np.array(self._labels) == ""))
        if not len(free):
            return []
        chosen = choose_to_label(
            found.probabilities[free], self._survey.features[free], _N_SUGGESTED, random_state=0
        )
        return free[chosen].tolist()

    def set_label(self, index: int, label: str, expected: str) -> int:
        """Label an image, and save the table; returns the number of changes so far.

        Raises `Conflict` if the image has not the label that is expected.
        """
        label = " ".join(label.split())
        if label != printable(label) or len(label) > LONGEST_CLASS:
            raise ValueError(
                f"A class has at most {LONGEST_CLASS} printable characters; got {label!r:.99}."
            )
        with self._lock:
            self._refresh()
            if self._labels[index] not in (expected, label):
                raise Conflict(self._labels[index])
            self.table.set(self._in_table[index], label)
            self._labels[index] = label
            self._changes.append(index)
            return len(self._changes)

    def _refresh(self) -> None:
        """Take over what other programs wrote to the table."""
        if self.table.refresh():
            before = self._labels
            self._find_labels()
            changed = zip(before, self._labels, strict=True)
            self._changes += [i for i, (old, new) in enumerate(changed) if old != new]

    def changes_since(self, version: int) -> dict[str, Any]:
        """Return the labels that were changed, and how far a training is."""
        with self._lock:
            self._refresh()
            changed = sorted(set(self._changes[max(0, version) :]))
            return {
                "generation": self._generation,
                "version": len(self._changes),
                "labels": {i: printable(self._labels[i]) for i in changed},
                "training": self.training.describe(),
            }

    def describe_image(self, index: int) -> dict[str, Any]:
        """Return all that the model says about one image, and the labelled ones most like it."""
        with self._lock:
            found, features = self._survey.assessment, self._survey.features
            classes = [printable(name) for name in found.classes]
            inside = None if found.prediction_sets is None else found.prediction_sets[index]
            others = np.array([i for i, a in enumerate(self._labels) if a and i != index], int)
            distance = np.linalg.norm(features[others] - features[index], axis=1)
            nearest = others[np.argsort(distance, kind="stable")[:_N_NEAREST]]
            return {
                "probabilities": [
                    {
                        "class": classes[k],
                        "probability": round(float(found.probabilities[index, k]), 4),
                    }
                    for k in np.argsort(-found.probabilities[index], kind="stable")
                ],
                "set": None if inside is None else [classes[k] for k in np.flatnonzero(inside)],
                "unknown": bool(found.unknown[index]),
                "nearest": [
                    {"index": int(i), "label": printable(self._labels[i])} for i in nearest
                ],
            }

    def picture(self, index: int, largest: int) -> NDArray[np.uint8]:
        """Read an image to be shown."""
        return decode_picture(self._survey.files[index], largest)

    def explain(self, index: int) -> tuple[Image.Image, bool]:
        """Draw the explanation map of an image; say whether covering confirms it."""
        with self._lock:
            spec = find_image_spec(self._loaded)
            files = [self._survey.files[index]]
            images = decode_files(files, spec.shape, spec.dtype)[0]
            maps = grad_cam(self._loaded, images)
            confirmed = confirm_maps(self._loaded, images, maps)
        picture = self.picture(index, LARGEST)
        height, width = picture.shape[:2]
        seen = Image.fromarray(maps[0]).resize((width, height), Image.Resampling.BICUBIC)
        return spotlight(picture, np.asarray(seen)), bool(confirmed[0])

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line of a table for each image."""
        with self._lock:
            found = self._survey.assessment
            sets = found.list_prediction_sets() or [[]] * self.n_images
            return [
                {
                    "image": self._names[i],
                    "label": self._labels[i],
                    "predicted": str(found.labels[i]),
                    "probability": round(float(found.probabilities[i].max()), 6),
                    "prediction_set": "|".join(map(str, sets[i])),
                    "unknown": "yes" if found.unknown[i] else "no",
                }
                for i in range(self.n_images)
            ]

    def read_report(self) -> str:
        """Read the page about the model that was trained last."""
        if not self.training.finished:
            raise FileNotFoundError("No training has ended with a model.")
        page = report_folder(self.training.out) / "report.html"
        return page.read_text(encoding="utf-8")

    def without_folders(self, text: str) -> str:
        """Leave the folders of this machine out of a sentence."""
        for folder in (os.path.abspath(self.folder), self.folder):
            text = text.replace(f"{folder}{os.sep}", "")
        return text

    def train(self) -> None:
        """Start to train a better model on all labels, in a process of its own."""
        with self._lock:
            n = sum(label != "" for label in self._labels)
            if n == 0:
                raise ValueError("No image has a label yet.")
            out = self.out
            number = 2
            while out.exists() or out.with_name(f"{out.stem}-report").exists():
                out = self.out.with_stem(f"{self.out.stem}-{number}")
                number += 1
            self.training.start(self.folder, self.table.path, self.model, out)

    def use_trained(self) -> None:
        """Show what the model says that was trained."""
        if not self.training.finished:
            raise ValueError("No training has ended with a model.")
        out = self.training.out
        self._take(out, *self._look_at(out))
