"""Tasks of a fit that scikit-learn's callbacks hear of: a search's trials, steps, epochs.

scikit-learn 1.9 brought `set_callbacks`; with an older one nobody listens.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef] # the same, with nothing to support
        """Mixin of estimators: none of scikit-learn's callbacks can be set."""


__all__ = ["CallbackSupportMixin", "NoTask", "begin_fit"]


class NoTask:
    """Stands in for scikit-learn's `CallbackContext` where it has none."""

    def subcontext(self, **_: Any) -> Self:
        """Return the task of a part."""
        return self

    call_on_fit_task_begin = subcontext

    def call_on_fit_task_end(self, **_: Any) -> bool:
        """Tell the end; nobody wants to stop."""
        return False

    def propagate_callback_context(self, _: Any) -> AbstractContextManager[None]:
        """Let an estimator inside tell of its own fit."""
        return nullcontext()


def begin_fit(estimator: Any, max_subtasks: int, **shown: Any) -> Any:
    """Begin the task of a whole fit.

    Parameters
    ----------
    estimator : estimator
        What is fitted; itself, for callbacks know it by identity.
    max_subtasks : int
        Number of parts.
    **shown : dict
        What callbacks may ask for: `X`, `y`, `metadata`.

    Returns
    -------
    CallbackContext or NoTask
        The task, to be ended by ``call_on_fit_task_end``.
    """
    begin = getattr(estimator, "_init_callback_context", lambda **_: NoTask())
    return begin(max_subtasks=max_subtasks).call_on_fit_task_begin(estimator=estimator, **shown)
