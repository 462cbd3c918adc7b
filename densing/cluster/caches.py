"""Caches of answers that workers keep on their own machines, brought together by what is in them.

SQLite locks do not hold on network file systems, so no worker opens a database there. Each unit has one on the disk of
the worker's machine. When the worker leaves the unit, finished or not, a copy of it becomes a file of the sweep that
nobody writes to any more: a part. Who tries the unit again begins with its parts, and at the end all parts become the
one cache that `densing measure` reads.

One cache per unit, rather than one per worker, also makes a unit's batches the same whatever else was measured before.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from densing.core.artifacts import sha256_of
from densing.core.errors import DensingError
from densing.core.files import atomic
from densing.measure.cache import RequestCache

PARTS = "answers"
"""The folder of the parts, below the sweep's own."""


def publish(cache: Path, parts: Path) -> None:
    """Put a copy of a worker's cache among the parts of its unit, and remove it from the worker's disk.

    Raises
    ------
    OSError
        If the copy cannot be written; the cache stays where it is.
    """
    if not cache.is_file():
        return
    with atomic(parts / f"{sha256_of(cache)[:16]}.sqlite", "wb") as file, cache.open("rb") as answers:
        shutil.copyfileobj(answers, file)
    cache.unlink()


def merge(parts: Iterable[Path], into: Path) -> int:
    """Add all answers of some parts to a cache on this machine's own disk.

    Parameters
    ----------
    parts : iterable of Path
        Of two answers to one request, that of the first part counts.
    into : Path
        Made if it does not exist.

    Returns
    -------
    int
        How many answers were added.

    Raises
    ------
    DensingError
        If a part cannot be read, or the cache cannot be written.
    """
    cache = RequestCache(into, {})
    cache.store([])  # which makes the table
    cache.close()
    with closing(sqlite3.connect(into.absolute().as_uri(), uri=True)) as connection:
        before = connection.total_changes
        for part in parts:
            try:
                if part.is_fifo():  # which SQLite would wait for
                    raise sqlite3.DatabaseError("this is a pipe, not a file")
                # Nobody writes to a part, so it is read without locks.
                connection.execute("ATTACH DATABASE ? AS part", (f"{part.absolute().as_uri()}?immutable=1",))
                _refuse_other_tables(connection)
                with connection:
                    connection.execute("INSERT OR IGNORE INTO answers SELECT * FROM part.answers")
                connection.execute("DETACH DATABASE part")
            except sqlite3.Error as error:
                raise DensingError(
                    f"{part}: cannot be merged into {into}: {error}; remove whichever is damaged"
                ) from error
        return connection.total_changes - before


def _refuse_other_tables(connection: sqlite3.Connection) -> None:
    """Refuse a part whose answers are not kept but computed, by a view or a column."""
    kinds = {kind for (kind,) in connection.execute("SELECT type FROM part.sqlite_master")}
    columns = [(name, hidden) for _, name, *_, hidden in connection.execute("PRAGMA part.table_xinfo(answers)")]
    if "view" in kinds or columns != [("scope", 0), ("request", 0), ("answer", 0)]:
        raise sqlite3.DatabaseError("this is no cache of answers")


def merge_all(folder: Path, settings_name: str, scratch: Path, cache_name: str) -> None:
    """Bring all parts under one of the settings together in the cache beside the measurements.

    The cache is made anew on this machine's own disk and put in place whole; then the parts are removed. While
    another process has the cache open, the parts stay for the next time.

    Parameters
    ----------
    folder : Path
        The sweep's.
    settings_name : str
    scratch : Path
        A folder on this machine's own disk.
    cache_name : str
        File name of the cache.
    """
    parts = sorted((folder / PARTS / settings_name).rglob("*.sqlite"))
    together = folder / settings_name / cache_name
    if not parts or together.with_name(f"{cache_name}-wal").exists():
        return
    local = scratch / f"merged-{settings_name}.sqlite"
    local.unlink(missing_ok=True)
    merge([together, *parts] if together.exists() else parts, local)
    with atomic(together, "wb") as file, local.open("rb") as answers:
        shutil.copyfileobj(answers, file)
    local.unlink()
    for part in parts:
        part.unlink()
