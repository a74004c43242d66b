"""The commands that use a model on new images: predict, count, suggest."""

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

from skcell.cli._common import (
    LARGEST,
    Coverage,
    Model,
    RandomState,
    SkipBroken,
    check_output,
    fail,
    open_model,
    plain,
    reported,
    short_warnings,
)

if TYPE_CHECKING:
    from skcell.workflows import Prediction

PREDICT_EPILOG = """Examples: skcell predict cells.skcell new/ -o new.csv. Least certain first, and
sorted into folders: skcell predict cells.skcell "new/*.png" --sort uncertain --copy-to sorted. In a
pipe: ls *.jpg | skcell predict cells.skcell - | head. Objects of fields: skcell predict
cells.skcell fields/ --masks masks/ --overlay seen -o objects.csv."""
COUNT_EPILOG = """Examples: skcell count cells.skcell slide/. With a sub-folder for each slide of a
patient: skcell count cells.skcell slides/ --group-by-folder -o count.csv."""
SUGGEST_EPILOG = """Example: skcell suggest cells.skcell new/ -n 50 -o next.csv. With its labels:
skcell train cells/ --labels cells.csv --labels next.csv --skip-broken --from cells.skcell -o
better.skcell"""


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
        loaded, found_info = open_model(model, console)
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
        loaded, _ = open_model(model, Console(stderr=True))
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
        loaded, _ = open_model(model, console)
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
