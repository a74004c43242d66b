"""Storage of trials: in memory, in a file, or in a database that many machines share."""

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

#: A worker that has been silent for this many heartbeats is considered dead.
SILENCE = 6

#: Name of the study's attribute that holds the configuration of the search.
CONFIGURATION = "skcell"


def open_storage(
    storage: str | os.PathLike[str] | BaseStorage | None, heartbeat: int
) -> BaseStorage | None:
    """Open a storage."""
    if storage is None or isinstance(storage, BaseStorage):
        return storage
    url = os.fspath(storage)
    if "://" not in url:
        path = Path(url).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        # A URI can encode any character; in a plain URL, % ? and braces have a special meaning.
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
    """Return the path of a file as a URL for SQLite."""
    return f"sqlite:///file:{quote(quote(str(path)))}?uri=true"


def _open(url: str, heartbeat: int) -> RDBStorage:
    """Open a database; try again if another process is creating its tables at the same time."""
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
    """Let SQLite write without waiting for the disk each time.

    A killed process loses nothing. After a power failure, the last trials may be missing, but the
    file is not damaged.
    """
    from sqlalchemy import event

    def quicken(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    if storage.engine.dialect.name == "sqlite":
        event.listen(storage.engine, "connect", quicken)
        storage.engine.dispose()  # drops connections made before
    return storage


@contextlib.contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Raise a clear error if a storage cannot be reached or is full."""
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
    """Replace the password in a URL by asterisks."""
    head, at, tail = url.rpartition("@")
    return f"{head.rsplit(':', 1)[0]}:***@{tail}" if at and ":" in head.split("//")[-1] else url


def claim_study(study: Study, configuration: dict[str, Any]) -> None:
    """Check that a study belongs to this search; a new study is assigned to it."""
    known = study.user_attrs.get(CONFIGURATION)
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(CONFIGURATION, configuration)
        known = study.user_attrs[CONFIGURATION]  # another worker may have written it
    if known != configuration:
        known = known or {}
        differ = [key for key in configuration if known.get(key) != configuration[key]]
        raise ValueError(
            f"The study {study.study_name!r} in this storage belongs to another search: {differ} "
            "differ. Use another study_name, or the same data, folds, estimator and space. (In "
            "nested cross-validation, keep storage=None.)"
        )


def relevant_trials(study: Study, left_over: Collection[int] = ()) -> list[FrozenTrial]:
    """List trials, without those that are interrupted, surplus or of dead workers."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if (trial.state != TrialState.FAIL or "error" in trial.user_attrs)
        and not (trial.state == TrialState.RUNNING and trial.number in left_over)
    ]


def has_heartbeat(study: Study) -> bool:
    """Return whether the workers of a study send heartbeats."""
    return bool(getattr(study._storage, "get_heartbeat_interval", lambda: None)())


def without_storage(study: Study) -> Study:
    """Copy a study to memory."""
    copied = optuna.create_study(study_name=study.study_name, directions=study.directions)
    copied.add_trials(study.get_trials())
    return copied


def wait_for_others(study: Study, seconds: float, seen: set[int]) -> None:
    """Wait for the trials of other workers, and queue those of dead workers again."""
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
