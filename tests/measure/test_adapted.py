"""pytest tests/measure/test_adapted.py

Adapters and rounded weights: what differs from its parent is measured as lm-eval's own engine measures it, weighed by
its bits, and refused with a remedy where nothing here reads it.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from densing.core.errors import DensingError, InputError
from densing.measure.checkpoint import find_checkpoint
from densing.measure.engines.torch_engine import TorchEngine
from densing.measure.run import measure
from densing.measure.suites import load_suite
from densing.measure.weights import active_params, adapter_rank, bits_of, size_of_checkpoint
from tests.measure.models import byte_level, save_adapter, save_llama, save_merged
from tests.measure.requests import Pair, instances, multiple_choice

TOLERANCE = 1e-4
ROUNDED_TOLERANCE = 0.05
"""Nats per token: how bitsandbytes rounds a product depends on what is multiplied beside it."""


@pytest.fixture(scope="module")
def parent(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Matrices of widths that bitsandbytes can round in blocks."""
    folder = tmp_path_factory.mktemp("parent") / "llama"
    return save_llama(folder, byte_level(texts[:10], 384), intermediate_size=128)


@pytest.fixture(scope="module")
def pairs(texts: list[str]) -> list[Pair]:
    return multiple_choice(texts, 6, 2)


def scored(folder: Path, pairs: list[Pair], **options: Any) -> list[Any]:
    return list(TorchEngine(str(folder), device="cpu", dtype="float32", **options).loglikelihood(instances(pairs)))


def scored_by_lm_eval(folder: Path, pairs: list[Pair], **options: Any) -> list[Any]:
    from lm_eval.models.huggingface import HFLM

    model = HFLM(str(folder), device="cpu", dtype="float32", batch_size=1, **options)
    return list(model.loglikelihood(instances(pairs), disable_tqdm=True))


def apart(ours: list[Any], theirs: list[Any], tokens: list[Any]) -> float:
    """The largest difference in nats per token."""
    return max(abs(a[0] - b[0]) / one.tokens for a, b, one in zip(ours, theirs, tokens, strict=True))


