"""pytest tests/ladder/test_shapes.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import LlamaForCausalLM

from densing.core.config import find_config, load
from densing.core.errors import InputError
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.model import llama_config
from densing.ladder.shapes import flops_per_token, params, params_non_embedding

DENSING_LAW = find_config("ladder", "densing-law")
PUBLISHED = {
    "s1": 5_247_232,
    "s2": 31_470_080,
    "s3": 106_196_736,
    "s4": 245_416_960,
    "s5": 476_852_480,
    "s6": 828_225_024,
}


def test_published_shapes_have_the_published_counts() -> None:
    config = load(DENSING_LAW, LadderConfig)
    assert {shape.name: params_non_embedding(shape) for shape in config.sizes} == PUBLISHED


shapes = st.builds(
    lambda layers, ffn, groups, kv, half: Shape(
        name="x",
        layers=layers,
        width=groups * kv * 2 * half,
        ffn_width=ffn,
        heads=groups * kv,
        kv_heads=kv,
        head_dim=2 * half,
        batch=1,
    ),
    st.integers(1, 4),
    st.integers(1, 300),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 32),
)


@settings(max_examples=25, deadline=None)
@given(shapes, st.integers(2, 2000))
def test_counts_are_those_of_the_model(shape: Shape, vocabulary: int) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config(shape, vocabulary, 64, 0))
    total = sum(parameter.numel() for parameter in model.parameters())
    embeddings = model.get_input_embeddings().weight.numel() + model.get_output_embeddings().weight.numel()
    assert params(shape, vocabulary) == total
    assert params_non_embedding(shape) == total - embeddings


def test_flops_are_six_per_weight_and_attention() -> None:
    shape = load(DENSING_LAW, LadderConfig).sizes[0]
    without_attention = flops_per_token(shape, 1000, 0)
    assert without_attention == 6 * (5_247_232 + 1000 * 256)
    assert flops_per_token(shape, 1000, 4096) - without_attention == 12 * 8 * 256 * 4096


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kv_heads": 3}, "4 heads do not divide among 3 kv_heads; take kv_heads from 1, 2, 4"),
        ({"heads": 3, "kv_heads": 1}, "3 heads of 64 make 192, not the width 256"),
        ({"head_dim": 63}, "multiple of 2"),
        ({"name": "../s1"}, "pattern"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, object], message: str) -> None:
    shape = load(DENSING_LAW, LadderConfig).sizes[0]
    with pytest.raises(ValidationError, match=message):
        Shape.model_validate(shape.model_dump() | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("heads: 4", "s1: 3 heads of 64 make 192"),
        ("name: s2", "two sizes share a name"),
        ("name: s1", "keeps a folder of that name"),
        ("budgets: [10", "budgets must be positive and increasing"),
        ("context: 4096", "unknown key 'contxt'; did you mean 'context'"),
        ("source: hub", "'magic'"),
    ],
)
def test_a_wrong_configuration_names_file_and_key(tmp_path: Path, change: str, message: str) -> None:
    replacement = {
        "heads: 4": "heads: 3",
        "name: s2": "name: s1",
        "name: s1": "name: corpus",
        "budgets: [10": "budgets: [100",
        "context: 4096": "contxt: 4096",
        "source: hub": "source: magic",
    }[change]
    path = tmp_path / "ladder.yaml"
    path.write_text(DENSING_LAW.read_text().replace(change, replacement, 1))
    with pytest.raises(InputError, match=message) as error:
        load(path, LadderConfig)
    assert str(path) in str(error.value)
