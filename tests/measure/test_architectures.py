"""pytest tests/measure/test_architectures.py

Twenty kinds of models, small and with random weights: whatever the engine shares or pads, each answer is that of a
plain forward pass over its own tokens, at lengths on both sides of windows and of changes of position.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from densing.measure.engines.torch_engine import TorchEngine
from tests.measure.models import byte_level
from tests.measure.requests import Pair, instances, multiple_choice, nested

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
"""Nats per token."""
CONTEXT = 192
WINDOW = 48
VOCABULARY = 300

SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 48}
TOKENS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
PLAIN = SHAPE | HEADS | TOKENS | {"max_position_embeddings": CONTEXT}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
    "original_max_position_embeddings": WINDOW,
}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", PLAIN),
    "Llama 3.1, scaled positions": (
        "Llama",
        PLAIN
        | {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 1e4,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": WINDOW,
            }
        },
    ),
    "Mistral, window": ("Mistral", PLAIN | {"sliding_window": WINDOW}),
    "Mixtral": ("Mixtral", PLAIN | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "Qwen2, window": ("Qwen2", PLAIN | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "Qwen3": ("Qwen3", PLAIN | {"head_dim": 16}),
    "Qwen3-MoE": ("Qwen3Moe", PLAIN | EXPERTS | {"num_experts": 4, "head_dim": 16}),
    "Gemma-2": ("Gemma2", PLAIN | {"head_dim": 16, "sliding_window": WINDOW, "query_pre_attn_scalar": 16}),
    "Gemma-3": (
        "Gemma3",
        PLAIN | {"head_dim": 16, "sliding_window": WINDOW, "query_pre_attn_scalar": 16},
    ),
    "Phi-3, longrope": ("Phi3", PLAIN | {"original_max_position_embeddings": WINDOW, "rope_parameters": LONGROPE}),
    "GPT-OSS": (
        "GptOss",
        PLAIN | {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW},
    ),
    "DeepSeek-V3": (
        "DeepseekV3",
        PLAIN
        | EXPERTS
        | {
            "num_key_value_heads": 2,
            "n_routed_experts": 4,
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
        },
    ),
    "OLMo-2": ("Olmo2", PLAIN),
    "OPT": (
        "OPT",
        SHAPE
        | TOKENS
        | {"ffn_dim": 64, "num_attention_heads": 2, "max_position_embeddings": CONTEXT, "word_embed_proj_dim": 32},
    ),
    "GPT-2": ("GPT2", {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT}),
    "GPT-NeoX": ("GPTNeoX", PLAIN),
    "BLOOM, ALiBi": ("Bloom", {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 2}),
    "Falcon": ("Falcon", SHAPE | TOKENS | {"num_attention_heads": 2, "multi_query": True}),
    "Cohere": ("Cohere", PLAIN),
    "Granite": ("Granite", PLAIN),
    "Mamba": ("Mamba", SHAPE),
    "Mamba-2": (
        "Mamba2",
        SHAPE | TOKENS | {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 16},
    ),
    "Jamba, a hybrid": (
        "Jamba",
        PLAIN
        | {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "use_mamba_kernels": False}
        | {"mamba_d_state": 8, "mamba_dt_rank": 4},
    ),
    "RecurrentGemma, a hybrid": (
        "RecurrentGemma",
        SHAPE
        | HEADS
        | TOKENS
        | {"lru_width": 32, "attention_window_size": WINDOW, "block_types": ["recurrent", "attention"]},
    ),
}


def made(kind: str) -> Callable[[], Any]:
    name, settings = KINDS[kind]
    config = getattr(transformers, f"{name}TextConfig" if name == "Gemma3" else f"{name}Config")
    return lambda: AutoModelForCausalLM.from_config(config(**settings))


@pytest.fixture(scope="module")
def pairs(texts: list[str]) -> list[Pair]:
    """Short and long, with options, shared starts, and answers that begin one another."""
    head = texts[3][:200]
    cut = [(head[:end] + tail, answer) for end in (20, 60, 200) for tail in ("a", "b =") for answer in (" x", " yz(")]
    return [
        *multiple_choice(texts, 3, 0),
        *multiple_choice(texts, 2, 1),
        *cut,
        ("x", texts[0][:120]),
        *nested(texts)[:8],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_that_of_a_plain_forward_pass(
    kind: str, pairs: list[Pair], texts: list[str], tmp_path: Path
) -> None:
    tokenizer = byte_level(texts[:10], VOCABULARY)
    torch.manual_seed(0)
    made(kind)().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = TorchEngine(str(tmp_path), device="cpu", dtype="float32", max_length=CONTEXT)
    answers = engine.loglikelihood(instances(pairs))
    untouched = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    encoded = engine.boundary.encode_pairs(pairs)
    lengths = [len(one.context) + len(one.answer) - 1 for one in encoded]
    assert min(lengths) < WINDOW < max(lengths) <= CONTEXT
    spread = []
    for one, answer in zip(encoded, answers, strict=True):
        if "longrope" in kind:  # which remembers the longest text that it has read
            untouched = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        with torch.inference_mode():
            tokens = torch.tensor([[*one.context, *one.answer][:-1]])
            logits = untouched(tokens).logits[0, len(one.context) - 1 :].double()
        logprob = float(logits.log_softmax(1).gather(1, torch.tensor(one.answer)[:, None]).sum())
        assert answer[0] == pytest.approx(logprob, abs=TOLERANCE * answer.tokens)
        spread.append(logprob / answer.tokens)
    assert max(spread) - min(spread) > 0.01  # far more than the tolerance
