"""The techniques that a study compares."""

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.base import BaseEstimator, clone

from skcell._hints import hint
from skcell.classifiers import SEInceptionResNetClassifier, TransferClassifier
from skcell.resampling import ImageAugmenter, ImageSMOTE


@dataclass(frozen=True)
class Technique:
    """One technique: a name and parameters of the study's pipeline.

    The pipeline is ``Pipeline([("smote", "passthrough"), ("clf", CellCNNClassifier())])``.

    Parameters
    ----------
    name : str
        Name in tables and plots.
    parameters : mapping of str to object, default={}
        Parameters to set on the pipeline, such as ``{"clf__batch_norm": True}``; all others are the
        same in every technique. A whole classifier, ``{"clf": ...}``, keeps its own epochs, batch
        size and seed if they differ from its defaults.
    description : str, default=""
        What the technique does, in one line.

    Examples
    --------
    >>> from skcell.study import Technique
    >>> Technique("dropout", {"clf__dropout": 0.5}, "half of the dense layer is dropped").name
    'dropout'
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


#: Parameters of `CellCNNClassifier` for the plain network that most techniques change in one
#: respect. They are spelled out, so that it stays what it is if the defaults change.
PLAIN_SETTINGS: dict[str, Any] = {
    "filters": (32, 64, 128),
    "convolutions": 1,
    "stem_strides": 1,
    "extra_filters": (),
    "dense_units": 128,
    "standardize": False,
    "batch_norm": False,
    "augmentation": None,
    "learning_rate": 1e-3,
    "schedule": None,
    "tta": "none",
}

_PLAIN = {f"clf__{name}": value for name, value in PLAIN_SETTINGS.items()}
_SYMMETRIES = {"clf__augmentation": ImageAugmenter.from_preset("symmetries")}


def _composite(n_blocks: int) -> Technique:
    clf = SEInceptionResNetClassifier(
        n_blocks=n_blocks,
        standardize=False,
        augmentation=None,
        learning_rate=1e-3,
        schedule=None,
        tta="none",
    )
    return Technique(
        f"composite x{n_blocks}",
        {"clf": clf},
        f"{n_blocks} block{'s' if n_blocks > 1 else ''} with inception, squeeze-and-excitation "
        "and a residual connection",
    )


#: The default techniques of a study, in order; the others are compared with the first.
TECHNIQUES: tuple[Technique, ...] = (
    Technique("base", _PLAIN, "three convolutions (32, 64, 128 filters) and a dense layer (128)"),
    Technique(
        "augmentation",
        _PLAIN | _SYMMETRIES,
        "every image is randomly flipped and rotated in every epoch",
    ),
    Technique(
        "batch norm", _PLAIN | {"clf__batch_norm": True}, "batch normalization before activations"
    ),
    Technique(
        "extra layers",
        _PLAIN | {"clf__extra_filters": (128, 128)},
        "two more convolutions (128 filters)",
    ),
    *(_composite(n_blocks) for n_blocks in (1, 2, 3)),
    Technique(
        "class weights",
        _PLAIN | {"clf__class_weight": "balanced"},
        "images of rare classes have larger weights",
    ),
    Technique(
        "SMOTE", _PLAIN | {"smote": ImageSMOTE()}, "rare classes oversampled by interpolation"
    ),
    Technique(
        "SMOTE + augmentation",
        _PLAIN | {"smote": ImageSMOTE()} | _SYMMETRIES,
        "rare classes oversampled, then all images randomly flipped and rotated",
    ),
    Technique("recommended", {}, "the defaults of CellCNNClassifier"),
)

_TRANSFER: dict[str, Any] = {
    "input_size": 96,
    "augmentation": None,
    "schedule": None,
    "tta": "none",
}

#: Techniques that need pretrained weights, which Keras downloads; used only if they are named.
TRANSFER_TECHNIQUES: tuple[Technique, ...] = (
    Technique(
        "frozen transfer",
        {"clf": TransferClassifier(**_TRANSFER, unfreeze=None)},
        "a network pretrained on everyday images, with a new last layer",
    ),
    Technique(
        "fine-tuned",
        {
            "clf": TransferClassifier(
                **_TRANSFER,
                unfreeze=0.3,
                fine_tuning_epochs=10,
                fine_tuning_learning_rate=1e-4,
                train_batch_norm=False,
            )
        },
        "as above, then the last third of the layers fine-tuned at a low learning rate",
    ),
)


def resolve_techniques(
    techniques: Iterable[Technique | str] | None = None,
) -> tuple[Technique, ...]:
    """Convert names of techniques to techniques."""
    if isinstance(techniques, str):
        raise ValueError(
            f"techniques must be a list, got the string {techniques!r}; pass [{techniques!r}]."
        )
    techniques = TECHNIQUES if techniques is None else tuple(techniques)
    if not techniques:
        raise ValueError(
            "techniques is empty; name at least one, or omit it to use all of TECHNIQUES."
        )
    found = tuple(
        technique if isinstance(technique, Technique) else _named(technique)
        for technique in techniques
    )
    names = [technique.name for technique in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Techniques need different names; more than one is called {twice[0]!r}.")
    return found


def _named(name: str) -> Technique:
    known = {technique.name.lower(): technique for technique in (*TECHNIQUES, *TRANSFER_TECHNIQUES)}
    key = " ".join(str(name).lower().split())
    if key not in known:
        names = [technique.name for technique in known.values()]
        raise ValueError(
            f"There is no technique {name!r}.{hint(key, names)} The techniques are: "
            f"{', '.join(names)}."
        )
    return known[key]


def load_techniques(path: str | os.PathLike[str]) -> tuple[Technique, ...]:
    r"""Read techniques from a TOML file.

    The file has either a list of names of skcell's techniques, ``techniques = ["base", "SMOTE"]``,
    or tables. Each ``[[techniques]]`` table has a ``name`` and may have a ``description`` and
    ``parameters``; a table with only a ``name`` is skcell's technique of that name. A parameter
    that is a table with a ``type`` becomes the estimator or augmenter of that name, and the rest of
    the table becomes its parameters. A list becomes a tuple::

        [[techniques]]
        name = "base"

        [[techniques]]
        name = "wide"
        parameters = { "clf__filters" = [64, 128], "clf__dropout" = 0.5 }

        [[techniques]]
        name = "composite, augmented"
        [techniques.parameters]
        clf = { type = "SEInceptionResNetClassifier", n_blocks = 2 }
        clf__augmentation = { type = "ImageAugmenter", rotation = 0.1 }

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    tuple of Technique
        The techniques.

    Raises
    ------
    ValueError
        If the file does not define techniques in this way.

    Examples
    --------
    >>> import tempfile
    >>> from skcell.study import load_techniques
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write('[[techniques]]\nname = "drop"\nparameters = {"clf__dropout" = 0.5}')
    ...     file.flush()
    ...     load_techniques(file.name)[0].parameters
    {'clf__dropout': 0.5}
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            content = tomllib.load(file)
        entries = content["techniques"]
        if not isinstance(entries, list) or set(content) != {"techniques"}:
            raise ValueError("it should hold [[techniques]] and nothing else")
        return tuple(_read_technique(entry) for entry in entries)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{os.fspath(path)} does not name techniques of a study: {reason}."
        ) from error


