"""The commands that train, evaluate, adapt and keep one model."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from skcell._files import TEMPORARY
from skcell.cli._common import (
    PAGE,
    ByFolder,
    Columns,
    Coverage,
    Epochs,
    Groups,
    Ignore,
    ImageSize,
    Labels,
    Model,
    RandomState,
    SkipBroken,
    check_groups,
    check_output,
    open_model,
    plain,
    quietly_starting,
    reported,
    say_next,
    scan_input,
    short_warnings,
)

if TYPE_CHECKING:
    from skcell.workflows import Evaluation

TRAIN_EPILOG = """Examples: skcell train cells/ -o cells.skcell. With patients in the file names:
skcell train cells/ -o cells.skcell --groups "(P[0-9]+)_". With labels in a table: skcell train
cells/ --labels cells.csv -o cells.skcell. With a pretrained network: skcell train
cells/ -o cells.skcell --backbone efficientnet_lite0 --weights imagenet."""
EVALUATE_EPILOG = """Example: skcell evaluate cells.skcell labelled/ --groups "(P[0-9]+)_" -o
test.html"""
ADAPT_EPILOG = """Example: skcell adapt cells.skcell theirs/ -o theirs.skcell. If theirs/ has
folders with the names of the model's classes, their labels are used as well."""
EXPORT_EPILOG = """Example: skcell export cells.skcell -o cells.onnx --sample cells/test"""

_STATES = "phase-*.npz"  # files of `Checkpoint`
_LOCK = "lock"
MODEL = (".skcell",)
_DEEPEST = 6  # levels of what a file says about its training that are shown


def train(
    folder: Annotated[
        str,
        typer.Argument(
            help="Folder with a sub-folder of images for each class; or with train and test (or "
            "val), which have these."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the model, *.skcell.")],
    recipe: Annotated[
        Literal["auto", "cnn", "composite", "transfer"],
        typer.Option(help="Network; auto chooses, and says why."),
    ] = "auto",
    image_size: ImageSize = None,
    epochs: Epochs = None,
    backbone: Annotated[
        str | None, typer.Option(help="Pretrained network, such as efficientnet_lite0.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="File with its weights, or imagenet, which may download.")
    ] = None,
    labels: Labels = None,
    columns: Columns = None,
    groups: Groups = None,
    by_folder: ByFolder = False,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Train this model further, on its images and new ones, or more classes; both are "
            "scored on the same test.",
        ),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="After the test, train again on all images.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the same command after it was killed."),
    ] = False,
    skip_broken: SkipBroken = False,
    ignore: Ignore = None,
    random_state: RandomState = 0,
) -> None:
    """Train a model, and test it on images that it never saw.

    A fifth of the images is set aside for the test. Writes the model, and beside it a folder with a
    page, the test images with their predictions, and the figures. Ctrl-C stops training, and keeps
    and tests what was learned until then.
    """
    console = Console()
    with reported(console):
        out = check_output(out, folder, *([start_from] if start_from else []), suffixes=MODEL)
        check_groups(groups, by_folder)
        if (backbone or weights) and recipe in ("cnn", "composite"):
            raise ValueError(f"--recipe {recipe} has no pretrained network, so no --weights.")
        files = scan_input(folder, labels, columns, ignore=ignore)
        if start_from is not None:
            from skcell.persistence import read_info

            read_info(start_from)  # a file that is none is refused before Keras starts
        unfinished = _unfinished(out, resume)
        with quietly_starting(console):
            from skcell import workflows
        stop = workflows.StopOnInterrupt()
        with short_warnings(), _alone(unfinished):
            result = workflows.train(
                files,
                recipe=recipe,
                image_size=image_size,
                epochs=epochs,
                backbone=backbone,
                weights=weights,
                groups=groups,
                group_by_folder=by_folder,
                start_from=start_from,
                final=final,
                skip_broken=skip_broken,
                random_state=random_state,
                checkpoint=unfinished,
                callbacks=[stop],
                notify=lambda text: console.print(plain(text), soft_wrap=True),
            )
            written = result.save(out)
        _remove_state(unfinished)
        for sentence in result.choices:
            console.print(plain(f"- {sentence}", style="dim"), soft_wrap=True)
        _show(result.evaluation, console)
        console.print(
            plain(f"The model is in {written[0]}, its test in {written[1]}."), soft_wrap=True
        )
        say_next(console, "skcell", "predict", written[0], "new/", "-o", "new.csv")


