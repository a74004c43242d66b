"""What all commands share: exit codes, errors, warnings, and a quiet start of the backend."""

import contextlib
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from skcell._lazy import without_chatter
from skcell._text import printable
from skcell.exceptions import ImageReadError

if TYPE_CHECKING:
    from skcell.datasets import ImageFolder

FAILED = 1  # an error occurred during the run
MISUSED = 2  # the request is invalid
INTERRUPTED = 130  # the exit code of a shell for Ctrl-C
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)
PAGE = (".html", ".htm")
LARGEST = 2048  # pixels on a side
LONGEST_NAME = 200  # bytes; a file that is being written, or a folder beside it, has a longer one

Groups = Annotated[
    str | None,
    typer.Option(
        help="Patients or slides, whose images stay together: a table with the columns file and "
        "group; or a pattern with one (group), searched for in paths from the folder."
    ),
]
ByFolder = Annotated[
    bool,
    typer.Option(
        "--group-by-folder", help="Each sub-folder of a class folder is a patient or slide."
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        help="Table of labels, instead of sub-folders: .csv, .tsv or .parquet with the columns "
        "image and label, and maybe patient and split; repeatable."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(help="Other names of its columns, such as image=id,label=diagnosis."),
]
SkipBroken = Annotated[
    bool,
    typer.Option(
        "--skip-broken", help="Skip image files, and lines of --labels, that cannot be used."
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=LARGEST,
        help="Height and width in pixels. (default: depends on the data, at most 96)",
    ),
]
RandomState = Annotated[
    int,
    typer.Option(min=0, max=2**31 - 1, help="Seed of splits, weights and all else."),
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Epochs of each fit. (default: depends on the data)")
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files that match this pattern, such as '*_mask.png'; repeatable."),
]

Model = Annotated[Path, typer.Argument(help="File that `skcell train` wrote.")]
Coverage = Annotated[
    float,
    typer.Option(help="Probability with which the prediction set contains the true class."),
]

#: Settings of the whole command, such as ``debug``.
settings = {"debug": False}


def plain(text: Any, style: str = "") -> Text:
    """Return text for the terminal in which control characters are replaced."""
    return Text(printable(text), style=style)


def check_output(
    out: Path, *inputs: str | Path, suffixes: Sequence[str] = (), option: str = "--out"
) -> Path:
    """Return the name of an output, or say why it cannot be written, before any work.

    An output is never an input, never inside a folder of images, and replaces nothing but a regular
    file; without `suffixes` it is a folder.
    """
    out = out.expanduser()
    for given in inputs:
        source = Path(given).expanduser()
        if source.is_file() and out.exists() and source.samefile(out):
            raise ValueError(f"{option} {out} is the input {given}; give another name.")
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise ValueError(
                f"{option} {out} is inside the image folder {given}, where the next run would read "
                f"it as images. Use another, such as {option} {source.resolve().parent / out.name}."
            )
    if suffixes and out.suffix.lower() not in suffixes:
        raise ValueError(f"{option} {out}: the name must end in {', '.join(suffixes)}.")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(out.parent)!r} for {option}.")
    if suffixes and out.is_dir():
        raise IsADirectoryError(f"{option} {out} is a folder; give the name of a file.")
    if out.exists() and not (out.is_file() if suffixes else out.is_dir()):
        raise FileExistsError(f"{option} {out} is something else; use another name.")
    if len(out.name.encode()) > LONGEST_NAME:
        raise ValueError(f"{option}: the name {out.name[:20]}... is too long; use a shorter one.")
    return out


def scan_input(
    folder: str, tables: list[str] | None = None, columns: str | None = None, **options: Any
) -> "ImageFolder":
    """List the images of a folder; one that cannot be used is refused before Keras starts."""
    from skcell.datasets import ImageFolder

    if tables:
        options["labels"] = tables
    return ImageFolder.scan(folder, columns=read_columns(columns), **options)


def read_columns(text: str | None) -> dict[str, str] | None:
    """Read names of columns, which are written as ``image=id,label=diagnosis``."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise ValueError(f"--columns {text}: write it like image=id,label=diagnosis.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def check_groups(groups: str | None, by_folder: bool) -> None:
    """Refuse two kinds of groups at once."""
    if groups is not None and by_folder:
        raise ValueError("--groups and --group-by-folder cannot be used together; give one.")


def say_next(console: Console, *command: str | Path) -> None:
    """Say what to type next."""
    words = " ".join(shlex.quote(str(word)) for word in command)
    console.print(plain(f"Next: {words}", style="bold"), soft_wrap=True)


@contextlib.contextmanager
def reported(console: Console) -> Iterator[None]:
    """Report an error of the user or of the data in a sentence, and end with an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("Interrupted.", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the program that reads the output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except EXPECTED as error:
        if settings["debug"]:
            raise
        fail(" ".join([for_command(error), *getattr(error, "__notes__", ())]))


@contextlib.contextmanager
def short_warnings() -> Iterator[None]:
    """Show each warning on one line, without its location in the source."""
    usual = warnings.showwarning

    def show(message: Any, *_: Any, **__: Any) -> None:
        Console(stderr=True).print(plain(f"Warning: {message}", style="yellow"), soft_wrap=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def for_command(error: BaseException) -> str:
    """Return the text of an error, with advice for the command line instead of Python."""
    if isinstance(error, ImageReadError) and error.remedy:
        return f"{error.problem}\nRepair or remove them, or give --skip-broken to skip them."
    return str(error) or type(error).__name__


def fail(message: str, code: int = MISUSED) -> NoReturn:
    Console(stderr=True).print(plain(f"Error: {message}", style="red"), soft_wrap=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def quietly_starting(console: Console) -> Iterator[None]:
    """Import the backend. Ctrl-C takes effect after the import, as it can be lost during it."""
    if not console.is_terminal:
        console.print("Starting Keras ...")
    with console.status("Starting Keras ..."):
        pressed: list[int] = []

        def stop(number: int) -> None:
            pressed.append(number)
            console.print("Stopping as soon as Keras has started ...", style="yellow")

        usual = signal.getsignal(signal.SIGINT)
        if usual is signal.default_int_handler:  # not ignored, as in a background job
            signal.signal(signal.SIGINT, lambda number, _: stop(number))
        try:
            with without_chatter():
                import keras

                keras.ops.zeros(1)  # looks for devices, and reports missing drivers
                yield
        finally:
            signal.signal(signal.SIGINT, usual)
        if pressed:
            raise KeyboardInterrupt


def open_model(model: Path, console: Console) -> tuple[Any, Any]:
    """Load a model and what its file says; one that is none is refused before Keras starts."""
    from skcell.persistence import read_info

    found = read_info(model)
    with quietly_starting(console):
        import skcell
    with short_warnings():
        return skcell.load(model), found
