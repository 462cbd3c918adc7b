"""Answers that were already computed, kept where a killed run, or another process, finds them again.

A key is the scope (everything that the answer depends on besides the request, see `engines.answer_scope`) and the
request's own tokens, so a changed scope never meets an old answer.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from densing.core.artifacts import sha256_of_data
from densing.core.errors import DensingError, InputError
from densing.core.files import json_of
from densing.core.progress import console

KEYS_PER_QUERY = 500
SECONDS_TO_WAIT_FOR_OTHERS = 60.0
TABLE = "CREATE TABLE answers (scope BLOB, request BLOB, answer TEXT, PRIMARY KEY (scope, request)) WITHOUT ROWID"
LARGEST_LOGPROB = 1e9


def request_key(kind: str, *parts: Any) -> bytes:
    """Digest of a request: its kind ("answer", "text"), and token sequences or JSON-able settings.

    Examples
    --------
    >>> request_key("answer", (1, 2), (3,)) == request_key("answer", (1,), (2, 3))
    False
    """
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for part in parts:
        data = array("q", part).tobytes() if isinstance(part, tuple) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


class RequestCache:
    """An SQLite file of answers, in write-ahead mode so that several processes can share it.

    Parameters
    ----------
    path : Path
        Made when the first answers are stored, so that a run that is refused leaves nothing behind.
    scope : mapping
        Everything besides the request that an answer depends on; JSON-able.
    fresh : bool
        Find nothing that was stored before, but store what is computed now.
    """

    def __init__(self, path: Path, scope: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self._scope = bytes.fromhex(sha256_of_data(dict(scope)))
        self._fresh = fresh
        self._connection: sqlite3.Connection | None = None
        try:
            self._has_answers()  # a file that cannot be used is named before anything is computed
        except BaseException:
            self.close()
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT_FOR_OTHERS)
        return self._connection

    def _has_answers(self) -> bool:
        """Whether the file has the table, and nothing else: a view, a trigger or other columns are not densing's."""
        if self._connection is None and not self.path.exists():
            return False
        with self._named_errors():
            made = [sql for (sql,) in self._connected().execute("SELECT sql FROM sqlite_master LIMIT 2")]
        if made not in ([], [TABLE]):
            raise InputError(f"{self.path}: this is no cache of requests; name another folder, or remove this file")
        return bool(made)

    def _writable(self) -> sqlite3.Connection:
        """The file, made if it does not exist."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._has_answers():
            self._write_ahead()
            self._connected().execute(TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        # Without a sync per commit a power cut can lose the last commits, a killed process cannot.
        self._connected().execute("PRAGMA synchronous = NORMAL")
        return self._connected()

    def _write_ahead(self) -> None:
        """Set the mode, for which SQLite itself does not wait where another process is just setting it."""
        give_up = time.monotonic() + SECONDS_TO_WAIT_FOR_OTHERS
        while True:
            try:
                self._connected().execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
            time.sleep(0.02)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The answers that are stored, by request."""
        found: dict[bytes, Any] = {}
        if self._fresh or not self._has_answers():
            return found
        with self._named_errors():
            for some in _chunks(keys):
                marks = ", ".join("?" * len(some))
                query = f"SELECT request, answer FROM answers WHERE scope = ? AND request IN ({marks})"  # noqa: S608
                rows = self._connected().execute(query, [self._scope, *some])
                found.update((key, answer) for key, text in rows if (answer := _answer(text)) is not None)
        return found

    def store(self, answers: Iterable[tuple[bytes, Any]]) -> None:
        """Keep answers, all of them or none.

        Raises
        ------
        DensingError
            If the disk is full or the file cannot be written; what was stored before stays.
        """
        rows = [(self._scope, key, json.dumps(answer, ensure_ascii=False, allow_nan=False)) for key, answer in answers]
        with self._named_errors(), self._writable() as connection:
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # what SQLite says of damage may be no text
            raise DensingError(f"{self.path}: {error}; free space, or name another file, or remove this one") from error


def _answer(text: Any) -> Any:
    """What an engine stored: [log-probability, whether greedy] or a text; None for anything else, computed again."""
    try:
        answer = json_of(text, "the cache of requests") if isinstance(text, str) else None
    except InputError:
        answer = None
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], bool):
        number = answer[0]
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < LARGEST_LOGPROB:
            return answer
    console.print("note: the cache of requests holds an answer of another form; it is computed again")
    return None


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), KEYS_PER_QUERY):
        yield keys[start : start + KEYS_PER_QUERY]
