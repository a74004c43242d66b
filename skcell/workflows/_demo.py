"""A folder of drawn cells, to try the commands on."""

import os
from pathlib import Path

from PIL import Image

from skcell.datasets import make_cells

#: Number of labelled and of new cells, and seed.
_PARTS = {"cells": (480, 0), "new": (60, 1)}


def write_demo(folder: str | os.PathLike[str]) -> Path:
    """Write drawn blood cells of eight classes, as a user's own data would lie.

    Parameters
    ----------
    folder : str or path-like
        Folder to write, which must not exist yet. It gets ``cells``, 480 images of 64 x 64 pixels
        in a sub-folder for each class, and ``new``, 60 without labels.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If it exists.

    See Also
    --------
    skcell.datasets.make_cells : Draws the cells.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcell.workflows import write_demo
    >>> folder = write_demo(Path(tempfile.mkdtemp()) / "demo")
    >>> sorted(one.name for one in folder.iterdir())
    ['cells', 'new']
    """
    root = Path(folder).expanduser()
    if root.exists():
        raise FileExistsError(f"{root} exists already; give the name of a new folder.")
    for part, (n, seed) in _PARTS.items():
        cells = make_cells(n, image_size=64, random_state=seed)
        for i, (image, k) in enumerate(zip(cells.images, cells.target, strict=True)):
            place = root / part / (cells.target_names[k] if part == "cells" else "")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"cell-{i:03}.png")
    return root
