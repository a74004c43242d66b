"""Frozen backbones that compute features of images."""

import functools
import os
import weakref
from collections.abc import Hashable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skcell._engine import make_forward
from skcell._keras import fresh_layer_names, reproducible_build, to_numpy
from skcell.networks import (
    BackboneLike,
    UserModel,
    backbone_features,
    find_backbone,
    fingerprint_model,
    rescale_to_unit,
)

#: Number of unused extractors kept in memory; the least recently used is dropped first.
MAX_EXTRACTORS = 4


class Extractor:
    """A frozen backbone that any number of threads can use.

    A pickle contains the weights and needs no other file.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        dtype: str,
        backbone: BackboneLike,
        weights: str | os.PathLike[str] | None,
        input_size: int | str | None,
        layer: str | None,
        pooling: str,
        seed: int,
        dtype_policy: str,
    ):
        self._made_of = (
            input_shape,
            dtype,
            backbone,
            input_size,
            layer,
            pooling,
            dtype_policy,
        )
        with reproducible_build(seed, dtype_policy):
            with fresh_layer_names():
                inputs = keras.Input(input_shape, dtype=dtype, name="image")
                outputs = backbone_features(
                    rescale_to_unit(inputs),
                    backbone=backbone,
                    weights=weights,
                    input_size=input_size,
                    layer=layer,
                    pooling=pooling,
                )
            self.model = keras.Model(inputs, outputs)
        self.model.trainable = False
        self._finish()

    def _finish(self) -> None:
        self._forward = make_forward(self.model, in_half=True)  # as the user chose
        self.key = fingerprint_model(self.model, self._made_of[-1])
        if self.key is not None:
            _known.setdefault(self.key, self)

    @property
    def n_features(self) -> int:
        """Number of features of one image."""
        return int(self.model.outputs[0].shape[-1])

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the features of a batch of images."""
        return np.asarray(self._forward(images), np.float32)

    def __getstate__(self) -> dict[str, Any]:
        shape, dtype, backbone, *others = self._made_of
        copied = find_backbone(self.model)  # unlike a user's own model, it has not changed
        values = []
        if isinstance(backbone, UserModel):
            backbone = UserModel(copied)
        else:
            values = [to_numpy(v) for v in copied.variables]
        return {"made_of": (shape, dtype, backbone, *others), "values": values, "key": self.key}

    def __setstate__(self, state: dict[str, Any]) -> None:
        found = None if state["key"] is None else _known.get(state["key"])
        if found is not None:  # this process has the same extractor
            self.__dict__.update(found.__dict__)
            return
        shape, dtype, backbone, *others, dtype_policy = state["made_of"]
        self.__init__(  # type: ignore[misc] # as it was first built
            shape, dtype, backbone, None, *others, 0, dtype_policy
        )
        if state["values"]:
            variables = find_backbone(self.model).variables
            for variable, value in zip(variables, state["values"], strict=True):
                variable.assign(value)
            self._finish()


_known: weakref.WeakValueDictionary[bytes, Extractor] = weakref.WeakValueDictionary()


def get_extractor(weights_version: Hashable = None, **arguments: Any) -> Extractor:
    """Build an extractor, or return an existing one of the same network."""
    if isinstance(arguments["backbone"], (str, UserModel)):
        return _build(weights_version, **arguments)
    built = Extractor(**arguments)  # a function may build a new network in each call
    return built if built.key is None else _known.get(built.key, built)


@functools.lru_cache(MAX_EXTRACTORS)
def _build(weights_version: Hashable, **arguments: Any) -> Extractor:
    return Extractor(**arguments)
