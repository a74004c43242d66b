"""The commands that train, keep and use one model."""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from skcell._files import TEMPORARY
from skcell.cli._common import (
    LARGEST,
    PAGE,
    ByFolder,
    Columns,
    Epochs,
    Groups,
    Ignore,
    ImageSize,
    Labels,
    RandomState,
    SkipBroken,
    check_groups,
    check_output,
    fail,
    plain,
    quietly_starting,
    reported,
    scan_input,
    short_warnings,
)

if TYPE_CHECKING:
    from skcell.workflows import Evaluation, Prediction

TRAIN_EPILOG = """Examples: skcell train cells/ -o cells.skcell. With patients in the file names:
skcell train cells/ -o cells.skcell --groups "(P[0-9]+)_". With labels in a table: skcell train
cells/ --labels cells.csv -o cells.skcell. With a pretrained network: skcell train
cells/ -o cells.skcell --backbone efficientnet_lite0 --weights imagenet."""
PREDICT_EPILOG = """Examples: skcell predict cells.skcell new/ -o new.csv. Least certain first, and
sorted into folders: skcell predict cells.skcell "new/*.png" --sort uncertain --copy-to sorted. In a
pipe: ls *.jpg | skcell predict cells.skcell - | head. Objects of fields: skcell predict
cells.skcell fields/ --masks masks/ --overlay seen -o objects.csv."""
COUNT_EPILOG = """Examples: skcell count cells.skcell slide/. With a sub-folder for each slide of a
patient: skcell count cells.skcell slides/ --group-by-folder -o count.csv."""
SUGGEST_EPILOG = """Example: skcell suggest cells.skcell new/ -n 50 -o next.csv. With its labels:
skcell train cells/ --labels cells.csv --labels next.csv --skip-broken --from cells.skcell -o
better.skcell"""
EVALUATE_EPILOG = """Example: skcell evaluate cells.skcell labelled/ --groups "(P[0-9]+)_" -o
test.html"""
ADAPT_EPILOG = """Example: skcell adapt cells.skcell theirs/ -o theirs.skcell. If theirs/ has
folders with the names of the model's classes, their labels are used as well."""
EXPORT_EPILOG = """Example: skcell export cells.skcell -o cells.onnx --sample cells/test"""

_STATES = "phase-*.npz"  # files of `Checkpoint`
_LOCK = "lock"
MODEL = (".skcell",)
_DEEPEST = 6  # levels of what a file says about its training that are shown

Model = Annotated[Path, typer.Argument(help="File that `skcell train` wrote.")]
Coverage = Annotated[
    float,
    typer.Option(help="Probability with which the prediction set contains the true class."),
]


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


