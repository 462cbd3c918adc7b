"""From documents to memory-mapped shards of tokens, with an index that knows every hash.

    corpus/
      index.json                 shards, counts, hashes (an artifact)
      tokenizer/                 Hugging Face files
      train-00000.bin            tokens: a separator, a document, a separator, a document, ...
      train-00000.ends.npy       where each of its documents ends
      held-out.bin               tokens of the documents that the held-out loss is measured on
      held_out.jsonl             text of all held-out documents

The folder is written beside its place and renamed when it is complete. After every shard a note of what is finished
is kept there, from which the next call continues after any end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from densing.core.artifacts import read_json, sha256_of, typed, understanding, write_json
from densing.core.errors import InputError
from densing.core.files import reading, remove_leftovers
from densing.core.progress import Bar, progress_bar
from densing.core.ranges import Count, Positive
from densing.ladder.config import LadderConfig
from densing.ladder.corpus.documents import Document, Position, read_documents
from densing.ladder.corpus.shards import INDEX, Corpus, Shard
from densing.ladder.corpus.tokenizer import load_tokenizer, make_tokenizer, refuse_more_tokens, separator

SHARD_TOKENS = 1 << 26
HELD_OUT_TOKENS = 1 << 17
"""Held-out tokens that the loss is measured on; the text of all held-out documents is kept."""
_BATCH_CHARACTERS = 4_000_000
"""Text that is tokenised at once, in parallel."""
_PROGRESS = "progress.json"
_TOKENIZER = "tokenizer/tokenizer.json"


def prepare_corpus(config: LadderConfig, folder: Path, *, thorough: bool = False) -> Corpus:
    """Open the ladder's corpus, and make it first if it is missing.

    The tokens depend on the documents and their order alone, not on how many threads tokenise them
    (RAYON_NUM_THREADS sets the number).

    Parameters
    ----------
    folder : Path
        Of the corpus. No other process may be making it.
    thorough : bool
        Whether every file is read and compared with its hash; by default only those that look changed.

    Raises
    ------
    InputError
        If the folder holds a corpus made from other settings, if a shard is not what it was when it was
        indexed, or if the documents cannot be read. Finished shards are kept, and the next call continues.
    """
    if not (folder / INDEX).exists():
        _build(config, folder)
    corpus = open_corpus(config, folder)
    assert corpus is not None  # it exists by now
    corpus.verify(thorough=thorough)
    return corpus


def open_corpus(config: LadderConfig, folder: Path) -> Corpus | None:
    """The ladder's corpus, or None where it is not made yet; hashes are not compared.

    Raises
    ------
    InputError
        If the folder holds a corpus made from other settings, or a shard is missing.
    """
    if not (folder / INDEX).exists():
        return None
    payload = read_json(folder / INDEX, "corpus").payload
    with understanding(folder / INDEX, "corpus"):
        made_from = typed(payload["settings"], dict[str, Any])
    _refuse_other_settings(made_from, config, folder)
    return Corpus(folder)


def tokens_so_far(folder: Path) -> int:
    """Training tokens in the finished shards of a corpus that is not complete.

    Raises
    ------
    InputError
        If the note of what is finished is damaged.
    """
    progress = _Progress.read(_beside(folder))
    return sum(shard.tokens for shard in progress.shards) if progress else 0


def check_repetition(config: LadderConfig, corpus: Corpus, tokens: float) -> float:
    """Times that training on `tokens` reads the corpus.

    Raises
    ------
    InputError
        If that is more than `corpus.max_epochs`.
    """
    epochs = tokens / corpus.tokens
    if epochs > config.corpus.max_epochs:
        raise InputError(
            f"the corpus has {corpus.tokens:,} training tokens, {tokens:,.0f} are needed: {epochs:.3g} epochs, "
            f"more than corpus.max_epochs = {config.corpus.max_epochs:g}. Give more text, or raise the limit"
        )
    return epochs


def _refuse_other_settings(made_from: dict[str, Any], config: LadderConfig, folder: Path) -> None:
    wanted = _settings(config)
    if made_from != wanted:
        changed = sorted(key for key in {*wanted, *made_from} if wanted.get(key) != made_from.get(key))
        raise InputError(
            f"{folder}: made with another {', '.join(changed)} than {config.name!r} asks for; "
            "train into another folder, or delete this one"
        )


def _beside(folder: Path) -> Path:
    """Where a corpus lies until it is complete; no rung can have this name."""
    return folder.parent / f".{folder.name}-in-progress"


def _settings(config: LadderConfig) -> dict[str, Any]:
    """What the corpus depends on."""
    corpus = config.corpus.model_dump(exclude={"max_epochs"})
    return {f"corpus.{key}": value for key, value in corpus.items()} | {
        f"tokenizer.{key}": value for key, value in config.tokenizer.model_dump().items()
    }


def _build(config: LadderConfig, folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: has no {INDEX}; restore it, or delete the folder to make the corpus anew")
    beside = _beside(folder)
    progress = _Progress.read(beside)
    if progress is None:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    else:
        _refuse_other_settings(progress.settings, config, beside)
        progress.refuse_other_files(beside)
    remove_leftovers(beside)
    try:
        if progress is None:
            share = config.corpus.held_out
            training = (document for document in read_documents(config.corpus) if not document.held_out(share))
            make_tokenizer(config.tokenizer, training).save_pretrained(beside / "tokenizer")
            progress = _Progress(_settings(config), sha256_of(beside / _TOKENIZER))
            progress.write(beside)
        tokenizer = load_tokenizer(str(beside / "tokenizer"))
        refuse_more_tokens(tokenizer, config.tokenizer)
        with progress_bar("tokens", total=config.corpus.max_tokens) as bar:
            payload = _Writer(beside, tokenizer, config, progress, bar).write()
        index = {"settings": _settings(config), **payload, "tokenizer_sha256": progress.tokenizer_sha256}
        write_json(beside / INDEX, "corpus", index)
    except BaseException:
        if progress is None or not progress.shards:
            shutil.rmtree(beside)
        raise
    os.replace(beside, folder)
    (folder / _PROGRESS).unlink()


@dataclass
class _HeldOut:
    """What of the held-out text is finished.

    Attributes
    ----------
    ends : list of int
        Of the documents that are measured on, in tokens.
    bytes : int
        Of their text.
    all_documents : int
        Those that are not measured on counted.
    text_bytes : int
        That all of them take in held_out.jsonl.
    """

    ends: list[Positive] = field(default_factory=list)
    bytes: Count = 0
    all_documents: Count = 0
    text_bytes: Count = 0

    def __post_init__(self) -> None:
        if any(one >= next_ for one, next_ in pairwise(self.ends)):
            raise ValueError("documents end before they begin")


@dataclass
class _Progress:
    """What is finished: whole shards, and the held-out text that was met on the way.

    Attributes
    ----------
    settings : dict
    tokenizer_sha256 : str
        Hash of tokenizer.json.
    shards : list of Shard
    documents : int
        Of the source, those read.
    chain : str
        Hash of their hashes, in which a source that changed shows.
    position : Position, optional
        Of a stream, at or before the next document.
    held_out : _HeldOut
    """

    settings: dict[str, Any]
    tokenizer_sha256: str
    shards: list[Shard] = field(default_factory=list)
    documents: Count = 0
    chain: str = ""
    position: Position | None = None
    held_out: _HeldOut = field(default_factory=_HeldOut)

    @classmethod
    def read(cls, folder: Path) -> _Progress | None:
        path = folder / _PROGRESS
        if not path.exists():
            return None
        payload = read_json(path, "corpus").payload
        with reading(path, "what is finished of a corpus", f"delete {folder} to begin anew"):
            return typed(payload, cls)

    def write(self, folder: Path) -> None:
        write_json(folder / _PROGRESS, "corpus", asdict(self))

    def refuse_other_files(self, folder: Path) -> None:
        """Refuse files that are not those that were finished, or shorter than they were.

        Raises
        ------
        InputError
        """
        expected = {_TOKENIZER: self.tokenizer_sha256}
        for shard in self.shards:
            expected |= {shard.file: shard.sha256, str(_ends_of(Path(shard.file))): shard.ends_sha256}
        ends = self.held_out.ends
        tokens = _dtype(self.settings["tokenizer.vocabulary"]).itemsize * (ends[-1] if ends else 0)
        for name, least in (("held-out.bin", tokens), ("held_out.jsonl", self.held_out.text_bytes)):
            if least and not ((folder / name).is_file() and (folder / name).stat().st_size >= least):
                raise _damaged(folder / name)
        for name, sha256 in expected.items():
            if not (folder / name).exists() or sha256_of(folder / name) != sha256:
                raise _damaged(folder / name)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: is not what it was when it was finished; delete {path.parent} to begin anew")


def _dtype(vocabulary: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)


def _ends_of(tokens: Path) -> Path:
    """The file that says where the documents of a file of tokens end."""
    return tokens.with_suffix(".ends.npy")


class _Writer:
    """Splits, tokenises and writes a stream of documents, from where an earlier call ended."""

    def __init__(self, folder: Path, tokenizer: Any, config: LadderConfig, progress: _Progress, bar: Bar) -> None:
        self.folder, self.tokenizer, self.config, self.progress, self.bar = folder, tokenizer, config, progress, bar
        self.separator = separator(tokenizer)
        self.dtype = _dtype(config.tokenizer.vocabulary)
        self.tokens = sum(shard.tokens for shard in progress.shards)
        bar.advance(self.tokens)

    def write(self) -> dict[str, Any]:
        progress, kept = self.progress, self.progress.held_out
        tokenised = self._tokenised(self._documents())
        first = next(tokenised, None)  # documents that cannot be read are refused before a file is changed
        held_out = _GrowingShard(self.folder / "held-out.bin", self.dtype, kept.ends)
        shard = _GrowingShard(self._train_path(), self.dtype)
        limit = self.config.corpus.max_tokens
        with (self.folder / "held_out.jsonl").open("ab") as texts:
            texts.truncate(kept.text_bytes)
            for document, tokens in chain([first] if first else [], tokenised):
                progress.documents = document.number + 1
                progress.chain = document.chained(progress.chain)
                progress.position = document.position or progress.position
                if document.held_out(self.config.corpus.held_out):
                    text = json.dumps({"id": document.id, "text": document.text}, ensure_ascii=False) + "\n"
                    kept.text_bytes += texts.write(text.encode())
                    kept.all_documents += 1
                    if held_out.tokens < HELD_OUT_TOKENS:
                        held_out.append(tokens)
                        kept.ends.append(held_out.tokens)
                        kept.bytes += len(document.text.encode())
                    continue
                shard.append(tokens)
                self.tokens += len(tokens)
                self.bar.advance(len(tokens))
                if limit and self.tokens >= limit:
                    break
                if shard.tokens >= SHARD_TOKENS:
                    progress.shards.append(shard.finish())
                    texts.flush()
                    held_out.file.flush()
                    progress.write(self.folder)
                    shard = _GrowingShard(self._train_path(), self.dtype)
        if not self.tokens or not held_out.tokens:
            raise InputError(
                f"corpus: {self.tokens:,} training and {held_out.tokens:,} held-out tokens from "
                f"{self.config.corpus.path or 'the standard library'}; more documents are needed"
            )
        if shard.tokens:
            progress.shards.append(shard.finish())
        else:  # the text ended with the shard before
            shard.discard()
        counted = {"bytes": kept.bytes, "all_documents": kept.all_documents}
        return {
            "dtype": self.dtype.name,
            "separator": self.separator,
            "tokens": self.tokens,
            "shards": [asdict(shard) for shard in progress.shards],
            "held_out": asdict(held_out.finish()) | counted,
            "held_out_text_sha256": sha256_of(self.folder / "held_out.jsonl"),
        }

    def _train_path(self) -> Path:
        return self.folder / f"train-{len(self.progress.shards):05d}.bin"

    def _documents(self) -> Iterator[Document]:
        """Those that are not in a shard yet.

        Raises
        ------
        InputError
            If the ones before are no longer those that the shards were made from.
        """
        done, position = self.progress.documents, self.progress.position
        expected, chain = self.progress.chain, ""
        checked = position is not None  # what lies before the position of a stream is not read again
        for document in read_documents(self.config.corpus, position):
            if document.number < done:
                chain = document.chained(chain)
                continue
            if not checked and chain != expected:
                raise self._changed()
            checked = True
            yield document
        if not checked and chain != expected:
            raise self._changed()

    def _changed(self) -> InputError:
        return InputError(
            f"corpus: the first {self.progress.documents:,} documents are no longer those that the shards in "
            f"{self.folder} were made from; restore them, or delete that folder to begin anew"
        )

    def _tokenised(self, documents: Iterable[Document]) -> Iterator[tuple[Document, np.ndarray]]:
        """Documents with their tokens; the next ones are read and encoded while these are written."""
        with ThreadPoolExecutor(1) as ahead:
            before: list[Document] = []
            encoding = ahead.submit(self._encode, before)
            for batch in _batches(documents):
                following = ahead.submit(self._encode, batch)
                yield from zip(before, encoding.result(), strict=True)
                before, encoding = batch, following
            yield from zip(before, encoding.result(), strict=True)

    def _encode(self, batch: list[Document]) -> list[np.ndarray]:
        texts = [document.text for document in batch]
        encodings = self.tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array([self.separator, *encoding.ids], dtype=self.dtype) for encoding in encodings]


class _GrowingShard:
    """One file of tokens while it grows.

    Parameters
    ----------
    path : Path
    dtype : dtype
    ends : sequence of int
        Of the documents that are in the file already; what follows them is cut off.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], ends: Iterable[int] = ()) -> None:
        self.path, self.dtype = path, dtype
        self.ends = list(ends)
        self.tokens = self.ends[-1] if self.ends else 0
        self.file = path.open("ab")
        self.file.truncate(self.tokens * dtype.itemsize)
        self.digest = hashlib.sha256(path.read_bytes())

    def append(self, tokens: np.ndarray) -> None:
        data = tokens.tobytes()
        self.file.write(data)
        self.digest.update(data)
        self.tokens += len(tokens)
        self.ends.append(self.tokens)

    def discard(self) -> None:
        self.file.close()
        self.path.unlink()

    def finish(self) -> Shard:
        self.file.close()
        ends = _ends_of(self.path)
        np.save(ends, np.array(self.ends, np.int64))
        return Shard(self.path.name, self.tokens, len(self.ends), self.digest.hexdigest(), sha256_of(ends))


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    stream = iter(documents)
    while first := next(stream, None):
        batch, characters = [first], len(first.text)
        while characters < _BATCH_CHARACTERS and (document := next(stream, None)):
            batch.append(document)
            characters += len(document.text)
        yield batch
