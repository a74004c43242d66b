"""Write what was found out about a model as a page."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skcell._files import replace_file
from skcell.persistence import load, read_info
from skcell.tasks._card import make_card
from skcell.tasks._check import check_folder
from skcell.tasks._closer import look_closer
from skcell.tasks._evaluation import Evaluation
from skcell.tasks._folders import evaluate_folder
from skcell.tasks._page import make_page, write_report


def save_evaluation(
    model: Any,
    result: Evaluation,
    folder: str | os.PathLike[str],
    *,
    title: str,
    root: str,
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write an evaluation as a page, a table of predictions and figures.

    Parameters
    ----------
    model : estimator
        The model.
    result : Evaluation
        The figures.
    folder : str or path-like
        Where to write; it is created.
    title : str
        Title of the page.
    root : str
        Folder of the images.
    notes : sequence of str
        Sentences for the page.

    Returns
    -------
    list of pathlib.Path
        The page, the table and the figures.
    """
    figures = result.to_dict()
    return write_report(
        Path(folder).expanduser(),
        result,
        look_closer(model, result, os.path.expanduser(root)),
        figures,
        table="predictions.csv",
        title=title,
        paragraphs=notes,
        details=figures,
    )


def report_model(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    groups: str | None = None,
    skip_broken: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> tuple[Path, Evaluation, list[str]]:
    """Check labelled images, test a model on them, and write one page about both.

    Parameters
    ----------
    path : str or path-like
        File of the model.
    folder : str or path-like
        Folder with a sub-folder for each class. If it has parts, ``test`` or else ``val`` tests the
        model, and all are checked.
    out : str or path-like
        The page, ``*.html``.
    groups : str, default=None
        Patients or slides, as for `skcell.datasets.read_groups`.
    skip_broken : bool, default=False
        Whether files that cannot be read are skipped.
    notify : callable
        Called with a sentence about each step.

    Returns
    -------
    page : pathlib.Path
        The page.
    evaluation : Evaluation
        The figures of the test.
    notes : list of str
        What to know about the images of the test.
    """
    info, model = read_info(path), load(path)
    root = os.path.expanduser(os.fspath(folder))
    name = os.path.basename(os.path.abspath(root))
    notify("Testing the model ...")
    found, notes = evaluate_folder(model, root, groups=groups, skip_broken=skip_broken)
    check = check_folder(root, groups=groups, notify=notify)
    look = look_closer(model, found, root, deep=True, notify=notify)
    page = make_page(
        found,
        look,
        title=f"Report on {Path(path).name}, tested on {name}",
        paragraphs=notes,
        check=check,
        card=make_card(info, found, name),
        details={**json.loads(json.dumps(asdict(info), default=str)), "test": found.to_dict()},
    )
    file = Path(out).expanduser()
    replace_file(file, page.encode())
    return file, found, notes
