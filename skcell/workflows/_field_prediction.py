"""Predict each object of fields of many cells."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skcell._images import fit_image, read_whole
from skcell._text import printable
from skcell.calibration import CalibratedClassifier, ShiftReport
from skcell.datasets import CellObject, crop_cells
from skcell.workflows._fields import describe_object, find_all_objects, report_fields
from skcell.workflows._prediction import Prediction, find_format, predict_images, to_record

#: Number of objects that are compared with the training images, at most.
_COMPARED = 200

#: Colours of classes, those of Okabe and Ito and two more; on light ones, text is black.
_LIGHT = ("#56B4E9", "#E69F00", "#CC79A7")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", *_LIGHT, "#555555", "#8A4FBE")


def predict_fields(
    model: Any,
    fields: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    *,
    size: int | None = None,
    training: Mapping[str, Any] | None = None,
    coverage: float = 0.9,
    min_confidence: float = 0.0,
    overlay: str | os.PathLike[str] | None = None,
    skip_broken: bool = False,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Predict each object of a folder of fields.

    Parameters
    ----------
    model : estimator
        A fitted `CalibratedClassifier`, or another classifier that `skcell.load` returns.
    fields, masks : str or path-like
        Folder of images with many cells, and their masks or boxes, as for `crop_folder`.
    size : int, default=None
        Height and width of the crops in pixels of the fields. They must show cells as large as the
        training images did; None takes the size of the files that the model was trained on.
    training : mapping, default=None
        What the model's file says about its training, see `skcell.persistence.read_info`.
    coverage, min_confidence : float
        As for `predict_files`.
    overlay : str or path-like, default=None
        Folder for a picture of each field, with the class of each object.
    skip_broken : bool, default=False
        Whether fields and masks that cannot be used are skipped.

    Returns
    -------
    records : list of dict
        Field, number and box of each object, and its prediction as `predict_files` has it. Objects
        at the edge of a field, and tiny ones, have a reason under ``"error"`` and no class.
    notes : list of str
        That the model is not calibrated, or that there is a domain shift.

    Raises
    ------
    ValueError
        If the size of crops is not known, or the model takes no images from files.
    ImageReadError
        If fields or masks cannot be used.
    """
    shape, dtype = find_format(model)
    if size is None:
        known = ((training or {}).get("data") or {}).get("file_size") or [0, 0]
        if known[0] < 1 or known[0] != known[1]:
            raise ValueError(
                "The model does not say how large its training images were. Pass the height and "
                "width that shows cells as they did, in pixels of the fields, as size "
                "(--crop-size)."
            )
        size = int(known[0])
    objects, failures = find_all_objects(Path(fields).expanduser(), Path(masks).expanduser())
    if failures:
        report_fields(failures, len(objects) + len(failures), skip_broken)
    classes, sample = model.classes_.tolist(), list[NDArray[Any]]()
    records: list[dict[str, Any]] = []
    for file, of_field in objects.items():
        whole = read_whole(file)
        crops, kept, _ = crop_cells(whole, of_field, size)
        images = np.array([fit_image(one, shape, dtype) for one in crops], dtype)
        found = predict_images(model, images.reshape(-1, *shape), coverage, min_confidence)
        sample += list(images[: max(0, _COMPARED - len(sample))])
        by_number = {
            one.number: Prediction(file, *fields_of)
            for one, fields_of in zip(kept, found, strict=True)
        }
        for one in of_field:
            missing = Prediction(file, None, {}, [], None, "at the edge of the field, or tiny")
            record = to_record(
                by_number.get(one.number, missing), probabilities=False, classes=classes
            )
            where = describe_object(record.pop("file"), file, one)
            records.append({k: v for k, v in where.items() if k not in ("image", "label")} | record)
        if overlay is not None:
            folder = Path(overlay)
            folder.mkdir(parents=True, exist_ok=True)
            picture = draw_objects(whole, kept, by_number, classes)
            picture.save(folder / f"{Path(file).stem}.png")
    notes = []
    if isinstance(model, CalibratedClassifier):
        notes = [why] if (why := model.why_not_calibrated()) else []
        shift = model.detect_shift(np.array(sample)) if len(sample) >= ShiftReport.fewest else None
        if shift is None:
            notes.append(ShiftReport.too_few)
        elif shift.shifted:
            notes.append(str(shift))
    return records, notes


def draw_objects(
    field: NDArray[Any],
    objects: Sequence[CellObject],
    predictions: Mapping[int, Prediction],
    classes: Sequence[Any],
) -> Image.Image:
    """Draw the boxes of a field, with their classes; unknown objects have a question mark."""
    pixels = fit_image(field, (*field.shape[:2], 3), "uint8")
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    typical = float(np.median([one.extent for one in objects])) if objects else 40.0
    font = ImageFont.load_default(max(10, round(typical / 4)))
    for one in objects:
        found = predictions[one.number]
        colour = _COLOURS[classes.index(found.label) % len(_COLOURS)]
        top, left, bottom, right = one.box
        draw.rectangle(
            (left, top, right, bottom), outline=colour, width=max(1, round(typical / 25))
        )
        text = f"{printable(found.label)}{'?' if found.unknown else ''}"
        box = draw.textbbox((left, top), text, font=font, anchor="lb")
        down, aside = max(0, -box[1]), max(0, box[2] - picture.width)  # so that it can be read
        draw.rectangle((box[0] - aside, box[1] + down, box[2] - aside, box[3] + down), fill=colour)
        place, ink = (left - aside, top + down), "black" if colour in _LIGHT else "white"
        draw.text(place, text, fill=ink, font=font, anchor="lb")
    return picture
