"""Reading a tokenised corpus: windows of memory-mapped tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from densing.core.artifacts import read_json, sha256_of, sha256_of_data, typed, understanding
from densing.core.config import FileName
from densing.core.errors import InputError
from densing.core.files import atomic, open_regular, parse_json, reading
from densing.core.ranges import Count, Positive

INDEX = "index.json"
_VERIFIED = "verified.json"
"""Hash, size and time of every file when the two were last compared."""


@dataclass(frozen=True)
class Shard:
    """A file of tokens, and what it held when it was finished.

    Attributes
    ----------
    file : str
    tokens, documents : int
    sha256, ends_sha256 : str
        Hash of the file, and of the one beside it that says where its documents end.
    """

    file: FileName
    tokens: Positive
    documents: Positive
    sha256: str
    ends_sha256: str


@dataclass(frozen=True)
class _HeldOut(Shard):
    bytes: Positive


@dataclass(frozen=True)
class _Index:
    """What is read of index.json."""

    dtype: Literal["uint16", "uint32"]
    tokens: Positive
    separator: Count
    shards: tuple[Shard, ...]
    held_out: _HeldOut
    tokenizer_sha256: str

    def __post_init__(self) -> None:
        if self.tokens != sum(shard.tokens for shard in self.shards):
            raise ValueError("its tokens are not those of its shards")
        if self.separator > np.iinfo(self.dtype).max:
            raise ValueError("its separator is no token")


class Corpus:
    """A folder written by `densing.ladder.corpus.build.prepare_corpus`.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    ArtifactError
        If the index is missing or damaged.
    InputError
        If a shard is missing or has another size than when it was indexed.

    Attributes
    ----------
    tokens : int
        Training tokens.
    separator : int
        Token before every document.
    held_out_bytes : int
        UTF-8 bytes of the text that the held-out loss is measured on.
    sha256 : str
        Hash of the tokens, the split and the tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        payload = read_json(folder / INDEX, "corpus").payload
        with understanding(folder / INDEX, "corpus"):
            self._index = typed(payload, _Index)
            self._shards = [self._map(shard) for shard in self._index.shards]
        self.dtype = np.dtype(self._index.dtype)
        self.tokens, self.separator = self._index.tokens, self._index.separator
        self.held_out_bytes = self._index.held_out.bytes
        self.sha256 = sha256_of_data({key: value for key, value in payload.items() if key != "settings"})

    def _map(self, shard: Shard) -> NDArray[Any]:
        path, dtype = self.folder / shard.file, np.dtype(self._index.dtype)
        expected = shard.tokens * dtype.itemsize
        size = path.stat().st_size if path.exists() else -1
        if size != expected:
            found = "is missing" if size < 0 else f"has {size:,} bytes"
            raise _changed(path, f"{found}, the index says {expected:,}")
        return np.memmap(path, dtype, "r")

    def verify(self, *, thorough: bool = False) -> None:
        """Compare the files with their hashes.

        Parameters
        ----------
        thorough : bool
            Read every file; otherwise those whose size and time are what they were when their hash was last
            compared are taken as unchanged.

        Raises
        ------
        InputError
            Names the shard that changed.
        """
        for file in self.tokenizer_folder.iterdir():
            with reading(file, "a file of a tokenizer"), open_regular(file):
                pass  # it is copied into every checkpoint
        path = self.folder / _VERIFIED
        before: Any = {}
        if not thorough:
            with suppress(InputError):  # a note that is missing or damaged is written anew
                before = parse_json(path)
        found: dict[str, list[Any]] = {}
        for file, recorded in self._files():
            if not file.exists():
                raise _changed(file, "is missing")
            stat = file.stat()
            found[file.name] = [recorded, stat.st_size, stat.st_mtime_ns]
            compared = isinstance(before, dict) and before.get(file.name) == found[file.name]
            if not compared and sha256_of(file) != recorded:
                raise _changed(file, "is not what it was when it was indexed")
        if found != before:
            with atomic(path) as note:
                json.dump(found, note, indent=1)

    def _files(self) -> Iterator[tuple[Path, str]]:
        """Every file whose hash is in the index, with it."""
        for shard in (*self._index.shards, self._index.held_out):
            tokens = self.folder / shard.file
            yield tokens, shard.sha256
            yield tokens.with_suffix(".ends.npy"), shard.ends_sha256
        yield self.tokenizer_folder / "tokenizer.json", self.tokenizer_sha256

    @property
    def tokenizer_sha256(self) -> str:
        """Hash of tokenizer.json."""
        return self._index.tokenizer_sha256

    @property
    def tokenizer_folder(self) -> Path:
        """Folder of the tokenizer's files."""
        return self.folder / "tokenizer"

    @property
    def documents(self) -> int:
        """Training documents."""
        return sum(shard.documents for shard in self._index.shards)

    def window_count(self, context: int) -> int:
        """Training windows of `context` tokens and the one that follows them."""
        return int(self._first_windows(context)[-1])

    def windows(self, numbers: NDArray[np.int64], context: int) -> NDArray[np.int64]:
        """Training windows, copied out of the map.

        Parameters
        ----------
        numbers : array, shape (B,)
        context : int

        Returns
        -------
        array, shape (B, context + 1)
            Inputs are all but the last column, targets all but the first.
        """
        first = self._first_windows(context)
        shards = np.searchsorted(first, numbers, side="right") - 1
        windows = np.empty((len(numbers), context + 1), np.int64)
        for row, (shard, number) in enumerate(zip(shards, numbers, strict=True)):
            begin = (number - first[shard]) * context
            windows[row] = self._shards[shard][begin : begin + context + 1]
        return windows

    def _first_windows(self, context: int) -> NDArray[np.int64]:
        """Number of each shard's first window, and the total."""
        counts = [(len(shard) - 1) // context for shard in self._shards]
        return np.cumsum([0, *counts])

    def held_out_windows(self, context: int) -> NDArray[np.int64]:
        """The held-out text in windows, shape (n, context + 1); separators fill up the last one."""
        tokens = np.asarray(self._map(self._index.held_out), np.int64)
        count = -(-(len(tokens) - 1) // context)
        padded = np.full(count * context + 1, self.separator, np.int64)
        padded[: len(tokens)] = tokens
        return np.lib.stride_tricks.sliding_window_view(padded, context + 1)[::context]


def _changed(path: Path, how: str) -> InputError:
    return InputError(f"{path}: {how}; restore it, or delete {path.parent} and train again to make the corpus anew")
