"""The page of a check."""

from typing import TYPE_CHECKING, Any

from skcell._pages import render
from skcell._text import printable

if TYPE_CHECKING:
    from skcell.cleaning._record import DatasetCheck

#: Number of pictures of each finding.
MOST_PICTURES = 12

Table = tuple[list[str], list[list[str]]]


def make_page(check: "DatasetCheck", title: str) -> str:
    """Write a check as one HTML page that opens from disk."""
    return render("skcell.cleaning", "_page.html.jinja", title=title, check=show_check(check))


def show_check(check: "DatasetCheck") -> dict[str, Any]:
    """Return what the template ``check.html.jinja`` shows of a check."""
    return {
        "verdict": describe_verdict(check),
        "facts": check.facts,
        "counts": _count_classes(check),
        "findings": _show_findings(check),
        "shortcuts": _shortcuts(check),
        "batches": _batches(check),
        "clean": check.clean,
        "unchecked": _unchecked(check),
    }


def describe_verdict(check: "DatasetCheck") -> str:
    """Say in a sentence whether the data can be used."""
    counts = {
        severity: sum(one.severity == severity for one in check.findings)
        for severity in ("error", "warning", "note")
    }
    counted = ", ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n)
    if not counted:
        return "Nothing was found that invalidates a score."
    if check.passed:
        return f"Nothing was found that invalidates a score; worth checking: {counted}."
    return f"Something was found that may invalidate a score, or that stops training: {counted}."


def _count_classes(check: "DatasetCheck") -> Table:
    """Return the number of images of each class in each part."""
    head = ["Class", "Images", *check.parts]
    lines = [
        [str(name), f"{n:,}", *(f"{part.get(name, 0):,}" for part in check.parts.values())]
        for name, n in check.classes.items()
    ]
    return head, lines


def _show_findings(check: "DatasetCheck") -> list[dict[str, Any]]:
    """Return the findings with their pictures."""
    shown = []
    for one in check.findings:
        cells = [
            {
                "picture": check.pictures.get(int(i), ""),
                "name": printable(check.names[i]),
                "alt": str(check.labels[i]),
                "said": f"{check.labels[i]}; {printable(detail)}",
                "group": "",
                "heat": "",
                "probabilities": [],
            }
            for i, detail in zip(
                one.indices[:MOST_PICTURES], one.details[:MOST_PICTURES], strict=True
            )
        ]
        shown.append(
            {
                "severity": one.severity,
                "message": printable(one.message),
                "advice": one.advice,
                "cells": cells,
                "n_all": len(one.indices),
            }
        )
    return shown


def _shortcuts(check: "DatasetCheck") -> Table | None:
    sources = list(dict.fromkeys(one.source for one in check.shortcuts))
    by_key = {(one.source, one.label): one for one in check.shortcuts}
    lines = []
    for label in check.classes:
        found = [by_key.get((source, label)) for source in sources]
        if any(found):
            cells = [f"{s.auc:.2f} ({s.low:.2f} to {s.high:.2f})" if s else "" for s in found]
            lines.append([str(label), *cells])
    return (["Class", *sources], lines) if lines else None


def _batches(check: "DatasetCheck") -> Table | None:
    found = check.batches
    if len(found) < 2:
        return None
    shown = [
        f"Background {b + 1}: " + ", ".join(f"{value:.2f}" for value in colour)
        for b, colour in enumerate(found.colours)
    ]
    lines = [
        [str(label), *(f"{n:,}" for n in row)]
        for label, row in zip(found.classes, found.counts, strict=True)
    ]
    return ["Class", *shown], lines


def _unchecked(check: "DatasetCheck") -> list[str]:
    told = [
        "Whether images of one patient or slide are in several parts, unless groups were given.",
        "Whether these images are like those that a model will meet: test on another laboratory's.",
    ]
    if check.label_issues is None:
        told.insert(
            0,
            "Wrong labels, except copies under two labels: they need the probabilities of a model "
            "that did not learn from the image.",
        )
    return told
