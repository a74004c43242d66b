"""The command `skcell crop`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skcell.cli._common import LARGEST, SkipBroken, check_output, plain, reported, short_warnings

CROP_EPILOG = """Examples: skcell crop fields/ masks/ -o cells/. With boxes: skcell crop fields/
boxes.csv -o cells/. Fill in the column label of cells/cells.csv, and train: skcell train cells/
--labels cells/cells.csv -o cells.skcell"""


def crop(
    fields: Annotated[str, typer.Argument(help="Folder of images with many cells.")],
    masks: Annotated[
        str,
        typer.Argument(
            help="Folder of label images (TIFF, PNG or .npy), called as the fields; or a file of "
            "boxes, .csv or COCO's .json."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must be new.")],
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
        out = check_output(out, fields, masks)
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
