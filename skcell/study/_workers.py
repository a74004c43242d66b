"""Fits distributed over joblib's workers, on the backend that the user chose."""

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
    """Run fits, and yield each one when it ends.

    Ray's joblib backend returns all results at once. With Ray, fits therefore run in batches, with
    one fit for each worker.
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
    # A fit stays in its process: a cluster's backend would distribute its parts over others.
    with parallel_config(backend="threading", n_jobs=1):
        return fit.evaluate(pipeline, X.get() if isinstance(X, _InRay) else X, y, groups)


class _InRay:
    """An array in Ray's object store; joblib's other backends share arrays by themselves."""

    def __init__(self, array: Any):
        import ray

        self.reference = ray.put(array)

    def get(self) -> Any:
        """Return the array, which all workers on one machine share."""
        import ray

        return ray.get(self.reference)
