"""Names that are imported when they are first used, without the messages of TensorFlow's start."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import lazy_loader

# What TensorFlow's native code logs as information before it can be told not to.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl::|I\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\])"
)


def attach(*args: Any, **kwargs: Any) -> tuple[Callable[[str], Any], Callable[[], list[str]], Any]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, as `lazy_loader.attach` does."""
    load, list_names, names = lazy_loader.attach(*args, **kwargs)

    def load_quietly(name: str) -> Any:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else without_chatter():
            return load(name)

    return load_quietly, list_names, names


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Leave out information that TensorFlow writes past Python to standard error.

    Everything else that is written there is passed on at the end, and all of it after an error.
    """
    try:
        sys.stderr.flush()
        stderr = os.dup(2)
    except (AttributeError, OSError):  # a program without standard error
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
