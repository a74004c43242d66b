"""Generate a data set of synthetic blood cells."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_random_state

from skcell._sklearn import Interval, StrOptions, validate_params
from skcell.datasets._cell_drawing import (
    TILE,
    Floats,
    Pose,
    RedCells,
    Scene,
    View,
    WhiteCells,
    draw,
)
from skcell.datasets._cell_rules import (
    CLASSES,
    COLD_LIGHT,
    HIGH,
    LOW,
    PREVALENCE,
    RESEMBLES,
    SPREAD,
    TYPICAL,
    WARM_LIGHT,
    Traits,
)

N_RED_CELLS = 8

_DESCR = """\
Synthetic blood cells
---------------------

The data set has {n_samples} images of {size} x {size} pixels (RGB) in {n_classes} classes: {names}.

The images were drawn by skcell.datasets.make_cells with noise={noise}. Each image shows one cell
among red cells, in the colours of a May-Gruenwald-Giemsa stain. No image shows a real cell: use the
data set to try software, never for a claim about real cells.
"""


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_classes": [Interval(Integral, 2, len(CLASSES), closed="both")],
        "image_size": [Interval(Integral, 16, 512, closed="both")],
        "class_weights": [StrOptions({"balanced"}), "array-like", None],
        "noise": [Interval(Real, 0, 4, closed="both")],
        "return_X_y": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_cells(
    n_samples: int = 1000,
    n_classes: int = 8,
    image_size: int = 96,
    *,
    class_weights: ArrayLike | Literal["balanced"] | None = None,
    noise: float = 1.0,
    return_X_y: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch | tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Generate a data set of synthetic blood cells, one in the centre of each image.

    The cells look as if they were stained by May-Gruenwald-Giemsa. They are drawn by rules that a
    haematologist would recognise: the size of the cell, the shape and the lobes of its nucleus,
    its chromatin, granules and vacuoles, and the colour of its cytoplasm. Stain, light, focus,
    size, position, orientation, red cells and neighbours vary. No download is needed.

    The data are synthetic. Use them to try software; they do not support claims about real cells.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of images.
    n_classes : int, default=8
        Number of classes, from 2 to 8. They are the first `n_classes` of basophil, eosinophil,
        erythroblast, ig (immature granulocyte), lymphocyte, monocyte, neutrophil and platelet.
    image_size : int, default=96
        Height and width of the images in pixels, from 16 to 512. The cells scale with it.
    class_weights : array-like of shape (n_classes,), "balanced" or None, default=None
        Proportions of the classes: positive numbers, which need not sum to 1. None uses the
        unequal proportions of the training part of the PBC data set [1]_; "balanced" uses equal
        ones. Samples are allocated by the largest remainder method, and each class gets at least
        one sample if there are enough.
    noise : float, default=1.0
        How much the images vary and the classes resemble each other, from 0 to 4. At 0, every
        cell is typical of its class and the camera is perfect; values above 1 are harder than the
        default. No label is ever wrong: cells are hard to classify because the traits of the
        classes overlap.
    return_X_y : bool, default=False
        Whether to return `(images, target)` instead of a Bunch.
    random_state : int, RandomState instance or None, default=None
        Determines the random numbers; the same int gives bitwise identical images. None takes a
        seed from NumPy's global state, as in scikit-learn; otherwise this state is neither read
        nor changed.

    Returns
    -------
    cells : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        images : ndarray of shape (n_samples, image_size, image_size, 3), uint8
            The RGB images, from 0 to 255.
        target : ndarray of shape (n_samples,), int64
            Class of each image, from 0 to `n_classes - 1`, in random order.
        target_names : ndarray of shape (n_classes,), str
            Names of the classes.
        DESCR : str
            Description of the data set.

    (images, target) : tuple if `return_X_y` is True
        The arrays `images` and `target`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or `class_weights` are not `n_classes` positive numbers.

    See Also
    --------
    load_image_folder : Load your own cells from a folder.
    fetch_bloodmnist : Download real blood cells.

    Notes
    -----
    Each class is a row in a table of (typical value, spread) pairs. The traits of a cell are drawn
    from the row of its class, after this is moved, by less than half of the distance, towards the
    row of a class for which the cell is commonly mistaken: an adjacent stage of maturation, or a
    look-alike. Dyes absorb light by the Beer-Lambert law; red cells have the thickness that Evans
    and Fung measured [2]_.

    Apart from its result, the function needs a fixed amount of memory for pixels. The first images
    of a large data set differ from those of a small one.

    References
    ----------
    .. [1] A. Acevedo, A. Merino, S. Alférez, Á. Molina, L. Boldú, J. Rodellar, "A dataset of
       microscopic peripheral blood cell images for development of automatic recognition systems",
       Data in Brief 30, 105474, 2020. https://doi.org/10.1016/j.dib.2020.105474
    .. [2] E. Evans, Y. C. Fung, "Improved measurements of the erythrocyte geometry",
       Microvascular Research 4, 335-347, 1972.

    Examples
    --------
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(n_samples=100, image_size=32, random_state=0)
    >>> cells.images.shape, cells.images.dtype
    ((100, 32, 32, 3), dtype('uint8'))
    >>> print(cells.target_names[3], int((cells.target == 3).sum()))
    ig 17
    """
    counts = _class_counts(n_samples, n_classes, class_weights)
    # A legacy RandomState cannot draw float32; one draw from it seeds a Generator, which can.
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31, size=4))
    target = rng.permutation(np.repeat(np.arange(n_classes, dtype=np.int64), counts))
    images = draw(_imagine_scene(target, float(noise), rng), image_size, rng)
    if return_X_y:
        return images, target
    names = CLASSES[:n_classes]
    description = _DESCR.format(
        n_samples=n_samples,
        size=image_size,
        n_classes=n_classes,
        names=", ".join(names),
        noise=noise,
    )
    return Bunch(images=images, target=target, target_names=np.array(names), DESCR=description)


