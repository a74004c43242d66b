"""Data for the command `skcell study`, loaded by name, and suitable splits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit
from sklearn.utils import Bunch

from skcell._hints import hint
from skcell._holdout import find_copies, split_holdout
from skcell.datasets import (
    Labels,
    fetch_bloodmnist,
    load_image_folder,
    load_npz,
    make_cells,
    read_groups,
)


@dataclass(frozen=True)
class _Size:
    """Settings that limit the duration of a study."""

    image_size: int
    n_images: int | None
    epochs: int
    n_folds: int


# The smallest study in which five folds show differences of ten points, and a preview of it.
_GENERATED = {
    False: _Size(image_size=24, n_images=500, epochs=8, n_folds=5),
    True: _Size(image_size=24, n_images=300, epochs=5, n_folds=3),
}
_REAL = {
    False: _Size(image_size=96, n_images=None, epochs=20, n_folds=5),
    True: _Size(image_size=48, n_images=1200, epochs=8, n_folds=3),
}
_FEWEST = 6  # a quick study keeps at least this many images of each class

#: Names of data other than folders and files.
NAMES = ("generated", "bloodmnist")


@dataclass(frozen=True)
class StudyData:
    """Images and labels, with suitable settings."""

    name: str
    images: NDArray[Any]
    labels: NDArray[Any]
    test_fold: NDArray[np.intp] | None
    epochs: int
    n_folds: int
    image_names: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    n_unseen: int = 0

    def training_part(self) -> "StudyData":
        """Return only the training images."""
        if self.test_fold is None:
            return self
        return replace(self._take(np.flatnonzero(self.test_fold < 0)), test_fold=None)

    def _take(self, indices: NDArray[np.intp]) -> "StudyData":
        def of(values: Any) -> Any:
            return None if values is None else values[indices]

        return replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            test_fold=of(self.test_fold),
            image_names=of(self.image_names),
            groups=of(self.groups),
        )

    def choose_cv(
        self,
        cv: int | None = None,
        *,
        holdout: bool = False,
        by_group: bool = False,
        random_state: int,
    ) -> Any:
        """Choose the splits."""
        if cv is None and self.test_fold is not None:
            return PredefinedSplit(self.test_fold)
        if holdout:
            groups = self.groups if by_group else None
            _, test = split_holdout(
                self.labels,
                fraction=0.2,
                groups=groups,
                copies=find_copies(self.images),
                random_state=random_state,
            )
            return PredefinedSplit(np.where(np.isin(np.arange(len(self.labels)), test), 0, -1))
        return cv or self.n_folds


def load_study_data(
    source: str | os.PathLike[str] = "generated",
    *,
    image_size: int | None = None,
    quick: bool = False,
    skip_broken: bool = False,
    labels: Labels | None = None,
    columns: Mapping[str, str] | None = None,
    groups: str | None = None,
    random_state: int = 0,
) -> StudyData:
    """Load the data of a study.

    Parameters
    ----------
    source : str or path-like, default="generated"
        "generated", "bloodmnist", a folder with one sub-folder per class (or with `train` and
        `val`), or an `.npz` file.
    image_size : int, default=None
        Height and width in pixels; None uses a default for the source. Must be None for `.npz`
        files.
    quick : bool, default=False
        Whether to use fewer and smaller images, drawn as a stratified sample.
    skip_broken : bool, default=False
        Whether to skip image files that cannot be read, with a warning, instead of failing.
    labels, columns : path-like (or several) and mapping, default=None
        Tables of labels of a folder without sub-folders, as for
        `skcell.datasets.load_image_folder`.
    groups : str, default=None
        Patients or slides of the images in a folder, as for `skcell.datasets.read_groups`; None
        takes those of the table of labels, or the sub-folders of the folders of the classes, if
        there are any.
    random_state : int, default=0
        Seed of generated cells and of the sample.

    Returns
    -------
    StudyData
        Images of the training and validation parts; a published test part is left out.

    Raises
    ------
    ValueError, OSError
        If there is no such source, or it cannot be used.
    """
    name = os.fspath(source)
    if name not in NAMES:
        name = os.path.expanduser(name)
    if (groups or labels) and not os.path.isdir(name):
        what = "Groups need" if groups else "A table of labels needs"
        raise ValueError(f"{what} a folder of images, and {name!r} is none.")
    if name == "generated":
        size = _GENERATED[quick]
        assert size.n_images is not None
        cells = make_cells(
            size.n_images, image_size=image_size or size.image_size, random_state=random_state
        )
        return _study_data("generated cells", cells, None, size)
    size = _REAL[quick]
    if name == "bloodmnist":
        cells, title = fetch_bloodmnist(size=image_size or 28), "BloodMNIST"
    elif os.path.isdir(name):
        side = image_size or size.image_size
        on_error = "warn" if skip_broken else "raise"
        cells = load_image_folder(
            name, side, labels=labels or True, columns=columns, on_error=on_error
        )
        if groups is not None:
            cells.groups = read_groups(groups, cells.filenames.tolist(), name)
        title = Path(name).resolve().name
    elif os.path.isfile(name):
        if image_size is not None:
            raise ValueError(f"The images in {name!r} cannot be resized; omit image_size.")
        cells, title = load_npz(name), Path(name).name
    else:
        raise FileNotFoundError(
            f"There is no folder or file {name!r}.{hint(name, NAMES)} Give a folder with one "
            "sub-folder per class, an .npz file, 'bloodmnist' or 'generated'."
        )
    return _study_data(title, cells, random_state, size)


def _study_data(name: str, cells: Bunch, random_state: int | None, size: _Size) -> StudyData:
    split = cells.get("split")
    indices = np.arange(len(cells.target))
    if split is not None:
        # A test part is left out: techniques are compared, and so chosen, on the other images.
        indices = np.flatnonzero(split != "test")
        if set(split[indices]) != {"train", "val"}:
            indices = np.arange(len(cells.target)) if len(indices) == 0 else indices
            split = None
    n_unseen = len(cells.target) - len(indices)
    if random_state is not None and size.n_images is not None and len(indices) > size.n_images:
        strata = cells.target if split is None else np.char.add(split, cells.target.astype(str))
        indices = _sample(indices, strata[indices], size.n_images, random_state)
    everything = len(indices) == len(cells.target)
    names, groups = cells.get("filenames"), cells.get("groups")
    return StudyData(
        name=name,
        images=cells.images if everything else cells.images[indices],
        labels=np.asarray(cells.target_names)[cells.target[indices]],
        test_fold=None if split is None else np.where(split[indices] == "train", -1, 0),
        epochs=size.epochs,
        n_folds=size.n_folds,
        image_names=None if names is None else names[indices],
        groups=None if groups is None else groups[indices],
        n_unseen=n_unseen,
    )


def _sample(
    indices: NDArray[np.intp], strata: NDArray[Any], n: int, random_state: int
) -> NDArray[np.intp]:
    """Draw about `n` of the indices, stratified, but at least a few of each stratum."""
    rng = np.random.default_rng(random_state)
    kept = []
    for stratum in np.unique(strata):
        members = indices[strata == stratum]
        wanted = max(_FEWEST, round(n * len(members) / len(indices)))
        kept.append(rng.permutation(members)[:wanted])
    return np.sort(np.concatenate(kept))
