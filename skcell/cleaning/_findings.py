"""Turn what was seen of a data set into findings: what is wrong, how bad it is, what to do."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skcell._images import some
from skcell.cleaning._batches import Batches
from skcell.cleaning._duplicates import Duplicates
from skcell.cleaning._label_issues import LabelIssues
from skcell.cleaning._outliers import KINDS, Outliers
from skcell.cleaning._record import Finding, Severity
from skcell.cleaning._scan import FileHeader, Scan
from skcell.cleaning._shortcuts import Shortcut

_MASK = re.compile(r"[-_. ]?(cp_)?(mask|seg|segmentation|label|annotation)s?$", re.I)
_ALL_DRAWN = 0.8  # share of two-valued images from which this is how the images are
_FIELD = 600  # pixels on a side of a file that rarely shows one cell
_SHRUNK = 6  # times
_FEW = 10  # images of a class, from which a score means little
_UNEQUAL = 5  # ratio of the largest class to the smallest
_MANY_ALIKE = 0.05  # share of images in one cluster that is reported
_MANY_COPIES = 0.01  # share of copies that flatters any random split noticeably
_CLIPPED = 0.2  # share of pixels at the ends of the range
_STRETCHED = 1.1  # ratio of aspect ratios

#: From which lower end of its interval a shortcut is reported, and is an error. Colour and file
#: size come from the cell itself as well, and are never an error.
_TOLD = {"border": 0.8, "file format and dimensions": 0.7, "mean colour": 0.97, "file size": 0.97}
_SURE = {"border": 0.9, "file format and dimensions": 0.9}


@dataclass(frozen=True)
class Seen:
    """What is known of a data set; `headers` are of the images that were scanned."""

    scan: Scan
    headers: Sequence[FileHeader]
    labels: NDArray[Any]
    parts: NDArray[Any] | None
    groups: NDArray[Any] | None
    names: Sequence[str]
    duplicates: Duplicates
    outliers: Outliers
    shortcuts: Sequence[Shortcut]
    batches: Batches
    issues: LabelIssues | None


def find_faults(seen: Seen) -> tuple[list[Finding], list[str]]:
    """Say what is wrong, errors first, and what was checked without a finding."""
    found = {title: list(check(seen)) for title, check in _CHECKS.items()}
    skipped = {"groups": seen.groups is None, "labels": seen.issues is None}
    clean = [title for title, some in found.items() if not some and not skipped.get(title)]
    order = ("error", "warning", "note")
    findings = [one for some in found.values() for one in some]
    return sorted(findings, key=lambda one: order.index(one.severity)), clean


def count_labels(labels: NDArray[Any]) -> dict[Any, int]:
    """Count the images of each class."""
    names, counts = np.unique(labels, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _about_files(seen: Seen) -> Iterator[Finding]:
    scanned = seen.scan
    if scanned.failures:
        indices = np.array(sorted(scanned.failures), np.intp)
        yield Finding(
            "unreadable",
            "error",
            f"{_number(len(indices), 'file')} cannot be read.",
            "Repair or remove them.",
            indices,
            [scanned.failures[int(i)] for i in indices],
        )
    clipped = np.flatnonzero(scanned.clipped > _CLIPPED)
    if len(clipped) > 0.5 * len(scanned.clipped):
        yield Finding(
            "clipped",
            "note",
            f"In {100 * len(clipped) / len(scanned.clipped):.0f} % of the images, more than a "
            "fifth of the values are at the end of their range.",
            "If these are not the background or black margins, expose less.",
        )
    ratios = [one.width / one.height for one in seen.headers if one.height > 0]
    if ratios and max(ratios) > _STRETCHED * min(ratios):
        yield Finding(
            "aspect ratio",
            "warning",
            f"The aspect ratios of the files differ, from {min(ratios):.2f} to {max(ratios):.2f}; "
            "images are stretched to one shape.",
            "Crop the images to one aspect ratio first, so that round cells stay round.",
        )


def _about_masks(seen: Seen) -> Iterator[Finding]:
    """Masks beside the images they belong to: a model would learn to distinguish the two."""
    scanned, labels = seen.scan, seen.labels
    stems = [os.path.splitext(str(name))[0] for name in seen.names]
    known = set(stems)
    named = {
        i
        for i, stem in enumerate(stems)
        if (plain := _MASK.sub("", stem)) != stem and plain in known
    }
    drawn = set(scanned.indices[scanned.two_valued].tolist())
    found = np.array(sorted(named | drawn), np.intp)
    if not len(found) or (not named and len(drawn) > _ALL_DRAWN * len(labels)):
        return  # all images are drawn in two colours
    both = {"named like a mask": named, "two-valued": drawn}
    yield Finding(
        "masks",
        "error" if named else "warning",
        f"{_number(len(found), 'image')} of {len(labels):,} seem to be masks, not cells.",
        "Move them out of the folders of the classes, or leave them out: ignore='*_mask.*'.",
        found,
        [" and ".join(why for why, some in both.items() if i in some) for i in found.tolist()],
    )


def _about_fields(seen: Seen) -> Iterator[Finding]:
    """Whole fields of view, which are shrunk until no cell can be seen."""
    sides = np.array([min(one.width, one.height) for one in seen.headers], int)
    size, known = min(seen.scan.spec.shape[:2]), sides[sides > 0]
    if not len(known) or np.median(known) < max(_FIELD, _SHRUNK * size):
        return
    large = np.flatnonzero(sides >= _FIELD)
    yield Finding(
        "fields",
        "error",
        f"The files are large, about {np.median(known):,.0f} pixels on a side, and are shrunk to "
        f"{size}. They seem to be fields of many cells, not single cells.",
        "Cut single cells out first (skcell crop). If each image shows one, this is no problem.",
        seen.scan.indices[large],
        ["large"] * len(large),
    )


def _about_classes(seen: Seen) -> Iterator[Finding]:
    labels, parts = seen.labels, seen.parts
    counts = count_labels(labels)
    few = [f"{name} {n}" for name, n in counts.items() if n < _FEW]
    if few:
        yield Finding(
            "few images",
            "warning",
            f"Some classes have fewer than {_FEW} images: {some(few, 8)}.",
            "Add images of these classes; until then, their scores mean little.",
        )
    if max(counts.values()) >= _UNEQUAL * min(counts.values()):
        yield Finding(
            "unequal classes",
            "note",
            f"The largest class has {max(counts.values()):,} images, the smallest "
            f"{min(counts.values()):,}.",
            "Weight the classes (class_weight='balanced'), and report the balanced accuracy.",
        )
    if parts is not None and "train" in parts:
        missing = sorted(set(labels.tolist()) - set(labels[parts == "train"].tolist()), key=str)
        if missing:
            yield Finding(
                "missing class",
                "error",
                f"The training part has no images of {some(missing, 8)}.",
                "Move images of these classes to it.",
            )


def _about_copies(seen: Seen) -> Iterator[Finding]:
    found, labels, parts, groups = seen.duplicates, seen.labels, seen.parts, seen.groups
    first, second = found.pairs.T
    other_label = labels[first] != labels[second]
    across = np.zeros(len(found), bool) if parts is None else parts[first] != parts[second]
    rest = ~(other_label | across)
    if groups is not None and parts is None:  # groups stay whole in a split
        rest &= groups[first] != groups[second]
    n_copies = len(np.unique(second[rest]))

    def tell(
        which: NDArray[np.bool_], kind: str, severity: Severity, message: str, advice: str
    ) -> Iterator[Finding]:
        chosen = np.flatnonzero(which)
        if not len(chosen):
            return
        n_exact = int(found.exact[chosen].sum())
        details = []
        for pair, is_exact, alike in zip(
            found.pairs[chosen], found.exact[chosen], found.similarity[chosen], strict=True
        ):
            how = "exactly" if is_exact else f"nearly ({alike:.3f})"
            details += [f"{how} {seen.names[i]} ({labels[i]})" for i in pair[::-1]]
        message = message.format(f"{_number(len(chosen), 'pair')} of images ({n_exact} exact)")
        yield Finding(kind, severity, message, advice, found.pairs[chosen].ravel(), details)

    largest = np.bincount(found.clusters).argmax()
    together = np.flatnonzero(found.clusters == largest)
    if len(together) > max(_MANY_ALIKE * len(labels), 5):
        yield Finding(
            "large cluster",
            "warning",
            f"{len(together):,} images ({100 * len(together) / len(labels):.0f} %) are connected "
            "by similar pairs. A split that keeps them together is uneven.",
            "View them: are they copies of one cell, or images that are merely similar? If "
            "these are different cells, raise the threshold of find_duplicates.",
            together,
            ["in the largest cluster"] * len(together),
        )
    yield from tell(
        other_label,
        "two labels",
        "error",
        "{} of the same cell under two labels.",
        "One label of each pair is wrong: keep the image with the correct one, or remove both.",
    )
    yield from tell(
        across & ~other_label,
        "copies across parts",
        "error",
        "{} of the same cell in two parts of the split, so that the test is not new to the model.",
        "Remove the copies from one part, or split again with suggest_split.",
    )
    yield from tell(
        rest,
        "copies",
        "error" if parts is None and n_copies > _MANY_COPIES * len(labels) else "warning",
        "{} of the same cell under one label.",
        "Keep one of each, or split with suggest_split, which keeps copies together.",
    )


def _about_groups(seen: Seen) -> Iterator[Finding]:
    labels, parts, groups = seen.labels, seen.parts, seen.groups
    if groups is None:
        return
    n_groups = {c: len(set(groups[labels == c].tolist())) for c in np.unique(labels).tolist()}
    alone = [label for label, n in n_groups.items() if n == 1]
    if alone:
        yield Finding(
            "one group",
            "error",
            f"All images of {some(alone, 8)} come from one group each: whether a model knows the "
            "class, or the patient or slide, is not known.",
            "Add images of these classes from other patients or slides.",
        )
    if parts is None:
        return
    named = {g: set(parts[groups == g].tolist()) for g in np.unique(groups).tolist()}
    shared = [g for g, found in named.items() if len(found) > 1]
    if shared:
        yield Finding(
            "groups across parts",
            "error",
            f"{_number(len(shared), 'group')} in several parts of the split, such as "
            f"{shared[0]!r}, so that patients or slides of the test are not new to the model.",
            "Move all images of a group to one part, or split again with suggest_split.",
        )


def _about_outliers(seen: Seen) -> Iterator[Finding]:
    outliers = seen.outliers
    for kind, (*_, meaning) in KINDS.items():
        which = np.flatnonzero(outliers.kinds == kind)
        if len(which):
            yield Finding(
                "outlier",
                "warning",
                f"{_number(len(which), 'image')} with {meaning}.",
                "Look at them. Remove what is not a cell of the class; what also occurs in "
                "practice should stay.",
                outliers.indices[which],
                [f"{kind}, {outliers.scores[i]:.1f} times the limit" for i in which],
            )


def _about_shortcuts(seen: Seen) -> Iterator[Finding]:
    for source, told in _TOLD.items():
        strong = [one for one in seen.shortcuts if one.source == source and one.low >= told]
        if not strong:
            continue
        is_sure = any(one.low >= _SURE.get(source, 2.0) for one in strong)
        severity: Severity = "note"
        if source in _SURE:
            severity = "error" if is_sure else "warning"
        said = [f"{s.label} (AUC {s.auc:.2f}, {s.low:.2f} to {s.high:.2f})" for s in strong]
        yield Finding(
            "shortcut",
            severity,
            f"From the {source} alone, {some(said, 8)} can be predicted.",
            "If this is no property of the cells, a network may learn it instead of the cells: "
            "image all classes alike, and test on another laboratory's images.",
            np.concatenate([one.examples[:4] for one in strong]),
            [f"{s.label}, predicted from the {source}" for s in strong for _ in s.examples[:4]],
        )


def _about_batches(seen: Seen) -> Iterator[Finding]:
    batches = seen.batches
    told = [
        (
            batch,
            f"All {n:,} images with background {batch + 1} of {len(batches)} are of {label}.",
        )
        for batch, label, n in batches.pure
    ]
    told += [
        (
            batch,
            f"{100 * share:.1f} % of the images of {label} have background {batch + 1} of "
            f"{len(batches)}, which {100 * (batches.codes == batch).mean():.1f} % of all images "
            "have.",
        )
        for label, batch, share in batches.confined
    ]
    for batch, message in told:
        inside = batches.codes == batch
        outside = ~inside & (batches.codes >= 0)  # -1 for files that cannot be read
        examples = np.concatenate([np.flatnonzero(part)[:4] for part in (inside, outside)])
        yield Finding(
            "batch",
            "warning",
            message,
            "A network may predict the class from its slide: add images with other backgrounds, "
            "or test where backgrounds are mixed.",
            examples,
            [f"background {batches.codes[i] + 1}" for i in examples],
        )


def _about_labels(seen: Seen) -> Iterator[Finding]:
    issues = seen.issues
    if issues is not None and len(issues):
        yield Finding(
            "label",
            "warning",
            f"{_number(len(issues), 'label')} doubted by models that did not learn from the image.",
            "Look at them, the first ones first. Correct the label if it is wrong; do not remove "
            "images because they are difficult.",
            issues.indices,
            [
                f"{given} or {suggested}? ({100 * quality:.1f} % for {given})"
                for given, suggested, quality in zip(
                    issues.given, issues.suggested, issues.quality, strict=True
                )
            ],
        )


#: Every check, by what it is about.
_CHECKS: dict[str, Callable[[Seen], Iterator[Finding]]] = {
    "files": _about_files,
    "masks": _about_masks,
    "fields of many cells": _about_fields,
    "sizes of the classes": _about_classes,
    "copies": _about_copies,
    "groups": _about_groups,
    "outliers": _about_outliers,
    "shortcuts": _about_shortcuts,
    "batches": _about_batches,
    "labels": _about_labels,
}