def _class_counts(
    n_samples: int, n_classes: int, class_weights: ArrayLike | str | None
) -> NDArray[np.int64]:
    """Allocate samples by largest remainder; each class gets at least one if there are enough."""
    if class_weights is None:
        weights = np.array(list(PREVALENCE.values()), dtype=float)[:n_classes]
    elif isinstance(class_weights, str):
        weights = np.ones(n_classes)
    else:
        weights = np.asarray(class_weights, dtype=float)
    if weights.shape != (n_classes,) or not np.all(np.isfinite(weights) & (weights > 0)):
        raise ValueError(
            f"class_weights must be {n_classes} positive numbers, one for each class; "
            f"got {class_weights!r}."
        )
    quotas = weights / weights.sum() * n_samples
    counts = np.floor(quotas).astype(np.int64)
    by_remainder = np.argsort(counts - quotas, kind="stable")
    counts[by_remainder[: n_samples - counts.sum()]] += 1
    if n_samples >= n_classes:
        for empty in np.flatnonzero(counts == 0):
            counts[np.argmax(counts)] -= 1
            counts[empty] = 1
    return counts


def _normal(rng: np.random.Generator, *shape: int) -> Floats:
    """Draw from a normal distribution clipped at two standard deviations."""
    return np.clip(rng.standard_normal(shape, dtype=np.float32), -2, 2)


def _uniform(rng: np.random.Generator, low: Any, high: Any, *shape: int) -> Floats:
    return (low + (high - low) * rng.random(shape, dtype=np.float32)).astype(np.float32)


def _imagine_scene(target: NDArray[np.int64], noise: float, rng: np.random.Generator) -> Scene:
    """Draw everything that the images will show."""
    n = len(target)
    traits = _imagine_traits(target, noise, rng)
    # A second white cell or platelet at the rim, as in real fields of view: mostly a platelet.
    classes = np.where(rng.random(n) < 0.5, len(CLASSES) - 1, rng.integers(len(CLASSES), size=n))
    neighbour_traits = _imagine_traits(classes, noise, rng)
    apart = traits.radius + neighbour_traits.radius * _uniform(rng, 0.9, 1.3, n) + 0.04
    return Scene(
        cells=WhiteCells(traits, _imagine_pose(0.025 * noise * np.abs(_normal(rng, n)), rng)),
        neighbours=WhiteCells(neighbour_traits, _imagine_pose(np.maximum(apart, 0.42), rng)),
        has_neighbour=rng.random(n) < min(0.3 * noise, 0.9),
        red_cells=_imagine_red_cells(traits.radius, noise, rng),
        view=_imagine_view(n, noise, rng),
    )


