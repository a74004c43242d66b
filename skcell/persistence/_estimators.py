"""Estimators of skcell, and what they are made of, as values of a model file.

To import this module is to add them to the kinds of values that a file can hold.
"""

import math
import warnings
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

import skcell
import skcell.calibration
from skcell._engine import ModelLease, Recipe
from skcell._images import ImageSpec
from skcell.calibration import (
    CalibratedClassifier,
    ConformalSets,
    ReferenceProfile,
    UnknownDetector,
)
from skcell.classifiers import BaseCellClassifier, CellSizes, TransferState
from skcell.exceptions import ModelFileError
from skcell.networks import BACKBONES, cnn, se_inception_resnet, transfer, transfer_head
from skcell.persistence._parts import find_class, is_of_sklearn
from skcell.persistence._values import CODECS, Codec, Store, decode, encode
from skcell.preprocessing import Extractor

#: Estimators that a file can hold, and the package that each is public in.
_PACKAGES = {
    "AdaptiveClassifier": skcell,
    "CalibratedClassifier": skcell,
    "CellCNNClassifier": skcell,
    "ImageAugmenter": skcell,
    "ImageFeatures": skcell,
    "ImageSMOTE": skcell,
    "ImageSampler": skcell,
    "Pipeline": skcell,
    "SEInceptionResNetClassifier": skcell,
    "TransferClassifier": skcell,
    "UnknownDetector": skcell.calibration,
}

#: Values of their own: their fields are stored.
_RECORDS = {cls.__name__: cls for cls in (CellSizes, ConformalSets, ReferenceProfile)}

_NETWORKS = {f.__name__: f for f in (cnn, se_inception_resnet, transfer, transfer_head)}

#: Fields of a recipe in a file. The number of devices is that of the machine that loads it.
_FIELDS = (
    *("kwargs", "input_shape", "dtype", "n_classes", "augmentation", "optimizer", "loss"),
    *("use_weight_decay", "lr_scales", "dtype_policy"),
)

#: Attributes that belong to a fit that is running, or to one version.
_TRANSIENT = ("_skl_callbacks", "_callback_fit_ctx", "_skcell_version")

#: Most layers of a network; building more takes minutes.
_MAX_LAYERS = 400

#: Most pixel values of an image; building a network for larger ones would take much memory.
_MAX_VALUES = 1 << 26


def _public_class(value: Any) -> str | None:
    """Return the public name of an object's class, if a file can hold it."""
    name = type(value).__name__
    is_ours = name in _PACKAGES and getattr(_PACKAGES[name], name) is type(value)
    return name if is_ours else None


def _contains_ours(value: Any, depth: int = 0) -> bool:
    """Return whether an object of scikit-learn contains an estimator of skcell."""
    if _public_class(value) is not None or isinstance(value, BaseCellClassifier):
        return True
    if depth > 20:
        return False
    if isinstance(value, BaseEstimator):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    is_list = isinstance(value, (list, tuple))
    return is_list and any(_contains_ours(item, depth + 1) for item in value)


def _encode_ours(value: Any, store: Store, where: str) -> dict[str, Any]:
    return {"class": _public_class(value), "state": _encode_state(value, store)}


def _encode_foreign(value: Any, store: Store, where: str) -> dict[str, Any]:
    cls = type(value)
    return {"module": cls.__module__, "class": cls.__name__, "state": _encode_state(value, store)}


def _encode_state(estimator: Any, store: Store) -> list[Any]:
    if getattr(estimator, "callbacks", None):
        warnings.warn(
            f"The callbacks of {type(estimator).__name__} are not stored in the file: they act "
            "during a fit alone.",
            UserWarning,
            stacklevel=2,
        )
    state = estimator.__getstate__()
    owner = type(estimator).__name__
    return [
        [name, None if name == "callbacks" else encode(item, store, f"{owner}.{name}")]
        for name, item in state.items()
        if name not in _TRANSIENT
    ]


def _decode_ours(value: dict[str, Any], store: Store) -> Any:
    name = value["class"]
    if name not in _PACKAGES:
        raise ModelFileError(f"it holds a {name!r}, which is no estimator of skcell.")
    return _decode_state(getattr(_PACKAGES[name], name), value, store)


def _encode_record(value: Any, store: Store, where: str) -> dict[str, Any]:
    names = [field.name for field in fields(value)]
    state = {name: encode(getattr(value, name), store, f"{where}.{name}") for name in names}
    return {"class": type(value).__name__, "state": state}


def _decode_record(value: dict[str, Any], store: Store) -> Any:
    state = {name: decode(item, store) for name, item in value["state"].items()}
    return _RECORDS[value["class"]](**state)


def _decode_foreign(value: dict[str, Any], store: Store) -> Any:
    return _decode_state(find_class(value["module"], value["class"]), value, store)


