"""The graph from images to features: a pretrained backbone or the user's own model."""

import copy
import hashlib
import json
import math
import os
from collections.abc import Collection, Iterator
from numbers import Integral
from types import FunctionType
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers

from skcell._digest import digest, has_own_code, is_installed
from skcell._hints import hint
from skcell._images import PixelRange, check_unit_range
from skcell._keras import find_layers, to_numpy
from skcell.networks._backbones import BACKBONES, build_backbone, layer_groups, preprocess
from skcell.networks._blocks import LAST

#: Name of the layer that holds the backbone, in every model.
BACKBONE = "backbone"


class UserModel:
    """A user's Keras model, which equals any other model with the same graph and weights.

    Recipes are compared by equality, so fits on equal models can share a compiled model.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self.key = fingerprint_model(model)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserModel):
            return NotImplemented
        return self.model is other.model if self.key is None else self.key == other.key

    def __hash__(self) -> int:
        return id(self.model) if self.key is None else hash(self.key)


#: With input_size="auto", height and width to which smaller images are enlarged.
AUTO_SIZE = 224

#: A name in `BACKBONES`, a `UserModel`, or a function that maps an image tensor to features.
BackboneLike: TypeAlias = Any


def backbone_features(
    x: Any,
    *,
    backbone: BackboneLike,
    weights: str | os.PathLike[str] | None = None,
    input_size: int | str | None = None,
    layer: str | None = None,
    pooling: str = "avg",
    trainable: Collection[int] = (),
    train_batch_norm: bool = False,
) -> Any:
    """Apply a backbone to images, and pool its feature maps over the image."""
    if isinstance(backbone, str) and x.shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    elif isinstance(backbone, str) and x.shape[-1] != 3:
        # All three channels start as the mean over the channels: a grey image, as in pretraining.
        grey = keras.initializers.Constant(1 / x.shape[-1])
        x = layers.Conv2D(3, 1, **LAST, kernel_initializer=grey, name="to_three_channels")(x)
    size = choose_input_size(backbone, x.shape[1:3], input_size)
    if x.shape[1:3] != size:
        x = layers.Resizing(*size, interpolation="bilinear", **LAST)(x)
    if isinstance(backbone, str):
        x = preprocess(x, BACKBONES[backbone].pixels)
    model = _instantiate(backbone, x.shape[1:], weights, layer)
    # Keras runs a batch-normalisation layer that is not trainable in inference mode, so that it
    # normalises with its moving averages and does not update them. Blocks may be nested.
    for i, part in enumerate(model.layers):
        part.trainable = i in trainable
        for inner in (part, *find_layers(part)):
            if isinstance(inner, layers.BatchNormalization) and not train_batch_norm:
                inner.trainable = False
    # With None the mode is that of the surrounding model. False also switches off dropout and
    # stochastic depth inside a frozen backbone, so that its features are deterministic.
    x = model(x, training=None if trainable else False)
    if len(x.shape) == 4:
        pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        x = pool(dtype="float32", **LAST)(x)
    if len(x.shape) != 2:
        raise ValueError(
            f"The backbone returns an array of shape {x.shape}; it must return feature maps "
            "(n, height, width, channels) or features (n, n_features)."
        )
    return x


def choose_input_size(
    backbone: BackboneLike, size: tuple[int, int], input_size: int | str | None
) -> tuple[int, int]:
    """Choose the size in which images pass through a backbone."""
    if input_size == "auto":
        known = BACKBONES.get(backbone) if isinstance(backbone, str) else None
        longest = min(AUTO_SIZE, known.native_size) if known else 0
        factor = max(1.0, longest / max(size))
        return round(factor * size[0]), round(factor * size[1])
    return size if input_size is None else (int(input_size), int(input_size))


def _instantiate(
    backbone: BackboneLike,
    shape: tuple[int, int, int],
    weights: str | os.PathLike[str] | None,
    layer: str | None,
) -> keras.Model:
    """Build any kind of backbone as a model that serves as a single layer."""
    if isinstance(backbone, str):
        model = build_backbone(backbone, shape, weights)
    else:
        function = backbone.model if isinstance(backbone, UserModel) else backbone
        model = function
        if not getattr(model, "inputs", None):  # a function, or a subclassed model without a graph
            inputs = keras.Input(shape)
            model = keras.Model(inputs, function(inputs))
        model = _copy(model)
        wanted = model.inputs[0].shape[1:]
        fits = len(wanted) == len(shape) and all(
            w in (None, s) for w, s in zip(wanted, shape, strict=True)
        )
        if len(model.inputs) != 1 or not fits:
            raise ValueError(
                f"The backbone takes {[tuple(i.shape[1:]) for i in model.inputs]}, but the images "
                f"are {tuple(shape)} (height, width, channels); resize them with input_size, or "
                "build the backbone for this shape."
            )
    output = model.outputs[0] if layer is None else _find_output(model, layer)
    model = keras.Model(model.inputs[0], output, name=BACKBONE)
    model.weights_are_given = True  # a reset of the compiled model must not draw them again
    return model


def _find_output(model: keras.Model, layer: str) -> Any:
    names = [inner.name for inner in model.layers]
    if layer not in names:
        raise ValueError(
            f"The backbone has no layer {layer!r}.{hint(layer, names)} Its layers, from input to "
            f"output: {', '.join(names)}."
        )
    return model.get_layer(layer).output


def _copy(model: keras.Model) -> keras.Model:
    """Copy a model with its weights, because the user may still use the layers it is made of."""
    if not model.variables:
        return model
    try:
        return copy.deepcopy(model)
    except Exception as error:  # layers without a serializable config may raise anything
        raise ValueError(
            "The backbone cannot be copied, so training would change the original: Keras cannot "
            f"save and load it ({error}). Build it from layers that Keras can save and load."
        ) from error


def find_backbone(model: keras.Model) -> keras.Model:
    """Return the backbone of a model that was built with `backbone_features`."""
    return model.get_layer(BACKBONE)


def find_groups(backbone: BackboneLike, model: keras.Model) -> list[list[keras.Layer]]:
    """Divide a backbone's layers into groups, from input to output."""
    pattern = BACKBONES[backbone].groups if isinstance(backbone, str) else None
    return layer_groups(find_backbone(model), pattern)


