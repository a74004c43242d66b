"""The commands that write folders of cells: crop, demo."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skcell.cli._common import (
    LARGEST,
    SkipBroken,
    check_output,
    plain,
    reported,
    say_next,
    short_warnings,
)

CROP_EPILOG = """Examples: skcell crop fields/ masks/ -o cells/. With boxes: skcell crop fields/
boxes.csv -o cells/. White cells of a stained smear: skcell crop fields/ --find -o cells/. Fill in
the column label of cells/cells.csv, and train: skcell train cells/ --labels cells/cells.csv -o
cells.skcell"""


def crop(
    fields: Annotated[str, typer.Argument(help="Folder of images with many cells.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must be new.")],
    masks: Annotated[
        str | None,
        typer.Argument(
            help="Folder of label images (TIFF, PNG or .npy) or of YOLO's .txt, called as the "
            "fields; or a file of boxes, .csv or COCO's .json."
        ),
    ] = None,
    find: Annotated[
        bool,
        typer.Option(
            "--find", help="Look for the nuclei of a stained blood smear, instead of masks."
        ),
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            min=8, max=LARGEST, help="Height and width in pixels. (default: by the objects)"
        ),
    ] = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Cut single cells out of fields that were segmented.

    Each object becomes one image, all of one size, so that large cells stay larger than small ones.
    Objects that touch the edge of a field are left out, and counted. A table, cells.csv, has the
    field and the box of each image, and a column for its label.
    """
    console = Console()
    with reported(console):
        if find == (masks is not None):
            raise ValueError("Give either masks or boxes, or --find.")
        out = check_output(out, fields, *([] if masks is None else [masks]))
        from skcell import workflows

        with short_warnings():
            found = workflows.crop_folder(
                fields,
                masks,
                out,
                size=size,
                skip_broken=skip_broken,
                notify=lambda text: console.print(plain(text), soft_wrap=True),
            )
        console.print(plain(str(found)), soft_wrap=True)
        console.print(
            plain(f"The cells are in {out}, their table is {found.table}."), soft_wrap=True
        )
        say_next(console, "skcell", "train", out, "--labels", found.table, "-o", "cells.skcell")


def demo(
    folder: Annotated[str, typer.Argument(help="Folder to write; it must be new.")] = "skcell-demo",
) -> None:
    """Write drawn blood cells, to try the other commands on."""
    console = Console()
    with reported(console):
        from skcell import workflows

        root = workflows.write_demo(check_output(Path(folder)))
        console.print(
            plain(
                f"480 drawn cells of eight classes are in {root / 'cells'}, 60 in {root / 'new'}."
            ),
            soft_wrap=True,
        )
        say_next(console, "skcell", "check", root / "cells", "-o", "check.html")
