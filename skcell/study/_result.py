"""The result of a study, which can be shown, saved, loaded and compared without the data."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from skcell._hints import did_you_mean
from skcell._optional import import_optional
from skcell.study._comparison import compare
from skcell.study._files import read_study, table_records, write_report, write_study
from skcell.study._plot import plot_techniques
from skcell.study._predictions import list_predictions
from skcell.study._records import FoldResult, Summary, TechniqueResult, Validated
from skcell.study._table import caption, result_table


@dataclass(frozen=True, repr=False)
class StudyResult:
    """The result of a study, which can be shown, saved and loaded without the data.

    Parameters
    ----------
    techniques : sequence of TechniqueResult
        Mean scores, intervals and fit time of each technique. After an interrupt, only techniques
        that were started are included.
    folds : sequence of FoldResult
        Scores and fit time of each fit.
    images : object or None
        Names, classes and predictions of the validation images; None if they are not known.
    score : str
        Name of the score that decides which technique is best.
    confidence_level : float
        Confidence level of the intervals.
    complete : bool
        Whether all fits were finished.
    configuration : mapping
        Settings of the study and of each technique; "protocol" describes the splits in words.
    data : mapping
        Name, number, shape and dtype of the images, and the size of each class.
    environment : mapping
        Hardware and versions.
    started, finished : str
        When the study started and finished, in UTC.

    See Also
    --------
    skcell.study.Study : Runs a study.

    Examples
    --------
    >>> import tempfile
    >>> from skcell.datasets import make_cells
    >>> from skcell.study import Study, StudyResult
    >>> cells = make_cells(60, n_classes=2, image_size=16, random_state=0)
    >>> study = Study(["base"], cv=2, epochs=1, refit=False, verbose=False)
    >>> result = study.fit(cells.images, cells.target).result_
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = result.save(folder)
    ...     again = StudyResult.load(folder)
    >>> again.techniques[0].accuracy == result.techniques[0].accuracy
    True
    """

    techniques: Sequence[TechniqueResult]
    folds: Sequence[FoldResult]
    images: Validated | None
    score: str
    confidence_level: float
    complete: bool
    configuration: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    started: str
    finished: str

    def __repr__(self) -> str:
        names = ", ".join(technique.name for technique in self.techniques)
        return f"<StudyResult of {self.data['name']}: {names}>"

    @property
    def protocol(self) -> str:
        """The splits, the number of epochs and the seed, in words."""
        settings = self.configuration
        return (
            f"{settings['protocol']}; {settings['epochs']} epochs, seed {settings['random_state']}"
        )

    @property
    def predictions(self) -> dict[str, NDArray[Any]]:
        """Predictions, with one entry for each validation image of each fit.

        Columns are "technique", "fold", "index" (of the image in `X`), "image" (its name), "group"
        if groups were given, "true", "predicted", and "p CLASS", the probability of each class.
        """
        return list_predictions(self)

    @property
    def table(self) -> Any:
        """Table with one line for each technique, as a `pandas.DataFrame`; requires pandas."""
        pandas = import_optional("pandas", extra="pandas", purpose="A table")
        return pandas.DataFrame(table_records(self)).set_index("technique")

    def compare_with(self, name: str) -> Self:
        """Compare the techniques with a technique other than the first.

        Parameters
        ----------
        name : str
            Name of the technique to compare with.

        Returns
        -------
        StudyResult
            The same result with that technique first, and differences from it.

        Raises
        ------
        ValueError
            If there is no such technique, or the predictions are not known.
        """
        names = [technique.name for technique in self.techniques]
        if name not in names:
            raise ValueError(f"There is no technique {name!r}.{did_you_mean(name, names)}")
        if self.images is None:
            raise ValueError(
                "The predictions are not known, but the differences are computed from them; keep "
                "predictions.csv beside study.json."
            )
        ordered = sorted(self.techniques, key=lambda technique: technique.name != name)
        bare = [
            replace(
                technique,
                summaries={
                    score: Summary(summary.mean, summary.low, summary.high)
                    for score, summary in technique.summaries.items()
                },
            )
            for technique in ordered
        ]
        return replace(
            self, techniques=compare(bare, self.folds, self.images, self.confidence_level)
        )

    def show(self, console: Console | None = None) -> None:
        """Print the table.

        Parameters
        ----------
        console : rich.console.Console, default=None
            Console to print on; None uses standard output.
        """
        console = console or Console()
        console.print(result_table(self, console.width))
        console.print(Text(caption(self)))

    def plot(self, ax: Any = None) -> Any:
        """Plot each technique's score, interval and folds.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to plot on; None makes a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The plot.
        """
        return plot_techniques(self, ax)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write an HTML page with table, plot, protocol, settings and versions, in one file.

        Parameters
        ----------
        path : str or path-like
            Path of the file, such as "study.html"; an existing file is replaced.

        Returns
        -------
        pathlib.Path
            The file.
        """
        return write_report(Path(path), self)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the result as tables, a plot and a page.

        The files are `results.csv`, `folds.csv`, `predictions.csv`, `study.json`, `study.png` and
        `study.html`. Each file is written completely or not at all.

        Parameters
        ----------
        folder : str or path-like
            The folder; it is created if it does not exist.

        Returns
        -------
        list of pathlib.Path
            The files.
        """
        return write_study(Path(folder), self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a saved result.

        Parameters
        ----------
        path : str or path-like
            The folder, or the study.json in it. Predictions are read from predictions.csv in the
            same folder; without that file they are not known.

        Returns
        -------
        StudyResult
            The result. Parameters that are not numbers or strings are replaced by their text.

        Raises
        ------
        ValueError
            If the file is not a study.json, or if it has another format version.
        OSError
            If the file cannot be read.
        """
        return cls(**read_study(Path(path)))