def predict(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES",
            help="Folders, files, patterns, .txt files with a path on each line, or - for such "
            "lines on standard input.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Table: .csv, .jsonl or .parquet. (default: CSV on standard output)"
        ),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of each class.")
    ] = False,
    coverage: Coverage = 0.9,
    min_confidence: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Mark images as uncertain whose class is less probable than this."
        ),
    ] = 0.0,
    tta: Annotated[
        Literal["none", "flips", "d4"] | None,
        typer.Option(
            help="Average over mirror images: none is fastest, but its probabilities were not "
            "calibrated. (default: as trained)"
        ),
    ] = None,
    sort: Annotated[
        Literal["none", "uncertain"], typer.Option(help="Order; uncertain: least certain first.")
    ] = "none",
    copy_to: Annotated[
        Path | None,
        typer.Option(help="Copy the images to folders of this one, by class; unknown apart."),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            help="The images are fields of many cells, in one folder: predict each object of these "
            "masks or boxes, as for crop."
        ),
    ] = None,
    crop_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=LARGEST,
            help="With --masks: pixels around each object. (default: size of the training files)",
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(help="With --masks: folder for a picture of each field with its classes."),
    ] = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Predict the classes of new images.

    The table has the file, its class, its calibrated probability, the prediction set,
    and whether the image is unknown (out-of-distribution).
    """
    console = Console(stderr=True)
    with reported(console):
        suffix = ".csv" if out is None else out.suffix.lower()
        out = out and check_output(out, model, *sources, suffixes=(".csv", ".jsonl", ".parquet"))
        if copy_to is not None:
            copy_to = copy_to.expanduser()
            if copy_to.exists() and any(copy_to.iterdir()):
                raise FileExistsError(f"--copy-to {copy_to} is not empty; give a new folder.")
        if masks is None and (crop_size or overlay):
            raise ValueError("--crop-size and --overlay need --masks.")
        if masks is not None and (len(sources) != 1 or copy_to or sort != "none" or probabilities):
            raise ValueError(
                "--masks takes one folder of fields, and no --copy-to, --sort or --probabilities."
            )
        overlay = overlay and check_output(overlay, *sources, option="--overlay")
        from skcell.workflows import find_images

        files = find_images(sources, sys.stdin)
        loaded, found_info = _open(model, console)
        from skcell import workflows
        from skcell.classifiers import classifier_of

        if tta is not None:
            classifier_of(loaded).set_params(tta=tta)
        if masks is not None:
            with short_warnings():
                objects, notes = workflows.predict_fields(
                    loaded,
                    sources[0],
                    masks,
                    size=crop_size,
                    training=found_info.training,
                    coverage=coverage,
                    min_confidence=min_confidence,
                    overlay=overlay,
                    skip_broken=skip_broken,
                )
            for note in notes:
                console.print(plain(note, style="bold yellow"), soft_wrap=True)
            with _opened(out, "wb" if suffix == ".parquet" else "w") as file:
                workflows.write_predictions(objects, file, suffix[1:])
            return
        for sentence in workflows.check_first(loaded, files, found_info.training):
            console.print(plain(sentence, style="bold yellow"), soft_wrap=True)
        found: Iterator[Prediction] = workflows.predict_files(
            loaded, files, coverage=coverage, min_confidence=min_confidence
        )
        if sort == "uncertain":
            found = iter(sorted(found, key=lambda one: one.probability if not one.error else 2.0))
        failures: list[Prediction] = []
        records = _records(found, loaded.classes_.tolist(), probabilities, copy_to, failures)
        mode = "wb" if suffix == ".parquet" else "w"
        with _opened(out, mode) as file:
            workflows.write_predictions(
                # a bar and a table do not share a screen
                _with_progress(records, len(files), out is not None or not sys.stdout.isatty()),
                file,
                suffix[1:],
            )
        _say_unreadable(console, {one.file: one.error for one in failures}, len(files))
        if len(failures) == len(files):
            fail("No image could be read.", 1)
        if out is not None:
            console.print(
                plain(f"{len(files) - len(failures):,} images were predicted; the table is {out}."),
                soft_wrap=True,
            )


def _say_unreadable(console: Console, failures: Mapping[str, str], n_files: int) -> None:
    """Say how many files could not be read, and why the first of them could not."""
    if failures:
        name, why = next(iter(failures.items()))
        text = f"{len(failures)} of {n_files} files could not be read, such as {name}: {why}."
        console.print(plain(text, style="yellow"), soft_wrap=True)


def count(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Folders, files or patterns, as for predict."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Table, *.csv.")] = None,
    by_folder: Annotated[
        bool,
        typer.Option(
            "--group-by-folder", help="Each folder is one slide or patient: a sample of others."
        ),
    ] = False,
) -> None:
    """Count the classes of new images: a differential, with intervals.

    Shares are corrected by what the model confuses. The intervals contain the shares in 95 % of
    such counts, if the images are a random sample and are like those of training.
    """
    console = Console()
    with reported(console):
        out = out and check_output(out, model, *sources, suffixes=(".csv",))
        from skcell.workflows import find_images

        files = find_images(sources, sys.stdin)
        loaded, _ = _open(model, Console(stderr=True))
        from skcell import workflows

        groups = [str(Path(file).parent) for file in files] if by_folder else None
        found, failures = workflows.count_files(loaded, files, groups=groups)
        table = Table("class", "images", "share (95 % interval)", box=None)
        for name, number, share in zip(found.classes, found.counts, found.shares, strict=True):
            table.add_row(plain(str(name)), f"{number:,}", str(share))
        console.print(table)
        console.print(
            plain(f"{found.n_images:,} images, {found.n_unknown:,} of them called unknown."),
            soft_wrap=True,
        )
        for sentence in found.warnings:
            console.print(plain(sentence, style="bold yellow"), soft_wrap=True)
        _say_unreadable(console, failures, len(files))
        if out is not None:
            with _opened(out, "w") as file:
                workflows.write_predictions(
                    (
                        {"class": name, "images": n, **{k: f"{v:.6f}" for k, v in vars(s).items()}}
                        for name, n, s in zip(
                            found.classes, found.counts, found.shares, strict=True
                        )
                    ),
                    file,
                )
            console.print(plain(f"The table is {out}."), soft_wrap=True)


def suggest(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Folders, files or patterns, as for predict."),
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of images to label.")] = 50,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Table, *.csv. (default: CSV on standard output)"),
    ] = None,
    random_state: RandomState = 0,
) -> None:
    """Suggest which images to label next, so that the model learns most from few labels.

    The table has an empty column label: fill it in, and train with it and the table of before.
    Images that the model has seen are left out; unknown ones are listed at the end.
    """
    console = Console(stderr=True)
    with reported(console):
        out = out and check_output(out, model, *sources, suffixes=(".csv",))
        from skcell.workflows import find_images

        files = find_images(sources, sys.stdin)
        loaded, _ = _open(model, console)
        from skcell import workflows

        found, notes, failures = workflows.suggest_files(
            loaded, files, n, random_state=random_state
        )
        for note in notes:
            console.print(plain(note, style="yellow"), soft_wrap=True)
        _say_unreadable(console, failures, len(files))
        with _opened(out, "w") as file:
            workflows.write_predictions(
                (
                    {
                        "image": one.file,
                        "label": "",
                        "predicted": str(one.predicted),
                        "probability": round(one.probability, 6),
                        "why": one.why,
                    }
                    for one in found
                ),
                file,
            )
        if out is not None:
            n_known = sum(one.why == "uncertain" for one in found)
            text = f"{n_known:,} images to label are in {out}: fill in the column label."
            console.print(plain(text), soft_wrap=True)


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
        loaded, _ = _open(model, console)
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
        loaded, _ = _open(model, console)
        import skcell

        images = None if sample is None else skcell.workflows.find_images([sample])[:64]
        console.print("Converting ...")
        path = skcell.export(loaded, out, file_format, X=images)
        console.print(plain(f"{path} predicts as {model} does."), soft_wrap=True)


def _open(model: Path, console: Console) -> tuple[Any, Any]:
    """Load a model and what its file says; one that is none is refused before Keras starts."""
    from skcell.persistence import read_info

    found = read_info(model)
    with quietly_starting(console):
        import skcell
    with short_warnings():
        return skcell.load(model), found


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


def _records(
    found: Iterator["Prediction"],
    classes: list[Any],
    probabilities: bool,
    copy_to: Path | None,
    failures: list[Any],
) -> Iterator[dict[str, Any]]:
    """Turn predictions into lines of the table; copy the files, and collect failures."""
    from skcell.workflows import to_record

    folders = _name_folders(classes)
    for one in found:
        if one.error:
            failures.append(one)
        elif copy_to is not None:
            folder = copy_to / ("unknown" if one.unknown else folders[one.label])
            try:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one.file, _free_name(folder / Path(one.file).name))
            except OSError as error:  # of this image alone
                one = replace(one, error=f"not copied: {error.strerror or error}")
        yield to_record(one, probabilities=probabilities, classes=classes)


def _name_folders(classes: list[Any]) -> dict[Any, str]:
    """Return a folder for each class, whatever characters it has; no two have the same."""
    taken = {"unknown"}
    folders = {}
    for label in classes:
        allowed = ("_" if c in '/\\:*?"<>|' or ord(c) < 32 else c for c in str(label))
        name = "".join(allowed).strip(". ") or "_"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        folders[label] = name
    return folders


def _free_name(path: Path) -> Path:
    """Return a path that does not exist, by a number before the ending."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def _with_progress(records: Iterator[Any], total: int, enabled: bool) -> Iterator[Any]:
    from skcell._console import progress_bar

    with progress_bar("Predicting", total, enabled=enabled) as advance:
        for record in records:
            yield record
            advance(1)


@contextlib.contextmanager
def _opened(out: Path | None, mode: str) -> Iterator[IO[Any]]:
    """Open the table; without a name it is standard output."""
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr] # text
        yield sys.stdout
        return
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    written = out.with_name(f".{out.name}.part")  # an old table is kept until this one is whole
    try:
        with written.open(mode, **text) as file:  # type: ignore[call-overload] # by mode
            yield file
        written.replace(out)
    except BaseException as error:
        if written.exists() and not written.stat().st_size:
            written.unlink()
        elif written.exists():
            error.add_note(f"What was predicted until then is in {written}.")
        raise
