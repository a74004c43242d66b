"""Compiled programs are kept, lent to one owner at a time, and lent again.

Tracing a new Keras model takes longer than many a short fit and leaves memory behind that nothing
gives back. A program that is reset and used again costs neither.
"""

import threading
import weakref
from collections import deque
from typing import Any

import numpy as np

from skcell.engine._compiled_model import Program
from skcell.engine._recipe import Recipe

#: How many programs without an owner are kept; the least recently used goes first.
MAX_IDLE = 16

#: Memory that the variables of those may take up, in bytes.
MAX_IDLE_BYTES = 1 << 30

_lock = threading.Lock()
_waking = threading.RLock()  # held while an unpickled network is given a program
_idle: list[Program] = []
# Owners die inside the garbage collector, which may run while this thread holds the lock; adding
# to a deque needs none.
_returned: deque[Program] = deque()


def _acquire(recipe: Recipe, seed: int) -> Program:
    with _lock:
        _collect()
        found = next((p for p in reversed(_idle) if p.recipe == recipe), None)
        if found is not None:
            _idle.remove(found)
    if found is None:
        return Program(recipe, seed)
    found.reset(seed)
    return found


def _collect() -> None:
    while _returned:
        _idle.append(_returned.popleft())
    while len(_idle) > MAX_IDLE or sum(program.n_bytes for program in _idle) > MAX_IDLE_BYTES:
        del _idle[0]


def clear_programs() -> None:
    """Drop all compiled programs that no fitted estimator owns.

    Returns
    -------
    None
    """
    with _lock:
        _collect()
        _idle.clear()


class FittedNetwork:
    """A compiled program in the hands of one owner, until the owner lets go of it.

    Parameters
    ----------
    recipe : Recipe
        What to build, or to find among the programs kept.
    seed : int
        Seed of initial weights and of random layers.
    shared : bool
        Whether the program may have been used before, and may be again. Not if code of a user is
        to hold the model, which can change what no reset undoes: what is trainable, rates of
        dropout, regularisers, the optimizer.
    """

    def __init__(self, recipe: Recipe, seed: int, *, shared: bool = True):
        self.recipe = recipe
        self._state: list[np.ndarray] | None = None
        self._shared = shared and recipe.code is not None
        self._own(_acquire(recipe, seed) if self._shared else Program(recipe, seed))

    def _own(self, program: Program) -> None:
        self._program: Program | None = program
        if self._shared:
            self._finalizer = weakref.finalize(self, _returned.append, program)
            self._finalizer.atexit = False

    def keep_to_itself(self) -> None:
        """Never lend this program again, since code of a user is to hold its model."""
        if self._shared:
            self._shared = False
            self._finalizer.detach()

    @property
    def program(self) -> Program:
        """The compiled program, made again after unpickling when first asked for."""
        if self._program is None:
            with _waking:
                if self._program is None:
                    assert self._state is not None
                    make = _acquire if self._shared else Program
                    program = make(self.recipe, seed=0)
                    program.set_state(self._state)  # before any thread can see it
                    self._own(program)
                    self._state = None
        assert self._program is not None
        return self._program

    def __getstate__(self) -> dict[str, Any]:
        with _waking:
            state = self._state if self._program is None else self._program.get_state()
        return {"recipe": self.recipe, "_state": state, "_program": None, "_shared": self._shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
