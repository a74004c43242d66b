"""The command line: `skcell study`."""

import contextlib
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from skcell._version import __version__

if TYPE_CHECKING:
    from skcell.study import Study, StudyResult

app = typer.Typer(
    help="Cell-image classification with the scikit-learn API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # a bracket in a name is a bracket
)

_FAILED = 1  # something went wrong while it ran
_MISUSED = 2  # what was asked for cannot be done
_INTERRUPTED = 130  # as a shell reports Ctrl-C
_EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError)
_LARGEST = 2048  # pixels on a side

_TECHNIQUES = """Techniques: base, augmentation, batch norm, extra layers, composite x1,
composite x2, composite x3, class weights, SMOTE, SMOTE + augmentation; with pretrained weights:
frozen transfer, fine-tuned."""
_STUDY_EPILOG = f"""{_TECHNIQUES} Backbones: inception_v3, mobilenet_v2, efficientnet_v2_b0 and
others of skcell.networks.list_backbones(). Example: skcell study --data cells/ --cv 5 --techniques
"base,batch norm,SMOTE" --out results"""
_SEARCH_EPILOG = f"""{_TECHNIQUES} Example, which you may run in several terminals or on
several machines at once: skcell search --data cells/ --technique "batch norm" --storage
trials.sqlite. A database is named by a URL such as postgresql://user@host/name."""


ByFolder = Annotated[
    bool,
    typer.Option(
        "--group-by-folder",
        help="Keep the images of each sub-folder of a class (a patient or slide) together.",
    ),
]


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


@app.command(epilog=_STUDY_EPILOG)
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
        typer.Option(
            min=8,
            max=_LARGEST,
            help="Height and width in pixels. (default: folders 96, generated 32)",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Quick preview (1-2 minutes): fewer, smaller images and 3 folds."
        ),
    ] = False,
    techniques: Annotated[
        str | None,
        typer.Option(
            help="Names of techniques, separated by commas, or a .toml file. (default: all "
            "without pretrained networks)"
        ),
    ] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Add the techniques with a pretrained network.")
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone of techniques with a pretrained network. (default: inception_v3)"
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="File of the backbone's weights. (default: ImageNet, downloaded by Keras)"
        ),
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Skip files that cannot be read.")
    ] = False,
    by_folder: ByFolder = False,
    score: Annotated[
        str,
        typer.Option(help="Score that decides which technique is best, such as balanced_accuracy."),
    ] = "accuracy",
    n_jobs: Annotated[
        int | None,
        typer.Option(
            help="Number of fits to run at the same time, each in a process; -1 for all cores."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Seed of folds, weights and everything else.")
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for table, plot and report. An interrupted study there is resumed."
        ),
    ] = Path("skcell-study"),
) -> None:
    """Compare techniques on your cells by cross-validation, in one table with intervals.

    Ctrl-C stops the study and keeps the finished fits; the same command resumes it.
    """
    if holdout and cv is not None:
        _fail("--cv and --holdout exclude each other; give one of them.")
    if n_jobs == 0:
        _fail("--n-jobs is 0; give the number of fits at a time, or -1 for all cores.")
    out = out.expanduser()
    console = Console()
    run: Study | None = None
    try:
        _check_writable(out, data, _STUDY_FILES)
        from skcell import study as study_module

        with _quietly_starting(console):
            study_module.Study  # noqa: B018 # imports the classifiers, and so Keras
        named: list[Any] = list(study_module.TECHNIQUES)
        if techniques is not None:
            named = (
                list(study_module.load_techniques(techniques))
                if techniques.endswith(".toml")
                else techniques.split(",")
            )
        named += study_module.TRANSFER_TECHNIQUES if transfer else ()
        chosen = study_module.with_backbone(
            study_module.resolve_techniques(named), backbone, weights
        )
        console.print(Text(f"Loading {data} ...", style="dim"))
        cells = study_module.load_study_data(
            data, image_size=image_size, quick=quick, skip_broken=skip_broken, random_state=seed
        )
        if cv:
            cells = cells.training_part()  # folds are of these; the others stay unseen
        _say_what_is_left_out(cells, by_folder, console)
        run = study_module.Study(
            chosen,
            cv=cells.choose_cv(cv, holdout=holdout, by_group=by_folder, random_state=seed),
            epochs=epochs or cells.epochs,
            random_state=seed,
            results_file=out / "fits.jsonl",
            score=score,
            refit=False,
            n_jobs=n_jobs,
        )
        with _short_warnings():
            run.fit(
                cells.images,
                cells.labels,
                groups=cells.groups if by_folder else None,
                data_name=cells.name,
                image_names=cells.image_names,
            )
    except KeyboardInterrupt:
        console.print("Interrupted before the first fit was scored. Nothing was written.")
        raise typer.Exit(_INTERRUPTED) from None
    except _EXPECTED as error:
        result = getattr(run, "result_", None)
        if result is None:
            _fail(_for_command(error))
        _keep(result, out, console)
        _fail(
            f"{_for_command(error)} What was measured is kept: the same command resumes.", _FAILED
        )
    result = run.result_
    _keep(result, out, console)
    if quick:
        console.print(
            "This was a quick preview: few images and folds make wide intervals.", style="dim"
        )
    if any(technique.error for technique in result.techniques):
        raise typer.Exit(_FAILED)
    if not result.complete:
        console.print(
            "Interrupted. The finished fits are kept; the same command resumes the study.",
            style="yellow",
        )
        raise typer.Exit(_INTERRUPTED)


