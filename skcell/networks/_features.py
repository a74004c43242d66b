"""Frozen backbones: images in, features out, each image once."""

import functools
import hashlib
import os
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from skcell.networks._backbones import BACKBONES, build_backbone, preprocess
from skcell.networks._initial import read
from skcell.networks._program import pixels, seeded
from skcell.networks._steps import Forward, make_forward

#: Extractors kept in memory; the least recently used goes first.
MAX_EXTRACTORS = 4

#: A name in `BACKBONES`, a Keras model, or a function from an image tensor to features.
BackboneLike: TypeAlias = Any


def embed(
    x: Any,
    *,
    backbone: BackboneLike,
    weights: str | os.PathLike[str] | None = "imagenet",
    image_size: int | None = None,
    pooling: str = "avg",
) -> Any:
    """Put images through a backbone, and pool what comes out over the image.

    Parameters
    ----------
    x : KerasTensor of shape (n, H, W, C)
        Images, pixels in 0..1, of one channel or three for a named backbone; grey ones are
        repeated in three.
    backbone : str, keras.Model or callable
        A name in `BACKBONES`, with its own scaling of pixels; or a model or function that takes
        pixels in 0..1, in as many channels as there are.
    weights : {"imagenet"}, path or None
        Weights of a named backbone.
    image_size : int or None
        Height and width that images are resized to; None leaves them as they are.
    pooling : {"avg", "max"}
        How feature maps are pooled.

    Returns
    -------
    KerasTensor of shape (n, n_features)
        Features.
    """
    if image_size is not None and x.shape[1:3] != (image_size, image_size):
        x = layers.Resizing(image_size, image_size, interpolation="bilinear")(x)
    if not isinstance(backbone, str):
        x = backbone(x)
    else:
        if x.shape[-1] == 1:
            x = layers.Concatenate()([x, x, x])
        row = BACKBONES[backbone]
        x = build_backbone(row.name, x.shape[1:], weights)(preprocess(x, row.pixels))
    if len(x.shape) == 4:
        pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        x = pool(dtype="float32")(x)
    return x


@dataclass(frozen=True)
class Extractor:
    """A frozen backbone, ready to be used by any number of threads.

    Parameters
    ----------
    model : keras.Model
        From pixels to features.
    forward : callable
        The same on a batch of any size.
    key : bytes or None
        Tells graph, weights and precision apart: equal keys, equal features. None if some layer
        cannot be described; its features are not kept.
    """

    model: keras.Model
    forward: Forward
    key: bytes | None

    @property
    def n_features(self) -> int:
        """Number of features of one image."""
        return int(self.model.outputs[0].shape[-1])

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Compute features of a batch of images."""
        return np.asarray(self.forward(images), np.float32)


@functools.lru_cache(MAX_EXTRACTORS)
def get_extractor(
    input_shape: tuple[int, int, int],
    dtype: str,
    backbone: BackboneLike,
    weights: str | os.PathLike[str] | None,
    image_size: int | None,
    pooling: str,
    seed: int,
    dtype_policy: str,
    stamp: Hashable = None,
) -> Extractor:
    """Build an extractor, or return the one that was built before.

    Parameters
    ----------
    input_shape, dtype
        Of images, as for `Recipe`.
    backbone, weights, image_size, pooling
        As for `embed`.
    seed : int
        Seed of random weights.
    dtype_policy : str
        Keras dtype policy.
    stamp : hashable
        Tells apart a weight file before and after it was replaced.

    Returns
    -------
    Extractor
        The extractor.
    """
    with seeded(seed, dtype_policy):
        inputs = keras.Input(input_shape, dtype=dtype, name="image")
        outputs = embed(
            pixels(inputs),
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            pooling=pooling,
        )
        model = keras.Model(inputs, outputs)
    model.trainable = False
    return Extractor(model, make_forward(model), _key(model, dtype_policy))


def _key(model: keras.Model, dtype_policy: str) -> bytes | None:
    """Digest all that features depend on, other than the images."""
    try:
        graph = _without_names(model)
    except (TypeError, ValueError, NotImplementedError):  # layers that cannot be described
        return None
    digest = hashlib.blake2b(digest_size=16)
    known = (dtype_policy, keras.backend.backend(), keras.__version__, graph)
    digest.update(repr(known).encode())
    for variable in model.variables:
        value = np.ascontiguousarray(read(variable))
        digest.update(repr((value.shape, str(value.dtype))).encode() + value.tobytes())
    return digest.digest()


def _without_names(model: keras.Model) -> str:
    """Describe a model's graph; names, which count the layers of a process, become ordinals."""
    names: dict[str, str] = {}

    def ordinal(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f'"{len(names)}"')

    known = sorted({re.escape(name) for name in _names(model)})
    return re.sub(f'"(?:{"|".join(known)})"', ordinal, model.to_json())


def _names(model: keras.Model) -> Iterator[str]:
    yield model.name
    for operation in model.operations:
        yield operation.name
        if isinstance(operation, keras.Model):
            yield from _names(operation)
