"""pytest tests/ladder/test_export.py"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from densing.core.artifacts import sha256_of
from densing.ladder.corpus.shards import Corpus
from densing.ladder.manifest import Ladder


def held_out_loss(folder: Path, corpus: Corpus) -> tuple[float, float]:
    """Nats per token and bits per byte, the plain way."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    nats = tokens = 0.0
    for window in torch.from_numpy(corpus.held_out_windows(32).copy()).split(64):
        with torch.no_grad():
            logits = model(window[:, :-1]).logits.double()
        losses = functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten(), reduction="none")
        counted = window[:, 1:].flatten() != corpus.separator
        nats += float(losses[counted].sum())
        tokens += int(counted.sum())
    return nats / tokens, nats / math.log(2) / corpus.held_out_bytes


def test_transformers_loads_a_checkpoint_and_finds_its_loss(trained: tuple[Path, Ladder]) -> None:
    from transformers import AutoTokenizer

    corpus = Corpus(trained[0] / "corpus")
    for checkpoint in trained[1].checkpoints[::3]:
        nats, bits = held_out_loss(checkpoint.path, corpus)
        assert nats == pytest.approx(checkpoint.held_out_loss, abs=1e-5)
        assert bits == pytest.approx(checkpoint.held_out_bits_per_byte, abs=1e-5)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
        text = "def f(x):\n    return '\N{GREEK SMALL LETTER RHO} 🙂'"
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
        assert tokenizer.bos_token_id == tokenizer.eos_token_id == corpus.separator


def test_the_card_states_shape_tokens_corpus_loss_and_licence(trained: tuple[Path, Ladder]) -> None:
    checkpoint = trained[1].checkpoints[-1]
    card = (checkpoint.path / "README.md").read_text(encoding="utf-8")
    for fact in (
        "license: apache-2.0",
        f"{checkpoint.params_non_embedding:,} without embeddings, {checkpoint.params:,} with",
        f"{checkpoint.tokens:,}",
        Corpus(trained[0] / "corpus").sha256,
        f"{checkpoint.held_out_loss:.4f} nats per token",
    ):
        assert fact in card


def test_the_manifest_knows_the_hash_of_every_file_of_weights(trained: tuple[Path, Ladder]) -> None:
    folder, ladder = trained
    for checkpoint in ladder.checkpoints:
        recorded = ladder.training["branches"][checkpoint.name]["weights_sha256"]
        assert recorded == sha256_of(checkpoint.path / "model.safetensors")
        assert checkpoint.path == (folder / checkpoint.rung / str(checkpoint.tokens)).resolve()