def _decode_state(cls: Any, value: dict[str, Any], store: Store) -> Any:
    estimator = cls.__new__(cls)
    state = {name: decode(item, store) for name, item in value["state"]}
    parameters = set(cls._get_param_names())
    for name in set(state) - parameters:
        if not name.isidentifier() or name.startswith("__") or hasattr(cls, name):
            raise ModelFileError(f"{cls.__name__} has no attribute {name!r} that is fitted.")
    if missing := parameters - set(state):
        raise ModelFileError(f"{cls.__name__} lacks its parameters {sorted(missing)}.")
    if isinstance(state.get("cache"), str) and state["cache"] != "memory":
        state["cache"] = True  # a file must not choose where others are written
    if isinstance(state.get("memory"), str):  # nor a pipeline's, when it is fitted again
        state["memory"] = None
    if issubclass(cls, BaseCellClassifier) and isinstance(state.get("classes_"), np.ndarray):
        n = len(state["classes_"])  # files of earlier versions do not say how large cells are
        unknown = CellSizes(np.full(n, np.nan), np.ones(n, np.int64), 0.0)
        state = {"_sizes": unknown, "_zoom": 1.0, **state}
    elif issubclass(cls, CalibratedClassifier) and "sets_" in state:
        state = {"predicted_": None, "test_digests_": np.zeros(0, np.uint64), **state}
    estimator.__setstate__(state)
    if hasattr(cls, "_parameter_constraints"):
        estimator._validate_params()
    if isinstance(estimator, BaseCellClassifier) and hasattr(estimator, "classes_"):
        _check_classifier(estimator)
    elif isinstance(estimator, CalibratedClassifier) and hasattr(estimator, "classes_"):
        _check_calibrated(estimator)
    return estimator


def _check_classifier(clf: BaseCellClassifier) -> None:
    """Refuse a fitted classifier that could not predict."""
    if not isinstance(getattr(clf, "_lease", None), ModelLease):
        raise ModelFileError(f"{type(clf).__name__} has no network.")
    recipe, spec = clf._lease.recipe, clf._spec
    _check_classes(clf.classes_, recipe.n_classes)
    if not isinstance(spec, ImageSpec) or type(clf._seed) is not int:
        raise ModelFileError(f"{type(clf).__name__} does not say what images it takes.")
    sizes, zoom = getattr(clf, "_sizes", None), getattr(clf, "_zoom", None)
    if not isinstance(sizes, CellSizes) or not {len(sizes.sizes), len(sizes.counts)} == {
        len(clf.classes_)
    }:
        raise ModelFileError(f"{type(clf).__name__} does not say how large its cells are.")
    if not isinstance(zoom, float) or not 0.1 <= zoom <= 10:
        raise ModelFileError(f"{type(clf).__name__} enlarges its images {zoom!r} times.")
    whole = recipe.network is not transfer_head  # which takes features of images
    if whole and (tuple(recipe.input_shape), recipe.dtype) != (spec.shape, spec.dtype):
        raise ModelFileError(
            f"its network takes images of {recipe.input_shape}, {recipe.dtype}, and its images are "
            f"of {spec.shape}, {spec.dtype}."
        )


def _check_calibrated(model: CalibratedClassifier) -> None:
    """Refuse a calibration that cannot be, or is of another classifier."""
    _check_classes(model.classes_, len(model.estimator_.classes_))
    temperature = model.temperature_
    sane = isinstance(temperature, float) and temperature > 0 and math.isfinite(temperature)
    parts = isinstance(model.sets_, ConformalSets) and isinstance(model.detector_, UnknownDetector)
    known = model.references_
    profiles = isinstance(known, list) and all(isinstance(p, ReferenceProfile) for p in known)
    if not (sane and parts and profiles and known and type(model.calibrated_) is bool):
        raise ModelFileError(f"its calibration is none (temperature {temperature!r}).")
    sets, predicted = model.sets_, model.predicted_
    if predicted is not None and (
        not isinstance(predicted, np.ndarray)
        or predicted.shape != sets.codes.shape
        or not set(predicted.tolist()) <= set(range(sets.n_classes))
    ):
        raise ModelFileError("it does not say what it confuses.")
    if sets.n_classes != len(model.classes_) or len(sets.scores) != len(sets.codes):
        raise ModelFileError("its prediction sets are of other classes.")
    if not np.isfinite(sets.scores).all() or any(
        one.centres.shape != (len(model.classes_), len(one.names)) for one in known
    ):
        raise ModelFileError("its prediction sets or its profile are not those of its images.")


