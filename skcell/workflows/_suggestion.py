"""Suggest which images to label next."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skcell._digest import short_digests
from skcell.calibration import Assessment, CalibratedClassifier, ShiftReport
from skcell.classifiers import classifier_of
from skcell.model_selection import choose_to_label
from skcell.workflows._prediction import read_ahead


@dataclass(frozen=True)
class Survey:
    """What a model says about many files: those that it read, those that it saw before, the rest.

    Parameters
    ----------
    files : list of str
        Files that were read.
    assessment : Assessment
        What the model says about them.
    features : ndarray of shape (n, n_features)
        Input of the last layer.
    n_seen : int
        Number of files that the model was trained or tested on, if these were left out.
    failures : dict of str to str
        Why other files could not be read.
    """

    files: list[str]
    assessment: Assessment
    features: NDArray[np.float32]
    n_seen: int
    failures: dict[str, str]


def survey_files(
    model: CalibratedClassifier,
    files: Sequence[str | os.PathLike[str]],
    *,
    new_only: bool = False,
    advance: Callable[[int], Any] = lambda n: None,
) -> Survey:
    """Assess files in bounded memory, and keep their features."""
    if not isinstance(model, CalibratedClassifier):
        raise TypeError(f"Only a CalibratedClassifier can suggest; got a {type(model).__name__}.")
    clf, names, parts, features = classifier_of(model), list[str](), [], []
    failures: dict[str, str] = {}
    seen, n_seen = np.union1d(model.training_digests_, model.test_digests_), 0
    for paths, images, kept, failed in read_ahead(model, files):
        failures |= failed
        if new_only and len(images):
            new = ~np.isin(short_digests(images), seen)
            n_seen += int((~new).sum())
            images, kept = images[new], kept[new]
        if len(images):
            names += [paths[i] for i in kept]
            parts.append(model.assess(images))
            features.append(clf.embed(images))
        advance(len(paths))
    if not parts:
        told = f"the model was trained or tested on {n_seen} of them, and " if new_only else ""
        raise ValueError(
            f"None of {len(files)} files {'is new' if new_only else 'can be used'}: {told}"
            f"{len(failures)} cannot be read."
        )
    return Survey(names, Assessment.join(parts), np.concatenate(features), n_seen, failures)


@dataclass(frozen=True)
class Suggestion:
    """An image to label or to look at.

    Parameters
    ----------
    file : str
        Path of the file.
    predicted : object
        Most probable class.
    probability : float
        Its probability.
    why : {"uncertain", "unknown"}
        Whether its label teaches the model most, or whether it is unlike all that the model was
        trained on.
    """

    file: str
    predicted: Any
    probability: float
    why: Literal["uncertain", "unknown"]


def suggest_files(
    model: CalibratedClassifier,
    files: Sequence[str | os.PathLike[str]],
    n: int = 50,
    *,
    random_state: int = 0,
) -> tuple[list[Suggestion], list[str], dict[str, str]]:
    """Suggest which files to label next, so that a model learns most from few labels.

    Files that the model was trained or tested on are left out. Of the others, doubtful ones that
    differ from each other are chosen, see `skcell.model_selection.choose_to_label`; and apart from
    these, those that are least known.

    Parameters
    ----------
    model : CalibratedClassifier
        The model.
    files : sequence of str or path-like
        Paths of images.
    n : int, default=50
        Number of files to label, and largest number of unknown ones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    suggestions : list of Suggestion
        Files to label, the most doubtful first; then unknown ones, the least known first.
    notes : list of str
        How many were left out, and whether there is a domain shift.
    failures : dict of str to str
        Why other files could not be read.

    Raises
    ------
    TypeError
        If the model is not a `CalibratedClassifier`.
    ValueError
        If no file is left.
    """
    survey = survey_files(model, files, new_only=True)
    found, names, features = survey.assessment, survey.files, survey.features
    known, strange = np.flatnonzero(~found.unknown), np.flatnonzero(found.unknown)
    chosen = known[:0]
    if len(known):
        chosen = known[
            choose_to_label(
                found.probabilities[known],
                features[known],
                n,
                random_state=random_state,
            )
        ]
    least = strange[np.argsort(found.known_scores[strange], kind="stable")][:n]
    suggestions = [
        Suggestion(
            names[i],
            found.labels[i],
            float(found.probabilities[i].max()),
            "unknown" if found.unknown[i] else "uncertain",
        )
        for i in [*chosen.tolist(), *least.tolist()]
    ]
    notes = []
    if survey.n_seen:
        notes.append(
            f"{survey.n_seen:,} files that the model was trained or tested on are left out."
        )
    if len(strange):
        notes.append(
            f"{len(strange):,} of {len(names):,} images are unlike all that the model was trained "
            f"on; the {len(least):,} least known ones are listed as unknown."
        )
    if len(names) >= ShiftReport.fewest and (shift := model.detect_shift(found)).shifted:
        notes.append(str(shift))
    return suggestions, notes, survey.failures
