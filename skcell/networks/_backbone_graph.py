"""Images in, features out, by a backbone of the table or one of the user's."""

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
from skcell._images import PixelRange, check_unit_range
from skcell._keras import find_layers, to_numpy
from skcell.networks._backbones import BACKBONES, build_backbone, layer_groups, preprocess
from skcell.networks._blocks import LAST

#: Name of the layer that holds a backbone, in whatever model.
BACKBONE = "backbone"


class UserModel:
    """A user's Keras model: equal to any other of the same graph and weights.

    Parameters
    ----------
    model : keras.Model
        The model, which is never changed.
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


#: A name in `BACKBONES`, a user's model, or a function from an image tensor to features.
BackboneLike: TypeAlias = Any


def backbone_features(
    x: Any,
    *,
    backbone: BackboneLike,
    weights: str | os.PathLike[str] | None = None,
    input_size: int | None = None,
    pooling: str = "avg",
    trainable: Collection[int] = (),
    train_batch_norm: bool = False,
) -> Any:
    """Put images through a backbone, and pool what comes out over the image.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images, pixels in 0..1. For a named backbone, grey ones are repeated in three channels,
        and other numbers of channels projected to three by a 1x1 convolution that is trained.
    backbone : str, UserModel or callable
        A name in `BACKBONES`, with its own scaling of pixels; or a model or function that takes
        pixels in 0..1, in as many channels as there are.
    weights : {"imagenet"}, path or None
        Weights of a named backbone.
    input_size : int or None
        Height and width that images are resized to; None leaves them as they are.
    pooling : {"avg", "max"}
        How feature maps are pooled.
    trainable : collection of int
        Which of the backbone's layers are trained; with none, it runs as in inference.
    train_batch_norm : bool
        Whether those of them that normalise batches are; else they run as in inference.

    Returns
    -------
    KerasTensor of shape (n, n_features)
        Features.
    """
    if isinstance(backbone, str) and x.shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    elif isinstance(backbone, str) and x.shape[-1] != 3:
        grey = keras.initializers.Constant(1 / x.shape[-1])  # to start with what it has seen
        x = layers.Conv2D(3, 1, **LAST, kernel_initializer=grey, name="to_three_channels")(x)
    if input_size is not None and x.shape[1:3] != (input_size, input_size):
        x = layers.Resizing(input_size, input_size, interpolation="bilinear", **LAST)(x)
    if isinstance(backbone, str):
        x = preprocess(x, BACKBONES[backbone].pixels)
    model = _instantiate(backbone, x.shape[1:], weights)
    for i, layer in enumerate(model.layers):
        layer.trainable = i in trainable
        for inner in (layer, *find_layers(layer)):
            if isinstance(inner, layers.BatchNormalization) and not train_batch_norm:
                inner.trainable = False
    x = model(x, training=None if trainable else False)
    if len(x.shape) == 4:
        pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        x = pool(dtype="float32", **LAST)(x)
    if len(x.shape) != 2:
        raise ValueError(
            f"The backbone returns an array of shape {x.shape}; it should return feature maps "
            "(n, height, width, channels) or features (n, n_features)."
        )
    return x


def _instantiate(
    backbone: BackboneLike, shape: tuple[int, int, int], weights: str | os.PathLike[str] | None
) -> keras.Model:
    """Build a backbone as one layer, whatever it is."""
    if isinstance(backbone, str):
        model = build_backbone(backbone, shape, weights)
    else:
        function = backbone.model if isinstance(backbone, UserModel) else backbone
        model = function
        if not getattr(model, "inputs", None):  # a function, or a model of Python code
            inputs = keras.Input(shape)
            model = keras.Model(inputs, function(inputs))
        model = _copy(model)
        wanted = model.inputs[0].shape[1:]
        fits = len(wanted) == len(shape) and all(
            w in (None, s) for w, s in zip(wanted, shape, strict=True)
        )
        if len(model.inputs) != 1 or not fits:
            raise ValueError(
                f"The backbone takes {[tuple(i.shape[1:]) for i in model.inputs]}, and the images "
                f"are {tuple(shape)} (height, width, channels); resize them by input_size=, or "
                "build it for this shape."
            )
    model = keras.Model(model.inputs[0], model.outputs[0], name=BACKBONE)
    model.weights_are_given = True
    return model


def _copy(model: keras.Model) -> keras.Model:
    """Copy a model with its weights, which may be those of layers that the user goes on with."""
    if not model.variables:
        return model
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever layers raise that cannot be described
        raise ValueError(
            "The backbone cannot be copied, and would be changed by training: Keras cannot save "
            f"and load it ({error}). Build it of layers that it can."
        ) from error


def find_backbone(model: keras.Model) -> keras.Model:
    """Find the backbone in a model that `backbone_features` is part of."""
    return model.get_layer(BACKBONE)


def find_groups(backbone: BackboneLike, model: keras.Model) -> list[list[keras.Layer]]:
    """Divide a backbone's layers into groups, from input to output.

    Parameters
    ----------
    backbone : str, UserModel or callable
        As for `backbone_features`.
    model : keras.Model
        A model that `backbone_features` is part of.

    Returns
    -------
    list of list of keras.Layer
        See `layer_groups`.
    """
    pattern = BACKBONES[backbone].groups if isinstance(backbone, str) else None
    return layer_groups(find_backbone(model), pattern)


def choose_layers(
    backbone: BackboneLike, model: keras.Model, unfreeze: int | float | str
) -> tuple[int, ...]:
    """Choose the layers that are fine-tuned.

    Parameters
    ----------
    backbone : str, UserModel or callable
        As for `backbone_features`.
    model : keras.Model
        A model that `backbone_features` is part of.
    unfreeze : int, float or str
        Number of groups, fraction of all groups, name of the first layer, or "all".

    Returns
    -------
    tuple of int
        Positions in the backbone's layers.

    Raises
    ------
    ValueError
        If there are no such groups or layers.
    """
    inner = find_backbone(model).layers
    names = [layer.name for layer in inner]
    groups = find_groups(backbone, model)
    if unfreeze == "all":
        return tuple(range(len(inner)))
    if isinstance(unfreeze, str):
        if unfreeze not in names:
            raise ValueError(
                f"The backbone has no layer {unfreeze!r}; its groups begin with "
                f"{[group[0].name for group in groups]}, and unfreeze may be a number of them."
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
    """Digest a model's graph, without its names, and its weights, and whatever else is given.

    Parameters
    ----------
    model : keras.Model
        The model.
    *more : object
        Of a `repr` that tells them apart.

    Returns
    -------
    bytes or None
        The digest; None if some layer cannot be described.
    """
    try:
        graph = _without_names(model), [digest(code) for code in _code(model)]
    except Exception:  # whatever layers raise that cannot be described, or functions pickled
        return None
    hashed = hashlib.blake2b(digest_size=16)
    hashed.update(repr((more, keras.backend.backend(), keras.__version__, graph)).encode())
    for variable in model.variables:
        value = np.ascontiguousarray(to_numpy(variable))
        hashed.update(repr((value.shape, str(value.dtype))).encode() + value.tobytes())
    return hashed.digest()


def _code(model: keras.Model) -> Iterator[Any]:
    """Find code that a graph names without describing it: of layers and functions of a user."""
    for layer in find_layers(model):
        if not is_installed(type(layer).__module__):
            yield type(layer)
        for value in vars(layer).values():
            if callable(value) and not isinstance(value, keras.Operation) and has_own_code(value):
                yield value if isinstance(value, FunctionType) else type(value)


def _without_names(model: keras.Model) -> str:
    """Describe a model's graph; names, which count the layers of a process, become ordinals."""
    known, ordinals = set(_names(model)), dict[str, int]()

    def rename(name: Any) -> Any:
        return ordinals.setdefault(name, len(ordinals)) if name in known else name

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            refers = key in ("keras_history", "input_layers", "output_layers")
            return [walk(v, "name" if refers and i == 0 else key) for i, v in enumerate(value)]
        return rename(value) if key == "name" and isinstance(value, str) else value

    return json.dumps(walk(json.loads(model.to_json())))


def _names(model: keras.Model) -> Iterator[str]:
    yield model.name
    for operation in model.operations:
        yield operation.name
        if isinstance(operation, keras.Model):
            yield from _names(operation)


def as_backbone(backbone: Any) -> Any:
    """Wrap a Keras model, so that its copies count as the same."""
    return UserModel(backbone) if isinstance(backbone, keras.Model) else backbone


def check_pixel_range(
    backbone: BackboneLike, dtype: np.dtype[Any], seen: PixelRange | None
) -> None:
    """Refuse float pixels that are not in 0..1 for a named backbone, which scales such itself."""
    if isinstance(backbone, str) and seen is not None:
        check_unit_range(dtype, seen, f"The backbone {backbone!r}")
