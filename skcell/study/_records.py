"""The results of a study: one record for each fit, and one for each technique."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Scores that have intervals even with a single split.
ACCURACY, BALANCED = "accuracy", "balanced_accuracy"


@dataclass(frozen=True)
class FoldResult:
    """One fit and its scores.

    Parameters
    ----------
    technique : str
        Name of the technique.
    fold : int
        Number of the split, from 0.
    n_correct, n_test : int
        Number of validation images that were classified correctly, and of all validation images.
    n_train : int
        Number of training images, without those added by resampling.
    fit_seconds : float
        Duration of the fit, including resampling.
    scores : mapping of str to float
        Other scores: balanced accuracy, macro F1, mean AUC, the recall of each class, and those in
        `scoring`. NaN if a class was missing.
    random_state : int
        Seed of the fit; it is the same for all techniques on this split.
    loss_drop : float
        Fraction by which the training loss fell in the last epoch; NaN if it is not known.
    training_accuracy : float
        Accuracy on the training images, as they were augmented and resampled, in the last epoch;
        NaN if it is not known.
    predicted : ndarray of int of shape (n_test,) or None
        For each validation image, the position of its predicted class among the sorted classes.
    probabilities : ndarray of float32 of shape (n_test, n_classes) or None
        The probability of each class, if the technique estimates them.
    error : str
        Why the fit failed; empty if it did not.
    finished : str
        When the fit ended, in UTC.
    environment : mapping of str to object
        Hardware and versions that were used.
    exception : Exception or None
        The error itself, in the process in which it occurred.
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
    training_accuracy: float = math.nan
    predicted: NDArray[np.intp] | None = field(default=None, repr=False, compare=False)
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    error: str = ""
    finished: str = field(default="", compare=False)
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    exception: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def accuracy(self) -> float:
        """Fraction of validation images classified correctly; NaN if the fit failed."""
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
        Ends of the interval of the mean; NaN if there is none.
    difference : float
        Mean minus that of the first technique, on the same folds; NaN if that is missing.
    difference_low, difference_high : float
        Ends of the interval of the difference, corrected for the number of techniques; NaN with a
        single fold.
    p_value : float
        The p value of the hypothesis that the difference is zero, corrected likewise; NaN with a
        single fold.
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
        Name and description of the technique.
    parameters : mapping of str to object
        All parameters that were set on the pipeline, including the epochs.
    scores : tuple of float
        Accuracy of each fold that was fitted.
    n_folds : int
        Number of planned folds; it exceeds the number of scores if the study was interrupted.
    fit_seconds : float
        Mean duration of a fit.
    summaries : mapping of str to Summary
        Mean, interval and difference from the first technique, for accuracy and each other score.
    error : str
        Why the technique failed on a fold; empty if it did not.
    loss_drop : float
        Mean fraction by which the training loss still fell in the last epoch.
    training_accuracy : float
        Mean accuracy on the training images in the last epoch.
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
    training_accuracy: float = math.nan

    @property
    def complete(self) -> bool:
        """Whether all planned folds were fitted."""
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
        """Mean accuracy minus that of the first technique, on the same folds."""
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
        """The p value of the difference, corrected for the number of techniques."""
        return self.summaries[ACCURACY].p_value

    @property
    def means(self) -> dict[str, float]:
        """Mean of each score other than accuracy."""
        return {name: s.mean for name, s in self.summaries.items() if name != ACCURACY}


@dataclass(frozen=True)
class Validated:
    """The validation images of a study.

    Parameters
    ----------
    tests : sequence of ndarray of int
        Indices of the validation images of each split.
    codes : ndarray of int of shape (n,)
        Position of the class of each image among the sorted classes.
    groups : ndarray of shape (n,) or None
        Patient, slide or similar of each image.
    names : ndarray of shape (n,) or None
        Name of each image.
    classes : ndarray of shape (n_classes,) or None
        The sorted classes.
    """

    tests: Sequence[NDArray[np.intp]]
    codes: NDArray[np.intp]
    groups: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    classes: NDArray[Any] | None = None
