"""Cut cells out of fields into a folder that can be labelled and trained on."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skcell._console import progress_bar
from skcell._files import to_csv
from skcell._images import read_whole, report_failures
from skcell._text import normal_form
from skcell.datasets import (
    YOLO_CLASSES,
    CellObject,
    choose_crop_size,
    crop_cells,
    find_nuclei,
    find_objects,
    list_images,
    read_boxes,
    read_mask,
    read_yolo,
)

#: What a mask may have after the name of its field.
_ENDINGS = ("_cp_masks", "_masks", "_mask", "-mask", "_labels", "_label", "_seg")
_MASKS = (".tif", ".tiff", ".png", ".npy", ".txt")
_COLUMNS = ("image", "label", "field", "object", "x", "y", "width", "height", "area")
TABLE = "cells.csv"


@dataclass(frozen=True)
class CroppedFolder:
    """What was cut out of fields.

    Parameters
    ----------
    n_cells, n_fields : int
        Number of cells that were written, and of fields that were used.
    size : int
        Height and width of the crops, in pixels.
    table : pathlib.Path
        Table of the crops: file, field, box, and an empty column for the label.
    left_out : dict of str to int
        Number of objects that were left out, by reason.
    """

    n_cells: int
    n_fields: int
    size: int
    table: Path
    left_out: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return a sentence for each thing that a user should know."""
        text = (
            f"{self.n_cells:,} cells of {self.n_fields:,} fields were cut out, each "
            f"{self.size} x {self.size} pixels of its field."
        )
        for reason, n in self.left_out.items():
            text += f" {n:,} objects {reason} and were left out."
        return text


def crop_folder(
    fields: str | os.PathLike[str],
    masks: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    size: int | None = None,
    skip_broken: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> CroppedFolder:
    """Cut the objects of masks, or boxes, out of a folder of fields.

    All crops have one size in pixels of the fields, so that large cells remain larger than small
    ones; fields of another magnification need a call of their own.

    Parameters
    ----------
    fields : str or path-like
        Folder of images with many cells.
    masks : str, path-like or None
        Folder of label images (TIFF, PNG or .npy) or of YOLO's boxes (.txt), each called as its
        field, maybe with ``_mask`` or the like at the end; it may be the same folder. Or a file of
        boxes, see `skcell.datasets.read_boxes`. None looks for nuclei of a stained blood smear,
        see `skcell.datasets.find_nuclei`.
    out : str or path-like
        Folder to write, which must not exist yet. It is written whole or not at all.
    size : int, default=None
        Height and width of the crops; None chooses so that nearly all objects fit.
    skip_broken : bool, default=False
        Whether fields without a mask, and masks that cannot be used, are skipped.
    notify : callable
        Called with a sentence about each step.

    Returns
    -------
    CroppedFolder
        What was written and left out. Its table can be filled in and passed as `labels` to
        `train`; of boxes with classes, it is filled in already.

    Raises
    ------
    ValueError
        If there is nothing to cut out.
    FileExistsError
        If `out` exists.
    ImageReadError
        If fields or masks cannot be used; the error names them.
    """
    root, target = Path(fields).expanduser(), Path(out).expanduser()
    if target.exists():
        raise FileExistsError(f"{target} exists already; give the name of a new folder.")
    objects, failures = find_all_objects(root, masks)
    n_files = len(objects) + len(failures)
    if failures:
        report_fields(failures, n_files, skip_broken)
    found = [one for of_field in objects.values() for one in of_field]
    if not found:
        raise ValueError(f"The masks of {n_files:,} fields have no object.")
    if size is None:
        extents = [one.extent for one in found]
        size = choose_crop_size(extents, "nuclei" if masks is None else "cells")
    else:
        size = int(size)
    notify(f"Cutting {len(found):,} objects out of {len(objects):,} fields ...")
    lines: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    unread: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".skcell-") as unfinished:
        whole = Path(unfinished) / "cells"
        whole.mkdir()
        with progress_bar("Cutting", len(objects)) as advance:
            for file, of_field in objects.items():
                try:
                    crops, kept, left = crop_cells(read_whole(file), of_field, size)
                except (ValueError, OSError) as error:
                    unread[file] = str(error)
                    continue
                left_out.update(left)
                inside = Path(os.path.relpath(file, root)).with_suffix("")
                for pixels, one in zip(crops, kept, strict=True):
                    lines.append(
                        describe_object(_write(pixels, whole, inside, one.number), file, one)
                    )
                advance(1)
        if unread:
            report_fields(unread, n_files, skip_broken)
        if not lines:
            raise ValueError(
                f"None of {len(found):,} objects is left: "
                + ", ".join(f"{n:,} {reason}" for reason, n in left_out.items())
            )
        (whole / TABLE).write_bytes(to_csv(lines, _COLUMNS))
        whole.rename(target)
    n_used = len(objects) - len(unread)
    return CroppedFolder(len(lines), n_used, size, target / TABLE, dict(left_out))


