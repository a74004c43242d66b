"""Check a data set as a whole, before anything is trained on it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skcell._holdout import check_groups
from skcell._images import as_paths, check_labels, load_images
from skcell._pages import to_data_uri
from skcell.cleaning._batches import group
from skcell.cleaning._duplicates import Duplicates, compare
from skcell.cleaning._findings import Seen, count_labels, find_faults
from skcell.cleaning._label_issues import find_label_issues
from skcell.cleaning._outliers import judge
from skcell.cleaning._page import MOST_PICTURES
from skcell.cleaning._record import DatasetCheck
from skcell.cleaning._scan import FileHeader, Scan, check, read_headers, scan
from skcell.cleaning._shortcuts import shortcuts_from_scan


def check_dataset(
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    split: ArrayLike | Callable[[Duplicates], ArrayLike] | None = None,
    *,
    probabilities: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    files: Sequence[str] | None = None,
    image_shape: tuple[int, ...] | None = None,
    random_state: int = 0,
) -> DatasetCheck:
    """Check a labelled data set for what would invalidate a score, and for what is worth checking.

    Parameters
    ----------
    X : array-like
        Images `(n, H, W, C)` or `(n, H, W)`, rows of pixels, or paths of image files, which are
        read some at a time; files that cannot be read are a finding.
    y : array-like of shape (n,)
        Labels.
    groups : array-like of shape (n,), default=None
        Group of each image, such as its patient or slide.
    split : array-like of shape (n,) or callable, default=None
        Part of each image, such as "train" and "test"; or a function of the `Duplicates` that were
        found, which returns these, such as one that keeps copies together.
    probabilities : array-like of shape (n, n_classes), default=None
        Probability of each class, sorted, by a model that did not learn from the image; wrong
        labels are then looked for, which needs the extra ``cleaning``.
    names : sequence of str, default=None
        Names of the images; None takes the paths in `X`, or numbers.
    files : sequence of str, default=None
        Files that the images of an array were read from.
    image_shape : tuple of int, default=None
        Shape of an image, for rows of pixels, or to which files are resized; 96 x 96 by default.
    random_state : int, default=0
        Seed of the small models that find shortcuts.

    Returns
    -------
    DatasetCheck
        Counts, findings and pictures.

    Raises
    ------
    ValueError
        If the images, labels, groups or parts cannot be used.

    See Also
    --------
    find_duplicates, find_outliers, find_shortcuts, find_batches, find_label_issues : The parts.
    suggest_split : A split that keeps copies and groups together.

    Examples
    --------
    >>> from skcell.cleaning import check_dataset
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(60, n_classes=2, image_size=48, random_state=0)
    >>> cells.images[7] = cells.images[41]
    >>> check = check_dataset(cells.images, cells.target, split=["train"] * 40 + ["test"] * 20)
    >>> check.passed
    False
    >>> check.findings[0].kind, check.findings[0].indices
    ('copies across parts', array([ 7, 41]))
    """
    images, spec = check(X, image_shape, raise_errors=False)
    n = len(images)
    labels, checked = check_labels(y, n), check_groups(groups, n)
    parts = None
    if split is not None and not callable(split):
        parts = check_labels(split, n, "split", "part")
    paths = as_paths(X) if files is None else list(files)
    shown = [str(i) for i in range(n)]
    if names is not None:
        shown = list(names)
    elif paths is not None:
        shown = paths
    for what, given in {"names": shown, "files": paths}.items():
        if given is not None and len(given) != n:
            raise ValueError(f"{what} has {len(given)} entries for {n} images.")
    scanned = scan(images, spec, raise_errors=False)
    kept = scanned.indices  # of files that can be read
    headers = [] if paths is None else read_headers([paths[i] for i in kept])
    readable = images if len(kept) == n else images[kept]
    duplicates = _spread(compare(readable, scanned.thumbnails, scanned.spread, None), kept, n)
    if callable(split):
        parts = check_labels(split(duplicates), n, "split", "part")
    own = labels[kept]
    outliers = judge(scanned, own)
    some_groups = (duplicates.clusters if checked is None else checked)[kept]
    shortcuts = shortcuts_from_scan(scanned, own, some_groups, headers, random_state)
    batches = group(scanned, own)
    codes = np.full(n, -1)
    codes[kept] = batches.codes
    seen = Seen(
        scan=scanned,
        headers=headers,
        labels=labels,
        parts=parts,
        groups=checked,
        names=shown,
        duplicates=duplicates,
        outliers=replace(outliers, indices=kept[outliers.indices]),
        shortcuts=[replace(one, examples=kept[one.examples]) for one in shortcuts],
        batches=replace(batches, codes=codes),
        issues=None if probabilities is None else find_label_issues(labels, probabilities),
    )
    findings, clean = find_faults(seen)
    pictured = np.concatenate([kept[:0], *(f.indices[:MOST_PICTURES] for f in findings)])
    in_parts = [] if parts is None else np.unique(parts).tolist()
    return DatasetCheck(
        names=shown,
        labels=labels,
        split=parts,
        classes=count_labels(labels),
        parts={str(part): count_labels(labels[parts == part]) for part in in_parts},
        facts=_facts(scanned, n, headers),
        findings=findings,
        clean=clean,
        duplicates=duplicates,
        outliers=seen.outliers,
        shortcuts=seen.shortcuts,
        batches=seen.batches,
        label_issues=seen.issues,
        pictures={
            int(i): to_data_uri(load_images(images, np.array([i]), spec)[0])
            for i in np.intersect1d(pictured, kept)
        },
    )


def _spread(found: Duplicates, kept: NDArray[np.intp], n: int) -> Duplicates:
    """Return duplicates of all images, of which only some could be read."""
    clusters = np.arange(n) + len(kept)
    clusters[kept] = found.clusters
    numbered = np.unique(clusters, return_inverse=True)[1]
    return Duplicates(kept[found.pairs], found.similarity, found.exact, found.symmetry, numbered)


def _facts(scanned: Scan, n: int, headers: Sequence[FileHeader]) -> list[tuple[str, str]]:
    height, width, channels = scanned.spec.shape
    facts = [
        ("Images", f"{n:,}"),
        ("Shape", f"{height} x {width}, {channels} channel{'s' if channels > 1 else ''}"),
        ("Values", f"{scanned.spec.dtype}, {scanned.lowest.min():g} to {scanned.highest.max():g}"),
        ("At the ends of the range", f"{100 * scanned.clipped.mean():.1f} % of the values"),
    ]
    if headers:
        sizes = Counter(f"{one.width} x {one.height}" for one in headers if one.width > 0)
        formats = Counter(one.format for one in headers)
        facts += [
            ("File formats", _most_common(formats)),
            ("Dimensions of the files", _most_common(sizes)),
        ]
    return facts


def _most_common(counts: Counter[str]) -> str:
    told = [f"{name} ({n:,})" for name, n in counts.most_common(4)]
    return ", ".join(told) + (f" and {len(counts) - 4} others" if len(counts) > 4 else "")
