"""The commands `skcell study` and `skcell search`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from skcell.cli._common import (
    EXPECTED,
    FAILED,
    INTERRUPTED,
    MISUSED,
    ByFolder,
    Columns,
    Epochs,
    Groups,
    ImageSize,
    Labels,
    RandomState,
    SkipBroken,
    check_groups,
    check_output,
    fail,
    for_command,
    plain,
    quietly_starting,
    read_columns,
    short_warnings,
)

if TYPE_CHECKING:
    from skcell.study import Study, StudyResult

_TECHNIQUES = """The techniques are: base, augmentation, batch norm, extra layers, composite x1,
composite x2, composite x3, class weights, SMOTE, SMOTE + augmentation, recommended (the defaults of
CellCNNClassifier); and, with pretrained weights, frozen transfer and fine-tuned."""
STUDY_EPILOG = f"""{_TECHNIQUES} Backbones: inception_v3, mobilenet_v2, efficientnet_v2_b0 and the
others in skcell.networks.list_backbones(). Example: skcell study cells/ --cv 5 --techniques
"base,batch norm,SMOTE" -o results"""
SEARCH_EPILOG = f"""{_TECHNIQUES} Example, to be run in several terminals at once: skcell search
cells/ --technique "batch norm" --storage trials.sqlite. To use several machines, give the
URL of a database, such as postgresql://user@host/name."""


Data = Annotated[
    str,
    typer.Argument(
        help="A folder with a sub-folder of images for each class, or with train and val, which "
        "have these; an .npz file; 'bloodmnist', which is downloaded; or 'generated', which are "
        "synthetic cells."
    ),
]


