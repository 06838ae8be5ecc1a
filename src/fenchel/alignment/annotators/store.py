"""Answers that were paid for, in a file of sqlite: each is on disk before the next is used."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["AnswerStore", "key_of", "plain"]

_VERSION = 1
_MOST_VARIABLES = 500  # in one query; sqlite's own bound was 999 for long


def key_of(*parts: Any) -> str:
    """Return a digest of plain values; equal values have equal digests."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plain(item: Any) -> Any:
    """Return a prompt or a response as JSON can write it, without mixing up types.

    Raises
    ------
    TypeError
        If it is neither text, a number, None, an array, nor a list or tuple of such.
    """
    if item is None or isinstance(item, str | bool | int | float):
        return item
    if isinstance(item, np.generic):
        return item.item()
    if isinstance(item, np.ndarray):
        return [plain(entry) for entry in item.tolist()] if item.ndim else item.item()
    if isinstance(item, list | tuple):
        return [plain(entry) for entry in item]
    raise TypeError(
        "a prompt or response must be text, a number, a NumPy array, or a list of such; "
        f"got {type(item).__qualname__}"
    )


class AnswerStore:
    """A table of keys and JSON values; a value once written stays.

    Parameters
    ----------
    path
        File; made where there is none. Several processes may share it.
    durable
        Whether an answer survives a loss of power too, at the cost of one disk flush each. A killed
        process loses nothing either way.

    Raises
    ------
    ValueError
        If the file is something else, or cannot be made there.

    Examples
    --------
    >>> store = AnswerStore(":memory:")
    >>> store.put({"a": [0.5, None]})
    >>> store.get(["a", "b"])
    {'a': [0.5, None]}
    """

    def __init__(self, path: str | Path, *, durable: bool = True) -> None:
        self.path = str(path)
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(self.path, timeout=60.0, check_same_thread=False)
            try:
                self._prepare(durable)
            except sqlite3.DatabaseError:
                self._connection.close()
                raise
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"`path` must be a file of answers; got {self.path}: {error}"
            ) from None

    def _prepare(self, durable: bool) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")  # a reader never sees half an answer, a kill leaves none
        run(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        with self._connection:
            run("BEGIN IMMEDIATE")  # two processes may make the file at once
            (version,) = run("PRAGMA user_version").fetchone()
            (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
            if version == 0 and tables == 0:
                run("CREATE TABLE answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
                run(f"PRAGMA user_version={_VERSION}")
            elif version != _VERSION:
                raise sqlite3.DatabaseError("it has other tables")

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that are there."""
        wanted, found = list(keys), {}
        for start in range(0, len(wanted), _MOST_VARIABLES):
            part = wanted[start : start + _MOST_VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM answers WHERE key IN ({marks})"
            with self._lock:
                rows = self._connection.execute(query, part).fetchall()
            found.update({key: json.loads(value) for key, value in rows})
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        """Write values, all or none; they are in the file when this returns."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        with self._lock, self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)

    def __len__(self) -> int:
        with self._lock:
            (count,) = self._connection.execute("SELECT count(*) FROM answers").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
