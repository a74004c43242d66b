"""The network of a transfer classifier: the whole, or only its head for cached features."""

from typing import Any

import keras
from keras import layers

from skcell._keras import to_numpy
from skcell.networks._backbone_graph import BACKBONE, BackboneLike, backbone_features
from skcell.networks._blocks import LAST, dense
from skcell.networks._seeds import draw_seed


def transfer(
    x: Any,
    *,
    backbone: BackboneLike,
    input_size: int | str | None = None,
    pooling: str = "avg",
    trainable: tuple[int, ...] = (),
    train_batch_norm: bool = False,
    dense_units: int | None = None,
    dropout: float = 0.0,
) -> Any:
    """Apply a backbone and a head to images."""
    features = backbone_features(
        x,
        backbone=backbone,
        input_size=input_size,
        pooling=pooling,
        trainable=trainable,
        train_batch_norm=train_batch_norm,
    )
    return _head(features, dense_units, dropout)


def transfer_head(x: Any, *, dense_units: int | None = None, dropout: float = 0.0) -> Any:
    """Apply only the head of `transfer`, to features of a backbone."""
    return _head(layers.Flatten(**LAST)(x), dense_units, dropout)


def _head(x: Any, dense_units: int | None, dropout: float) -> Any:
    if dense_units is not None:
        x = dense(x, dense_units, batch_norm=False)
    return layers.Dropout(dropout, seed=draw_seed())(x) if dropout else x


def copy_shared_weights(target: keras.Model, source: keras.Model) -> None:
    """Copy the weights that two models share: those of the backbone and of the head."""
    # Layers outside the backbone are paired from the last one backwards, because one of the models
    # may lack the first of them.
    backbones = [m.get_layer(BACKBONE) for m in (target, source) if _has_backbone(m)]
    if len(backbones) == 2:
        _copy(*backbones)
    for pair in zip(_others(target), _others(source), strict=False):
        _copy(*pair)


def _has_backbone(model: keras.Model) -> bool:
    return any(layer.name == BACKBONE for layer in model.layers)


def _others(model: keras.Model) -> list[keras.Layer]:
    """List the layers with weights other than the backbone, starting with the last."""
    return [v for v in reversed(model.layers) if v.weights and v.name != BACKBONE]


def _copy(target: keras.Layer, source: keras.Layer) -> None:
    for variable, other in zip(target.weights, source.weights, strict=True):
        variable.assign(to_numpy(other))  # a copy, because jax may donate the original buffer
