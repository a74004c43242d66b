"""A pool of compiled models: each is in use by one lease at a time, and is used again after it.

Tracing a new Keras model takes longer than many a short fit and leaves memory behind that nothing
gives back. A compiled model that is reset and used again costs neither.
"""

import threading
import weakref
from collections import deque
from typing import Any

import numpy as np

from skcell.engine._compiled_model import CompiledModel
from skcell.engine._recipe import Recipe

#: How many idle models are kept; the least recently used is dropped first.
MAX_IDLE = 16

#: Memory that the variables of those may take up, in bytes.
MAX_IDLE_BYTES = 1 << 30

_lock = threading.Lock()
_restore_lock = threading.RLock()  # held while an unpickled lease is given a compiled model
_available: list[CompiledModel] = []
# Leases are finalized inside the garbage collector, which may run while this thread holds the lock;
# adding to a deque needs none.
_released: deque[CompiledModel] = deque()


def _acquire(recipe: Recipe, seed: int) -> CompiledModel:
    with _lock:
        _collect()
        found = next((model for model in reversed(_available) if model.recipe == recipe), None)
        if found is not None:
            _available.remove(found)
    if found is None:
        return CompiledModel(recipe, seed)
    found.reset(seed)
    return found


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
    """The use of a compiled model by one estimator, until the estimator is deleted.

    Parameters
    ----------
    recipe : Recipe
        What to build, or to find in the pool.
    seed : int
        Seed of initial weights and of random layers.
    shared : bool
        Whether the model may have been used before, and may be again. Not if code of a user is
        to hold the model, which can change what no reset undoes: what is trainable, rates of
        dropout, regularisers, the optimizer.
    """

    def __init__(self, recipe: Recipe, seed: int, *, shared: bool = True):
        self.recipe = recipe
        self._state: list[np.ndarray] | None = None
        self._shared = shared and recipe.code is not None
        self._own(_acquire(recipe, seed) if self._shared else CompiledModel(recipe, seed))

    def _own(self, compiled: CompiledModel) -> None:
        self._compiled: CompiledModel | None = compiled
        if self._shared:
            self._finalizer = weakref.finalize(self, _released.append, compiled)
            self._finalizer.atexit = False

    def detach_model(self) -> None:
        """Never return this model to the pool, since code of a user is to hold it."""
        if self._shared:
            self._shared = False
            self._finalizer.detach()

    @property
    def compiled(self) -> CompiledModel:
        """The compiled model, made again after unpickling when first asked for."""
        if self._compiled is None:
            with _restore_lock:
                if self._compiled is None:
                    assert self._state is not None
                    make = _acquire if self._shared else CompiledModel
                    compiled = make(self.recipe, seed=0)
                    compiled.set_state(self._state)  # before any thread can see it
                    self._own(compiled)
                    self._state = None
        assert self._compiled is not None
        return self._compiled

    def __getstate__(self) -> dict[str, Any]:
        with _restore_lock:
            state = self._state if self._compiled is None else self._compiled.get_state()
        return {"recipe": self.recipe, "_state": state, "_compiled": None, "_shared": self._shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