def _imagine_traits(target: NDArray[np.int64], noise: float, rng: np.random.Generator) -> Traits:
    """Draw each cell's traits: those of its class, moved towards a class that it resembles."""
    # Six columns hold one, two or three look-alikes of a class equally often.
    alike = np.array(
        [np.resize([CLASSES.index(a) for a in RESEMBLES[name]], 6) for name in CLASSES]
    )
    alike = TYPICAL[alike[target, rng.integers(6, size=len(target))]]
    # Less than half: the cell is an intermediate form, but still of its class.
    blend = np.clip(0.16 * noise * np.abs(_normal(rng, len(target), 1)), 0, 0.45)
    values = TYPICAL[target] + blend * (alike - TYPICAL[target])
    values += noise * SPREAD[target] * _normal(rng, *values.shape)
    return Traits(*np.clip(values, LOW, HIGH).T)


def _imagine_pose(distance: Floats, rng: np.random.Generator) -> Pose:
    n = len(distance)
    direction = _uniform(rng, 0, 2 * np.pi, n)
    return Pose(
        x=distance * np.cos(direction),
        y=distance * np.sin(direction),
        angle=_uniform(rng, 0, 2 * np.pi, n),
        phases=_uniform(rng, 0, 2 * np.pi, n, 4),
        offsets=_uniform(rng, 0, TILE, n, 6),
    )


def _imagine_red_cells(radius: Floats, noise: float, rng: np.random.Generator) -> RedCells:
    """Scatter red cells around the white cell, which they touch or lie partly under."""
    shape = n, _ = len(radius), N_RED_CELLS
    varied = 0.08 * noise * _normal(rng, n, 1) + 0.07 * noise * _normal(rng, *shape)
    size = 0.18 * np.exp(varied)
    around = 2 * np.pi / N_RED_CELLS * (np.arange(N_RED_CELLS) + _uniform(rng, -0.5, 0.5, *shape))
    around += _uniform(rng, 0, 2 * np.pi, n, 1)
    distance = _uniform(rng, radius[:, None] + 0.75 * size, 0.75, *shape)
    stretch = np.exp(0.10 * noise * _normal(rng, *shape))
    angle = _uniform(rng, 0, np.pi, *shape)
    cos, sin = np.cos(angle), np.sin(angle)
    long, short = 1 / (size * stretch) ** 2, 1 / (size / stretch) ** 2
    present = rng.random(shape) < _uniform(rng, 0.55, 0.95, n, 1)
    return RedCells(
        x=distance * np.cos(around),
        y=distance * np.sin(around),
        xx=long * cos**2 + short * sin**2,
        yy=long * sin**2 + short * cos**2,
        xy=2 * (long - short) * cos * sin,
        pallor=np.broadcast_to(_uniform(rng, 0.25, 0.55, n, 1), shape),
        haemoglobin=present * 0.75 * np.exp(0.20 * noise * _normal(rng, n, 1)),
    )


def _imagine_view(n: int, noise: float, rng: np.random.Generator) -> View:
    overall = 0.09 * noise * _normal(rng, n, 1)
    # Most images share one lamp; a few come from a bluer camera.
    cold = 0.10 * noise * np.abs(_normal(rng, n, 1)) + (rng.random((n, 1)) < 0.06 * noise)
    light = WARM_LIGHT + np.clip(cold, 0, 1) * (COLD_LIGHT - WARM_LIGHT)
    dimming = 0.025 * np.abs(_normal(rng, n, 1)) + 0.015 * _normal(rng, n, 3)
    return View(
        dyes=np.exp(overall + 0.07 * noise * _normal(rng, n, 4)),
        light=light * (1 - noise * dimming),
        tilt=0.05 * noise * _normal(rng, n, 2),
        defocus=np.clip(0.3 + 0.25 * noise * _normal(rng, n), 0, 1),
        grain=noise * _uniform(rng, 1.0, 4.0, n),
    )
