"""The techniques that a study compares, as data."""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.base import BaseEstimator, clone

from skcell.augmentation import ImageAugmenter
from skcell.classifiers import SEInceptionResNetClassifier, TransferClassifier
from skcell.resampling import ImageSMOTE


@dataclass(frozen=True)
class Row:
    """One technique: a name, and parameters of the study's pipeline.

    The pipeline is ``Pipeline([("smote", "passthrough"), ("clf", CellCNNClassifier())])``.

    Parameters
    ----------
    name : str
        Name in tables and plots.
    parameters : mapping of str to object, default={}
        What is set on the pipeline, such as ``{"clf__batch_norm": True}``; the rest is as in
        every row. A whole classifier, ``{"clf": ...}``, keeps epochs, batch size and seed of its
        own where they are not its defaults.
    description : str, default=""
        What the technique does, in one line.

    Examples
    --------
    >>> from skcell.study import Row
    >>> Row("dropout", {"clf__dropout": 0.5}, "half of the dense layer left out at each step").name
    'dropout'
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


#: The techniques of a study, in order; every other row is compared with the first by eye.
ROWS: tuple[Row, ...] = (
    Row("base", {}, "three convolutions (32, 64, 128 filters), one dense layer of 128"),
    Row(
        "augmentation",
        {"clf__augmentation": ImageAugmenter()},
        "every image flipped and turned anew in every epoch",
    ),
    Row("batch norm", {"clf__batch_norm": True}, "batches normalised before each activation"),
    Row("extra layers", {"clf__extra_filters": (128, 128)}, "two more convolutions of 128 filters"),
    *(
        Row(
            f"composite x{n}",
            {"clf": SEInceptionResNetClassifier(n_blocks=n)},
            f"{n} block{'s' if n > 1 else ''} of inception, squeeze-and-excitation and a residual "
            "connection",
        )
        for n in (1, 2, 3)
    ),
    Row(
        "class weights",
        {"clf__class_weight": "balanced"},
        "images of rare classes count for more",
    ),
    Row("SMOTE", {"smote": ImageSMOTE()}, "rare classes filled up with interpolated images"),
    Row(
        "SMOTE + augmentation",
        {"smote": ImageSMOTE(), "clf__augmentation": ImageAugmenter()},
        "filled up, and then flipped and turned",
    ),
)

#: Techniques that need pretrained weights, which Keras downloads; part of a study where named.
TRANSFER_ROWS: tuple[Row, ...] = (
    Row(
        "frozen transfer",
        {"clf": TransferClassifier(image_size=96)},
        "a network pretrained on everyday images, with a new last layer",
    ),
    Row(
        "fine-tuned",
        {"clf": TransferClassifier(image_size=96, unfreeze=0.3)},
        "the same, and then the last third of its layers trained, slowly",
    ),
)


def find_rows(rows: Iterable[Row | str] | None = None) -> tuple[Row, ...]:
    """Turn names of rows into rows.

    Parameters
    ----------
    rows : iterable of Row or str, default=None
        Rows of one's own, or names of those in `ROWS` and `TRANSFER_ROWS`, in any case. None means
        all of `ROWS`.

    Returns
    -------
    tuple of Row
        The rows, in the order given.

    Raises
    ------
    ValueError
        If a name is unknown, or two rows have the same.

    Examples
    --------
    >>> from skcell.study import find_rows
    >>> [row.name for row in find_rows(["base", "smote"])]
    ['base', 'SMOTE']
    """
    if isinstance(rows, str):
        raise ValueError(f"rows must be a list, got the text {rows!r}; pass [{rows!r}].")
    rows = ROWS if rows is None else tuple(rows)
    if not rows:
        raise ValueError("rows is empty; name at least one, or leave it out for all of ROWS.")
    found = tuple(row if isinstance(row, Row) else _named(row) for row in rows)
    names = [row.name for row in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Rows need different names; more than one is called {twice[0]!r}.")
    return found


def _named(name: str) -> Row:
    known = {row.name.lower(): row for row in (*ROWS, *TRANSFER_ROWS)}
    key = " ".join(str(name).lower().split())
    if key not in known:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f" Did you mean {known[close[0]].name!r}?" if close else ""
        raise ValueError(
            f"There is no row {name!r}.{hint} The rows are: "
            f"{', '.join(row.name for row in known.values())}."
        )
    return known[key]


def load_rows(path: str | os.PathLike[str]) -> tuple[Row, ...]:
    r"""Read rows from a TOML file.

    Rows are names of rows of skcell, ``rows = ["base", "SMOTE"]``, or tables. Each ``[[rows]]`` has
    a ``name``, and may have a ``description`` and ``parameters``; or it is
    the name of a row of skcell alone. A value that is a table with a ``type`` is the estimator or
    augmenter of that name, with the rest of the table as its parameters; a list is a tuple::

        [[rows]]
        name = "base"

        [[rows]]
        name = "wide"
        parameters = { "clf__filters" = [64, 128], "clf__dropout" = 0.5 }

        [[rows]]
        name = "composite, augmented"
        [rows.parameters]
        clf = { type = "SEInceptionResNetClassifier", n_blocks = 2 }
        clf__augmentation = { type = "ImageAugmenter", rotation = 0.1 }

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    tuple of Row
        The rows.

    Raises
    ------
    ValueError
        If it is not such a file.

    Examples
    --------
    >>> import tempfile
    >>> from skcell.study import load_rows
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write('[[rows]]\nname = "drop"\nparameters = {"clf__dropout" = 0.5}')
    ...     file.flush()
    ...     load_rows(file.name)[0].parameters
    {'clf__dropout': 0.5}
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            content = tomllib.load(file)
        entries = content["rows"]
        if not isinstance(entries, list) or set(content) != {"rows"}:
            raise ValueError("it should hold [[rows]] and nothing else")
        return tuple(_read_row(entry) for entry in entries)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{os.fspath(path)} does not name rows of a study: {reason}.") from error