def _read_technique(entry: Any) -> Technique:
    if isinstance(entry, str):
        return _named(entry)
    if not isinstance(entry, Mapping):
        raise ValueError(f"a technique must be a table or a name, not {entry!r}")
    for key, kind, what in (
        ("name", str, "text"),
        ("description", str, "text"),
        ("parameters", Mapping, "a table"),
    ):
        if key in entry and not isinstance(entry[key], kind):
            raise ValueError(f"{key} = {entry[key]!r} should be {what}")
    unknown = set(entry) - {"name", "description", "parameters"}
    if unknown:
        raise ValueError(f"a technique has no {sorted(unknown)[0]!r}; put it under parameters")
    if set(entry) == {"name"}:
        return _named(entry["name"])
    parameters = {name: _read_value(v) for name, v in entry.get("parameters", {}).items()}
    return Technique(entry["name"], parameters, entry.get("description", ""))


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


def with_backbone(
    techniques: Sequence[Technique],
    backbone: str | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> tuple[Technique, ...]:
    """Change the pretrained network of all techniques that have one."""
    given = {"clf__backbone": backbone, "clf__weights": weights}
    change = {name: value for name, value in given.items() if value is not None}
    pretrained = [
        technique
        for technique in techniques
        if isinstance(technique.parameters.get("clf"), TransferClassifier)
    ]
    if change and not pretrained:
        raise ValueError(
            f"None of the techniques has a pretrained network to change; name one of "
            f"{[technique.name for technique in TRANSFER_TECHNIQUES]}."
        )
    return tuple(
        replace(technique, parameters={**technique.parameters, **change})
        if technique in pretrained
        else technique
        for technique in techniques
    )


def with_random_state(parameters: Mapping[str, Any], random_state: int) -> dict[str, Any]:
    """Set this seed on those estimators in `parameters` that have none."""
    out = {}
    for name, value in parameters.items():
        if isinstance(value, BaseEstimator):
            value = clone(value)
            if value.get_params().get("random_state", 0) is None:
                value.set_params(random_state=random_state)
        out[name] = value
    return out
