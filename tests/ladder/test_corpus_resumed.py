"""Corpora that were interrupted, changed or cut short: pytest tests/ladder/test_corpus_resumed.py"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.core.errors import InputError
from densing.ladder.config import CorpusConfig, LadderConfig
from densing.ladder.corpus import build as build_module
from densing.ladder.corpus import documents as documents_module
from densing.ladder.corpus import shards as shards_module
from densing.ladder.corpus.build import prepare_corpus
from densing.ladder.corpus.documents import read_documents
from densing.ladder.manifest import Ladder
from densing.ladder.status import ladder_status
from tests.killing import KILLED, run_until
from tests.ladder.conftest import tiny_config


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "SHARD_TOKENS", 3000)
    monkeypatch.setattr(build_module, "_BATCH_CHARACTERS", 20_000)


def files_of(corpus: Path) -> dict[str, bytes]:
    """All that a corpus is; the note of when it was compared is not."""
    found = {str(path.relative_to(corpus)): path.read_bytes() for path in sorted(corpus.rglob("*")) if path.is_file()}
    found.pop("verified.json", None)
    found["index.json"] = json.dumps(json.loads(found["index.json"])["payload"]).encode()
    return found


def test_killed_ten_times_it_has_the_same_shards(config: LadderConfig, tmp_path: Path, small_shards: None) -> None:
    whole = prepare_corpus(config, tmp_path / "whole" / "corpus")
    folder = tmp_path / "killed" / "corpus"
    folder.parent.mkdir()
    finished = []
    for changes in (4, 9, 11, 14, 15, 16, 17, 18, 19, 20):
        assert run_until(folder.parent, changes, prepare_corpus, config, folder) == KILLED
        finished.append(build_module.tokens_so_far(folder))
    assert finished == sorted(finished)
    assert 0 < finished[5] < finished[-1] < whole.tokens
    assert ladder_status(config, folder.parent)[0].state == "half done"
    assert prepare_corpus(config, folder).sha256 == whole.sha256
    assert files_of(folder) == files_of(whole.folder)
    assert [path.name for path in folder.parent.iterdir()] == ["corpus"]


def with_tokenizer_of(corpus: Path, config: LadderConfig) -> LadderConfig:
    """The same tokenizer by its name, so that no text is read to train one."""
    named = config.tokenizer.model_copy(update={"name": str(corpus / "tokenizer")})
    return config.model_copy(update={"tokenizer": named})


def test_documents_that_changed_meanwhile_are_refused(
    documents: Path, trained: tuple[Path, Ladder], tmp_path: Path, small_shards: None
) -> None:
    source, folder = Path(shutil.copy(documents, tmp_path / "source.jsonl")), tmp_path / "ladder" / "corpus"
    config = with_tokenizer_of(trained[0] / "corpus", tiny_config(source))
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    source.write_text("".join(lines[:-1]) + '{"te', encoding="utf-8")
    with pytest.raises(InputError, match=f"line {len(lines)}: not JSON"):
        prepare_corpus(config, folder)
    kept = build_module.tokens_so_far(folder)
    assert kept > 0
    source.write_text('{"text": "another beginning"}\n' + "".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=r"the first \d+ documents are no longer those that the shards in"):
        prepare_corpus(config, folder)
    with pytest.raises(InputError, match=r"made with another corpus\.held_out"):
        share = config.corpus.model_copy(update={"held_out": 0.2})
        prepare_corpus(config.model_copy(update={"corpus": share}), folder)
    assert build_module.tokens_so_far(folder) == kept
    source.write_text("".join(lines), encoding="utf-8")
    assert prepare_corpus(config, folder).tokens > kept


class _Network:
    """A data set whose rows stop coming at some of them, each time once."""

    def __init__(self, texts: list[str], drops: list[int]) -> None:
        self.texts, self.drops, self.opened = texts, drops, 0

    def open(self, *_: object, **__: object) -> datasets.IterableDataset:
        self.opened += 1
        return datasets.IterableDataset.from_generator(self._rows)

    def _rows(self) -> Iterator[dict[str, str]]:
        for number, text in enumerate(self.texts):
            if self.drops and number == self.drops[0]:
                self.drops.pop(0)
                raise ConnectionError("the connection was reset")
            yield {"text": text}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_module, "_RETRY_SECONDS", (0, 0, 0))
    monkeypatch.setattr(documents_module, "_POSITION_ROWS", 10)


def test_a_stream_that_drops_goes_on(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    texts = [f"text {number}" if number % 7 else " " for number in range(60)]
    network = _Network(texts, [0, 25, 25, 25, 26, 59])
    monkeypatch.setattr(datasets, "load_dataset", network.open)
    found = list(read_documents(CorpusConfig(source="hub", path="some/data")))
    assert [document.text for document in found] == [text for text in texts if text.strip()]
    assert [texts[document.number] for document in found] == [document.text for document in found]
    assert network.opened == 7
    (position,) = {document.position.number: document.position for document in found[-1:] if document.position}.values()
    later = list(read_documents(CorpusConfig(source="hub", path="some/data"), position))
    assert [document.number for document in later] == [n for n in range(position.number, 60) if n % 7]


def test_a_stream_that_stays_away_loses_nothing(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impatient: None, small_shards: None
) -> None:
    texts = [json.loads(line)["text"] for line in documents.read_text(encoding="utf-8").splitlines()]
    config = tiny_config(documents, corpus={"source": "hub", "path": "some/data", "held_out": 0.1})
    monkeypatch.setattr(datasets, "load_dataset", _Network(texts, []).open)
    whole = prepare_corpus(config, tmp_path / "whole" / "corpus")
    away = _Network(texts, [len(texts) // 2] * 4)
    named = with_tokenizer_of(whole.folder, config)
    monkeypatch.setattr(datasets, "load_dataset", away.open)
    folder = tmp_path / "dropped" / "corpus"
    with pytest.raises(InputError, match=r"'some/data' dropped at row \d+ and did not come back \(the co"):
        prepare_corpus(named, folder)
    assert build_module.tokens_so_far(folder) > 0
    again = prepare_corpus(named, folder)
    assert [shard.read_bytes() for shard in sorted(folder.glob("train-*.bin"))] == [
        shard.read_bytes() for shard in sorted(whole.folder.glob("train-*.bin"))
    ]
    assert again.tokens == whole.tokens


def test_a_start_reads_only_what_looks_changed(
    trained: tuple[Path, Ladder], config: LadderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(trained[0] / "corpus", tmp_path / "corpus"))
    (folder / "verified.json").unlink()
    read: list[str] = []
    hashed = shards_module.sha256_of
    monkeypatch.setattr(shards_module, "sha256_of", lambda path: read.append(path.name) or hashed(path))
    prepare_corpus(config, folder)
    assert len(read) == 5
    prepare_corpus(config, folder)
    assert len(read) == 5
    shard = folder / "train-00000.bin"
    os.utime(shard, ns=(0, 0))
    prepare_corpus(config, folder)
    assert read[5:] == [shard.name]
    stat, data = shard.stat(), bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match="is not what it was when it was indexed"):
        prepare_corpus(config, folder)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # nothing to see from outside
    with pytest.raises(InputError, match="is not what it was when it was indexed"):
        prepare_corpus(config, folder, thorough=True)


def test_the_command_makes_checks_and_tells(documents: Path, config: LadderConfig, tmp_path: Path) -> None:
    settings = config.model_dump(mode="json") | {
        "corpus": config.corpus.model_dump() | {"max_tokens": 10_000_000},
        "budgets": [5, 10],
    }
    (tmp_path / "tiny.yaml").write_text(json.dumps(settings))
    arguments = ["ladder", "corpus", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "tiny")]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["tokens"] < 10_000_000
    result = CliRunner().invoke(app, arguments)
    assert f"{found['tokens']:,} training tokens in {found['documents']:,} documents" in result.stdout
    assert "The text ended before corpus.max_tokens = 10,000,000." in result.stderr


def test_many_processes_do_not_wait_for_a_corpus(
    config: LadderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    import torch

    from densing.ladder.training import run
    from densing.ladder.training.distributed import Workers

    monkeypatch.setattr(run, "workers", lambda: nullcontext(Workers(0, 4, torch.device("cpu"))))
    with pytest.raises(InputError, match="4 processes would wait for it; first run densing ladder corpus tiny -o"):
        run.train_ladder(config, tmp_path / "tiny")
