"""Random augmentation of arrays of images, outside a network."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from skcell.networks import Draw, RandomTransform

_AT_A_TIME = 256


class PerImageTransform(RandomTransform):
    """`RandomTransform` with a separate random generator for each image.

    The transformation of an image then does not depend on the other images of its batch.
    """

    generators: list[np.random.Generator]

    def _make_draw(self, images: Any) -> Draw:
        def draw(low: float, high: float, tail: tuple[int, ...] = ()) -> Any:
            drawn = [generator.uniform(low, high, tail) for generator in self.generators]
            return ops.cast(np.stack(drawn), images.dtype)

        return draw

    def _normal(self, images: Any) -> Any:
        drawn = [generator.standard_normal(images.shape[1:]) for generator in self.generators]
        return ops.cast(np.stack(drawn), images.dtype)


def transform_in_place(images: NDArray[Any], layer: RandomTransform) -> None:
    """Apply a layer to images in place."""
    scale = np.iinfo(images.dtype).max if images.dtype.kind == "u" else 1.0
    for start in range(0, len(images), _AT_A_TIME):
        batch = slice(start, start + _AT_A_TIME)
        changed = ops.convert_to_numpy(
            layer(images[batch].astype(np.float32) / np.float32(scale), training=True)
        )
        images[batch] = np.rint(changed * scale) if images.dtype.kind in "ui" else changed


def make_view(
    images: NDArray[Any], digests: list[bytes], view: int, arguments: dict[str, Any]
) -> NDArray[Any]:
    """Transform each image at random, but reproducibly for the same image and view."""
    layer = PerImageTransform(**arguments, clip=images.dtype.kind == "u", dtype="float32")
    out = images.copy()
    for start in range(0, len(out), _AT_A_TIME):
        batch = slice(start, start + _AT_A_TIME)
        layer.generators = [
            np.random.default_rng([view, int.from_bytes(digest)]) for digest in digests[batch]
        ]
        transform_in_place(out[batch], layer)
    return out