def report_fields(failures: dict[str, str], n_files: int, skip_broken: bool) -> None:
    report_failures(
        failures, n_files=n_files, on_error="warn" if skip_broken else "raise", stacklevel=4
    )


def find_all_objects(
    root: Path, source: str | os.PathLike[str] | None
) -> tuple[dict[str, list[CellObject]], dict[str, str]]:
    """Find the objects of each field, and reasons for fields and masks that cannot be used."""
    files = list_images(root)
    objects: dict[str, list[CellObject]] = {}
    failures: dict[str, str] = {}
    if source is None:
        for file in files:
            try:
                objects[file] = find_objects(find_nuclei(read_whole(file)), split=False)
            except (ValueError, OSError) as error:
                failures[file] = str(error)
        return objects, failures
    masks = Path(source).expanduser()
    if masks.is_file():
        boxes = read_boxes(masks)
        names = Counter(os.path.basename(file) for file in files)
        for file in files:
            name = os.path.basename(file)
            if names[name] > 1:
                failures[file] = "its name is in several folders"
            elif name not in boxes:
                failures[file] = f"{masks} has no box for it"
            else:
                objects[file] = boxes[name]
        strange = sorted(boxes.keys() - names.keys())
        failures |= {f"{masks}: {name}": "there is no such field" for name in strange}
        return objects, failures
    by_key: dict[str, list[Path]] = {}
    same = masks.resolve() == root.resolve()
    for path in sorted(masks.rglob("*")):
        key = _key(path)
        if path.name == YOLO_CLASSES:
            continue
        if path.suffix.lower() in _MASKS and not (same and key == normal_form(path.stem)):
            by_key.setdefault(key, []).append(path)
    taken = {path.resolve() for paths in by_key.values() for path in paths}
    fields = [file for file in files if Path(file).resolve() not in taken]
    keys = Counter(normal_form(Path(file).stem) for file in fields)
    for file in fields:
        key = normal_form(Path(file).stem)
        found = by_key.get(key, [])
        if keys[key] > 1:
            failures[file] = "its name is in several folders, so its mask is unclear"
        elif len(found) != 1:
            told = ", ".join(path.name for path in found)
            failures[file] = f"has {len(found)} masks: {told}" if found else "has no mask"
        else:
            try:
                objects[file] = _read_objects(file, found[0])
            except Exception as error:  # readers raise almost anything for damaged files
                failures[str(found[0])] = str(error) or type(error).__name__
    for key in sorted(by_key.keys() - keys.keys()):
        failures |= {str(path): "is of no field" for path in by_key[key]}
    return objects, failures


def _key(path: Path) -> str:
    """Return the name of a field by that of its mask."""
    stem = normal_form(path.stem)
    ending = next((one for one in _ENDINGS if stem.lower().endswith(one)), "")
    return stem[: len(stem) - len(ending)]


def _read_objects(file: str, path: Path) -> list[CellObject]:
    if path.suffix.lower() == ".txt":
        return read_yolo(path, read_whole(file).shape[:2])
    mask = read_mask(path)
    found = find_objects(mask)
    try:
        with Image.open(file) as image:
            shape = (image.height, image.width)
    except Exception:  # formats that Pillow does not read, and errors that are told later
        return found
    if mask.shape != shape:
        raise ValueError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, and its field "
            f"{shape[1]} x {shape[0]}"
        )
    return found


def _write(pixels: NDArray[Any], root: Path, inside: Path, number: int) -> str:
    """Write one crop; return its path from the folder."""
    n_channels = pixels.shape[2]
    pixels = pixels[..., 0] if n_channels == 1 else pixels
    plain = pixels.dtype == np.uint8 and n_channels in (1, 3, 4)
    path = root / inside.with_name(f"{inside.name}_{number:04d}{'.png' if plain else '.tif'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if plain:
        Image.fromarray(pixels).save(path)
    else:
        import tifffile

        colour = "rgb" if n_channels in (3, 4) else "minisblack"
        planes = None if n_channels == 1 else "contig"
        tifffile.imwrite(path, pixels, photometric=colour, planarconfig=planes)
    return path.relative_to(root).as_posix()


def describe_object(image: str, file: str, one: CellObject) -> dict[str, Any]:
    top, left, bottom, right = one.box
    return {
        "image": image,
        "label": one.label,
        "field": os.path.basename(file),
        "object": one.number,
        "x": left,
        "y": top,
        "width": right - left,
        "height": bottom - top,
        "area": one.area,
    }
