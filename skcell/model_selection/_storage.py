"""Where trials are kept: in memory, in a file, or in a database that many machines share."""

import contextlib
import os
import re
import time
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

_PLAIN = re.compile(r"[^%?{}#]*")

#: A worker that has been silent for so many heartbeats is taken for dead.
SILENCE = 6

#: Where a study keeps what it is a search of.
CONFIGURATION = "skcell"


def open_storage(
    storage: str | os.PathLike[str] | BaseStorage | None, heartbeat: int
) -> BaseStorage | None:
    """Open a storage.

    Parameters
    ----------
    storage : str, path-like, optuna.storages.BaseStorage or None
        Path of a file, URL of a database, a storage, or None for memory.
    heartbeat : int
        Seconds between signs of life.

    Returns
    -------
    optuna.storages.BaseStorage or None
        The storage.

    Raises
    ------
    OSError
        If it is out of reach.
    ImportError
        If the driver of a database is not installed.
    """
    if storage is None or isinstance(storage, BaseStorage):
        return storage
    url = os.fspath(storage)
    if "://" not in url:
        path = Path(url).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        # A URI, in which any letter can be written: % ? and braces mean something in a plain URL.
        url = f"sqlite:///{path}" if _PLAIN.fullmatch(str(path)) else _as_uri(path)
    try:
        with storage_errors(url):
            return _tune_sqlite(_open(url, heartbeat))
    except ImportError as error:
        extra = "; pip install 'skcell[postgresql]'" if url.startswith("postgresql") else ""
        raise ImportError(
            f"The driver of {redact_password(url)} is not installed: {error}{extra}."
        ) from error


def _as_uri(path: Path) -> str:
    """Write the path of a file as SQLite takes it in a URL."""
    return f"sqlite:///file:{quote(quote(str(path)))}?uri=true"


def _open(url: str, heartbeat: int) -> RDBStorage:
    """Open a database; where several processes make its tables at once, all but one try again."""
    from sqlalchemy.exc import SQLAlchemyError

    engine: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        engine["connect_args"] = {"connect_timeout": 10}
    elif url.startswith("sqlite"):
        engine = {"connect_args": {"timeout": 120}}
    for attempt in range(6):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    url,
                    engine_kwargs=engine,
                    heartbeat_interval=heartbeat,
                    grace_period=SILENCE * heartbeat,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )
        except SQLAlchemyError as error:
            made_by_another = ("already exists", "unique constraint", "duplicate key")
            if attempt == 5 or not any(text in str(error).lower() for text in made_by_another):
                raise
        time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _tune_sqlite(storage: RDBStorage) -> RDBStorage:
    """Let a file be written without waiting for the disk each time; a killed process loses nothing.

    After a power cut the last trials may be missing, and the file is whole.
    """
    from sqlalchemy import event

    def quicken(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    if storage.engine.dialect.name == "sqlite":
        event.listen(storage.engine, "connect", quicken)
        storage.engine.dispose()  # of connections made before
    return storage


@contextlib.contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Say plainly if a storage cannot be reached, or takes no more."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise OSError(
            f"The search's storage {redact_password(where)} cannot be used: {reason}. Stored "
            "trials are kept. Fix this and run the same search again to resume."
        ) from error


def redact_password(url: str) -> str:
    """Leave out the password of a URL."""
    head, at, tail = url.rpartition("@")
    return f"{head.rsplit(':', 1)[0]}:***@{tail}" if at and ":" in head.split("//")[-1] else url


def claim_study(study: Study, configuration: dict[str, Any]) -> None:
    """Make sure that a study is one of this search, or make it so if it is new.

    Parameters
    ----------
    study : optuna.Study
        The study.
    configuration : dict
        What is searched, on what, by what.

    Raises
    ------
    ValueError
        If it is of another search.
    """
    known = study.user_attrs.get(CONFIGURATION)
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(CONFIGURATION, configuration)
        known = study.user_attrs[CONFIGURATION]  # perhaps of who came a moment later
    if known != configuration:
        known = known or {}
        differ = [key for key in configuration if known.get(key) != configuration[key]]
        raise ValueError(
            f"The study {study.study_name!r} in this storage is of another search: {differ} "
            "differ. Give another study_name, or the same data, folds, estimator and space. (In "
            "nested cross-validation, leave storage=None.)"
        )


def relevant_trials(study: Study, left_over: Collection[int] = ()) -> list[FrozenTrial]:
    """List the trials that count: not those of dead workers, of interrupts, or too many.

    Parameters
    ----------
    study : optuna.Study
        The study.
    left_over : collection of int
        Numbers of trials that do not count if they are still running.

    Returns
    -------
    list of optuna.trial.FrozenTrial
        In the order in which they began.
    """
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if (trial.state != TrialState.FAIL or "error" in trial.user_attrs)
        and not (trial.state == TrialState.RUNNING and trial.number in left_over)
    ]


def has_heartbeat(study: Study) -> bool:
    """Tell whether workers of a study show that they are alive.

    Parameters
    ----------
    study : optuna.Study
        The study.

    Returns
    -------
    bool
        Not so in memory, nor in storages that were opened without it.
    """
    return bool(getattr(study._storage, "get_heartbeat_interval", lambda: None)())


def without_storage(study: Study) -> Study:
    """Copy a study to memory.

    Parameters
    ----------
    study : optuna.Study
        The study.

    Returns
    -------
    optuna.Study
        The same trials, in this process alone.
    """
    copied = optuna.create_study(study_name=study.study_name, directions=study.directions)
    copied.add_trials(study.get_trials())
    return copied


def wait_for_others(study: Study, seconds: float, seen: set[int]) -> None:
    """Wait a moment for other workers' trials, and put those of dead ones in line again.

    Parameters
    ----------
    study : optuna.Study
        The study.
    seconds : float
        How long.
    seen : set of int
        Trials waited for before, to which new ones are added: from then on their silence counts,
        also of one whose worker died before its first sign of life.
    """
    time.sleep(seconds)
    if has_heartbeat(study):
        storage: Any = study._storage
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in seen:
                seen.add(trial.number)
                storage.record_heartbeat(trial._trial_id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