def evaluate(
    model: Model,
    folder: Annotated[str, typer.Argument(help="Folder with a sub-folder for each class.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Page with everything about the model and the images, *.html; beside it, "
            "*-predictions.csv and *-metrics.json.",
        ),
    ] = None,
    labels: Labels = None,
    columns: Columns = None,
    groups: Groups = None,
    by_folder: ByFolder = False,
    coverage: Coverage = 0.9,
    skip_broken: SkipBroken = False,
    ignore: Ignore = None,
) -> None:
    """Evaluate a model on labelled images that it was not trained on.

    With -o, everything goes to one page without links to others, which can be sent to a colleague:
    the images and their problems, scores with intervals, confusions with pictures, calibration,
    accuracy under corruptions, explanation maps, wrong predictions, and a model card.
    """
    console = Console()
    with reported(console):
        check_groups(groups, by_folder)
        out = out and check_output(out, model, folder, suffixes=PAGE)
        files = scan_input(folder, labels, columns, one_class=True, ignore=ignore)
        from skcell.persistence import read_info

        read_info(model)  # a file that is none is refused before Keras starts
        with quietly_starting(console):
            from skcell import workflows
        with short_warnings():
            result, notes = workflows.evaluate_folder(
                model,
                files,
                page=out,
                groups=groups,
                group_by_folder=by_folder,
                coverage=coverage,
                skip_broken=skip_broken,
                notify=lambda text: console.print(plain(text), soft_wrap=True),
            )
        for note in notes:
            console.print(plain(note, style="yellow"), soft_wrap=True)
        if result.shift is not None and result.shift.shifted:
            console.print(plain(str(result.shift), style="bold yellow"), soft_wrap=True)
        _show(result, console)
        for name, score in result.by_group.items():
            console.print(plain(f"  {name}: {score}"))
        if out is not None:
            console.print(plain(f"The page is {out}."), soft_wrap=True)


def adapt(
    model: Model,
    folder: Annotated[str, typer.Argument(help="Images of the other microscope.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the adapted model.")],
    groups: Groups = None,
    by_folder: ByFolder = False,
    skip_broken: SkipBroken = False,
    ignore: Ignore = None,
) -> None:
    """Adapt a model to another microscope, stain or camera.

    Images from there are needed, and no labels. If the folder has sub-folders with the names of
    classes, their labels are used too; five images of each class help. Check both models with
    `skcell evaluate` on other labelled images from there: adaptation can also make a model worse.
    """
    console = Console()
    with reported(console):
        check_groups(groups, by_folder)
        out = check_output(out, model, folder, suffixes=MODEL)
        scan_input(folder, labels=False, ignore=ignore)
        loaded, _ = open_model(model, console)
        from skcell import workflows

        with short_warnings():
            adapted, lines = workflows.adapt_to_folder(
                loaded,
                folder,
                out,
                groups=groups,
                group_by_folder=by_folder,
                skip_broken=skip_broken,
                ignore=ignore,
            )
        table = Table("class", "share before", "share after", box=None)
        for name, before, after in lines:
            table.add_row(plain(str(name)), f"{100 * before:.1f} %", f"{100 * after:.1f} %")
        console.print(table)
        console.print(plain(adapted), soft_wrap=True)
        console.print(plain(f"The adapted model is in {out}."), soft_wrap=True)
        say_next(console, "skcell", "evaluate", out, "labelled/", "-o", "test.html")


