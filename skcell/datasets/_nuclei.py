"""White cells of stained blood smears, by the colour of their nuclei."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from skcell._optional import import_optional

#: Density from which on a pixel can be stained as a nucleus is; that of red cells is about half.
_FAINTEST = 0.45

#: Lobes nearer than this are of one nucleus, and smaller objects are none; as fractions of the
#: diameter and of the area of a typical nucleus.
_GAP = 0.12
_SMALLEST = 0.15


def find_nuclei(field: ArrayLike) -> NDArray[np.int32]:
    """Find nuclei in a field of a blood smear with a Romanowsky stain, such as Giemsa or Wright.

    Nuclei absorb red and green light, and let blue light through; red cells absorb blue light and
    let red light through. The optical density [1]_ in red and green, less that in blue, is
    separated by Otsu's threshold [2]_. Lobes that are near each other are one nucleus.

    Parameters
    ----------
    field : array-like of uint8 of shape (height, width, 3)
        The field, in colour. It needs some background without cells.

    Returns
    -------
    ndarray of int32 of shape (height, width)
        Label image: 0 is background, and each other number is a nucleus. Objects much smaller than
        the typical one, such as platelets, are left out. Nuclei that touch are one object: they
        are not separated, since this would cut nuclei with lobes into pieces.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    ValueError
        If the field is not in colour.

    See Also
    --------
    find_objects : Lists the nuclei.

    References
    ----------
    .. [1] A. C. Ruifrok, D. A. Johnston, "Quantification of histochemical staining by color
       deconvolution", Analytical and Quantitative Cytology and Histology 23, 2001.
    .. [2] N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
       Systems, Man, and Cybernetics 9, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from skcell.datasets import find_nuclei
    >>> field = np.full((60, 60, 3), (240, 220, 215), np.uint8)
    >>> field[20:40, 20:40] = (90, 60, 150)
    >>> np.unique(find_nuclei(field)).tolist()
    [0, 1]
    """
    pixels = np.asarray(field)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(
            f"Nuclei are found by their colour, and the field has the shape {pixels.shape}. Give "
            "masks or boxes of its cells instead."
        )
    filters = import_optional("skimage.filters", purpose="Finding nuclei", extra="smears")
    light = pixels[..., :3].astype(np.float32) + 1
    density = -np.log(light / np.percentile(light, 99, axis=(0, 1)))
    red, green, blue = np.moveaxis(np.maximum(density, 0), 2, 0)
    purple = ndimage.gaussian_filter(red + green - blue, 1)
    if purple.max() <= _FAINTEST:
        return np.zeros(purple.shape, np.int32)
    mask = ndimage.binary_fill_holes(purple > max(_FAINTEST, filters.threshold_otsu(purple)))
    areas = np.sort(np.bincount(ndimage.label(mask)[0].ravel())[1:])
    # Half of the pixels of nuclei are in larger objects: specks do not count.
    typical = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    gap = _GAP * np.sqrt(4 * typical / np.pi)
    near = ndimage.distance_transform_edt(~mask) <= gap
    labelled = ndimage.label(near)[0] * mask
    areas = np.bincount(labelled.ravel())
    areas[0] = 0
    kept = areas >= _SMALLEST * typical
    numbers = np.where(kept, np.cumsum(kept), 0)
    return numbers[labelled].astype(np.int32)
