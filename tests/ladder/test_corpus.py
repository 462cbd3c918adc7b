"""pytest tests/ladder/test_corpus.py"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from densing.core.errors import InputError
from densing.ladder.config import CorpusConfig, LadderConfig
from densing.ladder.corpus import build as corpus_module
from densing.ladder.corpus.build import check_repetition, prepare_corpus
from densing.ladder.corpus.documents import read_documents
from densing.ladder.corpus.shards import Corpus
from densing.ladder.manifest import Ladder
from tests.ladder.conftest import tiny_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def texts(documents: Path) -> list[str]:
    return [json.loads(line)["text"] for line in documents.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def corpus(trained: tuple[Path, Ladder], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(trained[0] / "corpus", tmp_path / "corpus"))


def test_every_form_gives_the_same_documents(texts: list[str], documents: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "text").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "text" / f"{number:04d}.txt").write_text(text, encoding="utf-8")
    parquet.write_table(pa.table({"content": texts}), tmp_path / "corpus.parquet")
    sources = [
        CorpusConfig(source="jsonl", path=str(documents)),
        CorpusConfig(source="text", path=str(tmp_path / "text")),
        CorpusConfig(source="text", path=str(tmp_path / "text" / "*.txt")),
        CorpusConfig(source="parquet", path=str(tmp_path / "corpus.parquet"), field="content"),
    ]
    for source in sources:
        assert [document.text for document in read_documents(source)] == texts


def test_a_hub_data_set_is_streamed(texts: list[str], documents: Path, tmp_path: Path) -> None:
    repository = tmp_path / "dataset"
    repository.mkdir()
    shutil.copy(documents, repository / "train.jsonl")
    source = CorpusConfig(source="hub", path=str(repository))
    assert [document.text for document in read_documents(source)] == texts


def training_documents(corpus: Corpus) -> list[np.ndarray]:
    """Tokens of each document of the only shard, its separator first."""
    tokens = np.fromfile(corpus.folder / "train-00000.bin", corpus.dtype)
    ends = np.load(corpus.folder / "train-00000.ends.npy")
    assert len(ends) == corpus.documents
    return np.split(tokens, ends[:-1])


def test_training_and_held_out_text_never_meet(trained: tuple[Path, Ladder], texts: list[str]) -> None:
    folder = trained[0] / "corpus"
    corpus, tokenizer = Corpus(folder), AutoTokenizer.from_pretrained(folder / "tokenizer")
    held_out = [json.loads(line) for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    training = [tokenizer.decode(tokens[1:]) for tokens in training_documents(corpus)]
    assert {*held_out[0]} == {"id", "text"}
    assert not {row["text"] for row in held_out} & set(training)
    assert sorted([*training, *(row["text"] for row in held_out)]) == sorted(texts)
    assert corpus.held_out_bytes == sum(len(row["text"].encode()) for row in held_out)


def test_document_boundaries_are_kept(trained: tuple[Path, Ladder]) -> None:
    corpus = Corpus(trained[0] / "corpus")
    lengths = []
    for tokens in training_documents(corpus):
        assert tokens[0] == corpus.separator
        assert corpus.separator not in tokens[1:]
        lengths.append(len(tokens))
    assert sum(lengths) == corpus.tokens


def test_the_number_of_threads_changes_nothing(config: LadderConfig, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from densing.ladder.config import LadderConfig; "
        "from densing.ladder.corpus.build import prepare_corpus; "
        "print(prepare_corpus(LadderConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2])).sha256)"
    )
    hashes = []
    for threads in ("1", "3"):
        arguments = [sys.executable, "-c", program, config.model_dump_json(), str(tmp_path / threads)]
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        hashes.append(subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True).stdout)
    assert hashes[0] == hashes[1]


def test_windows_cover_all_shards_once(
    config: LadderConfig, trained: tuple[Path, Ladder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SHARD_TOKENS", 10_000)
    many, one = prepare_corpus(config, tmp_path / "corpus"), Corpus(trained[0] / "corpus")
    shards = sorted((tmp_path / "corpus").glob("train-*.bin"))
    assert len(shards) > 3
    assert b"".join(shard.read_bytes() for shard in shards) == (one.folder / "train-00000.bin").read_bytes()
    windows = many.windows(np.arange(many.window_count(32)), 32)
    expected = [
        tokens[i : i + 33]
        for tokens in (np.fromfile(shard, np.uint16) for shard in shards)
        for i in range(0, len(tokens) - 32, 32)
    ]
    assert np.array_equal(windows, expected)


def test_held_out_windows_predict_every_token_once(trained: tuple[Path, Ladder]) -> None:
    corpus = Corpus(trained[0] / "corpus")
    targets = corpus.held_out_windows(32)[:, 1:].ravel()
    tokens = np.fromfile(corpus.folder / "held-out.bin", np.uint16)
    assert np.array_equal(targets[: len(tokens) - 1], tokens[1:])
    assert (targets[len(tokens) - 1 :] == corpus.separator).all()


def test_a_shard_that_changed_is_named(config: LadderConfig, corpus: Path) -> None:
    shard = corpus / "train-00000.bin"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"train-00000\.bin: is not what it was"):
        prepare_corpus(config, corpus)
    shard.write_bytes(data[:-2])
    with pytest.raises(InputError, match=r"train-00000\.bin: has .* bytes, the index says"):
        prepare_corpus(config, corpus)
    shard.unlink()
    with pytest.raises(InputError, match=r"train-00000\.bin: is missing"):
        prepare_corpus(config, corpus)


def test_another_corpus_is_refused(documents: Path, corpus: Path) -> None:
    other = tiny_config(documents, tokenizer={"vocabulary": 310})
    with pytest.raises(InputError, match=r"made with another tokenizer.vocabulary"):
        prepare_corpus(other, corpus)


def test_repetition_is_counted_and_limited(documents: Path, corpus: Path) -> None:
    config = tiny_config(documents)
    opened = Corpus(corpus)
    assert check_repetition(config, opened, 1.5 * opened.tokens) == pytest.approx(1.5)
    with pytest.raises(InputError, match=r"4\.5 epochs, more than corpus\.max_epochs = 4"):
        check_repetition(config, opened, 4.5 * opened.tokens)
    patient = tiny_config(documents, corpus=config.corpus.model_dump() | {"max_epochs": 5})
    assert check_repetition(patient, opened, 4.5 * opened.tokens) == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("content", "source", "message"),
    [
        ('{"text": "a"}\n{"text": 3}\n', "jsonl", "line 2: no text under 'text'; it has text"),
        ('{"text": "a"}\n{"te', "jsonl", "line 2: not JSON"),
        ("a", "parquet", "not a Parquet file"),
        (None, "jsonl", "no .jsonl file at"),
    ],
)
def test_unreadable_documents_are_named(content: str | None, source: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"corpus.{source}"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_documents(CorpusConfig.model_validate({"source": source, "path": str(path)})))


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.txt, line 1: .*not UTF-8"):
        list(read_documents(CorpusConfig(source="text", path=str(tmp_path))))


def test_nothing_is_left_of_a_corpus_that_failed(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "a good line"}\n' * 50 + '{"te', encoding="utf-8")
    with pytest.raises(InputError, match="line 51"):
        prepare_corpus(tiny_config(tmp_path / "bad.jsonl"), tmp_path / "ladder" / "corpus")
    assert list((tmp_path / "ladder").iterdir()) == []


def test_the_standard_library_is_read() -> None:
    documents = list(read_documents(CorpusConfig(source="standard-library")))
    assert len(documents) > 300
    assert "json/__init__.py" in {document.id for document in documents}
