"""Check labels and groups: one for each image, none missing, all of one type."""

import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import column_or_1d


def check_labels(y: Any, n: int, what: str = "y", of: str = "label") -> NDArray[Any]:
    """Check that there is one label, or group, for each image."""
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    if len(shape) == 2 and shape[1] != 1:
        raise ValueError(
            f"{what} has shape {shape}; expected one {of} for each image, in shape (n,). "
            + (
                "Convert one-hot labels to classes: y.argmax(axis=1)."
                if of == "label"
                else "Join the columns into one name, or choose one column."
            )
        )
    given = column_or_1d(y, warn=True)
    if given.dtype.kind == "T":  # NumPy's StringDType
        given = given.astype(np.str_)
    if given.dtype.kind in "mMV":
        raise ValueError(
            f"{what} has the dtype {given.dtype}, which cannot be a {of}. Convert it to text: "
            f"np.asarray({what}).astype(str)."
        )
    # Keep the entries of a list: NumPy would convert NaN, None and numbers next to text to text.
    y = np.array([*y, None], dtype=object)[:-1] if isinstance(y, (list, tuple)) else given
    if len(y) != n:
        raise ValueError(
            f"{what} has {len(y)} entries for {n} images: found input variables with inconsistent "
            f"numbers of samples: [{n}, {len(y)}]. Pass the {of} of each image."
        )
    if y.dtype.kind in "fc":
        missing = ~np.isfinite(y)
    elif y.dtype.kind in "biuSU":  # these dtypes have no value for a missing entry
        missing = np.zeros(len(y), dtype=bool)
    else:
        missing = np.array([_is_missing(item) for item in y], dtype=bool)
    if missing.any():
        first = int(missing.argmax())
        raise ValueError(
            f"{what} lacks the {of} of {missing.sum()} image(s), the first at {first} "
            f"({y.tolist()[first]!r}; NaN, None and infinity count as missing). Remove these "
            "images, or fill in what is missing."
        )
    if y.dtype == object:
        members = [item for item in y if isinstance(item, enum.Enum) and not isinstance(item, str)]
        if members:
            raise ValueError(
                f"{what} holds {type(members[0]).__name__} members; pass their names: "
                "[item.name for item in y]."
            )
        kinds = {_kind(item): i for i, item in reversed(list(enumerate(y)))}
        if len(kinds) > 1:
            told = " and ".join(f"{kind} (first at {i})" for kind, i in kinds.items())
            raise ValueError(f"{what} mixes {told}; convert all to text: np.asarray({what}, str).")
    return given


def _is_missing(item: Any) -> bool:
    if item is None:
        return True
    try:
        return bool(item != item)  # NaN does not equal itself
    except TypeError:  # pandas.NA
        return True


def _kind(item: Any) -> str:
    return "numbers" if isinstance(item, (int, float, np.number, np.bool_)) else type(item).__name__


def some(items: list, n: int = 3) -> str:
    """List the first `n` of `items`, and say how many more there are."""
    shown = ", ".join(str(item) for item in items[:n])
    return shown + (f" and {len(items) - n} more" if len(items) > n else "")
