"""The command `skcell check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from skcell._text import printable
from skcell.cli._common import (
    FAILED,
    PAGE,
    ByFolder,
    Columns,
    Groups,
    Ignore,
    ImageSize,
    Labels,
    RandomState,
    check_groups,
    check_output,
    plain,
    quietly_starting,
    reported,
    say_next,
    scan_input,
    short_warnings,
)

if TYPE_CHECKING:
    from skcell.cleaning import DatasetCheck

CHECK_EPILOG = """Examples: skcell check cells/ -o check.html. With patients in the file names, and
a check of the labels: skcell check cells/ --groups "(P[0-9]+)_" --label-issues -o check.html"""

_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}

#: Number of images of a finding whose names are printed.
_TOLD = 2


def check(
    folder: Annotated[
        str,
        typer.Argument(
            help="Folder with a sub-folder of images for each class; or with parts, such as train "
            "and test, which have these."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Page with pictures, *.html; beside it, *-findings.csv has the images.",
        ),
    ] = None,
    groups: Groups = None,
    by_folder: ByFolder = False,
    labels: Labels = None,
    columns: Columns = None,
    label_issues: Annotated[
        bool,
        typer.Option(
            "--label-issues",
            help="Find wrong labels by small networks; takes minutes, needs skcell[cleaning].",
        ),
    ] = False,
    image_size: ImageSize = None,
    ignore: Ignore = None,
    random_state: RandomState = 0,
) -> None:
    """Check a folder of images for what would invalidate a score.

    Scan for copies of images, also mirrored, turned or changed a little; copies under two
    labels or in two parts of a split; files that cannot be read; images that are blank,
    blurred, empty or of other colours; and borders, files and backgrounds that give the class
    away. The exit code is 1 if something would invalidate a score or stop training.
    """
    console = Console()
    with reported(console):
        check_groups(groups, by_folder)
        if out is not None:
            out = check_output(out, folder, suffixes=PAGE)
        files = scan_input(folder, labels, columns, one_class=True, ignore=ignore)
        if label_issues:
            from skcell._optional import import_optional

            import_optional("cleanlab", purpose="--label-issues", extra="cleaning")
            with quietly_starting(console):
                import skcell.classifiers  # noqa: F401 # the other checks need no Keras
        from skcell import workflows

        with short_warnings():
            found = workflows.check_folder(
                files,
                image_size=image_size,
                groups=groups,
                group_by_folder=by_folder,
                label_issues=label_issues,
                random_state=random_state,
                notify=lambda text: console.print(plain(text), soft_wrap=True),
            )
        if out is not None:
            name = Path(folder).expanduser().resolve().name
            page, table = workflows.save_check(found, out, title=f"Check of {name}")
        _show(found, console)
        if out is not None:
            console.print(plain(f"The page is {page}, the table {table}."), soft_wrap=True)
        if found.passed:
            say_next(console, "skcell", "train", folder, "-o", "cells.skcell")
    if not found.passed:
        raise typer.Exit(FAILED)


def _show(found: "DatasetCheck", console: Console) -> None:
    """Print what was found."""
    from skcell.cleaning import describe_verdict

    for one in found.findings:
        text = plain(f"{one.severity.capitalize()}: ", style=f"bold {_COLOURS[one.severity]}")
        text.append(printable(one.message), style="default not bold")
        console.print(text, soft_wrap=True)
        told = list(zip(one.indices, one.details, strict=True))
        for i, detail in told[:_TOLD]:
            line = printable(f"    {found.names[i]}: {detail}")
            console.print(plain(line, style="dim"), soft_wrap=True)
        if len(told) > _TOLD:
            more = f"    and {len(told) - _TOLD:,} more; -o writes all to a page and a table."
            console.print(plain(more, style="dim"), soft_wrap=True)
        if one.advice:
            console.print(plain(f"    {one.advice}"), soft_wrap=True)
    if found.clean:
        clean = f"Checked, without a finding: {', '.join(found.clean)}."
        console.print(plain(clean, style="dim"), soft_wrap=True)
    console.print(plain(describe_verdict(found), style="bold"), soft_wrap=True)
