"""List the images in a folder, with their classes and splits, in a reproducible order."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from skcell._hints import did_you_mean
from skcell._images import EXTENSIONS, FORMATS
from skcell._text import normal_form
from skcell.datasets._table import label_files

#: The accepted names of each split, in lower case.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_ORDER = ("train", "val", "test")
_OS_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}
TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
_LAYOUT = "Expected one sub-folder per class, each with its images: path/CLASS/image.jpg"


class Entry(NamedTuple):
    """One image file."""

    split: str  # "" if the folder has no splits
    class_name: str
    file: str
    inside: str  # path of the file, relative to the folder of its class
    group: str = ""  # patient or slide, if a table names it


def scan_folder(root: str, fewest: int = 2) -> tuple[list[Entry], dict[str, str]]:
    """List the images in order, and the misplaced files with a reason for each."""
    _check_folder(root)
    entries: list[Entry] = []
    empty: dict[str, str] = {}
    strays: dict[str, str] = {}
    for split, folder in _split_folders(root):
        subfolders, loose = _listing(folder)
        if not subfolders:
            raise ValueError(_no_classes(folder, loose))
        strays.update(dict.fromkeys(loose, "an image outside the folders of the classes"))
        for subfolder in subfolders:
            name = normal_form(os.path.basename(subfolder))
            files, others = _walk(subfolder)
            entries += [
                Entry(split, name, file, os.path.relpath(file, subfolder)) for file in files
            ]
            strays.update(others)
            if not files:
                empty.setdefault(name, subfolder)
    for name in {entry.class_name for entry in entries}:
        empty.pop(name, None)  # a class may be absent from one split
    if empty:
        raise ValueError(_no_images(empty, strays))
    sort_entries(entries)
    check_classes(root, entries, range(len(entries)), fewest)
    return entries, strays


def scan_table(
    root: str,
    sources: Sequence[str | os.PathLike[str]],
    columns: Mapping[str, str] | None = None,
    fewest: int = 2,
    leave_out: Callable[[str], bool] = lambda file: False,
) -> tuple[list[Entry], dict[str, str]]:
    """List the images that tables have labels for, and other files and lines with a reason."""
    entries, others = scan_images(root)
    failures = {
        file: why for file, why in others.items() if not file.lower().endswith((*TABLES, ".txt"))
    }
    files = [entry.file for entry in entries]
    lines, unused = label_files(files, root, sources, columns)
    lines = {file: line for file, line in lines.items() if not leave_out(file)}
    is_grouped = any(line.group for line in lines.values())
    has_parts = any(line.split for line in lines.values())
    entries = []
    for file, line in lines.items():
        part = SPLITS.get(line.split.lower(), "")
        if is_grouped and not line.group:
            unused[file] = "its group is blank, and others have one"
        elif has_parts and not part:
            unused[file] = f"its part is {line.split!r}, not train, val or test"
        else:
            name, group = normal_form(line.label), normal_form(line.group)
            entries.append(Entry(part, name, file, os.path.basename(file), group))
    sort_entries(entries)
    check_classes(", ".join(map(str, sources)), entries, range(len(entries)), fewest)
    return entries, failures | unused


def sort_entries(entries: list[Entry]) -> None:
    """Sort by part and class; the order of files is kept."""
    entries.sort(
        key=lambda entry: (_ORDER.index(entry.split) if entry.split else 0, entry.class_name)
    )


def scan_images(root: str) -> tuple[list[Entry], dict[str, str]]:
    """List the images at any depth, in order, and the other files with a reason for each."""
    _check_folder(root)
    files, others = _walk(root)
    if not files:
        raise ValueError(
            f"No image was found in {root!r}: {FORMATS} files are read ({', '.join(EXTENSIONS)})."
        )
    return [Entry("", "", file, os.path.relpath(file, root)) for file in files], others


def list_images(root: str | os.PathLike[str]) -> list[str]:
    """List the image files in a folder, at any depth, in an order that is always the same.

    Parameters
    ----------
    root : str or path-like
        The folder.

    Returns
    -------
    list of str
        Paths, which start with `root`.

    Raises
    ------
    ValueError
        If there are no images.
    OSError
        If there is no such folder.
    """
    return [entry.file for entry in scan_images(os.fspath(root))[0]]


def _check_folder(root: str) -> None:
    if not os.path.isdir(root):
        if os.path.exists(root):
            raise NotADirectoryError(
                f"{root!r} is a zip archive, not a folder. Unzip it first."
                if root.lower().endswith(".zip")
                else f"{root!r} is a file, not a folder. {_LAYOUT}. To load the arrays in an .npz "
                "file, use skcell.datasets.load_npz."
            )
        parent, name = os.path.split(os.path.abspath(root))
        beside = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
        folders = [one for one in beside if os.path.isdir(os.path.join(parent, one))]
        hint = did_you_mean(name, folders)
        raise FileNotFoundError(f"There is no folder {root!r} (in {os.getcwd()!r}).{hint}")


def _no_images(empty: dict[str, str], others: dict[str, str]) -> str:
    """Return the error message for folders without images, given the other files."""
    folders = list(empty.values())
    shown = ", ".join(map(repr, folders[:5])) + (" ..." if len(folders) > 5 else "")
    inside = [file for file in others if file.startswith(tuple(f + os.sep for f in folders))]
    endings = sorted({os.path.splitext(file)[1].lower() for file in inside} - {""})
    message = f"No image was found in {shown}: {FORMATS} files are read ({', '.join(EXTENSIONS)})"
    if endings:
        return (
            f"{message}, but these folders hold {', '.join(endings[:5])} files. Convert the files, "
            "for example to PNG or TIFF, or move the folders elsewhere."
        )
    return f"{message}. Put images there, or remove the folders."


def _no_classes(folder: str, images: list[str]) -> str:
    """Return the error message for a folder without sub-folders."""
    names = sorted(os.listdir(folder))
    if not names:
        return f"{folder!r} is empty. {_LAYOUT}."
    tables = [name for name in names if name.lower().endswith(TABLES)]
    if images and tables:
        return (
            f"{folder!r} has images but no sub-folders, and a table, {tables[0]!r}. If it has "
            f"their labels, pass it as labels (--labels {os.path.join(folder, tables[0])})."
        )
    return f"{folder!r} has no sub-folders{' but has images' if images else ''}. {_LAYOUT}."


def check_classes(root: str, entries: list[Entry], kept: Iterable[int], fewest: int = 2) -> None:
    """Raise an error unless the `kept` entries have all classes, and at least `fewest`."""
    names = {entry.class_name for entry in entries}
    left = {entries[index].class_name for index in kept}
    if names - left:
        raise ValueError(
            f"No image of {', '.join(map(repr, sorted(names - left)))} could be read. Repair "
            f"the files, or remove the class from {root!r}."
        )
    if len(names) < fewest:
        raise ValueError(
            f"{root!r} holds one class only, {names.pop()!r}; at least two are needed. {_LAYOUT}."
        )


def _split_folders(root: str) -> list[tuple[str, str]]:
    """List (split, folder) pairs; the split is empty if the sub-folders are classes."""
    subfolders, _ = _listing(root)
    splits = {folder: SPLITS.get(os.path.basename(folder).lower()) for folder in subfolders}
    found = [split for split in splits.values() if split]
    if not found:
        return [("", root)]
    if len(set(found)) < len(splits):
        raise ValueError(
            f"The sub-folders of {root!r} are {', '.join(map(os.path.basename, subfolders))}: "
            "they must be either all classes, or one folder each for train, val and test. Move "
            "the others elsewhere, or rename a class that has the name of a split."
        )
    return [(split, folder) for folder, split in splits.items() if split]


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _OS_FILES


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _listing(folder: str) -> tuple[list[str], list[str]]:
    """List the sub-folders and the images directly in `folder`, sorted."""
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder), key=normal_form)]
    paths = [path for path in paths if not _ignored(os.path.basename(path))]
    subfolders = [path for path in paths if os.path.isdir(path)]
    images = [path for path in paths if _is_image(path) and os.path.isfile(path)]
    return subfolders, images


def _walk(top: str) -> tuple[list[str], dict[str, str]]:
    """List the images below `top`, sorted, and the files that are not images."""
    images: list[str] = []
    others: dict[str, str] = {}
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        others[str(error.filename)] = f"cannot be opened: {os.strerror(error.errno or 0).lower()}"

    for folder, subfolders, names in os.walk(top, followlinks=True, onerror=fail):
        place = os.path.realpath(folder)
        if place in seen:  # a link back to a folder already visited
            subfolders.clear()
            continue
        seen.add(place)
        subfolders[:] = sorted((name for name in subfolders if not _ignored(name)), key=normal_form)
        for name in sorted(names, key=normal_form):
            file = os.path.join(folder, name)
            if _is_image(name) and not _ignored(name):
                images.append(file)
            elif not _ignored(name):
                others[file] = f"not an image file ({', '.join(EXTENSIONS)})"
    return images, others
