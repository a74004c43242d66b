"""Names that are imported when they are first used, without the messages of TensorFlow's start."""

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import lazy_loader

# What TensorFlow's native code logs as information before it can be told not to.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl::|I\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\])"
)

_redirected = threading.RLock()


def attach(
    package: str,
    submodules: Iterable[str] = (),
    submod_attrs: Mapping[str, list[str]] = {},  # it is not changed
    internal: Mapping[str, list[str]] = {},  # it is not changed
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, as `lazy_loader.attach` does.

    Names that are `internal` can be imported by other packages of skcell, but are not public.
    """
    every = {
        module: [*submod_attrs.get(module, ()), *internal.get(module, ())]
        for module in {**submod_attrs, **internal}
    }
    load, _, names = lazy_loader.attach(package, submodules, every)
    hidden = {name for names in internal.values() for name in names}
    public = [name for name in names if name not in hidden]

    def load_quietly(name: str) -> Any:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else without_chatter():
            return load(name)

    return load_quietly, lambda: public, public


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Leave out information that TensorFlow writes past Python to standard error.

    Everything else that is written there is passed on at the end, and all of it after an error.
    """
    if not _redirected.acquire(blocking=False):  # another thread does; it must not wait for this
        yield
        return
    try:
        stderr = _duplicate_stderr()
        if stderr is None:
            yield
            return
        with tempfile.TemporaryFile() as written:
            os.dup2(written.fileno(), 2)
            keep_all = True
            try:
                yield
                keep_all = False
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                written.seek(0)
                for line in written.read().splitlines(keepends=True):
                    if keep_all or not _CHATTER.match(line):
                        os.write(2, line)
    finally:
        _redirected.release()


def _duplicate_stderr() -> int | None:
    """Duplicate the descriptor of standard error; a program may have none."""
    try:
        sys.stderr.flush()
        return os.dup(2)
    except (AttributeError, OSError):
        return None
