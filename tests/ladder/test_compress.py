"""pytest tests/ladder/test_compress.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from densing.core.errors import InputError
from densing.ladder.compress import GROUP, quantise
from densing.ladder.corpus.shards import Corpus
from densing.ladder.manifest import Ladder
from densing.measure.checkpoint import find_checkpoint
from densing.measure.weights import size_of_checkpoint
from tests.ladder.test_export import held_out_loss


@pytest.fixture(scope="module")
def parent(trained: tuple[Path, Ladder]) -> Path:
    return trained[1].checkpoints[-1].path


def matrices(folder: Path) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in load_file(folder / "model.safetensors").items() if "proj" in name}


def test_rounded_weights_take_few_values_near_their_parents(parent: Path, tmp_path: Path) -> None:
    copy = quantise(parent, tmp_path / "4-bit", bits=4)
    before, after = matrices(parent), matrices(copy)
    assert before.keys() == after.keys()
    for name, weight in after.items():
        for old, new in zip(before[name].split(GROUP, dim=1), weight.split(GROUP, dim=1), strict=True):
            step = old.abs().amax(1, keepdim=True) / 7
            assert ((new - old).abs() <= step / 2 + 1e-7).all()
            assert max(len(row.unique()) for row in new) <= 15


def test_the_rest_of_a_copy_is_its_parents_and_it_loses_more(
    parent: Path, trained: tuple[Path, Ladder], tmp_path: Path
) -> None:
    corpus = Corpus(trained[0] / "corpus")
    losses = [held_out_loss(parent, corpus)[0]]
    for bits in (8, 2):
        copy = quantise(parent, tmp_path / str(bits), bits)
        old, new = load_file(parent / "model.safetensors"), load_file(copy / "model.safetensors")
        assert all(torch.equal(old[name], new[name]) for name in old if "proj" not in name)
        assert (copy / "tokenizer.json").read_bytes() == (parent / "tokenizer.json").read_bytes()
        losses.append(held_out_loss(copy, corpus)[0])
    assert losses[1] == pytest.approx(losses[0], abs=0.01)
    assert losses[2] > losses[0] + 0.01


def test_a_copy_says_how_many_bits_its_weights_have(parent: Path, tmp_path: Path) -> None:
    """In its configuration, also as the copy of a copy."""
    assert size_of_checkpoint(find_checkpoint(parent)).weight_bits == 16
    copy = quantise(parent, tmp_path / "8-bit", bits=8)
    assert size_of_checkpoint(find_checkpoint(copy)).weight_bits == 8
    assert size_of_checkpoint(find_checkpoint(quantise(copy, tmp_path / "4-bit", bits=4))).weight_bits == 4


def test_impossible_requests_are_refused(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="16 bits: weights can be rounded to 2 to 8"):
        quantise(parent, tmp_path / "out", 16)
    with pytest.raises(InputError, match="no checkpoint in Hugging Face layout"):
        quantise(tmp_path, tmp_path / "out", 4)
    with pytest.raises(InputError, match="exists; choose a new folder"):
        quantise(parent, tmp_path, 4)
    assert not (tmp_path / "out").exists()