def _check_classes(classes: Any, n: int) -> None:
    if not isinstance(classes, np.ndarray) or len(np.unique(classes)) != len(classes):
        raise ModelFileError("its classes are not unique labels.")
    if len(classes) != n:
        raise ModelFileError(f"it has {len(classes)} classes for {n} outputs.")


def _encode_recipe(recipe: Recipe, store: Store, where: str) -> dict[str, Any]:
    if _NETWORKS.get(recipe.network.__name__) is not recipe.network:
        # Refuse it with the sentence for anything unknown.
        encode(recipe.network, store, f"the network of {where}")
    found = {name: encode(getattr(recipe, name), store, f"{where}.{name}") for name in _FIELDS}
    return {"network": recipe.network.__name__, **found}


def _decode_recipe(value: dict[str, Any], store: Store) -> Recipe:
    settings = {name: decode(value[name], store) for name in _FIELDS}
    network, kwargs = _NETWORKS[value["network"]], dict(settings.pop("kwargs"))
    if network is transfer and kwargs.get("backbone") not in BACKBONES:
        raise ModelFileError(f"it needs the backbone {kwargs.get('backbone')!r}, which is unknown.")
    if math.prod(settings["input_shape"]) > _MAX_VALUES:
        raise ModelFileError(f"its images of shape {settings['input_shape']} are too large.")
    n_layers = _count_layers(kwargs)
    if n_layers > min(store.n_tensors, _MAX_LAYERS):  # each has weights
        raise ModelFileError(f"its network has {n_layers} layers, more than it could have.")
    return Recipe.of(network, kwargs, **settings)


def _count_layers(kwargs: dict[str, Any]) -> int:
    """Count the layers that the arguments of a network ask for, at least."""
    counts = {name: kwargs.get(name, 0) for name in ("convolutions", "n_blocks")}
    for name, count in counts.items():
        if type(count) is not int or not 0 <= count <= _MAX_LAYERS:
            raise ModelFileError(f"its network has {name}={count!r}.")
    filters, extra = kwargs.get("filters"), len(kwargs.get("extra_filters", ()))
    stages = len(filters) if isinstance(filters, tuple) else 0
    return max(counts["convolutions"], 1) * stages + extra + counts["n_blocks"]


def _encode_lease(lease: ModelLease, store: Store, where: str) -> dict[str, Any]:
    return {
        "recipe": _encode_recipe(lease.recipe, store, where),
        "weights": {path: store.put(array) for path, array in lease.get_weights().items()},
    }


def _decode_lease(value: dict[str, Any], store: Store) -> ModelLease:
    weights = {path: store.take(name) for path, name in value["weights"].items()}
    broken = [path for path, array in weights.items() if not np.isfinite(array).all()]
    if broken:
        raise ModelFileError(f"its weights {broken[0]!r} are not finite numbers.")
    return ModelLease.from_weights(_decode_recipe(value["recipe"], store), weights)


def _encode_extractor(extractor: Extractor, store: Store, where: str) -> dict[str, Any]:
    state = extractor.__getstate__()
    return {name: encode(state[name], store, where) for name in ("made_of", "values")}


def _decode_extractor(value: dict[str, Any], store: Store) -> Extractor:
    made_of, values = decode(value["made_of"], store), decode(value["values"], store)
    if made_of[2] not in BACKBONES or not values:
        raise ModelFileError(f"it needs the backbone {made_of[2]!r}, which is unknown.")
    extractor = Extractor.__new__(Extractor)
    extractor.__setstate__({"made_of": made_of, "values": values, "key": None})
    return extractor


def _encode_transfer_state(state: TransferState, store: Store, where: str) -> dict[str, Any]:
    return {
        "whole": _encode_recipe(state.whole, store, where),
        "weights": encode(state.weights, store, f"{where}.weights"),
        "features": encode(state.features, store, f"{where}.features"),
    }


def _decode_transfer_state(value: dict[str, Any], store: Store) -> TransferState:
    return TransferState(
        _decode_recipe(value["whole"], store),
        decode(value["weights"], store),
        decode(value["features"], store),
    )


CODECS |= {
    "skcell": Codec(
        lambda value: _public_class(value) is not None, _encode_ours, _decode_ours, True
    ),
    "sklearn": Codec(
        lambda value: is_of_sklearn(type(value)) and _contains_ours(value),
        _encode_foreign,
        _decode_foreign,
        True,
    ),
    "record": Codec(lambda value: type(value) in _RECORDS.values(), _encode_record, _decode_record),
    "network": Codec(lambda value: type(value) is ModelLease, _encode_lease, _decode_lease, True),
    "backbone": Codec(
        lambda value: type(value) is Extractor, _encode_extractor, _decode_extractor, True
    ),
    "transfer": Codec(
        lambda value: type(value) is TransferState, _encode_transfer_state, _decode_transfer_state
    ),
}
