"""Cells out of fields: crops of one size around the objects of a mask, or around boxes."""

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import ndimage

from skcell._text import read_text
from skcell.datasets._table import read_rows

#: More objects in one mask are taken for noise.
MOST_OBJECTS = 20_000

#: Names of the classes, beside YOLO's boxes.
YOLO_CLASSES = "classes.txt"

#: Smaller objects, in pixels, are left out.
_SMALLEST = 16

#: Without a size, crops are so many times as large as 95 % of the objects; nuclei have a cell
#: around them.
_AROUND = {"cells": 1.4, "nuclei": 2.0}


@dataclass(frozen=True)
class CellObject:
    """One object in a field.

    Parameters
    ----------
    number : int
        Its number in the mask, or in the table of boxes, from 1.
    box : tuple of int
        First row, first column, and the row and column after the last, in pixels.
    centre : tuple of float
        Row and column of its centre, in pixels.
    area : int
        Number of its pixels.
    label : str
        Its class; empty if it is not known.
    """

    number: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]
    area: int
    label: str = ""

    @property
    def extent(self) -> int:
        """The longer side of its box, in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def find_objects(mask: ArrayLike, *, split: bool = True) -> list[CellObject]:
    """List the objects of a mask.

    Parameters
    ----------
    mask : array-like of int or bool of shape (height, width)
        Label image: 0 is background, and each other number is an object.
    split : bool, default=True
        Whether, if there is one other number alone, each connected part is an object.

    Returns
    -------
    list of CellObject
        The objects, by their numbers.

    Raises
    ------
    ValueError
        If the mask has other than two axes, other than whole numbers, or very many objects.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.datasets import find_objects
    >>> mask = np.zeros((20, 20), np.uint8)
    >>> mask[2:8, 2:8], mask[10:18, 9:19] = 1, 2
    >>> [one.box for one in find_objects(mask)]
    [(2, 2, 8, 8), (10, 9, 18, 19)]
    """
    numbers = np.asarray(mask)
    if numbers.ndim != 2:
        raise ValueError(
            f"A mask has one number for each pixel, so two axes; this has the shape "
            f"{numbers.shape}. Save label numbers, not a picture of them."
        )
    if numbers.dtype.kind == "f" and not np.equal(numbers, np.round(numbers)).all():
        raise ValueError(
            "The mask has fractions, such as probabilities. Save it as whole numbers: 0 for the "
            "background, and another number for each object."
        )
    if numbers.dtype.kind not in "biuf" or (numbers < 0).any():
        raise ValueError(f"The mask has {numbers.dtype} values, not whole numbers of 0 or more.")
    values = np.unique(numbers)
    values = values[values > 0]
    if split and len(values) == 1:
        labelled, n = ndimage.label(numbers > 0)
        names = np.arange(1, n + 1)
    else:
        names, n = values.astype(np.int64), len(values)
        labelled = np.searchsorted(names, numbers, side="left") + (numbers > 0)
    if n > MOST_OBJECTS:
        raise ValueError(
            f"The mask has {n:,} objects, more than {MOST_OBJECTS:,}: it seems to be no mask of "
            "cells."
        )
    indices = np.arange(1, n + 1)
    areas = np.bincount(labelled.ravel(), minlength=n + 1)[1:]
    centres = ndimage.center_of_mass(labelled > 0, labelled, indices)
    found = []
    for name, place, centre, area in zip(
        names.tolist(), ndimage.find_objects(labelled, n), centres, areas.tolist(), strict=True
    ):
        rows, columns = place
        box = (rows.start, columns.start, rows.stop, columns.stop)
        found.append(CellObject(name, box, (float(centre[0]), float(centre[1])), area))
    return found


def crop_cells(
    field: ArrayLike, objects: list[CellObject], size: int
) -> tuple[NDArray[Any], list[CellObject], dict[str, int]]:
    """Cut a square around the centre of each object.

    A square that reaches over the edge of the field is filled by reflection, never by black.
    Objects that touch the edge, of which a part is missing, and tiny ones are left out.

    Parameters
    ----------
    field : array-like of shape (height, width, channels) or (height, width)
        The field.
    objects : list of CellObject
        Its objects, see `find_objects`.
    size : int
        Height and width of the crops, in pixels.

    Returns
    -------
    crops : ndarray of shape (n, size, size, channels)
        The crops, of the dtype of the field.
    kept : list of CellObject
        The objects that they show.
    left_out : dict of str to int
        Number of objects that were left out, by reason.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.datasets import crop_cells, find_objects
    >>> mask = np.zeros((40, 40), np.uint8)
    >>> mask[5:15, 5:15], mask[30:40, 20:30] = 1, 2
    >>> crops, kept, left_out = crop_cells(np.zeros((40, 40, 3), np.uint8), find_objects(mask), 24)
    >>> crops.shape, len(kept), left_out
    ((1, 24, 24, 3), 1, {'touch the edge of a field': 1})
    """
    pixels = np.asarray(field)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width = pixels.shape[:2]
    left_out: Counter[str] = Counter()
    kept, crops = [], []
    for one in objects:
        top, left, bottom, right = one.box
        if top <= 0 or left <= 0 or bottom >= height or right >= width:
            left_out["touch the edge of a field"] += 1
        elif one.area < _SMALLEST:
            left_out[f"have fewer than {_SMALLEST} pixels"] += 1
        else:
            kept.append(one)
            rows, columns = (
                _reflect(math.floor(middle - size / 2 + 1), size, side)
                for middle, side in zip(one.centre, (height, width), strict=True)
            )
            crops.append(pixels[rows[:, None], columns])
    shape = (len(crops), size, size, pixels.shape[2])
    return np.array(crops, pixels.dtype).reshape(shape), kept, dict(left_out)


def choose_crop_size(extents: list[int], what: Literal["cells", "nuclei"] = "cells") -> int:
    """Return a size of crops into which nearly all objects fit with something around them."""
    return int(2 * round(_AROUND[what] * float(np.quantile(extents, 0.95)) / 2))


def _reflect(start: int, size: int, length: int) -> NDArray[np.intp]:
    """Return indices from `start`, mirrored at the ends."""
    at = np.mod(np.arange(start, start + size), 2 * length)
    return np.minimum(at, 2 * length - 1 - at)


def read_mask(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a label image: TIFF, PNG or .npy."""
    name = os.fspath(path).lower()
    if name.endswith(".npy"):
        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise ValueError(
                f"{path} is no plain array ({error}). A file of Python objects, such as Cellpose's "
                "_seg.npy, could run code. Save the masks as TIFF or PNG."
            ) from None
    if name.endswith((".tif", ".tiff")):
        import tifffile

        return np.squeeze(tifffile.imread(path))
    with Image.open(path) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise ValueError(
                f"{path} is a picture with the mode {image.mode}. A mask has one number for each "
                "pixel: save label numbers, not their colours."
            )
        return np.asarray(image)


