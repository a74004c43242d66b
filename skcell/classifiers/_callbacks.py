"""What happens between epochs: learning rates, a stop at divergence, progress."""

from inspect import signature
from typing import Any

import keras


class ClassifierCallback(keras.callbacks.Callback):
    """Is shown the classifier in training, which predicts with the weights of the moment.

    For callbacks of one's own: between epochs, ``self.classifier.predict(X)`` is what the fitted
    classifier would predict if training ended now.

    Attributes
    ----------
    classifier : BaseCellClassifier or None
        The classifier, while it is trained.
    """

    classifier: Any = None


class EpochTasks(ClassifierCallback):
    """Makes each epoch a task that scikit-learn's callbacks hear of.

    Parameters
    ----------
    task : CallbackContext
        Of the whole fit.
    shown : dict
        What callbacks are told: the estimator, `X`, `y`, `metadata`.
    """

    def __init__(self, task: Any, shown: dict[str, Any]):
        super().__init__()
        self.task, self.shown = task, shown
        hooks = [c.on_fit_task_end for c in getattr(shown["estimator"], "_skl_callbacks", ())]
        self.uses_model = any("fitted_estimator" in signature(hook).parameters for hook in hooks)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the task."""
        self.epoch = self.task.subcontext(task_name="epoch").call_on_fit_task_begin(**self.shown)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End the task, and training if a callback wants it."""
        if self.epoch.call_on_fit_task_end(
            **self.shown, reconstruction_attributes=lambda: vars(self.classifier)
        ):
            self.model.stop_training = True
