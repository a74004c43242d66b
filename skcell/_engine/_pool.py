"""A pool of compiled models, each of which is used by one lease at a time and then reused.

Tracing a new Keras model often takes longer than a short fit, and its memory is never released.
Resetting and reusing a compiled model avoids both costs. A lease that is not in use gives its model
to another one of the same recipe, keeps its state, and gets a model again when it is next used.
"""

import contextlib
import copy
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from skcell._engine._compiled_model import CompiledModel, describe_weights
from skcell._engine._devices import find_devices
from skcell._engine._recipe import Recipe

#: Maximum number of idle models; the least recently used model is dropped first.
MAX_IDLE = 16

#: Maximum memory of the variables of all idle models, in bytes.
MAX_IDLE_BYTES = 1 << 30

_lock = threading.Lock()
_restore_lock = threading.RLock()  # held while a lease acquires a compiled model, or gives it up
_clock = itertools.count()
_available: list[CompiledModel] = []
# Leases are finalized by the garbage collector, which may run while this thread holds the lock.
# Appending to a deque needs no lock.
_released: deque[CompiledModel] = deque()


def _acquire(recipe: Recipe, seed: int) -> CompiledModel:
    with _lock:
        _collect()
        found = next((model for model in reversed(_available) if model.recipe == recipe), None)
        if found is not None:
            _available.remove(found)
    found = found or _take_from_idle_lease(recipe)
    if found is None:
        return CompiledModel(recipe, seed)
    found.reset(seed)
    return found


def _take_from_idle_lease(recipe: Recipe) -> CompiledModel | None:
    """Take the model of the lease that was not used for the longest time, if one is idle."""
    with _restore_lock:
        idle = [lease for lease in _leases if lease.is_idle and lease.recipe == recipe]
        return min(idle, key=lambda lease: lease.last_used).give_up() if idle else None


def _collect() -> None:
    while _released:
        _available.append(_released.popleft())
    while (
        len(_available) > MAX_IDLE
        or sum(compiled.n_bytes for compiled in _available) > MAX_IDLE_BYTES
    ):
        del _available[0]


def clear_model_pool() -> None:
    """Drop all compiled models that no fitted estimator uses.

    Returns
    -------
    None
    """
    with _lock:
        _collect()
        _available.clear()


class ModelLease:
    """Use of a compiled model by one estimator, until the estimator is deleted.

    Inside ``with lease.use() as compiled``, no other lease gets the model; between two such uses,
    another one may. Who takes the attribute `compiled` keeps the model for good.
    """

    _n_uses = 0
    _is_kept = False
    last_used = 0

    def __init__(self, recipe: Recipe, seed: int, *, shared: bool = True):
        self.recipe = recipe
        self._state: list[np.ndarray] | dict[str, np.ndarray] | None = None
        self._shared = shared and recipe.code is not None
        self._own(_acquire(recipe, seed) if self._shared else CompiledModel(recipe, seed))

    @classmethod
    def from_weights(cls, recipe: Recipe, weights: dict[str, np.ndarray]) -> "ModelLease":
        """Make a lease of a model with given weights; the model is built when it is first used."""
        wanted = describe_weights(recipe)
        found = {path: (value.shape, str(value.dtype)) for path, value in weights.items()}
        if found != wanted:
            wrong = {*found.items()} ^ {*wanted.items()}
            raise ValueError(f"the weights {sorted(path for path, _ in wrong)[:3]} do not fit.")
        lease = cls.__new__(cls)
        shared = recipe.code is not None
        lease.__setstate__(
            {"recipe": recipe, "_state": weights, "_compiled": None, "_shared": shared}
        )
        return lease

    def with_classes(self, n_classes: int, places: Any) -> "ModelLease":
        """Lease a model with the same weights and more classes; `places` are those of the old ones.

        A new class starts with the mean of the others.
        """
        recipe, weights = replace(self.recipe, n_classes=n_classes), self.get_weights()
        for path, (shape, _) in describe_weights(recipe).items():
            old = weights[path]
            if old.shape != shape:  # the last layer
                weights[path] = np.repeat(old.mean(axis=-1, keepdims=True), n_classes, axis=-1)
                weights[path][..., places] = old
        return self.from_weights(recipe, weights)

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copy the weights of the model."""
        with self.use() as compiled:
            return compiled.get_weights()

    def _own(self, compiled: CompiledModel) -> None:
        self._compiled: CompiledModel | None = compiled
        self.last_used = next(_clock)
        if self._shared:
            with _restore_lock:  # while another thread looks for an idle one
                _leases.add(self)
            self._finalizer = weakref.finalize(self, _released.append, compiled)
            self._finalizer.atexit = False

    def detach_model(self) -> None:
        """Keep this model out of the pool, because the user's code is given access to it."""
        if self._shared:
            self._shared = False
            if self._compiled is not None:  # else it is not restored yet
                self._finalizer.detach()

    def with_policy(self, dtype_policy: str) -> "ModelLease":
        """Return a lease of a model with the same state and another dtype policy."""
        recipe = self.recipe.with_policy(dtype_policy)
        if recipe == self.recipe:
            return self
        lease = copy.copy(self)  # it restores its model, as after unpickling
        lease.recipe = recipe
        return lease

    @property
    def compiled(self) -> CompiledModel:
        """The compiled model, which no other lease gets from now on."""
        with _restore_lock:
            self._is_kept = True
            return self._restore()

    @contextlib.contextmanager
    def use(self) -> Iterator[CompiledModel]:
        """Use the compiled model while the block runs."""
        with _restore_lock:
            compiled = self._restore()
            self._n_uses += 1
        try:
            yield compiled
        finally:
            with _restore_lock:
                self._n_uses -= 1
                self.last_used = next(_clock)

    def _restore(self) -> CompiledModel:
        """Return the model; after unpickling, or if it was given up, it is acquired again."""
        if self._compiled is None:
            assert self._state is not None
            make = _acquire if self._shared else CompiledModel
            compiled = make(self.recipe, seed=0)
            # Before other threads can access the model.
            if isinstance(self._state, dict):
                compiled.set_weights(self._state)
            else:
                compiled.set_state(self._state)
            self._own(compiled)
            self._state = None
        assert self._compiled is not None
        return self._compiled

    @property
    def is_idle(self) -> bool:
        """Whether there is a model that nothing uses now or keeps."""
        has_model = self._compiled is not None and self._shared
        return has_model and not self._n_uses and not self._is_kept

    def give_up(self) -> CompiledModel:
        """Give the model to another lease, and keep its state."""
        assert self._compiled is not None
        compiled, self._state = self._compiled, self._compiled.get_state()
        self._compiled = None
        self._finalizer.detach()
        return compiled

    def __getstate__(self) -> dict[str, Any]:
        with _restore_lock:
            state = self._state if self._compiled is None else self._compiled.get_state()
        return {"recipe": self.recipe, "_state": state, "_compiled": None, "_shared": self._shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        here = replace(state["recipe"], devices=find_devices())
        self.__dict__.update(state, recipe=here)


_leases: "weakref.WeakSet[ModelLease]" = weakref.WeakSet()  # those that have, or had, a model
