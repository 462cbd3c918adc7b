"""Documents from wherever the text lies, one at a time, in an order that never changes."""

from __future__ import annotations

import glob
import hashlib
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from densing.core.errors import InputError
from densing.core.files import json_lines, read_text, reading
from densing.core.ranges import Count
from densing.ladder.config import CorpusConfig

_SUFFIX = {"text": ".txt", "jsonl": ".jsonl", "parquet": ".parquet"}


_RETRY_SECONDS = (1, 5, 30, 120, 300)
"""Waits before a stream that dropped is opened again; a row that arrives starts them anew."""
_POSITION_ROWS = 1000
"""Rows of a stream between two places that it can be continued from."""


@dataclass(frozen=True)
class Position:
    """A place in a stream that it can be continued from without reading what lies before.

    Attributes
    ----------
    number : int
        Of the next row.
    state : dict
        What the data set calls its state.
    """

    number: Count
    state: dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A text and where it came from.

    Attributes
    ----------
    id, text : str
    number : int
        In the source, blank ones counted.
    position : Position, optional
        A recent one, where the source is a stream.
    """

    id: str
    text: str
    number: int = 0
    position: Position | None = None

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()

    def held_out(self, share: float) -> bool:
        """Whether it belongs to the held-out share; equal texts always fall on the same side."""
        return int.from_bytes(self._digest[:8], "big") < share * 2**64

    def chained(self, before: str) -> str:
        """Hash of this document and of all before it, from theirs."""
        return hashlib.sha256(before.encode() + self._digest).hexdigest()


def read_documents(config: CorpusConfig, position: Position | None = None) -> Iterator[Document]:
    """Documents of a corpus; blank ones are left out.

    Parameters
    ----------
    position : Position, optional
        Where a stream is continued.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or has no such field; names the file and the line.
    """
    if config.source == "hub":
        documents = _hub(config, position)
    else:
        readers = {"standard-library": _standard_library, "text": _text, "jsonl": _jsonl, "parquet": _parquet}
        documents = (Document(*found, number) for number, found in enumerate(readers[config.source](config)))
    return (document for document in documents if document.text.strip())


def _standard_library(_: CorpusConfig) -> Iterator[tuple[str, str]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] in ("site-packages", "dist-packages"):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # the library's tests hold files in other encodings on purpose
            continue
        yield relative.as_posix(), text


def _files(config: CorpusConfig) -> list[Path]:
    path = Path(str(config.path))
    if path.is_dir():
        found = sorted(path.rglob("*" + _SUFFIX[config.source]))
    else:
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    if not found:
        raise InputError(f"corpus.path: no {_SUFFIX[config.source]} file at {path}; give a file, a folder or a pattern")
    return found


def _text(config: CorpusConfig) -> Iterator[tuple[str, str]]:
    for path in _files(config):
        yield path.name, read_text(path)


def _jsonl(config: CorpusConfig) -> Iterator[tuple[str, str]]:
    for path in _files(config):
        for number, row in json_lines(path):
            yield f"{path.name}:{number}", _field(row, config.field, f"{path}, line {number}")


def _parquet(config: CorpusConfig) -> Iterator[tuple[str, str]]:
    import pyarrow
    from pyarrow import parquet

    for path in _files(config):
        try:
            table = parquet.ParquetFile(path)
        except pyarrow.ArrowException as error:
            raise InputError(f"{path}: not a Parquet file ({error})") from error
        if config.field not in table.schema_arrow.names:
            raise InputError(f"{path}: no column {config.field!r}; it has {', '.join(table.schema_arrow.names)}")
        number = 0
        for batch in table.iter_batches(batch_size=256, columns=[config.field]):
            for text in batch.column(0).to_pylist():
                yield f"{path.name}:{number}", text or ""
                number += 1


def _hub(config: CorpusConfig, position: Position | None) -> Iterator[Document]:
    """Rows of a stream, which is opened again where it drops."""
    number = position.number if position else 0
    failures = 0
    while True:
        rows = _open_stream(config)
        if position:
            with reading(f"{config.path}, row {number}", "a place to continue from", "make the corpus anew"):
                rows.load_state_dict(position.state)
        try:
            for here, row in zip(count(position.number if position else 0), rows):
                if here % _POSITION_ROWS == 0:
                    position = Position(here + 1, rows.state_dict())
                if here < number:
                    continue
                text = _field(row, config.field, f"{config.path}, row {here}")
                yield Document(f"{config.path}:{here}", text, here, position)
                number, failures = here + 1, 0
            return
        except InputError:
            raise
        except Exception as error:  # every transport raises errors of its own
            if failures == len(_RETRY_SECONDS):
                raise InputError(
                    f"corpus.path: the stream of {config.path!r} dropped at row {number:,} and did not come back "
                    f"({error}); finished shards are kept, run the same command to continue"
                ) from error
            time.sleep(_RETRY_SECONDS[failures])
            failures += 1


def _open_stream(config: CorpusConfig) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(config.path, config.subset, split=config.split, streaming=True)
    except (OSError, ValueError) as error:
        raise InputError(f"corpus.path: data set {config.path!r} cannot be opened: {error}") from error


def _field(row: Any, field: str, where: str) -> str:
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        has = f"; it has {', '.join(map(str, row))}" if isinstance(row, dict) else ""
        raise InputError(f"{where}: no text under {field!r}{has}. Set corpus.field")
    text: str = row[field]
    return text
