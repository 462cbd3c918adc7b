"""Files and folders written whole or not at all, and files read with one kind of error."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp
from typing import IO, Any

from densing.core.errors import InputError

_BESIDE = ".partial"
"""Ending of what is not complete yet."""


@contextmanager
def atomic(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file beside `path` and rename it into place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if "b" in mode else "utf-8"
    with NamedTemporaryFile(
        mode,
        dir=path.parent,
        prefix=f".{path.name}.",
        suffix=_BESIDE,
        encoding=encoding,
        delete=False,
        newline="" if encoding else None,
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    os.chmod(file.name, 0o666 & ~_umask())
    os.replace(file.name, path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that replaces it when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(mkdtemp(prefix=f".{path.name}.", suffix=_BESIDE, dir=path.parent))
    try:
        beside.chmod(0o777 & ~_umask())
        yield beside
        if path.exists():
            old = Path(mkdtemp(prefix=f".{path.name}.", suffix=_BESIDE, dir=path.parent))
            path.rename(old / path.name)
            beside.rename(path)
            shutil.rmtree(old)
        else:
            beside.rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half written; no other process may be writing in the folder."""
    for path in sorted(folder.rglob(f".*{_BESIDE}")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def reading(path: Path, form: str, remedy: str = "give another file, or make it again") -> Iterator[None]:
    """Turn whatever a reader raises inside the block into an `InputError` that names the file.

    Parameters
    ----------
    path : Path
    form : str
        What the file should hold: "JSON".
    remedy : str
        What to do about it.

    Raises
    ------
    InputError
        Also for a missing file; one that the block raises itself passes as it is.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # each library raises errors of its own for a damaged file
        raise InputError(f"{path}: not readable as {form} ({error}); {remedy}") from error


def parse_json(path: Path) -> Any:
    """The data in a JSON file.

    Raises
    ------
    InputError
        If the file is missing or is not JSON.
    """
    with reading(path, "JSON", "it may be truncated"):
        return json.loads(path.read_text(encoding="utf-8"))


def parse_csv(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, each by its columns' names.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        Those it must have.

    Raises
    ------
    InputError
        If the file is missing, is not CSV, lacks a column, or has a row with too few or too many cells.
    """
    with reading(path, "CSV"), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        there = [column.strip() for column in reader.fieldnames or []]
        if missing := [column for column in columns if column not in there]:
            raise InputError(
                f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(there) or 'none'}"
            )
        reader.fieldnames = there
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise InputError(f"{path}, line {number}: has not the {len(there)} cells of the heading")
        return rows
