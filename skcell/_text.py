"""Conversion of text with any file names to text that can be printed and written."""

import re
import unicodedata
from pathlib import Path
from typing import Any

_CONTROL = ("Cc", "Cf", "Zl", "Zp")  # control characters, and those that change directions or lines
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def printable(text: Any) -> str:
    """Convert anything to text that can be printed.

    Invalid bytes in file names are replaced, and so are control characters: in the name of a class
    of a model file of somebody else, they could write to the clipboard or clear the screen.
    """
    valid = encode(str(text)).decode()
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in _CONTROL else "\ufffd" for c in valid
    )


def encode(text: str) -> bytes:
    """Encode text as UTF-8; invalid bytes in file names are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def cell(value: Any) -> Any:
    """Return a value as a cell of a CSV table that a spreadsheet takes for what it is.

    Text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets an apostrophe in
    front, because spreadsheets take it for a formula. Numbers stay as they are.
    """
    is_formula = isinstance(value, str) and value[:1] in _FORMULA and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def from_cell(text: str) -> str:
    """Return the text that `cell` wrote."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text


def normal_form(name: Any) -> str:
    """Convert a name to Unicode's NFC form: macOS and Linux store different forms."""
    return unicodedata.normalize("NFC", str(name))


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 with its mark, or the code page 1252 of Windows."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, not a text file.")
    content = path.read_bytes()
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encodings = [marks[content[:2]]] if content[:2] in marks else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(
        f"{str(path)!r} is not text in UTF-8, in UTF-16 with a byte-order mark, or in code page "
        "1252. Save it as UTF-8."
    )