@app.command(epilog=_SEARCH_EPILOG)
def search(
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help="Images, as for `skcell study`.")
    ] = "generated",
    technique: Annotated[str, typer.Option(help="Name of the technique to start from.")] = "base",
    n_trials: Annotated[
        int, typer.Option(min=1, help="Total number of trials, over all workers.")
    ] = 50,
    storage: Annotated[
        str | None,
        typer.Option(
            help="File, or URL of a database, that keeps the trials. The same command, here or on "
            "other machines, joins the search or resumes it."
        ),
    ] = None,
    study_name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the search in the storage.")
    ] = "skcell",
    cv: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each fit. (default: as for study)")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, max=_LARGEST, help="Height and width in pixels.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Number of seconds after which no trial is started.")
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    by_folder: ByFolder = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of everything.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for the table of trials and the best model.")
    ] = Path("skcell-search"),
) -> None:
    """Search for the best settings of a technique, and stop bad ones early.

    If the data has its own split, only the training images are used.
    """
    out = out.expanduser()
    console = Console()
    found = None
    try:
        _check_writable(out, data, _SEARCH_FILES)
        from skcell import study as study_module

        with _quietly_starting(console):
            study_module.Study  # noqa: B018 # imports the classifiers, and so Keras
        console.print(Text(f"Loading {data} ...", style="dim"))
        cells = study_module.load_study_data(
            data, image_size=image_size, skip_broken=skip_broken, random_state=seed
        )
        cells = cells.training_part()
        _say_what_is_left_out(cells, by_folder, console)
        with _short_warnings():
            found = study_module.search_technique(
                study_module.resolve_techniques([technique])[0],
                cells.images,
                cells.labels,
                groups=cells.groups if by_folder else None,
                n_trials=n_trials,
                storage=storage,
                study_name=study_name,
                cv=cv,
                epochs=epochs or cells.epochs,
                timeout=timeout,
                random_state=seed,
            )
        best = f"Best mean accuracy {100 * found.best_score_:.1f} %, of {found.best_params_}"
        console.print(Text(best))
        console.print("The best of many trials is optimistic; evaluate it on held-out images.")
        files = study_module.save_search(found, out)
    except KeyboardInterrupt:
        console.print(
            "Interrupted. With --storage, the same command resumes the search.", style="yellow"
        )
        raise typer.Exit(_INTERRUPTED) from None
    except _EXPECTED as error:
        kept = "" if found is None else " The trials are kept where --storage says."
        _fail(f"{_for_command(error)}{kept}", _MISUSED if found is None else _FAILED)
    _say_files(files, files[0], console)