def test_an_adapter_differs_from_its_parent_and_is_what_lm_eval_and_merged_weights_give(
    parent: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", parent)
    plain, adapted = scored(parent, pairs), scored(parent, pairs, peft=str(adapter))
    assert apart(plain, adapted, plain) > 0.05
    assert apart(adapted, scored_by_lm_eval(parent, pairs, peft=str(adapter)), plain) < TOLERANCE
    assert apart(adapted, scored(save_merged(tmp_path / "merged", parent, adapter), pairs), plain) < TOLERANCE


def test_an_adapter_of_another_base_is_refused(parent: Path, texts: list[str], tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"instruction": "import", "answer": " os"}))
    wider = save_llama(tmp_path / "wider", byte_level(texts[:10], 384), hidden_size=128)
    adapter = save_adapter(tmp_path / "adapter", wider)
    with pytest.raises(DensingError, match=r"cannot load it: .*size mismatch.*; is the adapter made for this model\?"):
        measure(parent, load_suite("jsonl", documents=items), out=tmp_path / "out", peft=str(adapter), device="cpu")
    assert not (tmp_path / "out" / parent.name).exists()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_rounded_on_loading_are_those_of_the_copy_that_was_saved(
    bits: int, parent: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """Rounded when it is loaded, or before: different from the parent, the same as by lm-eval."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    how = BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
    copy = tmp_path / "copy"
    AutoModelForCausalLM.from_pretrained(parent, quantization_config=how, device_map="cpu").save_pretrained(copy)
    AutoTokenizer.from_pretrained(parent).save_pretrained(copy)
    plain, saved = scored(parent, pairs), scored(copy, pairs)
    assert apart(plain, saved, plain) > 1e-3
    assert apart(saved, scored_by_lm_eval(copy, pairs), plain) < ROUNDED_TOLERANCE
    assert apart(saved, scored(parent, pairs, **{f"load_in_{bits}bit": True}), plain) < ROUNDED_TOLERANCE
    assert size_of_checkpoint(find_checkpoint(copy)).weight_bits == bits
    assert size_of_checkpoint(find_checkpoint(parent), {f"load_in_{bits}bit": True}).weight_bits == bits
    assert size_of_checkpoint(find_checkpoint(copy)).total == size_of_checkpoint(find_checkpoint(parent)).total


@pytest.mark.parametrize(
    ("described", "bits"),
    [
        ({}, 16),
        ({"quant_method": "gptq", "bits": 4}, 4),
        ({"quant_method": "awq", "bits": 4}, 4),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "mxfp4"}, 4),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}, 8),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
    ],
)
def test_bits_are_read_from_the_configuration(described: dict[str, Any], bits: float) -> None:
    assert bits_of({"quantization_config": described} if described else {}) == bits


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([4], "m: quantization_config: Input should be a valid dictionary"),
        ({"bits": 0}, "m: quantization_config.bits: Input should be greater than or equal to 1"),
        ({"bits": 1e308}, "m: quantization_config.bits: Input should be less than or equal to 32"),
        ({"nbits": math.inf}, "m: quantization_config.nbits: Input should be less than or equal to 32"),
        ({"w_bit": "four"}, "m: quantization_config.w_bit: Input should be a valid number"),
        ({"config_groups": [1]}, "m: quantization_config.config_groups: Input should be a valid dictionary"),
        ({"config_groups": {"g": {"weights": {"num_bits": -4}}}}, "m: .*weights.num_bits: Input should be greater"),
    ],
)
def test_bits_that_are_none_are_refused(described: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bits_of({"quantization_config": described}, source="m")


@pytest.mark.parametrize(
    "changes",
    [
        {"num_local_experts": "8"},
        {"num_experts_per_tok": [2]},
        {"num_experts_per_tok": 9},
        {"hidden_size": None},
        {"intermediate_size": math.inf},
        {"first_k_dense_replace": 3},
        {"text_config": [1], "num_local_experts": 0},
    ],
)
def test_counts_of_experts_that_are_none_make_no_mixture(changes: dict[str, Any]) -> None:
    config = {"num_local_experts": 8, "num_experts_per_tok": 2, "hidden_size": 16, "intermediate_size": 24}
    config = {**config, "num_hidden_layers": 2}
    assert active_params(config, 10**5) == 10**5 - 2 * 6 * 3 * 16 * 24
    assert active_params(config | changes, 10**5) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 10**9}, r"adapter_config\.json: r: Input should be less than or equal to 16384"),
        ({"r": "4x"}, r"adapter_config\.json: r: Input should be a valid integer"),
        ({"rank_pattern": {"q_proj": 0}}, r"rank_pattern\.q_proj: Input should be greater than or equal to 1"),
        ({"rank_pattern": [4]}, r"rank_pattern: Input should be a valid dictionary"),
    ],
)
def test_ranks_that_are_none_are_refused_before_a_model_is_loaded(
    changes: dict[str, Any], message: str, parent: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", parent)
    assert adapter_rank(adapter) == 4
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"instruction": "import", "answer": " os"}))
    with pytest.raises(InputError, match=message):
        measure(parent, load_suite("jsonl", documents=items), out=tmp_path / "out", peft=str(adapter))
    assert not (tmp_path / "out").exists()


def test_the_parameters_of_a_mixture_that_work_at_once(tmp_path: Path) -> None:
    """Counted by hand from its weights."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=100,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=8,
        num_experts_per_tok=2,
    )
    model = MixtralForCausalLM(config)
    model.save_pretrained(tmp_path)
    size = size_of_checkpoint(find_checkpoint(tmp_path))
    assert size.total == sum(parameter.numel() for parameter in model.parameters())
    one_expert = 3 * 16 * 24
    assert size.active == size.total - 2 * (8 - 2) * one_expert


def test_formats_that_nothing_here_reads_are_refused_with_the_remedy(parent: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"instruction": "import", "answer": " os"}))
    suite = load_suite("jsonl", documents=items)
    for method, needs in (("gptq", "optimum"), ("awq", "gptqmodel"), ("compressed-tensors", "compressed-tensors")):
        folder = Path(shutil.copytree(parent, tmp_path / method))
        config = json.loads((folder / "config.json").read_text())
        described = {"quant_method": method, "bits": 4, "group_size": 128, "config_groups": {}}
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": described}))
        with pytest.raises(DensingError, match=rf"in the format {method}, which needs .*{needs}.* or --engine vllm on"):
            measure(folder, suite, out=tmp_path / "out", device="cpu")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "model.Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(
        InputError, match=r"its weights are in GGUF \(model.Q4_K_M.gguf\).*save_pretrained\(NEW_FOLDER\)"
    ):
        measure(packed, suite, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
