"""Text that can be printed and written, whatever names are in it."""

from typing import Any


def printable(text: Any) -> str:
    """Turn anything into text that every encoding has; names of files may hold stray bytes."""
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def encode(text: str) -> bytes:
    """Encode text as UTF-8, whatever names are in it."""
    return printable(text).encode()
