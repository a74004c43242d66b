"""Random augmentation of images in one Keras layer: position, focus, light, stain and noise."""

import inspect
import math
from typing import Any

import keras
from keras import ops

from skcell.networks._compression import compress
from skcell.networks._light import change_density
from skcell.networks._position import (
    Draw,
    draw_matrix,
    draw_symmetry,
    exact_symmetry,
    resample,
)

#: Number of random numbers that are drawn for each image at a time.
_AT_A_TIME = 48

#: Parameters of the map of the optical density.
_DENSITY = ("exposure", "white_balance", "gamma", "stain", "stain_hue", "saturation", "shading")


@keras.saving.register_keras_serializable(package="skcell")
class RandomTransform(keras.layers.Layer):
    """Change position, focus, light, stain, noise and file of each image at random.

    Every image has its own random parameters. The layer is active only in training. Flips and
    quarter turns move whole pixels. Zoom, translation and blur are one resampling; with a rotation,
    all changes of position are composed into one affine map, and blur is a second one. Exposure,
    white balance, gamma, stain, saturation and shading are one affine map of the optical density
    ``-log(pixel)``.

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
    blur : float
        Maximum standard deviation of the blur, as a fraction of the height.
    exposure : float
        Maximum relative change of the light. Its factor, like those of the next five parameters, is
        log-uniform in ``1 / (1 + exposure)`` to ``1 + exposure``.
    white_balance : float
        Maximum relative change of the light of each channel.
    gamma : float
        Maximum relative change of the exponent of the pixels.
    stain : float
        Maximum relative change of the density of each dye.
    saturation : float
        Maximum relative change of the differences between channels.
    shading : float
        Maximum relative change of the light from the centre of the image to a border, by a slope
        in each direction and by a vignette.
    stain_hue : float
        Maximum change of the colour of each dye, as a fraction of its density.
    brightness : float
        Maximum amount added to or subtracted from all pixels; the full scale is 1.
    contrast : float
        Maximum relative change of a pixel's distance from the mean colour of the image.
    noise : float
        Maximum standard deviation of the noise of every pixel and channel; the full scale is 1.
    compression : float
        Maximum loss of a JPEG file: steps of its quantisation, as a multiple of those at quality
        50. The quality is 50 divided by this number: 25 with 2.
    erasing : float
        Maximum area of a rectangle that gets the mean colour of the image, as a fraction of the
        image; its proportions are log-uniform in 1/2 to 2, and it may lie partly outside.
    probability : float
        Probability of each change, except flips and quarter turns, independently of the others.
    plain_epochs : float
        Fraction of the epochs, the last ones, in which images are only flipped and turned. The
        layer then has a weight `strength`, which a callback sets to 1 or 0; it multiplies
        `probability`.
    fill_mode : str
        How points beyond the border are filled: "reflect", "nearest", "constant" or "wrap".
    clip : bool
        Whether to clip pixels to 0..1 after a change of light or stain, noise or compression.
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
        blur: float = 0.0,
        exposure: float = 0.0,
        white_balance: float = 0.0,
        gamma: float = 0.0,
        stain: float = 0.0,
        saturation: float = 0.0,
        shading: float = 0.0,
        stain_hue: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        noise: float = 0.0,
        compression: float = 0.0,
        erasing: float = 0.0,
        probability: float = 1.0,
        plain_epochs: float = 0.0,
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
        self.blur = blur
        self.exposure = exposure
        self.white_balance = white_balance
        self.gamma = gamma
        self.stain = stain
        self.saturation = saturation
        self.shading = shading
        self.stain_hue = stain_hue
        self.brightness = brightness
        self.contrast = contrast
        self.noise = noise
        self.compression = compression
        self.erasing = erasing
        self.probability = probability
        self.plain_epochs = plain_epochs
        self.fill_mode = fill_mode
        self.clip = clip
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple) -> None:
        """Create the weight `strength`, if there are plain epochs."""
        if self.plain_epochs:
            self.strength = self.add_weight(
                name="strength", shape=(), initializer="ones", trainable=False
            )
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
        draw = self._make_draw(images)
        vary = self._sometimes(draw) if self.probability < 1 or self.plain_epochs else draw
        images = self._move(draw, vary, images)
        density = self._arguments(*_DENSITY)
        light = self._arguments("brightness", "contrast")
        if any(density.values()):
            images = change_density(vary, images, **density)
        if any(light.values()):
            images = self._relight(vary, images)
        if self.noise:
            images = images + vary(0.0, self.noise, (1, 1, 1)) * self._normal(images)
        if self.erasing:
            images = self._erase(draw, vary, images)
        if self.compression:
            images = ops.clip(images, 0.0, 1.0) if self.clip else images
            images = compress(images, vary(0.0, self.compression, (1, 1)))
        if self.clip and any([*density.values(), *light.values(), self.noise, self.compression]):
            images = ops.clip(images, 0.0, 1.0)
        return images

    def _arguments(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    def _sometimes(self, draw: Draw) -> Draw:
        """Replace what is drawn for some of the images by zero, which changes nothing."""
        probability = self.probability
        if self.plain_epochs:
            probability = probability * ops.cast(self.strength, self.compute_dtype)

        def vary(low: float, high: float, tail: tuple[int, ...] = ()) -> Any:
            is_drawn = draw(0.0, 1.0, tuple(1 for _ in tail)) < probability
            return ops.where(is_drawn, draw(low, high, tail), 0.0)

        return vary

    def _move(self, draw: Draw, vary: Draw, images: Any) -> Any:
        height, width = images.shape[1:3]
        flips = self._arguments("horizontal_flip", "vertical_flip", "quarter_turns")
        symmetry = draw_symmetry(draw, **flips, square=height == width)
        moves = self._arguments("zoom", "translation")
        if self.rotation:
            moves["rotation"] = self.rotation
            matrix = draw_matrix(vary, symmetry, height=height, width=width, **moves)
            images = ops.image.affine_transform(
                images, matrix, fill_mode=self.fill_mode, data_format="channels_last"
            )
            moves = {"zoom": 0.0, "translation": 0.0}
        else:
            images = exact_symmetry(images, *symmetry)
        if any(moves.values()) or self.blur:
            images = resample(vary, images, **moves, blur=self.blur, fill_mode=self.fill_mode)
        return images

    def _erase(self, draw: Draw, vary: Draw, images: Any) -> Any:
        """Fill a rectangle of each image with its mean colour."""
        side = ops.sqrt(vary(0.0, self.erasing, (1,)))
        stretch = ops.exp(draw(-0.5, 0.5, (1,)) * math.log(2.0))
        inside = []
        for length, part in zip(images.shape[1:3], (side * stretch, side / stretch), strict=True):
            position = (ops.arange(length, dtype=images.dtype) + 0.5) / length
            distance = ops.abs(position[None, :] - draw(0.0, 1.0, (1,)))
            inside.append(ops.cast(distance < part / 2, images.dtype))
        mask = inside[0][:, :, None, None] * inside[1][:, None, :, None]
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return images + mask * (mean - images)

    def _make_draw(self, images: Any) -> Draw:
        """Return a function that draws numbers for each image, some at a time: this is faster."""
        n, begin = ops.shape(images)[0], 0
        drawn: Any = None

        def draw(low: float, high: float, tail: tuple[int, ...] = ()) -> Any:
            nonlocal drawn, begin
            size = math.prod(tail)
            if drawn is None or begin + size > drawn.shape[1]:
                shape, begin = (n, max(size, _AT_A_TIME)), 0
                drawn = keras.random.uniform(shape, dtype=images.dtype, seed=self.generator)
            numbers = ops.reshape(drawn[:, begin : begin + size], (-1, *tail))
            begin += size
            numbers = numbers if high - low == 1.0 else numbers * (high - low)
            return numbers + low if low else numbers

        return draw

    def _normal(self, images: Any) -> Any:
        return keras.random.normal(ops.shape(images), dtype=images.dtype, seed=self.generator)

    def _relight(self, draw: Draw, images: Any) -> Any:
        # Contrast scales the distance from the mean, brightness adds an offset:
        #     mean + gain * (image - mean) + offset = gain * image + (mean * (1 - gain) + offset)
        # The mean is taken over the height first, which adds up whole, contiguous rows.
        mean = ops.mean(ops.mean(images, axis=1), axis=1)[:, None, None, :]
        gain = 1.0 + draw(-1.0, 1.0, (1, 1, 1)) * self.contrast
        offset = draw(-1.0, 1.0, (1, 1, 1)) * self.brightness
        return images * gain + (mean * (1.0 - gain) + offset)
