"""Random changes of images as one Keras layer: one interpolation, whatever is combined."""

import inspect
import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="skcell")
class RandomTransform(keras.layers.Layer):
    """Flip, turn, rotate, zoom, shift and re-light each image by its own random draw.

    All geometric moves of an image are composed into one affine map, so that it is interpolated
    once; flips and quarter turns alone are exact and interpolate nothing. Active in training only.

    Parameters
    ----------
    horizontal_flip, vertical_flip : bool
        Whether to mirror left-right and up-down, each with probability one half.
    quarter_turns : bool
        Whether to turn by a multiple of 90 degrees (of 180, where height and width differ).
    rotation : float
        Largest rotation either way, as a fraction of a full turn.
    zoom : float
        Largest relative change of size: factors are uniform in ``1 - zoom`` to ``1 + zoom``.
    translation : float
        Largest shift either way, as a fraction of height and of width.
    brightness : float
        Largest amount added to or taken from all pixels, with full scale as 1.
    contrast : float
        Largest relative change of the distance from the image's mean colour.
    fill_mode : str
        What lies beyond the border: "reflect", "nearest", "constant" or "wrap".
    clip : bool
        Whether to clip pixels to 0..1 after a change of light.
    seed : int or None
        Seed of the layer's own generator.
    **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        horizontal_flip: bool = True,
        vertical_flip: bool = True,
        quarter_turns: bool = True,
        rotation: float = 0.0,
        zoom: float = 0.0,
        translation: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        fill_mode: str = "reflect",
        clip: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.quarter_turns = quarter_turns
        self.rotation = rotation
        self.zoom = zoom
        self.translation = translation
        self.brightness = brightness
        self.contrast = contrast
        self.fill_mode = fill_mode
        self.clip = clip
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple) -> None:
        """Do nothing: there are no weights."""
        self.built = True

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return `input_shape`: images keep their size."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = inspect.signature(type(self)).parameters.keys() - {"kwargs"}
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def call(self, images: Any, training: bool = False) -> Any:
        """Return changed images in training, and `images` themselves otherwise."""
        if not training:
            return images
        transposed, flip_x, flip_y = self._draw_symmetry(images)
        if self.rotation or self.zoom or self.translation:
            matrix = self._draw_matrix(images, transposed, flip_x, flip_y)
            images = ops.image.affine_transform(
                images, matrix, fill_mode=self.fill_mode, data_format="channels_last"
            )
        else:
            images = _exact_symmetry(images, transposed, flip_x, flip_y)
        if self.brightness or self.contrast:
            images = self._relight(images)
        return images

    def _uniform(self, images: Any, low: float, high: float, tail: tuple = ()) -> Any:
        shape = (ops.shape(images)[0], *tail)
        return keras.random.uniform(shape, low, high, dtype=images.dtype, seed=self.generator)

    def _draw_symmetry(self, images: Any) -> tuple[Any, Any, Any]:
        """For each image: is it transposed, mirrored in x, mirrored in y (or None for never)."""
        square = images.shape[1] == images.shape[2]
        transposed = flip_x = flip_y = None
        if self.quarter_turns:
            quarter = ops.floor(self._uniform(images, 0.0, 4.0))
            if not square:
                quarter = 2.0 * ops.floor(quarter / 2.0)
            transposed = ops.equal(quarter - 2.0 * ops.floor(quarter / 2.0), 1.0)
            transposed = transposed if square else None
            flip_y = ops.logical_or(ops.equal(quarter, 1.0), ops.equal(quarter, 2.0))
            flip_x = ops.greater(quarter, 1.5)
        if self.horizontal_flip:
            mirrored = self._uniform(images, 0.0, 1.0) < 0.5
            flip_x = mirrored if flip_x is None else ops.logical_xor(flip_x, mirrored)
        if self.vertical_flip:
            mirrored = self._uniform(images, 0.0, 1.0) < 0.5
            flip_y = mirrored if flip_y is None else ops.logical_xor(flip_y, mirrored)
        return transposed, flip_x, flip_y

    def _draw_matrix(self, images: Any, transposed: Any, flip_x: Any, flip_y: Any) -> Any:
        """Rows of eight numbers that map each output position to its input position."""
        height, width = images.shape[1:3]
        centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
        zero = ops.zeros_like(self._uniform(images, 0.0, 1.0))
        angle = self._uniform(images, -1.0, 1.0) * (2.0 * math.pi * self.rotation)
        scale = 1.0 / (1.0 + self._uniform(images, -1.0, 1.0) * self.zoom)
        cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
        a, b, c, d = cos, -sin, sin, cos
        if transposed is not None:
            a, b, c, d = (
                ops.where(transposed, c, a),
                ops.where(transposed, d, b),
                ops.where(transposed, a, c),
                ops.where(transposed, b, d),
            )
        if flip_x is not None:
            sign = ops.where(flip_x, -1.0, 1.0)
            a, b = a * sign, b * sign
        if flip_y is not None:
            sign = ops.where(flip_y, -1.0, 1.0)
            c, d = c * sign, d * sign
        shift_x = self._uniform(images, -1.0, 1.0) * (self.translation * width)
        shift_y = self._uniform(images, -1.0, 1.0) * (self.translation * height)
        x = centre_x + shift_x - a * centre_x - b * centre_y
        y = centre_y + shift_y - c * centre_x - d * centre_y
        return ops.stack([a, b, x, c, d, y, zero, zero], axis=1)

    def _relight(self, images: Any) -> Any:
        # Over rows first: their pixels lie together in memory, those of a column do not.
        mean = ops.mean(ops.mean(images, axis=1), axis=1)[:, None, None, :]
        gain = 1.0 + self._uniform(images, -1.0, 1.0, (1, 1, 1)) * self.contrast
        offset = self._uniform(images, -1.0, 1.0, (1, 1, 1)) * self.brightness
        images = images * gain + (mean * (1.0 - gain) + offset)
        return ops.clip(images, 0.0, 1.0) if self.clip else images


def _exact_symmetry(images: Any, transposed: Any, flip_x: Any, flip_y: Any) -> Any:
    """Move pixels without interpolating any: all moves are one look-up of each pixel."""
    if transposed is None and flip_x is None and flip_y is None:
        return images
    height, width, channels = images.shape[1:]
    down, across = ops.arange(height)[None], ops.arange(width)[None]
    if flip_y is not None:
        down = ops.where(flip_y[:, None], height - 1 - down, down)
    if flip_x is not None:
        across = ops.where(flip_x[:, None], width - 1 - across, across)
    if transposed is None:
        down = down * width
    else:
        down = down * ops.where(transposed, 1, width)[:, None]
        across = across * ops.where(transposed, width, 1)[:, None]
    first = ops.arange(ops.shape(images)[0])[:, None, None] * (height * width)
    pixels = ops.reshape(images, (-1, channels))
    return ops.take(pixels, first + down[:, :, None] + across[:, None, :], axis=0)
