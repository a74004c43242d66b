"""Callbacks that have access to the classifier being trained."""

from inspect import signature
from typing import Any

import keras

from skcell._engine import Checkpoint as Checkpoint
from skcell._engine import clear_model_pool as clear_model_pool


class ClassifierCallback(keras.callbacks.Callback):
    """Callback with access to the classifier being trained; it predicts with the current weights.

    Subclass it for your own callbacks: between epochs, ``self.classifier.predict(X)`` returns what
    the fitted classifier would predict if training ended now.

    Attributes
    ----------
    classifier : BaseCellClassifier or None
        The classifier during training, otherwise None.
    """

    classifier: Any = None


class EpochTasks(ClassifierCallback):
    """Report each epoch to scikit-learn's callbacks, as a task."""

    def __init__(self, task: Any, shown: dict[str, Any]):
        super().__init__()
        self.task, self.shown = task, shown
        # Only callbacks that take the fitted estimator need a usable model after each epoch.
        hooks = [c.on_fit_task_end for c in getattr(shown["estimator"], "_skl_callbacks", ())]
        self.uses_model = any("fitted_estimator" in signature(hook).parameters for hook in hooks)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the task of the epoch."""
        self.epoch = self.task.subcontext(task_name="epoch").call_on_fit_task_begin(**self.shown)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End the task, and stop training if a callback requests it."""
        if self.epoch.call_on_fit_task_end(
            **self.shown, reconstruction_attributes=lambda: vars(self.classifier)
        ):
            self.model.stop_training = True
