"""What a study measures: one record for each fit, one for each technique."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Scores that have intervals and tests also from a single split.
ACCURACY, BALANCED = "accuracy", "balanced_accuracy"


@dataclass(frozen=True)
class FoldResult:
    """One fit and its score.

    Parameters
    ----------
    technique : str
        Name of the technique.
    fold : int
        Number of the split, from 0.
    n_correct, n_test : int
        Number of validation images classified correctly, and of all.
    n_train : int
        Number of real images trained on.
    fit_seconds : float
        Time of the fit, resampling included.
    scores : mapping of str to float
        Other scores: balanced accuracy, macro F1, mean AUC, the recall of each class, and those
        that were asked for. NaN where a class was missing.
    random_state : int
        Seed of the fit: of this split, the same for all techniques.
    loss_drop : float
        Share by which the training loss fell in the last epoch; NaN where there is none.
    predicted : ndarray of int of shape (n_test,) or None
        For each validation image the position of its predicted class among the sorted classes.
    probabilities : ndarray of float32 of shape (n_test, n_classes) or None
        The probability of each class, where the technique estimates them.
    error : str
        Why the fit failed; empty if it did not.
    finished : str
        When, in UTC.
    environment : mapping of str to object
        Hardware and versions that it was measured with.
    exception : Exception or None
        The error itself, in the process that met it.
    """

    technique: str
    fold: int
    n_correct: int
    n_test: int
    n_train: int
    fit_seconds: float
    scores: Mapping[str, float] = field(default_factory=dict)
    random_state: int = 0
    loss_drop: float = math.nan
    predicted: NDArray[np.intp] | None = field(default=None, repr=False, compare=False)
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    error: str = ""
    finished: str = field(default="", compare=False)
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    exception: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Share of validation images classified correctly; NaN if the fit failed."""
        return math.nan if self.error else self.n_correct / self.n_test

    def score(self, name: str) -> float:
        """Return a score by its name.

        Parameters
        ----------
        name : str
            "accuracy", or a key of `scores`.

        Returns
        -------
        float
            The score; NaN if there is none.
        """
        return self.accuracy if name == ACCURACY else self.scores.get(name, math.nan)


@dataclass(frozen=True)
class Summary:
    """One score of one technique over the folds.

    Parameters
    ----------
    mean : float
        Mean over the folds.
    low, high : float
        Ends of its interval; NaN where there is none.
    difference : float
        Mean less that of the first technique, on the same folds; NaN where that is missing.
    difference_low, difference_high : float
        Ends of its interval, corrected for the number of techniques; NaN with a single fold.
    p_value : float
        Of a test that the difference is not zero, corrected likewise; NaN with a single fold.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p_value: float = math.nan


@dataclass(frozen=True)
class TechniqueResult:
    """One technique's result over the folds that were fitted.

    Parameters
    ----------
    name, description : str
        As in the technique.
    parameters : mapping of str to object
        All that was set on the pipeline, epochs included.
    scores : tuple of float
        Accuracy of each fold fitted.
    n_folds : int
        Number of folds planned; more than there are scores, if the study was interrupted.
    fit_seconds : float
        Mean time of a fit.
    summaries : mapping of str to Summary
        Accuracy and each other score: mean, interval, and the difference from the first technique.
    error : str
        Why the technique failed on some fold; empty if it did not.
    loss_drop : float
        Mean share by which the training loss still fell in the last epoch.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    scores: tuple[float, ...]
    n_folds: int
    fit_seconds: float
    summaries: Mapping[str, Summary]
    error: str = ""
    loss_drop: float = math.nan

    @property
    def complete(self) -> bool:
        """Whether all folds planned were fitted."""
        return len(self.scores) == self.n_folds

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds; NaN if the technique failed."""
        return self.summaries[ACCURACY].mean

    @property
    def low(self) -> float:
        """Lower end of the accuracy's interval."""
        return self.summaries[ACCURACY].low

    @property
    def high(self) -> float:
        """Upper end of the accuracy's interval."""
        return self.summaries[ACCURACY].high

    @property
    def difference(self) -> float:
        """Mean accuracy less that of the first technique, on the same folds."""
        return self.summaries[ACCURACY].difference

    @property
    def difference_low(self) -> float:
        """Lower end of the difference's interval."""
        return self.summaries[ACCURACY].difference_low

    @property
    def difference_high(self) -> float:
        """Upper end of the difference's interval."""
        return self.summaries[ACCURACY].difference_high

    @property
    def p_value(self) -> float:
        """Of a test that the difference is not zero, corrected for the number of techniques."""
        return self.summaries[ACCURACY].p_value

    @property
    def means(self) -> dict[str, float]:
        """Mean of each score other than accuracy."""
        return {name: s.mean for name, s in self.summaries.items() if name != ACCURACY}


@dataclass(frozen=True)
class Validated:
    """The images that a study validates on.

    Parameters
    ----------
    tests : sequence of ndarray of int
        Their indices, by split.
    codes : ndarray of int of shape (n,)
        Position of the class of each image among the sorted classes.
    groups : ndarray of shape (n,) or None
        Patient, slide or the like of each.
    names : ndarray of shape (n,) or None
        Name of each.
    classes : ndarray of shape (n_classes,) or None
        The sorted classes.
    """

    tests: Sequence[NDArray[np.intp]]
    codes: NDArray[np.intp]
    groups: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    classes: NDArray[Any] | None = None

    def n_images(self, folds: Sequence[FoldResult]) -> int:
        """Count the images validated in some folds, each once."""
        return len(np.unique(np.concatenate([self.tests[fold.fold] for fold in folds])))

    def pooled(self, folds: Sequence[FoldResult]) -> tuple[Any, Any, Any] | None:
        """Return true and predicted classes, and groups, of each image once; None if unknown."""
        if any(fold.predicted is None for fold in folds):
            return None
        indices = np.concatenate([self.tests[fold.fold] for fold in folds])
        predicted = np.concatenate([fold.predicted for fold in folds])
        indices, first = np.unique(indices, return_index=True)
        groups = None if self.groups is None else self.groups[indices]
        return self.codes[indices], predicted[first], groups


@dataclass(frozen=True)
class StudyRecord:
    """All that a study found, as a value.

    Parameters
    ----------
    techniques : sequence of TechniqueResult
        For each technique its mean scores, their intervals and the time of a fit.
    folds : sequence of FoldResult
        The same for each fit.
    images : Validated or None
        The images validated on; None where they are not known.
    score : str
        Name of the score that decides.
    confidence_level : float
        Of the intervals.
    complete : bool
        Whether all fits were done.
    configuration, data, environment : mapping
        Settings; name, number, shape and classes of the images; hardware and versions.
    started, finished : str
        When, in UTC.
    """

    techniques: Sequence[TechniqueResult]
    folds: Sequence[FoldResult]
    images: Validated | None
    score: str
    confidence_level: float
    complete: bool
    configuration: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    started: str
    finished: str

    @property
    def protocol(self) -> str:
        """The splits, the number of epochs and the seed, in words."""
        settings = self.configuration
        return (
            f"{settings['protocol']}; {settings['epochs']} epochs, seed {settings['random_state']}"
        )
