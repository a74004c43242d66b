"""Random augmentation of images, applied anew in every epoch or added as new samples."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skcell._hints import hint
from skcell._images import resolve_shape
from skcell._sklearn import Interval, StrOptions
from skcell.resampling._base import BaseImageSampler

_LAYER_PARAMETERS = (
    "horizontal_flip",
    "vertical_flip",
    "quarter_turns",
    "rotation",
    "zoom",
    "translation",
    "blur",
    "exposure",
    "white_balance",
    "gamma",
    "stain",
    "stain_hue",
    "saturation",
    "shading",
    "brightness",
    "contrast",
    "noise",
    "compression",
    "erasing",
    "probability",
    "plain_epochs",
    "fill_mode",
)

#: Settings by name; benchmarks/bench_laboratories.py measures them.
PRESETS: dict[str, dict[str, Any]] = {
    "symmetries": {},
    "microscope": {
        "zoom": 0.4,
        "blur": 0.03,
        "exposure": 0.4,
        "white_balance": 0.15,
        "gamma": 0.3,
        "stain": 0.3,
        "stain_hue": 0.25,
        "saturation": 1.0,
        "shading": 0.3,
        "brightness": 0.1,
        "contrast": 0.2,
        "noise": 0.05,
        "compression": 4.0,
        "probability": 0.25,
        "plain_epochs": 0.2,
    },
}


class ImageAugmenter(BaseImageSampler):
    """Augment images by random changes of position, focus, light, stain and noise.

    The class has two uses. As the parameter ``augmentation`` of a classifier, it transforms every
    image anew in every epoch, on the device, and is inactive in prediction. As a step of
    `skcell.pipeline.Pipeline`, it is a sampler that adds transformed copies, with the same labels,
    to the training samples.

    Flips and quarter turns move whole pixels and need no interpolation. Because cells have no
    natural orientation, they are the default. Zoom, translation and blur are one resampling; with
    a rotation, which blurs images of few pixels, all changes of position are one affine map.

    Exposure, white balance, gamma, stain, saturation and shading are one affine map of the optical
    density ``-log(pixel)``, where 1, or the maximum of an integer dtype, is white. In it, lights
    and dyes add up [2]_. Models that were trained with such changes are more accurate on
    images of another microscope or stain [4]_.

    As a sampler, the class computes in float32, which represents uint8, uint16 and float32 exactly;
    wider dtypes are rounded.

    Parameters
    ----------
    horizontal_flip : bool, default=True
        Whether to mirror left and right with a probability of 0.5.
    vertical_flip : bool, default=True
        Whether to mirror up and down with a probability of 0.5.
    quarter_turns : bool, default=True
        Whether to rotate by a random multiple of 90 degrees (of 180 degrees if height and width
        differ).
    rotation : float, default=0.0
        Maximum rotation in either direction, as a fraction of a full turn (0.1 is 36 degrees).
    zoom : float, default=0.0
        Maximum relative change of size; factors are uniform in ``1 - zoom`` to ``1 + zoom``.
    translation : float, default=0.0
        Maximum shift in either direction, as a fraction of the height and of the width.
    blur : float, default=0.0
        Maximum standard deviation of a blur, as of a lens out of focus, as a fraction of the
        height.
    exposure : float, default=0.0
        Maximum relative change of the light. All factors are log-uniform: with 0.25, from
        ``1 / 1.25`` to ``1.25``.
    white_balance : float, default=0.0
        Maximum relative change of the light of each channel, as of a lamp of another colour.
    gamma : float, default=0.0
        Maximum relative change of the exponent of the pixels, as of a camera with another curve.
    stain : float, default=0.0
        Maximum relative change of the amount of each dye. In images of three channels, dyes are a
        blue and a red one [3]_, and what remains; otherwise, each channel counts as a dye.
    stain_hue : float, default=0.0
        Maximum change of the colour of each dye, as a fraction of its density.
    saturation : float, default=0.0
        Maximum relative change of the differences between the channels.
    shading : float, default=0.0
        Maximum relative change of the light from the centre of the image to each border, by a
        slope in each direction and by a vignette.
    brightness : float, default=0.0
        Maximum amount added to or subtracted from all pixels, as a fraction of the full scale of
        an integer dtype, or as a pixel value for floats.
    contrast : float, default=0.0
        Maximum relative change of a pixel's distance from the mean colour of the image.
    noise : float, default=0.0
        Maximum standard deviation of the noise of every pixel and channel, as a fraction of the
        full scale of an integer dtype, or as a pixel value for floats.
    compression : float, default=0.0
        Maximum loss of a JPEG file: steps of its quantisation, as a multiple of those at quality
        50. The quality is 50 divided by this number: 25 with 2.
    erasing : float, default=0.0
        Maximum area of a rectangle that gets the mean colour of the image, as a fraction of the
        image [5]_. Its proportions are log-uniform in 1/2 to 2.
    probability : float, default=1.0
        Probability of each change, except flips and quarter turns, independently of the others.
        With many changes, a low one keeps images recognisable.
    plain_epochs : float, default=0.0
        For use as ``augmentation``: fraction of the epochs, the last ones, in which images are only
        flipped and turned [6]_. A network that is last trained on images as they are is more
        accurate on such images. They are the last of the epochs that were planned: training that
        early stopping or an interruption ends before has none of them.
    fill_mode : {"reflect", "nearest", "constant", "wrap"}, default="reflect"
        How points beyond the border of the original image are filled; "constant" is black.
    sampling_strategy : str, dict, float or callable, default="not majority"
        For use as a sampler with ``n_copies=None``: which classes get copies and how many, as for
        imbalanced-learn's over-samplers. The default fills up every class to the size of the
        largest class. If all classes have the same size, nothing is added and a warning is
        issued.
    n_copies : int or None, default=1
        For use as a sampler: number of transformed copies to add for each image, regardless of
        its class. With None, `sampling_strategy` determines the number.
    image_shape : tuple of int, default=None
        Height, width and channels of the images if `X` is a table whose rows are images; one of
        them may be -1. It is not used if `X` is an array of images.
    random_state : int, RandomState instance or None, default=None
        For use as a sampler: seed of the transformations. As ``augmentation``, the
        `random_state` of the classifier is used instead.

    Attributes
    ----------
    sampling_strategy_ : dict
        For use as a sampler: number of copies for each class.
    n_features_in_ : int
        Number of pixel values of an image.
    sample_indices_ : ndarray of shape (n_samples_new,)
        For each output image, the index of the input image that it is or was copied from.

    See Also
    --------
    skcell.ImageSMOTE : Interpolates between two images instead of transforming one.
    skcell.CellCNNClassifier : Classifier with the parameter ``augmentation``.

    References
    ----------
    .. [1] C. Shorten, T. M. Khoshgoftaar, "A survey on Image Data Augmentation for Deep
       Learning", Journal of Big Data 6, 60, 2019.
    .. [2] D. F. Swinehart, "The Beer-Lambert Law", Journal of Chemical Education 39, 1962.
    .. [3] A. C. Ruifrok, D. A. Johnston, "Quantification of histochemical staining by color
       deconvolution", Analytical and Quantitative Cytology and Histology 23, 2001.
    .. [4] D. Tellez et al., "Quantifying the effects of data augmentation and stain color
       normalization in convolutional neural networks for computational pathology", Medical Image
       Analysis 58, 2019.
    .. [5] Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang, "Random Erasing Data Augmentation", AAAI
       2020.
    .. [6] Z. Ge, S. Liu, F. Wang, Z. Li, J. Sun, "YOLOX: Exceeding YOLO Series in 2021",
       arXiv:2107.08430, 2021.

    Examples
    --------
    >>> from skcell import ImageAugmenter
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(20, n_classes=2, image_size=32, random_state=0)
    >>> images, target = ImageAugmenter(n_copies=2, random_state=0).fit_resample(
    ...     cells.images, cells.target
    ... )
    >>> images.shape
    (60, 32, 32, 3)
    """

    _sampling_type = "over-sampling"

    _parameter_constraints: dict = {
        "horizontal_flip": ["boolean"],
        "vertical_flip": ["boolean"],
        "quarter_turns": ["boolean"],
        "rotation": [Interval(Real, 0, 1, closed="both")],
        "zoom": [Interval(Real, 0, 1, closed="left")],
        "translation": [Interval(Real, 0, 1, closed="both")],
        "blur": [Interval(Real, 0, 1, closed="both")],
        "exposure": [Interval(Real, 0, None, closed="left")],
        "white_balance": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "stain": [Interval(Real, 0, None, closed="left")],
        "stain_hue": [Interval(Real, 0, 1, closed="both")],
        "saturation": [Interval(Real, 0, None, closed="left")],
        "shading": [Interval(Real, 0, None, closed="left")],
        "brightness": [Interval(Real, 0, 1, closed="both")],
        "contrast": [Interval(Real, 0, 1, closed="both")],
        "noise": [Interval(Real, 0, 1, closed="both")],
        "compression": [Interval(Real, 0, None, closed="left")],
        "erasing": [Interval(Real, 0, 1, closed="both")],
        "probability": [Interval(Real, 0, 1, closed="right")],
        "plain_epochs": [Interval(Real, 0, 1, closed="left")],
        "fill_mode": [StrOptions({"reflect", "nearest", "constant", "wrap"})],
        "sampling_strategy": [
            Interval(Real, 0, 1, closed="right"),
            StrOptions({"auto", "minority", "not minority", "not majority", "all"}),
            dict,
            callable,
        ],
        "n_copies": [Interval(Integral, 1, None, closed="left"), None],
        "image_shape": [tuple, list, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
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
        stain_hue: float = 0.0,
        saturation: float = 0.0,
        shading: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        noise: float = 0.0,
        compression: float = 0.0,
        erasing: float = 0.0,
        probability: float = 1.0,
        plain_epochs: float = 0.0,
        fill_mode: str = "reflect",
        sampling_strategy: Any = "not majority",
        n_copies: int | None = 1,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
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
        self.stain_hue = stain_hue
        self.saturation = saturation
        self.shading = shading
        self.brightness = brightness
        self.contrast = contrast
        self.noise = noise
        self.compression = compression
        self.erasing = erasing
        self.probability = probability
        self.plain_epochs = plain_epochs
        self.fill_mode = fill_mode
        self.n_copies = n_copies
        self.image_shape = image_shape
        self.random_state = random_state

    @classmethod
    def from_preset(cls, name: str, **parameters: Any) -> Self:
        """Make an augmenter with named settings.

        Parameters
        ----------
        name : {"symmetries", "microscope"}
            "symmetries" are flips and quarter turns alone. "microscope" also changes size, focus,
            light, stain and noise, within what differs between microscopes and laboratories.
        **parameters : object
            Parameters that differ from those of the preset.

        Returns
        -------
        ImageAugmenter
            The augmenter.

        Examples
        --------
        >>> from skcell import ImageAugmenter
        >>> ImageAugmenter.from_preset("microscope", noise=0.0).exposure
        0.4
        """
        if name not in PRESETS:
            raise ValueError(
                f"There is no preset {name!r}.{hint(name, PRESETS)} The presets are: "
                f"{', '.join(PRESETS)}."
            )
        return cls(**{**PRESETS[name], **parameters})

    def layer_arguments(self) -> tuple[tuple[str, Any], ...]:
        """Return the validated arguments of the layer that transforms images.

        Returns
        -------
        tuple of (str, object)
            Arguments of `skcell.networks.RandomTransform`, by name.
        """
        self._validate_params()
        return tuple((name, getattr(self, name)) for name in _LAYER_PARAMETERS)

    def make_view(self, images: NDArray[Any], digests: list[bytes], view: int) -> NDArray[Any]:
        """Transform each image at random, but reproducibly for the same image and view.

        Parameters
        ----------
        images : ndarray of shape (n, H, W, C)
            Images of uint8, uint16 or float.
        digests : list of bytes
            Digests of the images' content, which seed the transformations.
        view : int
            Number of the view.

        Returns
        -------
        ndarray of shape (n, H, W, C)
            Transformed copies.
        """
        from skcell.resampling._apply import make_view

        return make_view(images, digests, view, dict(self.layer_arguments()))

    @classmethod
    def _get_test_params(cls) -> dict[str, Any]:
        """Return parameters of an instance that takes a table of numbers."""
        return {"image_shape": (1, -1, 1), "n_copies": None, "random_state": 0}

    def _fit_resample(self, X: NDArray[Any], y: NDArray[Any]) -> tuple:
        rng = check_random_state(self.random_state)
        if self.n_copies is not None:
            copied = np.tile(np.arange(len(X)), self.n_copies)
        else:
            copied = np.concatenate(
                [
                    _spread(np.flatnonzero(y == label), n_new, rng)
                    for label, n_new in self.sampling_strategy_.items()
                ]
                or [np.empty(0, np.intp)]
            )
        self._warn_if_nothing(len(copied), y)
        self.sample_indices_ = np.concatenate([np.arange(len(X)), copied])
        out = X[self.sample_indices_]
        self._change(out[len(X) :], rng.randint(np.iinfo(np.int32).max))
        return out, y[self.sample_indices_]

    def _change(self, out: NDArray[Any], seed: int) -> None:
        """Transform the images of `out` in place."""
        from skcell.networks import RandomTransform
        from skcell.resampling._apply import transform_in_place

        shape = out.shape[1:] if out.ndim > 2 else self._row_shape(out.shape[1])
        images = out.reshape(len(out), *shape, *(1,) * (3 - len(shape)))
        layer = RandomTransform(
            **dict(self.layer_arguments()),
            clip=out.dtype.kind == "u",
            seed=seed,
            dtype="float32",
        )
        transform_in_place(images, layer)

    def _row_shape(self, n_features: int) -> tuple[int, int, int]:
        if self.image_shape is None:
            raise ValueError(
                "ImageAugmenter was given a table and needs image_shape=(height, width, channels) "
                "to reshape its rows to images."
            )
        return resolve_shape(self.image_shape, n_features)


def _spread(indices: NDArray[np.intp], n_new: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Choose `n_new` indices from `indices`, each as often as the others or once more."""
    whole, rest = divmod(n_new, len(indices))
    return np.concatenate([np.tile(indices, whole), rng.choice(indices, rest, replace=False)])