def info(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a model file holds.

    Classes, images, training, scores and versions.
    """
    import json
    from dataclasses import asdict

    console = Console()
    with reported(console):
        from skcell.persistence import read_info

        found = read_info(model)
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=2))
            return
        rows = {
            "estimator": " ".join(found.estimator.split()),
            "classes": ", ".join(map(str, found.classes)),
            "images": " x ".join(map(str, found.image_shape or ())) + f" {found.dtype or ''}",
            "software": ", ".join(f"{k} {v}" for k, v in found.software.items() if v),
        }
        rows |= {str(name): _in_words(value) for name, value in found.training.items()}
        table = Table(show_header=False, box=None)
        for name, text in rows.items():
            table.add_row(plain(name), plain(text))
        console.print(table)


def export(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    file_format: Annotated[
        Literal["onnx", "litert", "openvino", "savedmodel"],
        typer.Option("--format", help="Runtime: each but savedmodel needs the extra of its name."),
    ] = "onnx",
    sample: Annotated[
        str | None, typer.Option(help="Images to compare both models on. (default: generated)")
    ] = None,
) -> None:
    """Write a model for a runtime that needs no skcell.

    The written model is run, and refused if it does not predict alike.
    """
    console = Console()
    with reported(console):
        if out.exists() and model.exists() and out.samefile(model):
            raise ValueError(f"--out {out} is the model itself; give another name.")
        loaded, _ = open_model(model, console)
        import skcell

        images = None if sample is None else skcell.workflows.find_images([sample])[:64]
        console.print("Converting ...")
        path = skcell.export(loaded, out, file_format, X=images)
        console.print(plain(f"{path} predicts as {model} does."), soft_wrap=True)


def _unfinished(out: Path, resume: bool) -> Path:
    """Return the folder for the state of training, and refuse that of an earlier one."""
    folder = out.with_name(f"{out.stem}-unfinished")
    states = sorted(folder.glob(_STATES))
    own = {file.name for file in states} | {_LOCK}
    if folder.is_dir() and any(
        file.name not in own and not file.name.startswith(TEMPORARY) for file in folder.iterdir()
    ):
        raise FileExistsError(
            f"The state of training would be kept in {folder}, which has other files. Use another "
            "name for --out, or rename this folder."
        )
    if resume and not states:
        raise FileNotFoundError(
            f"There is no unfinished training {str(folder)!r} to resume; leave out --resume."
        )
    if states and not resume:
        raise FileExistsError(
            f"{folder} has an unfinished training of this model. Continue it with --resume, or "
            "remove the folder."
        )
    return folder


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep another training with the same output from running at the same time."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:  # the folder is the other's
        raise OSError(
            f"Another training writes to {folder} at this moment. Wait for it, or use another "
            "--out."
        ) from None
    try:
        yield
    finally:
        lock.release()
        if not any(folder.glob(_STATES)):
            _remove_state(folder)


def _remove_state(folder: Path) -> None:
    """Remove the state of a training that is finished, and nothing else."""
    for pattern in (_STATES, f"{TEMPORARY}*", _LOCK):
        for file in folder.glob(pattern):
            file.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _in_words(value: Any, depth: int = 0) -> str:
    """Return what a file says about training in a few words."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict) and isinstance(value.get("accuracy"), dict):
        found = {name: value["accuracy"].get(name) for name in ("value", "low", "high")}
        words = [f"{100 * n:.1f}" if isinstance(n, (int, float)) else "?" for n in found.values()]
        return f"{words[0]} % of {value.get('n_images')} images ({words[1]} to {words[2]})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(item, depth + 1)}" for name, item in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _show(result: "Evaluation", console: Console) -> None:
    """Print the figures of an evaluation."""
    n = len(result.y_true)
    console.print(plain(f"Accuracy: {result.accuracy} of {n:,} test images", style="bold"))
    console.print(plain(f"Mean over classes: {result.balanced_accuracy}"))
    table = Table("class", "images", "recall (95 % interval)", "precision", box=None)
    for row in result.per_class:
        precision = f"{100 * row['precision']:.1f} %"
        table.add_row(plain(str(row["class"])), f"{row['n']:,}", str(row["recall"]), precision)
    console.print(table)
    found = result.reliability
    console.print(plain(f"Log loss: {found.log_loss:.3f}"))
    console.print(plain(f"Calibration error: {found.error}"))
    if result.not_calibrated:
        console.print(plain(result.not_calibrated, style="bold yellow"), soft_wrap=True)
    if result.prediction_sets is not None:
        size = result.prediction_sets.sum(axis=1).mean()
        console.print(
            plain(
                f"Coverage of prediction sets: {result.set_coverage}, target "
                f"{100 * result.coverage:.0f} %; {size:.2f} classes on average"
            ),
            soft_wrap=True,
        )
    if result.unknown is not None:
        console.print(plain(f"Called unknown: {100 * result.unknown.mean():.1f} %"))