def _keep(result: "StudyResult", out: Path, console: Console) -> None:
    """Print and write what was measured: first to the screen, which is never full."""
    result.show(console)
    try:
        files = result.save(out)
    except OSError as error:
        _fail(
            f"The table above could not be written to {out}: {error.strerror or error}. The fits "
            "are kept; make room, and give the same command again.",
            _FAILED,
        )
    _say_files(files, out / "study.html", console)


def _say_files(files: list[Path], first: Path, console: Console) -> None:
    """Name the file to open, and the others beside it."""
    others = ", ".join(file.name for file in files if file != first)
    console.print(Text(f"wrote {first}: open this"), soft_wrap=True)
    console.print(Text(f"beside it: {others}", style="dim"), soft_wrap=True)


def _say_what_is_left_out(cells: Any, by_folder: bool, console: Console) -> None:
    """Tell of a test part that stays unseen, and of folders that may be patients."""
    if cells.n_unseen:
        console.print(
            f"{cells.n_unseen:,} images of the test part stay unseen: techniques are compared, and "
            "so chosen, on the others.",
            style="dim",
        )
    if by_folder and cells.groups is None:
        raise ValueError("--group-by-folder: no class has folders inside.")
    if cells.groups is not None and not by_folder:
        example = next(group for group in cells.groups if group)
        console.print(
            Text(
                f"Classes have folders inside, such as {example!r}. If these are patients or "
                "slides, give --group-by-folder: scores flatter where one is on both sides.",
                style="yellow",
            )
        )


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Show warnings as a line, without the place in the source."""
    usual = warnings.showwarning

    def show(message: Any, *_: Any, **__: Any) -> None:
        Console(stderr=True).print(Text(f"Warning: {message}", style="yellow"), soft_wrap=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _for_command(error: BaseException) -> str:
    """Say of an error what to do at the command line."""
    text = str(error) or type(error).__name__
    text = text.replace(" (the error's `failures` has them all)", "")
    return text.replace("pass on_error='warn'", "give --skip-broken")


def _fail(message: str, code: int = _MISUSED) -> NoReturn:
    Console(stderr=True).print(Text(f"Error: {message}", style="red"), soft_wrap=True)
    raise typer.Exit(code)


_STUDY_FILES = (
    "results.csv",
    "folds.csv",
    "predictions.csv",
    "study.json",
    "study.png",
    "study.html",
)
_SEARCH_FILES = ("trials.csv", "best.json", "best.joblib")


def _check_writable(folder: Path, data: str, names: Sequence[str]) -> None:
    """Fail now rather than after the study."""
    source = Path(data).expanduser()
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"--out {folder} lies in the folder of the images, {data}, where the next run would "
            f"take it for a class. Give another, as --out {source.resolve().parent / folder.name}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to --out {folder}: {error.strerror}.") from error
    for name in names:
        if (folder / name).is_dir():
            raise OSError(f"Cannot write {folder / name}: it is a folder. Give another --out.")


@contextlib.contextmanager
def _quietly_starting(console: Console) -> Iterator[None]:
    """Import the backend without its chatter about drivers, which it writes past Python.

    If that fails, the chatter is shown after all. Ctrl-C waits until it is done: somewhere in there
    it would be swallowed.
    """
    if not console.is_terminal:
        console.print("Starting Keras ...")
    with tempfile.TemporaryFile() as chatter, console.status("Starting Keras ..."):
        pressed: list[int] = []

        def stop(number: int) -> None:
            pressed.append(number)
            console.print("Stopping, once Keras has started ...", style="yellow")

        usual = signal.getsignal(signal.SIGINT)
        if usual is signal.default_int_handler:  # and not ignored, as in a shell's background
            signal.signal(signal.SIGINT, lambda number, _: stop(number))
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
