"""Fits spread over joblib's workers, on whatever backend the user chose."""

from collections.abc import Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils import gen_batches

from skcell.pipeline import Pipeline
from skcell.study._fits import Fit
from skcell.study._records import FoldResult


def run_fits(
    fits: Sequence[Fit],
    pipeline: Pipeline,
    X: Any,
    y: Any,
    groups: Any,
    n_jobs: int | None,
) -> Iterator[tuple[Fit, FoldResult]]:
    """Run fits, and yield each as it ends.

    Under Ray, whose joblib backend hands results back all at once, they come as many at a time as
    there are workers.

    Parameters
    ----------
    fits : sequence of Fit
        What to run.
    pipeline : Pipeline
        What their techniques are set on.
    X, y : ndarray
        All images and labels; each worker receives them once.
    groups : ndarray or None
        For the early stopping of classifiers that take them.
    n_jobs : int or None
        Fits at a time.

    Yields
    ------
    fit : Fit
        A fit that ended.
    result : FoldResult
        What was measured.
    """
    backend, _ = get_active_backend()
    data = (X, y, groups)
    if type(backend).__name__ == "RayBackend":
        data = (_InRay(X), y, groups)
    jobs = [delayed(_run)(fit, pipeline, *data) for fit in fits]
    if backend.supports_return_generator:
        yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
        return
    with Parallel(n_jobs=n_jobs) as parallel:
        for some in gen_batches(len(jobs), effective_n_jobs(n_jobs)):
            yield from parallel(jobs[some])


def _run(fit: Fit, pipeline: Pipeline, X: Any, y: Any, groups: Any) -> tuple[Fit, FoldResult]:
    # A fit stays in its process: a cluster's backend would spread what is inside over others.
    with parallel_config(backend="threading", n_jobs=1):
        return fit.evaluate(pipeline, X.get() if isinstance(X, _InRay) else X, y, groups)


class _InRay:
    """An array in Ray's store: joblib's other backends share arrays by themselves.

    Parameters
    ----------
    array : ndarray
        The array.
    """

    def __init__(self, array: Any):
        import ray

        self.reference = ray.put(array)

    def get(self) -> Any:
        """Return the array, which a machine's workers share."""
        import ray

        return ray.get(self.reference)
