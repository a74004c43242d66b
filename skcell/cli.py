"""The command line: `skcell study`."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from skcell import __version__

if TYPE_CHECKING:
    from skcell.study import Study

app = typer.Typer(
    help="Cell-image classification as an ordinary scikit-learn affair.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130  # as a shell reports Ctrl-C


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skcell {__version__}")
        raise typer.Exit


@app.callback()
def _skcell(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print version."),
    ] = False,
) -> None:
    pass


@app.command()
def study(
    data: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A folder with one sub-folder per class (or train/ and val/); an .npz file; "
            "'bloodmnist', to be downloaded; or 'generated', drawn on the spot.",
        ),
    ] = "generated",
    cv: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Number of folds, in the training part. (default: own split, else 5)",
        ),
    ] = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="One split: the data's own, or a stratified fifth.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs of each fit. (default: 12 for generated cells, else 20)"),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=8, help="Height and width in pixels. (default: folders 96, generated 32)"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look in a minute or two: few, small images, 3 folds.")
    ] = False,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Names of rows, separated by commas, or a .toml file. (default: all but transfer)"
        ),
    ] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Add the rows with a pretrained network.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option(help="Pretrained network of those. (default: inception_v3)")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="File of its weights. (default: ImageNet's, downloaded by Keras)"),
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    n_jobs: Annotated[
        int | None, typer.Option(help="Fits at a time, each in a process. (default: 1)")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Seed of folds, weights and everything else.")
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(help="Folder for table, plot and report. The same study there goes on."),
    ] = Path("skcell-study"),
) -> None:
    """Compare techniques on your cells: one table, with intervals, by cross-validation.

    Ctrl-C stops the study and keeps what is done; the same command goes on from there.
    """
    if holdout and cv is not None:
        _fail("--cv and --holdout exclude each other; give one of them.")
    console = Console()
    run: Study | None = None
    try:
        _check_writable(out)
        from skcell import study as room

        with _quietly_starting(console):
            room.Study  # noqa: B018 # imports the classifiers, and so Keras
        named: list[Any] = list(room.ROWS)
        if rows is not None:
            named = list(room.load_rows(rows)) if rows.endswith(".toml") else rows.split(",")
        named += room.TRANSFER_ROWS if transfer else ()
        chosen = room.choose_backbone(room.find_rows(named), backbone, weights)
        console.print(f"Loading {data} ...", style="dim", highlight=False, markup=False)
        cells = room.load_study_data(
            data, image_size=image_size, quick=quick, skip_broken=skip_broken, random_state=seed
        )
        run = room.Study(
            chosen,
            cv=cells.choose_cv(cv, holdout=holdout, random_state=seed),
            epochs=epochs or cells.epochs,
            random_state=seed,
            results_file=out / "fits.jsonl",
            refit=False,
            n_jobs=n_jobs,
        )
        # Folds are of the images meant for training; the others stay unseen.
        images, labels = cells.training_part() if cv else (cells.images, cells.labels)
        run.run(images, labels, data_name=cells.name)
    except KeyboardInterrupt:
        console.print("Interrupted before the first fit was scored; nothing was written.")
        raise typer.Exit(_INTERRUPTED) from None
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        if run is not None and hasattr(run, "rows_"):
            _keep(run, out, console)
            if not isinstance(error, ArithmeticError):
                raise  # no mistake of the user's: the traceback helps
        _fail(_for_command(error))
    _keep(run, out, console)
    if quick:
        console.print("A quick look: few images and folds make wide intervals.", style="dim")
    if not run.complete_:
        console.print("Interrupted; what was done is kept.", style="yellow")
        raise typer.Exit(_INTERRUPTED)


@app.command()
def search(
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help="Images, as for `skcell study`.")
    ] = "generated",
    row: Annotated[
        str, typer.Option(help="Technique to start from, by its name in a study.")
    ] = "base",
    n_trials: Annotated[
        int, typer.Option(min=1, help="Settings to try, by all workers together.")
    ] = 50,
    storage: Annotated[
        str | None,
        typer.Option(
            help="File, or URL of a database (postgresql://user@host/name), that keeps the trials. "
            "The same command, here or on other machines, joins and goes on."
        ),
    ] = None,
    study_name: Annotated[
        str, typer.Option("--study", metavar="NAME", help="Name of the search in the storage.")
    ] = "skcell",
    cv: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each fit. (default: as for study)")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Height and width in pixels.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which no trial is begun.")
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of everything.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for the table of trials and the best model.")
    ] = Path("skcell-search"),
) -> None:
    """Search for the best settings of a technique, giving up early on bad ones.

    Uses the images meant for training only, where the data has its own split.
    """
    console = Console()
    try:
        _check_writable(out)
        from skcell import study as room

        with _quietly_starting(console):
            room.Study  # noqa: B018 # imports the classifiers, and so Keras
        console.print(f"Loading {data} ...", style="dim", highlight=False, markup=False)
        cells = room.load_study_data(
            data, image_size=image_size, skip_broken=skip_broken, random_state=seed
        )
        found = room.search_row(
            room.find_rows([row])[0],
            *cells.training_part(),
            n_trials=n_trials,
            storage=storage,
            study_name=study_name,
            cv=cv,
            epochs=epochs or cells.epochs,
            timeout=timeout,
            random_state=seed,
        )
        files = room.save_search(found, out)
    except KeyboardInterrupt:
        console.print("Interrupted; with --storage, the same command goes on.", style="yellow")
        raise typer.Exit(_INTERRUPTED) from None
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        _fail(_for_command(error))
    console.print(f"Best mean accuracy {100 * found.best_score_:.1f} %, of {found.best_params_}")
    console.print("The best of many trials was lucky as well: test it on images left aside.")
    for file in files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)


def _keep(run: "Study", out: Path, console: Console) -> None:
    """Print and write what was measured."""
    if run.rows_:
        run.show(console)
        for file in run.save(out):
            console.print(f"wrote {file}", highlight=False, soft_wrap=True)


def _for_command(error: Exception) -> str:
    """Say of an error what to do at the command line."""
    return str(error).replace("pass on_error='warn'", "give --skip-broken")


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(Text(f"Error: {message}", style="red"), soft_wrap=True)
    raise typer.Exit(2)


def _check_writable(folder: Path) -> None:
    """Fail now rather than after the study."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to --out {folder}: {error.strerror}.") from error


@contextlib.contextmanager
def _quietly_starting(console: Console) -> Iterator[None]:
    """Import the backend without its chatter about drivers, which it writes past Python.

    If that fails, the chatter is shown after all. Ctrl-C waits until it is done: somewhere in there
    it would be swallowed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryFile() as chatter, console.status("Starting Keras ..."):
        pressed: list[int] = []
        usual = signal.getsignal(signal.SIGINT)
        if usual is signal.default_int_handler:  # and not ignored, as in a shell's background
            signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            import keras

            keras.ops.zeros(1)  # looks for devices, which is when drivers are missed
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


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
