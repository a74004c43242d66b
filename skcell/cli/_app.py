"""The command `skcell app`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skcell.cli._common import (
    Model,
    check_output,
    plain,
    quietly_starting,
    reported,
    short_warnings,
)

APP_EPILOG = """Example: skcell app cells.skcell new/ --labels new.csv -o better.skcell. The extra
is installed with: pip install 'skcell[app]'"""
_LAST_PORT = 65535


def app(
    model: Model,
    folder: Annotated[str, typer.Argument(help="Folder of images, with or without sub-folders.")],
    labels: Annotated[
        Path, typer.Option(help="Table of labels, *.csv, that is read and written.")
    ] = Path("labels.csv"),
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Model that is trained on the page; never replaced."),
    ] = Path("better.skcell"),
    port: Annotated[
        int, typer.Option(min=0, max=_LAST_PORT, help="Port of the page. (default: a free one)")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open nothing.")
    ] = False,
) -> None:
    """Look at predictions on a page, correct them by keyboard, and train again.

    The page is for this computer alone, and sends nothing anywhere. Each label is saved at once to
    the table; start the command again with the same table to go on.
    """
    console = Console()
    with reported(console):
        out = check_output(out, model, folder, suffixes=(".skcell",))
        from skcell.datasets import LabelTable, list_images
        from skcell.persistence import read_info

        list_images(folder)
        LabelTable(labels)  # what cannot be used is refused before Keras starts
        read_info(model)
        with quietly_starting(console):
            from skcell.app import run_app
        with short_warnings():
            run_app(
                model,
                folder,
                labels,
                out=out,
                port=port,
                open_browser=not no_browser,
                notify=lambda text: console.print(plain(text), soft_wrap=True),
            )
