"""All private parts of scikit-learn that skcell uses, tested with scikit-learn 1.7 to 1.9.

If a new release removes one of them, fix it here:

- `_param_validation` (`Interval`, `StrOptions`, `validate_params`, ...), `_fit_context`: the checks
  of constructor parameters. Without them, check the parameters in `fit`.
- `_check_feature_names`, `_check_sample_weight`, `_num_samples`, `_safe_indexing`, `_safe_split`,
  `_check_method_params`: small helpers that can be reimplemented here.
- `_clone_parametrized`: what `clone` does for an estimator without `__sklearn_clone__`.
- `BaseSearchCV`, `_MultimetricScorer`, `_score`: the code that a search shares with
  `GridSearchCV`. See its `fit` and `_fit_and_score`.
- `_name_estimators`, `_print_elapsed_time`, `_routing_enabled`: the code that pipelines share.
- `CallbackSupportMixin` is public since 1.9; older releases have no callbacks.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.base import _clone_parametrized as _clone_parametrized
from sklearn.base import _fit_context as _fit_context
from sklearn.metrics._scorer import _MultimetricScorer as _MultimetricScorer
from sklearn.model_selection._search import BaseSearchCV as BaseSearchCV
from sklearn.model_selection._validation import _score as _score
from sklearn.pipeline import _name_estimators as _name_estimators
from sklearn.utils import _safe_indexing as _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled as _routing_enabled
from sklearn.utils._param_validation import HasMethods as HasMethods
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import Options as Options
from sklearn.utils._param_validation import RealNotInt as RealNotInt
from sklearn.utils._param_validation import StrOptions as StrOptions
from sklearn.utils._param_validation import validate_params as validate_params
from sklearn.utils._user_interface import _print_elapsed_time as _print_elapsed_time
from sklearn.utils.metaestimators import _safe_split as _safe_split
from sklearn.utils.validation import _check_feature_names as _check_feature_names
from sklearn.utils.validation import _check_method_params as _check_method_params
from sklearn.utils.validation import _check_sample_weight as _check_sample_weight
from sklearn.utils.validation import _num_samples as _num_samples

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef] # replaces the class of scikit-learn 1.9
        """Empty mixin for estimators, because this scikit-learn has no callbacks."""


def full_repr(estimator: Any) -> str:
    """Return the text of an estimator on one line, with every parameter; its own omits many."""
    if isinstance(estimator, BaseEstimator):
        params = estimator.get_params(deep=False)
        shown = ", ".join(f"{name}={full_repr(value)}" for name, value in params.items())
        return f"{type(estimator).__name__}({shown})"
    if isinstance(estimator, (list, tuple)):
        ends = "[]" if isinstance(estimator, list) else "()"
        return f"{ends[0]}{', '.join(map(full_repr, estimator))}{ends[1]}"
    return " ".join(repr(estimator).split())


class NoTask:
    """Replacement for scikit-learn's `CallbackContext` in releases without callbacks."""

    def subcontext(self, **_: Any) -> Self:
        """Return the task of a part of the fit."""
        return self

    call_on_fit_task_begin = subcontext

    def call_on_fit_task_end(self, **_: Any) -> bool:
        """End the task; return False, because no callback asks to stop."""
        return False

    def propagate_callback_context(self, _: Any) -> AbstractContextManager[None]:
        """Return a context in which a nested estimator is fitted; it does nothing."""
        return nullcontext()


def begin_fit(estimator: Any, max_subtasks: int, **shown: Any) -> Any:
    """Begin the task of a whole fit."""
    begin = getattr(estimator, "_init_callback_context", lambda **_: NoTask())
    return begin(max_subtasks=max_subtasks).call_on_fit_task_begin(estimator=estimator, **shown)
