"""Random augmentation of images in one Keras layer that interpolates at most once."""

import inspect
import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="skcell")
class RandomTransform(keras.layers.Layer):
    """Flip, rotate, zoom and shift each image at random, and change its brightness and contrast.

    Every image has its own random parameters. All geometric transformations of an image are
    composed into one affine map, so that it is interpolated only once; flips and quarter turns
    alone are exact and need no interpolation. The layer is active only in training.

    Parameters
    ----------
    horizontal_flip, vertical_flip : bool
        Whether to mirror left-right and up-down, each with a probability of 0.5.
    quarter_turns : bool
        Whether to rotate by a random multiple of 90 degrees (of 180 degrees if height and width
        differ).
    rotation : float
        Maximum rotation in either direction, as a fraction of a full turn.
    zoom : float
        Maximum relative change of size; factors are uniform in ``1 - zoom`` to ``1 + zoom``.
    translation : float
        Maximum shift in either direction, as a fraction of the height and of the width.
    brightness : float
        Maximum amount added to or subtracted from all pixels; the full scale is 1.
    contrast : float
        Maximum relative change of a pixel's distance from the mean colour of the image.
    fill_mode : str
        How points beyond the border are filled: "reflect", "nearest", "constant" or "wrap".
    clip : bool
        Whether to clip pixels to 0..1 after a change of brightness or contrast.
    seed : int or None
        Seed of the random generator of the layer.
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
        """Mark the layer as built; it has no weights."""
        self.built = True

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return `input_shape`, because images keep their size."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = inspect.signature(type(self)).parameters.keys() - {"kwargs"}
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def call(self, images: Any, training: bool = False) -> Any:
        """Return transformed images in training, and `images` unchanged otherwise."""
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
        """Draw whether each image is transposed, mirrored in x and mirrored in y.

        Each of the three is an array of booleans, or None if it never happens. Together they make
        the eight symmetries of a square: a quarter turn is a transposition and one mirroring, a
        half turn is a mirroring in x and in y.
        """
        square = images.shape[1] == images.shape[2]
        transposed = flip_x = flip_y = None
        if self.quarter_turns:
            quarter = ops.floor(self._uniform(images, 0.0, 4.0))  # number of quarter turns, 0..3
            if not square:
                quarter = 2.0 * ops.floor(quarter / 2.0)  # 0 or 2: quarter turns change the shape
            transposed = ops.equal(quarter - 2.0 * ops.floor(quarter / 2.0), 1.0)
            transposed = transposed if square else None
            # Turns 1 and 3 are transposed (odd); 1 and 2 are mirrored in y, 2 and 3 in x.
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
        """Draw the affine map from output to input positions, as a row of 8 numbers per image.

        With the image centre (cx, cy), the shift (tx, ty), the rotation by `angle` and the zoom
        factor z, an output position (x, y) is read from the input position

            (x', y') = F T R (x - cx, y - cy) / z + (cx + tx, cy + ty),

        where R = [[cos, -sin], [sin, cos]], T swaps the two coordinates if the image is
        transposed, and F = diag(+-1, +-1) mirrors them. With F T R / z = [[a, b], [c, d]] the row
        is [a, b, x0, c, d, y0, 0, 0], and

            x0 = cx + tx - a cx - b cy,    y0 = cy + ty - c cx - d cy.
        """
        height, width = images.shape[1:3]
        centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
        zero = ops.zeros_like(self._uniform(images, 0.0, 1.0))
        angle = self._uniform(images, -1.0, 1.0) * (2.0 * math.pi * self.rotation)
        # The map goes from output to input, so enlarging by z divides the distances by z.
        scale = 1.0 / (1.0 + self._uniform(images, -1.0, 1.0) * self.zoom)
        cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
        a, b, c, d = cos, -sin, sin, cos
        if transposed is not None:  # swap the two rows of the matrix
            a, b, c, d = (
                ops.where(transposed, c, a),
                ops.where(transposed, d, b),
                ops.where(transposed, a, c),
                ops.where(transposed, b, d),
            )
        if flip_x is not None:  # mirroring changes the sign of a row
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
        # Contrast scales the distance from the mean, brightness adds an offset:
        #     mean + gain * (image - mean) + offset = gain * image + (mean * (1 - gain) + offset)
        # The mean is taken over the height first, which adds up whole, contiguous rows.
        mean = ops.mean(ops.mean(images, axis=1), axis=1)[:, None, None, :]
        gain = 1.0 + self._uniform(images, -1.0, 1.0, (1, 1, 1)) * self.contrast
        offset = self._uniform(images, -1.0, 1.0, (1, 1, 1)) * self.brightness
        images = images * gain + (mean * (1.0 - gain) + offset)
        return ops.clip(images, 0.0, 1.0) if self.clip else images


def _exact_symmetry(images: Any, transposed: Any, flip_x: Any, flip_y: Any) -> Any:
    """Move pixels without interpolation; each output pixel is one look-up in the input."""
    if transposed is None and flip_x is None and flip_y is None:
        return images
    height, width, channels = images.shape[1:]
    # All pixels of the batch form one long list, in which pixel (row, column) of image i has the
    # position i * height * width + row * width + column. For each output pixel, `down` and
    # `across` are the two parts of the position that its input pixel has in this list. In a
    # transposed image (always a square one), the output row gives the input column and vice versa.
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