def study(
    data: Data = "generated",
    cv: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Number of folds, made from the training part. (default: the data's own split, "
            "else 5)",
        ),
    ] = None,
    holdout: Annotated[
        bool,
        typer.Option("--holdout", help="Use one split: the data's own, or else a stratified 20 %."),
    ] = False,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Quick preview: fewer, smaller images, fewer epochs and 3 folds."
        ),
    ] = False,
    techniques: Annotated[
        str | None,
        typer.Option(
            help="Names of techniques, separated by commas, or a .toml file. (default: all "
            "techniques without a pretrained network)"
        ),
    ] = None,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Add the techniques that use a pretrained network.")
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Pretrained network of the techniques that use one. (default: inception_v3)"
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="File with the weights of the backbone. (default: ImageNet weights, downloaded by "
            "Keras)"
        ),
    ] = None,
    skip_broken: SkipBroken = False,
    labels: Labels = None,
    columns: Columns = None,
    groups: Groups = None,
    by_folder: ByFolder = False,
    score: Annotated[
        str,
        typer.Option(
            help="Score that decides which technique is best, such as balanced_accuracy or "
            "f1_macro."
        ),
    ] = "accuracy",
    n_jobs: Annotated[
        int | None,
        typer.Option(help="Number of parallel fits, each in its own process; -1 uses all cores."),
    ] = None,
    random_state: RandomState = 0,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the table, plot and report. Running the same study again resumes it.",
        ),
    ] = Path("skcell-study"),
) -> None:
    """Compare techniques on your cell images by cross-validation.

    The result is one table with confidence intervals. Ctrl-C stops the study and keeps the
    finished fits; the same command resumes it.
    """
    if holdout and cv is not None:
        fail("--cv and --holdout cannot be used together; give only one of them.")
    if n_jobs == 0:
        fail("--n-jobs is 0; give the number of parallel fits, or -1 for all cores.")
    out = out.expanduser()
    console = Console()
    run: Study | None = None
    try:
        check_groups(groups, by_folder)
        if (backbone or weights) and techniques is None and not transfer:
            raise ValueError(
                "None of the techniques has a pretrained network for --backbone or --weights; add "
                "--transfer."
            )
        _check_writable(out, data, _STUDY_FILES)
        from skcell import study as study_module

        with quietly_starting(console):
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
        console.print(plain(f"Loading {data} ...", style="dim"))
        cells = study_module.load_study_data(
            data,
            image_size=image_size,
            quick=quick,
            skip_broken=skip_broken,
            labels=labels,
            columns=read_columns(columns),
            groups=groups,
            random_state=random_state,
        )
        if cv:
            cells = cells.training_part()  # the folds are made from this part only
        grouped = _check_groups(cells, groups is not None or bool(labels), by_folder, console)
        run = study_module.Study(
            chosen,
            cv=cells.choose_cv(cv, holdout=holdout, by_group=grouped, random_state=random_state),
            epochs=epochs or cells.epochs,
            random_state=random_state,
            results_file=out / "fits.jsonl",
            score=score,
            n_jobs=n_jobs,
        )
        with short_warnings():
            run.fit(
                cells.images,
                cells.labels,
                groups=cells.groups if grouped else None,
                data_name=cells.name,
                image_names=cells.image_names,
            )
    except KeyboardInterrupt:
        result = getattr(run, "result_", None)
        if result is None:
            console.print("Interrupted before the first fit was scored. Nothing was written.")
        else:  # while the best technique was trained again
            _keep(result, out, console)
            console.print("Interrupted; there is no model of the best technique.", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    except EXPECTED as error:
        result = getattr(run, "result_", None)
        if result is None:
            fail(for_command(error))
        _keep(result, out, console)
        fail(f"{for_command(error)} Finished fits are kept; the same command resumes.", FAILED)
    result = run.result_
    _keep(result, out, console)
    if hasattr(run, "best_estimator_"):
        _keep_model(run.best_estimator_, out / "best.skcell", console)
    if quick:
        console.print("Quick preview: few images and folds give wide intervals.", style="dim")
    if any(technique.error for technique in result.techniques):
        raise typer.Exit(FAILED)
    if not result.complete:
        console.print("Interrupted; finished fits are kept.", style="yellow")
        raise typer.Exit(INTERRUPTED)


def search(
    data: Data = "generated",
    technique: Annotated[str, typer.Option(help="Name of the technique to start from.")] = "base",
    n_trials: Annotated[
        int, typer.Option(min=1, help="Total number of trials, over all workers.")
    ] = 50,
    storage: Annotated[
        str | None,
        typer.Option(
            help="File, or URL of a database, in which trials are stored. The same command, run "
            "again here or on another machine, joins or resumes the search."
        ),
    ] = None,
    study_name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the search in the storage.")
    ] = "skcell",
    cv: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 3,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which no new trial is started.")
    ] = None,
    skip_broken: SkipBroken = False,
    labels: Labels = None,
    columns: Columns = None,
    groups: Groups = None,
    by_folder: ByFolder = False,
    random_state: RandomState = 0,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the table of trials and the best model."),
    ] = Path("skcell-search"),
) -> None:
    """Search for the best settings of a technique.

    Bad trials are stopped early. If the data has its own split, only the training images are used.
    """
    out = out.expanduser()
    console = Console()
    found = None
    try:
        check_groups(groups, by_folder)
        _check_writable(out, data, _SEARCH_FILES)
        from skcell import study as study_module

        with quietly_starting(console):
            study_module.Study  # noqa: B018 # imports the classifiers, and so Keras
        console.print(plain(f"Loading {data} ...", style="dim"))
        cells = study_module.load_study_data(
            data,
            image_size=image_size,
            skip_broken=skip_broken,
            labels=labels,
            columns=read_columns(columns),
            groups=groups,
            random_state=random_state,
        )
        cells = cells.training_part()
        grouped = _check_groups(cells, groups is not None or bool(labels), by_folder, console)
        with short_warnings():
            found = study_module.search_technique(
                study_module.resolve_techniques([technique])[0],
                cells.images,
                cells.labels,
                groups=cells.groups if grouped else None,
                n_trials=n_trials,
                storage=storage,
                study_name=study_name,
                cv=cv,
                epochs=epochs or cells.epochs,
                timeout=timeout,
                random_state=random_state,
            )
        best = f"Best mean accuracy {100 * found.best_score_:.1f} % with {found.best_params_}"
        console.print(plain(best))
        console.print("The best of many trials is optimistic; evaluate it on held-out images.")
        files = study_module.save_search(found, out)
    except KeyboardInterrupt:
        console.print("Interrupted. With --storage, the same command resumes.", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    except EXPECTED as error:
        kept = "" if found is None else " The trials in --storage are kept."
        fail(f"{for_command(error)}{kept}", MISUSED if found is None else FAILED)
    _say_files(files, files[0], console)


def _keep(result: "StudyResult", out: Path, console: Console) -> None:
    """Print the results and then write them, so that a full disk does not hide them."""
    result.show(console)
    try:
        files = result.save(out)
    except OSError as error:
        fail(
            f"The table above could not be written to {out}: {error.strerror or error}. The fits "
            "are kept; fix this, for example free disk space, and run the same command again.",
            FAILED,
        )
    _say_files(files, out / "study.html", console)


def _keep_model(model: Any, path: Path, console: Console) -> None:
    """Save the best technique, trained on all images of the study."""
    from skcell import save

    try:
        save(model, path)
    except (ValueError, OSError) as error:  # a technique of the user's own, or a full disk
        console.print(plain(f"The best model is not kept: {error}", style="yellow"), soft_wrap=True)
        return
    text = f"The best technique, trained on all these images, is in {path}."
    console.print(plain(text), soft_wrap=True)


def _say_files(files: list[Path], first: Path, console: Console) -> None:
    """Print the name of the file to open, and those of the other files."""
    others = ", ".join(file.name for file in files if file != first)
    console.print(plain(f"Results are in {first}; open this file."), soft_wrap=True)
    console.print(plain(f"Other files in this folder: {others}", style="dim"), soft_wrap=True)


def _check_groups(cells: Any, named: bool, by_folder: bool, console: Console) -> bool:
    """Return whether images are grouped; print notes about what may be wrong with the split."""
    if cells.n_unseen:
        console.print(
            f"{cells.n_unseen:,} images of the test part are not used: techniques are compared, "
            "and so chosen, on the other images.",
            style="dim",
        )
    if by_folder and cells.groups is None:
        raise ValueError("--group-by-folder: no class folder has sub-folders.")
    if not named and cells.groups is not None and not by_folder:
        example = next(group for group in cells.groups if group)
        console.print(
            plain(
                f"Class folders have sub-folders, such as {example!r}. If these are patients or "
                "slides, use --group-by-folder: scores are too high if a patient or slide is in "
                "both training and validation data.",
                style="yellow",
            )
        )
    return cells.groups is not None and (named or by_folder)


_STUDY_FILES = (
    "results.csv",
    "folds.csv",
    "predictions.csv",
    "study.json",
    "study.png",
    "study.html",
    "best.skcell",
)
_SEARCH_FILES = ("trials.csv", "best.json", "best.skcell")


def _check_writable(folder: Path, data: str, names: Sequence[str]) -> None:
    """Check that the files can be written, before the study starts."""
    if folder.parent.is_dir():
        check_output(folder, data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"Cannot write to --out {folder}: {error.strerror}.") from error
    for name in names:
        if (folder / name).is_dir():
            raise OSError(f"Cannot write {folder / name}: it is a folder. Use another --out.")
