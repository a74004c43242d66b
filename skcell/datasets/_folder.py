"""Load images from a folder with one sub-folder per class."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import Bunch

from skcell._images import FileDtype, decode_files, probe_image, report_failures
from skcell._sklearn import Interval, StrOptions, validate_params
from skcell.datasets._scan import Entry, check_classes, scan_folder, scan_images, scan_table
from skcell.exceptions import ImageReadError

OnError = Literal["raise", "warn"]

#: One table of labels, or several.
Labels = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@validate_params(
    {
        "path": [str, os.PathLike],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "labels": ["boolean", str, os.PathLike, list, tuple],
        "columns": [Mapping, None],
        "one_class": ["boolean"],
        "ignore": [str, list, tuple, None],
        "channels": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"auto", "uint8", "uint16"})],
        "load_images": ["boolean"],
        "on_error": [StrOptions({"raise", "warn"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def load_image_folder(
    path: str | os.PathLike[str],
    image_size: int | tuple[int, int] = 96,
    *,
    labels: bool | Labels = True,
    columns: Mapping[str, str] | None = None,
    one_class: bool = False,
    ignore: str | Sequence[str] | None = None,
    channels: int = 3,
    dtype: Literal["auto", "uint8", "uint16"] = "auto",
    load_images: bool = True,
    on_error: OnError = "raise",
    n_jobs: int | None = None,
    verbose: int | bool = True,
) -> Bunch:
    """Load images from a folder with one sub-folder per class, or with a table of labels.

    The name of each sub-folder is the name of a class, and all images in it, at any depth,
    belong to that class::

        cells/                      cells/
            lymphocyte/                 train/
                a.jpg                       lymphocyte/a.jpg
                b.tif                       monocyte/c.png
            monocyte/                   val/
                c.png                       lymphocyte/b.tif

    If all sub-folders are named `train`, `val` and `test` (or `training`, `valid`,
    `validation`, `testing`, in upper or lower case), they are treated as splits, and the
    folders of the classes are expected inside them. Images are ordered by split, class and
    name on every file system. Hidden files and files that operating systems create are
    ignored, as are files next to the sub-folders that are not images.

    Parameters
    ----------
    path : str or path-like
        The folder.
    image_size : int or tuple of int, default=96
        Height and width to which images are resized, by bicubic interpolation with
        antialiasing. An image of another aspect ratio is stretched; to avoid this, crop the
        images first.
    labels : bool, path-like or sequence of path-like, default=True
        Whether sub-folders are classes. With False, the images are new ones whose classes are not
        known: all images in the folder, at any depth, are loaded, in the order of their names.
        Or a table, or several, with a line for each image: CSV (with commas, semicolons or tabs, in
        UTF-8, UTF-16 or code page 1252) or Parquet. Its columns are ``image`` (or ``filename``,
        ``id``, ...), ``label`` (or ``class``, ``diagnosis``, ...; or a column of 0 and 1 for each
        class), and, if there are any, ``group`` (or ``patient``, ``slide``) and ``split``. Images
        are named by their path from the folder, or by their name alone, with or without ending.
    columns : mapping of str to str, default=None
        Names of columns of the table that are called otherwise, such as ``{"image": "cell_no"}``.
    one_class : bool, default=False
        Whether a folder with a single class is accepted, as for a test on images of one class.
    ignore : str or sequence of str, default=None
        Patterns of files that are left out, such as ``"*_mask.png"``; they are compared with the
        names of files, and with their paths from the folder.
    channels : int, default=3
        Number of channels. Grey images are repeated to 3 channels, and colour images are
        converted to luminance for 1. Alpha is blended over white unless a file has exactly
        this number of channels, including alpha. TIFF files may have any number of channels.
    dtype : {"auto", "uint8", "uint16"}, default="auto"
        Dtype of the images. "auto" is uint16 if any file has 16-bit pixels, so that nothing is
        lost, and uint8 otherwise. The contrast is never stretched: 8-bit values are converted
        to 16 bits by multiplication by 257, and 16-bit values to 8 bits by rounded division.
    load_images : bool, default=True
        If False, images are not read, and `filenames` can be passed to a classifier as `X`.
    on_error : {"raise", "warn"}, default="raise"
        Whether files that cannot be used are named in one error, or skipped with one warning.
        These are damaged files, files that are not images, and images outside any class; and of a
        table, images without a line, lines without an image or a label, and images with two labels.
    n_jobs : int, default=None
        Number of threads that decode images; None or -1 uses one per core.
    verbose : bool or int, default=True
        Whether to show a progress bar in a terminal.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        images : ndarray of shape (n_samples, height, width, channels)
            The images, of uint8 or uint16. Present only if `load_images=True`.
        target : ndarray of shape (n_samples,)
            The class of each image, as an index into `target_names`. Present only if
            `labels=True`.
        target_names : ndarray of shape (n_classes,)
            The names of the classes, sorted. Present only if `labels=True`.
        filenames : ndarray of shape (n_samples,)
            The path of each image.
        split : ndarray of shape (n_samples,)
            "train", "val" or "test". Present only if the folder has splits.
        groups : ndarray of shape (n_samples,)
            The sub-folder of each image in the folder of its class, or "" for none; or its group in
            the table. Present only if there are such. If they are patients or slides, pass them on
            as `groups`, so that images of one patient or slide are never on both sides of a split.
        groups_named : bool
            Whether the groups are those of a table. Present with `groups`.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ImageReadError
        If files cannot be used; the error's `failures` has the reason for each of them.
    ValueError
        If the folder has no class or only one class, or a class has no images.

    See Also
    --------
    load_npz : Load images from one file of arrays.
    make_cells : Generate synthetic cells.
    sklearn.datasets.load_files : Load text files from such a folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcell.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, grey in [("dense", 60), ("pale", 220)]:
    ...         Path(folder, name).mkdir()
    ...         for i in range(2):
    ...             Image.new("L", (40, 40), grey).save(Path(folder, name, f"cell{i}.png"))
    ...     cells = load_image_folder(folder, image_size=32)
    >>> cells.images.shape
    (4, 32, 32, 3)
    >>> cells.target
    array([0, 0, 1, 1])
    >>> cells.target_names
    array(['dense', 'pale'], dtype='<U5')
    """
    size = _height_and_width(image_size)
    folder = ImageFolder.scan(
        path, labels=labels, columns=columns, one_class=one_class, ignore=ignore
    )
    if not load_images:
        return folder.describe(on_error, stacklevel=4)
    return folder.load(
        size, channels=channels, dtype=dtype, on_error=on_error, n_jobs=n_jobs, verbose=verbose
    )


@dataclass(frozen=True)
class ImageFolder:
    """The image files of a folder, listed once, with a reason for each file that is none."""

    root: str
    entries: list[Entry]
    failures: dict[str, str]
    labels: bool
    fewest: int  # classes

    @classmethod
    def scan(
        cls,
        path: str | os.PathLike[str],
        *,
        labels: bool | Labels = True,
        columns: Mapping[str, str] | None = None,
        one_class: bool = False,
        ignore: str | Sequence[str] | None = None,
    ) -> Self:
        """List the files; see `load_image_folder`."""
        root, fewest = os.path.expanduser(os.fspath(path)), 1 if one_class else 2
        patterns = [ignore] if isinstance(ignore, str) else list(ignore or ())

        def leave_out(file: str) -> bool:
            return bool(patterns) and _matches(file, root, patterns)

        if isinstance(labels, bool):
            if columns is not None:
                raise ValueError("columns are those of a table; pass its name as labels.")
            entries, failures = scan_folder(root, fewest) if labels else scan_images(root)
            entries = [entry for entry in entries if not leave_out(entry.file)]
        else:
            tables = [labels] if isinstance(labels, (str, os.PathLike)) else list(labels)
            entries, failures = scan_table(root, tables, columns, fewest, leave_out)
        failures = {file: why for file, why in failures.items() if not leave_out(file)}
        if not entries:
            raise ValueError(f"ignore={ignore!r} leaves no image of {root!r}.")
        return cls(root, entries, failures, labels is not False, fewest)

    @property
    def files(self) -> list[str]:
        """Paths of the files."""
        return [entry.file for entry in self.entries]

    def describe(self, on_error: OnError = "raise", stacklevel: int = 3) -> Bunch:
        """Return paths, classes, splits and groups."""
        if self.failures:
            n_files = len(self.entries) + len(self.failures)
            report_failures(
                self.failures, n_files=n_files, on_error=on_error, stacklevel=stacklevel
            )
        return _describe(self.entries, self.labels)

    def load(
        self,
        image_size: tuple[int, int],
        *,
        channels: int = 3,
        dtype: Literal["auto", "uint8", "uint16"] = "auto",
        on_error: OnError = "raise",
        n_jobs: int | None = None,
        verbose: int | bool = True,
    ) -> Bunch:
        """Return the images as well."""
        pixel_dtype = _deepest(self.files) if dtype == "auto" else dtype
        shape = (*image_size, int(channels))
        images, kept, unread = decode_files(
            self.files, shape, pixel_dtype, n_jobs=n_jobs, progress=bool(verbose)
        )
        failures = self.failures | unread
        if failures:
            n_files = len(self.entries) + len(self.failures)
            report_failures(failures, n_files=n_files, on_error=on_error, stacklevel=5)
        if self.labels:
            check_classes(self.root, self.entries, kept, self.fewest)
        return Bunch(images=images, **_describe([self.entries[i] for i in kept], self.labels))


def _describe(entries: Sequence[Entry], labels: bool) -> Bunch:
    data = Bunch(filenames=np.array([entry.file for entry in entries]))
    if not labels:
        return data
    data.target_names, data.target = np.unique(
        [entry.class_name for entry in entries], return_inverse=True
    )
    if entries[0].split:
        data.split = np.array([entry.split for entry in entries])
    groups = [entry.group or os.path.dirname(entry.inside) for entry in entries]
    if any(groups):
        data.groups = np.array(groups)
        data.groups_named = any(entry.group for entry in entries)
    return data


def _matches(file: str, root: str, patterns: Sequence[str]) -> bool:
    inside = os.path.relpath(file, root).replace(os.sep, "/")
    return any(
        fnmatch(name, pattern) for pattern in patterns for name in (os.path.basename(file), inside)
    )


def _height_and_width(image_size: Any) -> tuple[int, int]:
    size: tuple[Any, ...] = (image_size,) * 2 if np.ndim(image_size) == 0 else tuple(image_size)
    if len(size) != 2 or any(not isinstance(side, Integral) or int(side) < 1 for side in size):
        raise ValueError(
            f"image_size must be one number or (height, width), in pixels; got {image_size!r}. "
            "The number of channels is given by `channels`."
        )
    return int(size[0]), int(size[1])


def _deepest(files: list[str]) -> FileDtype:
    for file in files:
        if file.lower().endswith((".png", ".tif", ".tiff")):  # other formats have no 16 bits
            try:
                if probe_image(file)[1] == "uint16":
                    return "uint16"
            except ImageReadError:
                continue  # reported when it is decoded
    return "uint8"
