"""Conversion of text with any file names to text that can be printed and written."""

from typing import Any


def printable(text: Any) -> str:
    """Convert anything to text that can be encoded; file names may hold invalid bytes."""
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def encode(text: str) -> bytes:
    """Encode text as UTF-8; invalid bytes in file names are replaced."""
    return printable(text).encode()
