"""Stop training on Ctrl-C, and keep what was learned."""

import signal
import threading
from typing import Any

import keras


class StopOnInterrupt(keras.callbacks.Callback):
    """Callback that ends training at the next batch when the user presses Ctrl-C.

    The classifier is then fitted, with the weights so far; with early stopping, with the best. A
    second Ctrl-C interrupts as usual.
    """

    uses_model = False

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False
        self._usual: Any = None

    def __deepcopy__(self, memo: Any) -> "StopOnInterrupt":
        return self  # one for all phases and copies of an estimator

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Take over Ctrl-C."""
        if threading.current_thread() is threading.main_thread():
            self._usual = signal.signal(signal.SIGINT, self._stop)
        if self.stopped:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give Ctrl-C back."""
        self.close()

    def close(self) -> None:
        """Give Ctrl-C back, also if training failed."""
        if self._usual is not None:
            signal.signal(signal.SIGINT, self._usual)
            self._usual = None

    def _stop(self, number: int, frame: Any) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        self.model.stop_training = True
