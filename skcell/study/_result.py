"""The result of a study: a value that is shown, saved, loaded and compared without the data."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from skcell._hints import did_you_mean
from skcell._optional import import_optional
from skcell.study._comparison import compare
from skcell.study._files import read_study, table_records, write_report, write_study
from skcell.study._plot import plot_techniques
from skcell.study._predictions import list_predictions
from skcell.study._records import StudyRecord
from skcell.study._table import caption, result_table


@dataclass(frozen=True, repr=False)
class StudyResult(StudyRecord):
    """What a study found. It needs no data, and can be saved and loaded.

    Parameters
    ----------
    techniques : sequence of TechniqueResult
        For each technique its mean scores, their intervals and the time of a fit. After an
        interrupt, for the techniques begun.
    folds : sequence of FoldResult
        The same for each fit.
    images : object or None
        Names, classes and predictions of the images validated on; None where they are not known.
    score : str
        Name of the score that decides.
    confidence_level : float
        Of the intervals.
    complete : bool
        Whether all fits were done.
    configuration : mapping
        Settings of the study and of each technique; "protocol" has the splits, in words.
    data : mapping
        Name, number, shape and dtype of the images, and the size of each class.
    environment : mapping
        Hardware and versions.
    started, finished : str
        When, in UTC.

    See Also
    --------
    skcell.study.Study : Makes it.

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

    def __repr__(self) -> str:
        names = ", ".join(technique.name for technique in self.techniques)
        return f"<StudyResult of {self.data['name']}: {names}>"

    @property
    def predictions(self) -> dict[str, NDArray[Any]]:
        """One entry for each validated image of each fit.

        Columns are "technique", "fold", "index" (of the image in `X`), "image" (its name), "group"
        where groups were given, "true", "predicted", and "p CLASS", the probability of each class.
        """
        return list_predictions(self)

    @property
    def table(self) -> Any:
        """One line for each technique, as a `pandas.DataFrame`; needs pandas."""
        pandas = import_optional("pandas", extra="pandas", purpose="A table")
        return pandas.DataFrame(table_records(self)).set_index("technique")

    def compare_with(self, name: str) -> Self:
        """Compare the techniques with another one than the first.

        Parameters
        ----------
        name : str
            The technique to compare with.

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
                "The predictions are not known, and differences are computed from them; keep "
                "predictions.csv beside study.json."
            )
        ordered = sorted(self.techniques, key=lambda technique: technique.name != name)
        bare = [
            replace(
                technique,
                summaries={
                    score: replace(
                        summary,
                        **dict.fromkeys(
                            ("difference", "difference_low", "difference_high", "p_value"), np.nan
                        ),
                    )
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
            Where to; None is standard output.
        """
        console = console or Console()
        console.print(result_table(self, console.width))
        console.print(Text(caption(self)))

    def plot(self, ax: Any = None) -> Any:
        """Plot each technique's score, interval and folds.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to; None makes a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The plot.
        """
        return plot_techniques(self, ax)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write a page for a browser: table, plot, protocol, settings and versions, in one file.

        Parameters
        ----------
        path : str or path-like
            Of the file, such as "study.html"; it is replaced.

        Returns
        -------
        pathlib.Path
            The file.
        """
        return write_report(Path(path), self)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the result as tables, a plot and a page.

        `results.csv`, `folds.csv`, `predictions.csv`, `study.json`, `study.png` and `study.html`.

        Each file is replaced as a whole, so that none is ever half written.

        Parameters
        ----------
        folder : str or path-like
            Made where it does not exist.

        Returns
        -------
        list of pathlib.Path
            The files.
        """
        return write_study(Path(folder), self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result that was saved.

        Parameters
        ----------
        path : str or path-like
            The folder, or the study.json in it. Predictions come from the predictions.csv beside
            it; without that file they are not known.

        Returns
        -------
        StudyResult
            The result. Parameters that are no numbers or texts are their text.

        Raises
        ------
        ValueError
            If the file is something else, or of another version.
        OSError
            If it cannot be read.
        """
        return cls(**vars(read_study(Path(path))))
