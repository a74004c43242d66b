"""A cache of features, on disk or in memory, of limited size and safe with many processes."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Maximum size of a store, in bytes.
MAX_BYTES = 1 << 30

_LOOKED_UP = 500  # features per query; SQLite limits the number of values in a query


class FeatureStore:
    """A table of features by extractor and image, in an SQLite database.

    When it is full, the features stored first are deleted first. Many processes can use one file
    at the same time; the file stays intact if one of them is killed.
    """

    #: Seconds to wait while another process is writing.
    timeout = 30.0

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES):
        self.path, self.max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._memory: sqlite3.Connection | None = None
        if path == ":memory:":
            self._memory = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._make_table(self._memory)
        else:
            with self._reached():
                Path(path).parent.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def _make_table(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS features "
            "(number INTEGER PRIMARY KEY, id BLOB UNIQUE, value BLOB)"
        )

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._memory is not None:
                yield self._memory
                return
            with (
                self._reached(),
                contextlib.closing(
                    sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None)
                ) as connection,
            ):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                self._make_table(connection)
                yield connection

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise OSError(
                f"Features cannot be kept in {os.fspath(self.path)}: {error}. Set cache=False, or "
                "set cache to the path of another file."
            ) from error

    def get(self, key: bytes, digests: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Look up features."""
        found: dict[bytes, NDArray[np.float32]] = {}
        with self._connect() as connection:
            for start in range(0, len(digests), _LOOKED_UP):
                ids = [key + digest for digest in digests[start : start + _LOOKED_UP]]
                query = f"SELECT id, value FROM features WHERE id IN ({','.join('?' * len(ids))})"
                for id_, value in connection.execute(query, ids):
                    found[id_[len(key) :]] = np.frombuffer(value, np.float32)
        return found

    def put(self, key: bytes, rows: dict[bytes, NDArray[np.float32]]) -> None:
        """Store features."""
        values = [
            (key + digest, np.ascontiguousarray(row, np.float32).tobytes())
            for digest, row in rows.items()
        ]
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR IGNORE INTO features (id, value) VALUES (?, ?)", values
            )
            self._shrink(connection)
            connection.execute("COMMIT")

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Delete the oldest features until the rest fits; SQLite reuses the freed pages."""
        while self._used(connection) > self.max_bytes:
            (count,) = connection.execute("SELECT COUNT(*) FROM features").fetchone()
            if count == 0:
                return
            connection.execute(
                "DELETE FROM features WHERE number IN "
                "(SELECT number FROM features ORDER BY number LIMIT ?)",
                (max(1, count // 8),),
            )

    @staticmethod
    def _used(connection: sqlite3.Connection) -> int:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
