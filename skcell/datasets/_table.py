"""Tables of labels, patients and splits of image files."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skcell._images import EXTENSIONS, some
from skcell._optional import import_optional
from skcell._text import from_cell, normal_form, read_text

#: What a column may be called, in lower case, without blanks and underscores; the first that a
#: table has is taken.
_NAMES = {
    "image": ("file", "image", "filename", "imagename", "path", "filepath", "imagepath", "imageid",
              "id", "name"),
    "label": ("label", "class", "target", "category", "classname", "celltype", "diagnosis", "dx"),
    "group": ("group", "patient", "patientid", "subject", "subjectid", "slide", "slideid"),
    "split": ("split",),
}  # fmt: skip
ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


@dataclass(frozen=True)
class TableLine:
    """What a table says about one image; a blank is an empty string."""

    place: str  # table and line
    image: str
    label: str = ""
    group: str = ""
    split: str = ""
    doubt: str = ""  # why the line cannot be used


def read_lines(
    source: str | os.PathLike[str],
    needed: Sequence[str],
    columns: Mapping[str, str] | None = None,
) -> list[TableLine]:
    """Read a table of images, which needs a column of images and some others.

    `columns` has the names of columns that are not called as usual. Without a column of labels,
    labels may be in one column for each class, which has a one for the images of that class.
    """
    header, rows = _read_parquet(source) if _ends(source, ".parquet") else read_rows(source)[:2]
    found = find_columns(source, header, columns or {})
    by_class: list[int] = []
    if "label" in needed and "label" not in found:
        by_class = _find_class_columns(header, rows, set(found.values()))
    missing = [name for name in ("image", *needed) if name not in found]
    if by_class:
        missing.remove("label")
    if missing:
        told = " and ".join(repr(_NAMES[name][0]) for name in ("image", *needed))
        raise ValueError(
            f"{source} needs the columns {told}; it has {', '.join(map(repr, header))}. If they "
            "have other names, pass these as columns (--columns "
            f"{','.join(f'{name}=NAME' for name in missing)})."
        )
    lines = []
    for number, row in rows:
        values = {name: row[at] for name, at in found.items()}
        doubt = ""
        if by_class:
            named = [header[at] for at in by_class if float(row[at])]
            values["label"] = named[0] if len(named) == 1 else ""
            doubt = "" if len(named) == 1 else f"it is of {len(named)} classes"
        place = f"{source}, line {number}"
        lines.append(TableLine(place, doubt=doubt, **{"image": "", **values}))
    return lines


def match_files(
    files: Sequence[str], root: str, names: Iterable[str]
) -> tuple[list[str], set[str]]:
    """Find the name in a table by which each file is called; empty if there is none.

    A name is a path from the folder, or that of the file alone, with or without its ending. Names
    of files that are in several folders are returned as well, since they say nothing.
    """
    inside = [as_written(os.path.relpath(file, root)) for file in files]
    forms = [
        (path, _stem(path), os.path.basename(path), _stem(os.path.basename(path)))
        for path in inside
    ]
    counts = [Counter(column) for column in zip(*forms, strict=True)]
    # The table may have been written beside the folder, or elsewhere.
    top = f"{os.path.basename(os.path.abspath(root))}/"
    known = {name: name for name in names}
    known = {name.rpartition(top)[2]: name for name in known if top in name} | known
    found, unclear = [], set()
    for form in forms:
        name = ""
        for part, count in zip(form, counts, strict=True):
            if part in known and count[part] == 1:
                name = known[part]
                break
            if part in known:
                unclear.add(known[part])
        found.append(name)
    return found, unclear - set(found)


def label_files(
    files: Sequence[str],
    root: str,
    sources: Sequence[str | os.PathLike[str]],
    columns: Mapping[str, str] | None = None,
) -> tuple[dict[str, TableLine], dict[str, str]]:
    """Return the line of each file, and reasons for files and lines that cannot be used."""
    lines: dict[str, TableLine] = {}
    failures: dict[str, str] = {}
    for line in (line for one in sources for line in read_lines(one, ["label"], columns)):
        if not line.image:
            failures[line.place] = "its image is blank"
            continue
        if not line.label and not line.doubt:
            line = replace(line, doubt="its label is blank")
        name = as_written(line.image)
        known = lines.setdefault(name, line)
        for what in ("label", "group", "split"):
            values = getattr(known, what), getattr(line, what)
            if values[0] != values[1]:
                told = " and ".join(map(repr, values))
                lines[name] = replace(known, doubt=f"there are two values, {told}")
    found, unclear = match_files(files, root, lines)
    labelled = {}
    for file, name in zip(files, found, strict=True):
        if not name:
            failures[file] = "no line of a table is for it"
        elif lines[name].doubt:
            failures[file] = lines[name].doubt
        else:
            labelled[file] = lines[name]
    used = set(found)
    for name, line in lines.items():
        if name not in used:
            failures[line.place] = (
                f"{name!r} is in several folders; give its path"
                if name in unclear
                else f"{root!r} has no image {name!r}"
            )
    if not labelled:
        raise ValueError(
            f"No image of {root!r} is named in {some(list(sources))}, where images are called "
            f"{some(list(map(repr, lines)))}; the folder has {some(list(map(repr, files)))}."
        )
    return labelled, failures


def as_written(path: str) -> str:
    """Return a path as it is compared: in one Unicode form, with slashes, its ending small."""
    path = os.path.normpath(normal_form(path).strip().strip("\"'").replace("\\", "/"))
    stem, ending = os.path.splitext(path)
    return stem + ending.lower() if ending.lower() in EXTENSIONS else path


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _ends(source: str | os.PathLike[str], *endings: str) -> bool:
    return os.fspath(source).lower().endswith(endings)


def read_rows(
    source: str | os.PathLike[str],
) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Read header, numbered lines and separator, which is the most common one in the header."""
    if _ends(source, *_SPREADSHEETS):
        raise ValueError(f"{source} is a spreadsheet. Save it as CSV, and give that file.")
    text = read_text(Path(source).expanduser())
    first = 0
    if text[:4].lower() == "sep=":  # written for Excel
        text, first = text.partition("\n")[2], 1
    header_text = text.partition("\n")[0]
    delimiter = max(",;\t", key=header_text.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    for row in reader:
        values = [from_cell(value.strip()) for value in row]
        if any(values):
            rows.append((first + reader.line_num, values))
    if not rows:
        raise ValueError(f"{source} is empty.")
    header = rows[0][1]
    for number, values in rows[1:]:
        if len(values) != len(header):
            raise ValueError(
                f"{source}, line {number} has {len(values)} values, and there are {len(header)} "
                f"columns: {', '.join(header)}."
            )
    return header, rows[1:], delimiter


def _read_parquet(
    source: str | os.PathLike[str],
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    import_optional("pyarrow", purpose="Parquet", extra="parquet")
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(Path(source).expanduser())
    except ArrowException as error:
        raise ValueError(f"{source} is no Parquet file: {error}") from None
    columns = [
        ["" if v is None or v != v else str(v).strip() for v in column.to_pylist()]
        for column in table.columns
    ]
    rows = [(i, list(row)) for i, row in enumerate(zip(*columns, strict=True), start=1)]
    return list(map(str, table.column_names)), rows


def find_columns(source: Any, header: list[str], asked: Mapping[str, str]) -> dict[str, int]:
    """Find the position of each column that is there."""
    unknown = sorted(set(asked) - set(_NAMES))
    if unknown:
        raise ValueError(f"columns has {unknown}; it may have {', '.join(_NAMES)}.")
    folded = [name.lower().replace("_", "").replace(" ", "") for name in header]
    found = {}
    for name, usual in _NAMES.items():
        if name in asked:
            if asked[name] not in header:
                raise ValueError(
                    f"{source} has no column {asked[name]!r}; it has "
                    f"{', '.join(map(repr, header))}."
                )
            found[name] = header.index(asked[name])
        else:
            at = next((folded.index(one) for one in usual if one in folded), None)
            if at is not None and header[at] not in asked.values():
                found[name] = at
    return found


def _find_class_columns(
    header: list[str], rows: list[tuple[int, list[str]]], taken: set[int]
) -> list[int]:
    """Find columns of zeros and ones; there must be two or more."""
    numbers = {"0", "1", "0.0", "1.0"}
    rest = [at for at in range(len(header)) if at not in taken and header[at]]
    found = [at for at in rest if rows and all(row[at] in numbers for _, row in rows)]
    return found if len(found) > 1 else []
