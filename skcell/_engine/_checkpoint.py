"""Keep the state of training in files, so that a fit that was killed can go on."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from skcell._engine._compiled_model import CompiledModel
from skcell._files import replace_file

#: What early stopping remembers, in addition to the best weights.
_REMEMBERED = ("wait", "best", "best_epoch")


class Checkpoint(keras.callbacks.Callback):
    """Callback that writes the state of training after each epoch, and resumes from it.

    If a fit is killed, the same fit with a new `Checkpoint` of the same folder continues after the
    last epoch that was finished, and ends with the same model, to the last bit, as if it had not
    been killed. Without a file in the folder, the fit starts as usual. The file knows images,
    labels and parameters of its fit by a digest, and is refused by any other fit, such as that of
    the next fold of a cross-validation: give each fit a folder of its own.

    Parameters
    ----------
    folder : str or path-like
        Folder of the files, of which there is one for each phase of training.
    key : str, default=""
        Describes the fit beyond its data and parameters. A file with another key is refused.

    Attributes
    ----------
    resumed : bool
        Whether an earlier fit was continued.

    See Also
    --------
    keras.callbacks.BackupAndRestore : The same for Keras' own `fit`.

    Examples
    --------
    >>> import tempfile
    >>> from skcell import CellCNNClassifier
    >>> from skcell.classifiers import Checkpoint
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf = CellCNNClassifier(filters=(8,), epochs=2, callbacks=[Checkpoint(folder)])
    ...     clf = clf.fit(cells.images, cells.target)
    >>> clf.n_iter_
    2
    """

    uses_model = False

    def __init__(self, folder: str | os.PathLike[str], key: str = ""):
        super().__init__()
        self.folder, self.key = Path(folder).expanduser(), key
        self.resumed = False
        self.fit_key = ""
        self._phase = 0
        self._history: dict[str, list[float]] = {}

    def __deepcopy__(self, memo: Any) -> "Checkpoint":
        return self  # it counts the phases of all fits of an estimator and of its copies

    @property
    def _path(self) -> Path:
        return self.folder / f"phase-{self._phase}.npz"

    def restore(
        self, compiled: CompiledModel, callbacks: Sequence[keras.callbacks.Callback]
    ) -> dict[str, list[float]]:
        """Begin a phase of training, from the state that was written if there is one.

        Parameters
        ----------
        compiled : CompiledModel
            The model, which gets the state.
        callbacks : sequence of keras.callbacks.Callback
            All callbacks; those that stop early get theirs.

        Returns
        -------
        dict of str to list
            Scores of the epochs of this phase that were finished.

        Raises
        ------
        ValueError
            If the file belongs to another fit, or is damaged.
        """
        self._phase += 1
        self._compiled, self._stoppers = compiled, _find_stoppers(callbacks)
        self._history = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            return {}
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = dict(file)
            told = json.loads(str(arrays["told"]))
            key, n_values = told["key"], told["n_values"]
            values = [arrays[f"value-{i}"] for i in range(n_values)]
            best = [
                [arrays[f"best-{number}-{i}"] for i in range(state["n_best"])]
                for number, state in enumerate(told["stoppers"])
            ]
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._path} is damaged: the state of training in it cannot be read "
                f"({type(error).__name__}: {error}). Remove the folder to start anew."
            ) from error
        if key != [self.key, self.fit_key]:
            raise ValueError(
                f"{self._path} belongs to a fit with other images, labels or parameters. "
                "Remove the folder to start anew, use what it was started with, or give this "
                "fit another folder."
            )
        compiled.set_state(values)
        for stopper, state, weights in zip(self._stoppers, told["stoppers"], best, strict=True):
            for name in _REMEMBERED:
                setattr(stopper, name, state[name])
            stopper.best_weights = weights or None
        self.resumed = True
        self._history = told["history"]
        return {name: list(scores) for name, scores in self._history.items()}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the state; that of an epoch that was cut short is not kept."""
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        if self.model.stop_training:
            return
        values = {f"value-{i}": value for i, value in enumerate(self._compiled.get_state())}
        stoppers = []
        best: dict[str, Any] = {}
        for number, stopper in enumerate(self._stoppers):
            weights = stopper.best_weights or []
            best |= {f"best-{number}-{i}": np.asarray(w) for i, w in enumerate(weights)}
            state = {name: getattr(stopper, name) for name in _REMEMBERED}
            state["best"] = None if state["best"] is None else float(state["best"])
            stoppers.append({**state, "n_best": len(weights)})
        told = {
            "key": [self.key, self.fit_key],
            "n_values": len(values),
            "stoppers": stoppers,
            "history": self._history,
        }
        stream = io.BytesIO()
        np.savez(stream, told=json.dumps(told), **values, **best)  # type: ignore[arg-type]
        replace_file(self._path, stream.getvalue())


def _find_stoppers(callbacks: Sequence[keras.callbacks.Callback]) -> list[Any]:
    return [cb for cb in callbacks if isinstance(cb, keras.callbacks.EarlyStopping)]