def choose_layers(
    backbone: BackboneLike, model: keras.Model, unfreeze: int | float | str
) -> tuple[int, ...]:
    """Choose the layers to fine-tune."""
    inner = find_backbone(model).layers
    names = [layer.name for layer in inner]
    groups = find_groups(backbone, model)
    if unfreeze == "all":
        return tuple(range(len(inner)))
    if isinstance(unfreeze, str):
        if unfreeze not in names:
            raise ValueError(
                f"The backbone has no layer {unfreeze!r}; its groups begin with "
                f"{[group[0].name for group in groups]}. unfreeze may also be a number of groups."
            )
        return tuple(range(names.index(unfreeze), len(inner)))
    n = unfreeze if isinstance(unfreeze, Integral) else math.ceil(unfreeze * len(groups))
    if n > len(groups):
        raise ValueError(
            f"unfreeze={unfreeze}, but the backbone has {len(groups)} groups of layers."
        )
    chosen = {id(layer) for group in groups[-int(n) :] for layer in group}
    return tuple(i for i, layer in enumerate(inner) if id(layer) in chosen)


def fingerprint_model(model: keras.Model, *more: Any) -> bytes | None:
    """Digest a model's graph (without layer names), its weights and any further objects."""
    try:
        graph = _without_names(model), [digest(code) for code in _code(model)]
    except Exception:  # layers may raise anything when described, functions when pickled
        return None
    hashed = hashlib.blake2b(digest_size=16)
    hashed.update(repr((more, keras.backend.backend(), keras.__version__, graph)).encode())
    for variable in model.variables:
        value = np.ascontiguousarray(to_numpy(variable))
        hashed.update(repr((value.shape, str(value.dtype))).encode() + value.tobytes())
    return hashed.digest()


def _code(model: keras.Model) -> Iterator[Any]:
    """Find the user's classes and functions, of which the graph contains only the names."""
    for layer in find_layers(model):
        if not is_installed(type(layer).__module__):
            yield type(layer)
        for value in vars(layer).values():
            if callable(value) and not isinstance(value, keras.Operation) and has_own_code(value):
                yield value if isinstance(value, FunctionType) else type(value)


def _without_names(model: keras.Model) -> str:
    """Describe a model's graph as JSON, with names replaced by numbers in order of appearance.

    Keras' default names count the layers built in a process ("dense_7"), so two equal graphs have
    different names. Numbers in order of appearance are the same for equal graphs.
    """
    known, ordinals = set(_names(model)), dict[str, int]()

    def rename(name: Any) -> Any:
        return ordinals.setdefault(name, len(ordinals)) if name in known else name

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            # Copying or pickling a model changes the registered names of Keras' own classes.
            return {k: walk(v, k) for k, v in value.items() if k != "registered_name"}
        if isinstance(value, list):
            # In these lists, [name, node index, tensor index] refers to a layer by its name.
            refers = key in ("keras_history", "input_layers", "output_layers")
            return [walk(v, "name" if refers and i == 0 else key) for i, v in enumerate(value)]
        return rename(value) if key == "name" and isinstance(value, str) else value

    graph = json.loads(model.to_json())
    graph["config"]["name"] = None  # in one process, a model inside may have the same name
    return json.dumps(walk(graph))


def _names(model: keras.Model) -> Iterator[str]:
    yield model.name
    for operation in model.operations:
        yield operation.name
        if isinstance(operation, keras.Model):
            yield from _names(operation)


def as_backbone(backbone: Any) -> Any:
    """Wrap a Keras model so that it equals its copies; return other backbones unchanged."""
    return UserModel(backbone) if isinstance(backbone, keras.Model) else backbone


def check_pixel_range(
    backbone: BackboneLike, dtype: np.dtype[Any], seen: PixelRange | None
) -> None:
    """Raise an error if a named backbone, which scales pixels itself, gets floats outside 0..1."""
    if isinstance(backbone, str) and seen is not None:
        check_unit_range(dtype, seen, f"The backbone {backbone!r}")