def read_yolo(path: Path, shape: tuple[int, ...]) -> list[CellObject]:
    """Read YOLO's boxes of one field: class, centre and size, as fractions of the field."""
    classes = path.with_name(YOLO_CLASSES)
    names = read_text(classes).split("\n") if classes.is_file() else []
    found: list[CellObject] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            code, *values = line.split()
            x, y, width, height = (float(value) for value in values[:4])
            label = names[int(code)].strip() if names else ""
        except (ValueError, IndexError):
            raise ValueError(
                f"line {number} is not a class of {YOLO_CLASSES} and four numbers: {line[:50]!r}"
            ) from None
        if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < width <= 1 and 0 < height <= 1):
            raise ValueError(f"line {number} has a box that is not in fractions of the field")
        top, left = (y - height / 2) * shape[0], (x - width / 2) * shape[1]
        bottom, right = top + height * shape[0], left + width * shape[1]
        box = (round(top), round(left), round(bottom), round(right))
        centre = (y * shape[0] - 0.5, x * shape[1] - 0.5)
        area = round((bottom - top) * (right - left))
        found.append(CellObject(len(found) + 1, box, centre, area, label))
    return found


def read_boxes(path: str | os.PathLike[str]) -> dict[str, list[CellObject]]:
    """Read boxes of many fields, by the name of the field.

    Parameters
    ----------
    path : str or path-like
        COCO (.json); or CSV with the columns ``image``, ``x``, ``y`` (of the upper left corner),
        ``width``, ``height`` (in pixels), and maybe ``label``.

    Returns
    -------
    dict of str to list of CellObject
        Boxes by the name of the field's file.

    Raises
    ------
    ValueError
        If the file is neither.
    """
    rows = _coco(path) if os.fspath(path).lower().endswith(".json") else _csv(path)
    found: dict[str, list[CellObject]] = {}
    for field, values, label in rows:
        x, y, width, height = values
        if min(width, height) <= 0:
            raise ValueError(f"{path} has a box of {width} x {height} pixels for {field!r}.")
        boxes = found.setdefault(os.path.basename(field.replace("\\", "/")), [])
        box = (round(y), round(x), round(y + height), round(x + width))
        centre, area = (y + height / 2 - 0.5, x + width / 2 - 0.5), round(width * height)
        boxes.append(CellObject(len(boxes) + 1, box, centre, area, label))
    return found


_BOX = "image", "x", "y", "width", "height"
_Row = tuple[str, tuple[float, float, float, float], str]


def _csv(path: Any) -> list[_Row]:
    header, lines, _ = read_rows(path)
    header = [name.lower() for name in header]
    if not set(_BOX) <= set(header):
        raise ValueError(f"{path} needs the columns {', '.join(_BOX)}; it has {', '.join(header)}.")
    places = [header.index(name) for name in _BOX]
    label_at = header.index("label") if "label" in header else None
    rows: list[_Row] = []
    for number, line in lines:
        field, *values = (line[at] for at in places)
        try:
            x, y, width, height = map(float, values)
        except ValueError:
            raise ValueError(f"{path}, line {number}: a box needs four numbers.") from None
        rows.append((field, (x, y, width, height), "" if label_at is None else line[label_at]))
    return rows


def _coco(path: Any) -> list[_Row]:
    try:
        data: Mapping[str, Any] = json.loads(read_text(Path(path).expanduser()))
        names = {one["id"]: str(one["file_name"]) for one in data["images"]}
        labels = {one["id"]: str(one["name"]) for one in data.get("categories", ())}
        rows = []
        for one in data["annotations"]:
            x, y, width, height = map(float, one["bbox"])
            label = labels.get(one.get("category_id"), "")
            rows.append((names[one["image_id"]], (x, y, width, height), label))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no COCO file of boxes: {error!r}.") from None
    return rows