def _read_row(entry: Any) -> Row:
    if isinstance(entry, str):
        return _named(entry)
    if not isinstance(entry, Mapping):
        raise ValueError(f"a row is a table or the name of one, not {entry!r}")
    for key, kind, what in (
        ("name", str, "text"),
        ("description", str, "text"),
        ("parameters", Mapping, "a table"),
    ):
        if key in entry and not isinstance(entry[key], kind):
            raise ValueError(f"{key} = {entry[key]!r} should be {what}")
    unknown = set(entry) - {"name", "description", "parameters"}
    if unknown:
        raise ValueError(f"a row has no {sorted(unknown)[0]!r}; put it under parameters")
    if set(entry) == {"name"}:
        return _named(entry["name"])
    parameters = {name: _read_value(v) for name, v in entry.get("parameters", {}).items()}
    return Row(entry["name"], parameters, entry.get("description", ""))


def _read_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read_value(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    import skcell

    if "type" not in value:
        return {name: _read_value(item) for name, item in value.items()}
    arguments = dict(value)
    kind = getattr(skcell, str(arguments.pop("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):
        raise ValueError(f"{dict(value)} names no estimator of skcell as its type")
    return kind(**{name: _read_value(item) for name, item in arguments.items()})


def choose_backbone(
    rows: Sequence[Row],
    backbone: str | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> tuple[Row, ...]:
    """Change the pretrained network of all rows that have one.

    Parameters
    ----------
    rows : sequence of Row
        Rows.
    backbone : str, default=None
        A name of `skcell.networks.list_backbones`; None leaves it.
    weights : str or path-like, default=None
        A file of its weights; None leaves them.

    Returns
    -------
    tuple of Row
        The rows, changed where there is something to change.

    Raises
    ------
    ValueError
        If there is a change to make, and no row to make it in.

    Examples
    --------
    >>> from skcell.study import choose_backbone, find_rows
    >>> rows = choose_backbone(find_rows(["base", "frozen transfer"]), "mobilenet_v2")
    >>> rows[1].parameters["clf__backbone"]
    'mobilenet_v2'
    """
    given = {"clf__backbone": backbone, "clf__weights": weights}
    change = {name: value for name, value in given.items() if value is not None}
    pretrained = [row for row in rows if isinstance(row.parameters.get("clf"), TransferClassifier)]
    if change and not pretrained:
        raise ValueError(
            f"None of the rows has a pretrained network to change; name one of "
            f"{[row.name for row in TRANSFER_ROWS]} (the command: --transfer)."
        )
    return tuple(
        replace(row, parameters={**row.parameters, **change}) if row in pretrained else row
        for row in rows
    )


def seeded(parameters: Mapping[str, Any], random_state: int) -> dict[str, Any]:
    """Give estimators among `parameters` that have no seed yet this one.

    Parameters
    ----------
    parameters : mapping of str to object
        Parameters of a pipeline; they are not changed.
    random_state : int
        The seed.

    Returns
    -------
    dict
        The parameters, with estimators cloned.
    """
    out = {}
    for name, value in parameters.items():
        if isinstance(value, BaseEstimator):
            value = clone(value)
            if value.get_params().get("random_state", 0) is None:
                value.set_params(random_state=random_state)
        out[name] = value
    return out
