"""Files and folders written whole or not at all, and files read with one kind of error.

What is being written lies beside its place, under a name that only this package gives, and is locked by its writer:
left-overs of a killed run are those that nobody holds, and the next run that writes to the place removes them.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import IO, TYPE_CHECKING, Any

from densing.core.errors import InputError, is_failure, listed

if TYPE_CHECKING:
    import pandas as pd

_BESIDE = ".densing-partial"
"""Ending of what is not complete yet."""
_REPLACED = ".densing-replaced"
"""Ending of a folder while a new one takes its place."""

LARGEST_FILE = 1 << 30
"""Bytes of a file that is read whole."""
LARGEST_CONFIGURATION = 1 << 18
"""Bytes of a file that people write by hand."""
LONGEST_LINE = 1 << 26
"""Bytes of a line of a file that is read by lines."""
DEEPEST = 100
"""Lists and mappings inside one another."""
MOST_ENTRIES = 100_000
"""Files and folders below one that is looked through."""
LONGEST_NUMBER = 100
"""Digits in a row; nobody means more of them, and the product of three such numbers is still one for floating point."""


# writing


def refuse_foreign(path: Path) -> None:
    """Refuse to write over an artifact's place in which there is a file that densing did not write.

    Raises
    ------
    InputError
        Names the file.
    """
    if not path.is_file():
        return
    with open_regular(path) as file:
        start = file.read(200)
    if start and b"densing/" not in start:  # an artifact begins with its schema
        raise InputError(f"{path}: densing did not write this file, and would replace it; name another, or move it")


@contextmanager
def atomic(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file beside `path` and rename it into place when the block ends without an error.

    Raises
    ------
    InputError
        If something else than a file is in its place: a rename would put a file where a device or a pipe is.
    """
    there = _kind(path)
    if there is not None and not stat.S_ISREG(there):
        kind = "a folder" if stat.S_ISDIR(there) else "a pipe or a device"
        raise InputError(f"{path}: this is {kind}, and a file would take its place; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    descriptor, beside = _new_file(path)
    encoding = None if "b" in mode else "utf-8"
    with os.fdopen(descriptor, mode, encoding=encoding, newline="" if encoding else None) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.chmod(beside, 0o666 & ~_umask())
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def _kind(path: Path) -> int | None:
    """What is in a place, asked once, since another process may replace it meanwhile; None for nothing."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that replaces it when the block ends without an error.

    Raises
    ------
    InputError
        If something else than a folder is in its place.
    """
    there = _kind(path)
    if there is not None and not stat.S_ISDIR(there):
        raise InputError(f"{path}: this is a file, and a folder would take its place; name a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        _restore(path)
    _sweep(path)
    beside, held = _new_folder(path)
    try:
        beside.chmod(0o777 & ~_umask())
        yield beside
        with _alone(path.parent):
            _restore(path)
            old = path.with_name(f".{path.name}{_REPLACED}")
            if path.exists():
                path.rename(old)
            beside.rename(path)
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        with suppress(OSError), _alone(path.parent):
            _restore(path)
        raise
    finally:
        if held is not None:
            os.close(held)


def _restore(path: Path) -> None:
    """Finish or take back the replacement of a folder in which a run was killed."""
    old = path.with_name(f".{path.name}{_REPLACED}")
    if old.exists():
        shutil.rmtree(old, ignore_errors=True) if path.exists() else old.rename(path)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half written; no other process may be writing in the folder."""
    for path in sorted(folder.rglob(f".*{_REPLACED}")):
        _restore(path.with_name(path.name[1:].removesuffix(_REPLACED)))
    for path in sorted(folder.rglob(f".*{_BESIDE}")):
        _remove(path)


def _sweep(path: Path) -> None:
    """Remove what killed runs left beside `path`; what a living process holds stays."""
    start = f".{path.name}."
    with suppress(OSError), os.scandir(path.parent) as entries:
        for name in [entry.name for entry in entries if entry.name.startswith(start)]:
            if not re.fullmatch(r"\w+" + re.escape(_BESIDE), name[len(start) :]):
                continue
            with suppress(OSError):
                held = os.open(path.parent / name, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    if _try_lock(held):
                        _remove(path.parent / name)
                finally:
                    os.close(held)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _new_file(path: Path) -> tuple[int, str]:
    """A locked file beside `path`; another one where a process that sweeps had it before the lock and removed it."""
    while True:
        descriptor, beside = mkstemp(prefix=f".{path.name}.", suffix=_BESIDE, dir=path.parent)
        _lock(descriptor)
        if os.path.exists(beside):
            return descriptor, beside
        os.close(descriptor)


def _new_folder(path: Path) -> tuple[Path, int | None]:
    """The same for a folder; no lock where folders cannot be opened."""
    while True:
        beside = Path(mkdtemp(prefix=f".{path.name}.", suffix=_BESIDE, dir=path.parent))
        try:
            descriptor = os.open(beside, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError:
            return beside, None
        _lock(descriptor)
        if beside.exists():
            return beside, descriptor
        os.close(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, without a file that stays; a process that dies lets go."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    with suppress(ImportError, OSError):  # no such locks on Windows and on some network disks
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# reading


@contextmanager
def reading(path: Path | str, form: str, remedy: str = "give another file, or make it again") -> Iterator[None]:
    """Turn whatever a reader raises inside the block into an `InputError` that names the file.

    Parameters
    ----------
    path : Path or str
        The file, or where the data came from.
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
    except PermissionError as error:
        raise InputError(f"{path}: you may not read this file; change its permissions, or give another one") from error
    except BaseException as error:  # each library raises errors of its own for a damaged file
        if not is_failure(error):
            raise
        raise InputError(f"{path}: not readable as {form} ({_cause(error)}); {remedy}") from error


def _cause(error: BaseException) -> str:
    """What went wrong, without the input that some libraries print in full."""
    text = " ".join(str(error)[:2000].split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def files_below(folder: Path, pattern: str) -> list[Path]:
    """Files in a folder and in those inside it whose name matches a pattern, sorted; links to folders are not followed.

    Raises
    ------
    InputError
        If there is so much in the folder that another one must be meant.
    """
    found, seen = [], 0
    for place, folders, files in os.walk(folder):
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            raise InputError(f"{folder}: more than {MOST_ENTRIES:,} files and folders lie in it; name a folder inside")
        found += [Path(place, name) for name in fnmatch.filter(files, pattern)]
    return sorted(found)


@contextmanager
def open_regular(path: Path | str, largest: int = LARGEST_FILE) -> Iterator[IO[bytes]]:
    """Open a file for reading, if it is one: a pipe would be waited for, and a device never ends.

    Raises
    ------
    InputError
        If it is no regular file, or larger than `largest` bytes.
    OSError
        If it cannot be opened.
    """
    if "\0" in str(path):
        raise InputError(f"{path}: a path cannot hold the character zero; give another file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise InputError(f"{path}: this is {kind}, not a file; give a regular file")
        if status.st_size > largest:
            raise InputError(f"{path}: {status.st_size:,} bytes, and {largest:,} are the most; give a smaller file")
        yield file


def refuse_special_files(folder: Path, pattern: str = "*") -> None:
    """Refuse a folder with a pipe or a device in it, before a library opens whatever lies there.

    Raises
    ------
    InputError
        Names the first of them.
    """
    for path in sorted(folder.glob(pattern)):
        if (kind := _kind(path)) is not None and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise InputError(f"{path}: this is a pipe or a device, not a file; remove it, or name another folder")


def read_bytes(path: Path, form: str, largest: int = LARGEST_FILE) -> bytes:
    """The bytes of a file.

    Raises
    ------
    InputError
        If it is missing, no regular file, or larger than `largest` bytes.
    """
    with reading(path, form), open_regular(path, largest) as file:
        return file.read()


def copy_files(paths: Iterable[Path], folder: Path) -> None:
    """Copy files into a folder.

    Raises
    ------
    InputError
        If one of them is no regular file.
    """
    for path in sorted(paths):
        with reading(path, "a file"), open_regular(path, 1 << 50) as file, (folder / path.name).open("wb") as copy:
            shutil.copyfileobj(file, copy)


def read_text(path: Path, form: str = "text", largest: int = LARGEST_FILE) -> str:
    """The text of a file in UTF-8, without the mark that some editors begin it with.

    Raises
    ------
    InputError
        As `read_bytes`, and if it is not UTF-8; names the line.
    """
    return _decoded(read_bytes(path, form, largest), path, form)


def _decoded(content: bytes, path: Path, form: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not readable as {form}, not UTF-8; save it in UTF-8") from error


def parse_json(path: Path) -> Any:
    """The data in a JSON file.

    Raises
    ------
    InputError
        If the file is missing, is not JSON, is nested deeper or has longer numbers than any that is meant, or has
        text that is no Unicode.
    """
    content = read_bytes(path, "JSON")
    return _json(content, _decoded(content, path, "JSON"), path, "it may be truncated")


def parse_mapping(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a JSON file; `what` says in a message what it should be, as in "a model's config.json".

    Raises
    ------
    InputError
        As `parse_json`, and if it holds something else than a mapping.
    """
    data = parse_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of keys to values, as in {what}")
    return data


def json_of(text: str, where: Path | str, remedy: str = "correct it") -> Any:
    """The data of a JSON text that came from `where`; see `parse_json`."""
    return _json(text.encode("utf-8", "surrogatepass"), text, where, remedy)


def _json(content: bytes, text: str, where: Path | str, remedy: str) -> Any:
    with reading(where, "JSON", remedy):
        return _loaded(content, text)


def _loaded(content: bytes, text: str) -> Any:
    """The data of a JSON text that stands for itself in two forms; a ValueError for what nobody means."""
    _refuse_extremes(content)
    data = json.loads(text)
    if b"\\u" in content and _HALF_LETTER.search(content):
        json.dumps(data, ensure_ascii=False).encode()  # fails for half of a letter that takes two
    return data


def json_lines(path: Path, problems: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """The lines of a file that are not blank, as JSON with their numbers.

    Parameters
    ----------
    path : Path
    problems : list of str, optional
        Takes what is wrong with lines that are no JSON; without it, the first of them is an error.

    Raises
    ------
    InputError
        If the file is missing, no regular file, or has a line that is too long, not UTF-8 or not JSON.
    """
    with reading(path, "JSON lines"), open_regular(path, 1 << 50) as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(f"{path}, line {number}: more than {LONGEST_LINE:,} bytes; break it up")
            if not line.strip():
                continue
            try:
                row = _loaded(line, line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, line {number}: not UTF-8 text ({_cause(error)})") from error
            except (ValueError, RecursionError) as error:
                problem = f"line {number}: not JSON ({_cause(error)})"
                if problems is None:
                    raise InputError(f"{path}, {problem}") from error
                problems.append(problem)
                continue
            yield number, row


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_HALF_LETTER = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _refuse_extremes(content: bytes) -> None:
    """Refuse JSON that is nested deeper than `DEEPEST`, or has a number of more than `LONGEST_NUMBER` digits.

    What costs time is looked at only where a count over the bytes, strings included, gives reason to.
    """
    if not _is_extreme(content):
        return
    if _is_extreme(_STRING.sub(b'""', content)):
        raise ValueError(f"nested more than {DEEPEST} deep, or a number of more than {LONGEST_NUMBER} digits")


def _has_long_number(content: bytes) -> bool:
    # A run of 101 digits holds ten of every tenth byte in a row, which takes a tenth of the time to see.
    few = content[::10].translate(_DIGITS_ALIKE)
    return b"0" * 10 in few and b"0" * (LONGEST_NUMBER + 1) in content.translate(_DIGITS_ALIKE)


def _is_extreme(content: bytes) -> bool:
    if _has_long_number(content):
        return True
    brackets = content.translate(None, _NOT_BRACKETS)
    if len(brackets) <= DEEPEST:
        return False
    import numpy as np

    marks = np.frombuffer(brackets, np.uint8)
    steps = np.where((marks == ord("[")) | (marks == ord("{")), 1, -1)
    return int(np.cumsum(steps).max()) > DEEPEST


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
    text = read_text(path, "CSV")
    with reading(path, "CSV"):
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        there = [column.strip() for column in reader.fieldnames or []]
        if missing := [column for column in columns if column not in there]:
            raise InputError(f"{path}: no column {' and no column '.join(missing)}; it has {listed(there) or 'none'}")
        reader.fieldnames = there
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise InputError(f"{path}, line {number}: has not the {len(there)} cells of the heading")
        return rows


def parse_table(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV file of numbers as pandas reads it, with pandas' own options.

    Raises
    ------
    InputError
        If the file is missing, is not CSV, or has no rows.
    """
    import pandas as pd

    content = read_bytes(path, "CSV")
    text = _decoded(content, path, "CSV")
    with reading(path, "CSV"), warnings.catch_warnings():
        if _has_long_number(content):
            raise ValueError(f"a number of more than {LONGEST_NUMBER} digits")
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the heading
        return pd.read_csv(io.StringIO(text), index_col=False, **options)
