"""What all commands share: exit codes, errors, warnings, and a quiet start of the backend."""

import contextlib
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

FAILED = 1  # an error occurred during the run
MISUSED = 2  # the request is invalid
INTERRUPTED = 130  # the exit code of a shell for Ctrl-C
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)
LARGEST = 2048  # pixels on a side

#: Settings of the whole command, such as ``debug``.
settings = {"debug": False}


def check_outside(out: Path, data: str) -> None:
    """Refuse results among the images, where the next run would read them."""
    source = Path(data).expanduser()
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"--out {out} is inside the image folder {data}, where the next run would read it "
            f"as a class. Use another, such as --out {source.resolve().parent / out.name}."
        )


def check_out(out: Path) -> Path:
    """Return a file name that can be written, as far as this can be known before."""
    out = out.expanduser()
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(out.parent)!r} for --out.")
    if out.is_dir():
        raise IsADirectoryError(f"--out {out} is a folder; give the name of a file.")
    return out


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
        fail(for_command(error))


@contextlib.contextmanager
def short_warnings() -> Iterator[None]:
    """Show each warning on one line, without its location in the source."""
    usual = warnings.showwarning

    def show(message: Any, *_: Any, **__: Any) -> None:
        Console(stderr=True).print(Text(f"Warning: {message}", style="yellow"), soft_wrap=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def for_command(error: BaseException) -> str:
    """Return the text of an error, with advice for the command line instead of Python."""
    from skcell._images import REMEDY

    text = str(error) or type(error).__name__
    return text.replace(REMEDY, "Repair or remove them, or give --skip-broken to skip them.")


def fail(message: str, code: int = MISUSED) -> NoReturn:
    Console(stderr=True).print(Text(f"Error: {message}", style="red"), soft_wrap=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def quietly_starting(console: Console) -> Iterator[None]:
    """Import the backend without showing its messages about drivers, which bypass Python.

    If the import fails, the messages are shown. Ctrl-C takes effect after the import, because
    during the import it can be lost.
    """
    if not console.is_terminal:
        console.print("Starting Keras ...")
    with tempfile.TemporaryFile() as chatter, console.status("Starting Keras ..."):
        pressed: list[int] = []

        def stop(number: int) -> None:
            pressed.append(number)
            console.print("Stopping as soon as Keras has started ...", style="yellow")

        usual = signal.getsignal(signal.SIGINT)
        if usual is signal.default_int_handler:  # not ignored, as in a background job
            signal.signal(signal.SIGINT, lambda number, _: stop(number))
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            import keras

            keras.ops.zeros(1)  # looks for devices, and reports missing drivers
            yield
        except Exception:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            signal.signal(signal.SIGINT, usual)
        if pressed:
            raise KeyboardInterrupt
