"""Tokenisers and models small enough to make in a second, of the kinds that matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CONTEXT = 512
SPECIAL = ["<s>", "</s>"]


def byte_level(texts: list[str], vocabulary: int, *, bos: bool = False) -> PreTrainedTokenizerFast:
    """GPT-2's kind; with `bos` it puts <s> first, as Llama 3 does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def byte_fallback(words: list[str]) -> PreTrainedTokenizerFast:
    """Llama 2's kind: a space becomes part of the next token, and unknown characters become bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    alphabet = sorted(set("".join(words)) | {"▁"})
    pieces = ["<unk>", *SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *alphabet]
    merges = []
    for word in words:
        for end in range(2, len(word) + 2):
            whole = f"▁{word}"[:end]
            if whole not in pieces:
                pieces.append(whole)
                merges.append((whole[:-1], whole[-1]))
    tokenizer.model = models.BPE(
        vocab={piece: place for place, piece in enumerate(pieces)},
        merges=merges,
        byte_fallback=True,
        unk_token="<unk>",
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )


def save_llama(folder: Path, tokenizer: Any, *, seed: int = 0, **changes: Any) -> Path:
    """A Llama with random weights, far enough from uniform that a wrong token shows; heads of 32, as vLLM wants."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.15,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(**settings | changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, model: Path, *, rank: int = 4, seed: int = 0) -> Path:
    """A LoRA adapter of random weights for every attention and MLP layer of a Llama, as peft writes one."""
    import torch
    from safetensors.torch import load_file, save_file

    layers = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, weight in load_file(model / "model.safetensors").items():
        layer = name.removesuffix(".weight")
        if layer.endswith(layers):
            rows, columns = weight.shape
            tensors[f"base_model.model.{layer}.lora_A.weight"] = 0.1 * torch.randn(rank, columns, generator=draw)
            tensors[f"base_model.model.{layer}.lora_B.weight"] = 0.1 * torch.randn(rows, rank, generator=draw)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": sorted({layer.rpartition(".")[2] for layer in layers}),
        "base_model_name_or_path": str(model),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def save_merged(folder: Path, model: Path, adapter: Path) -> Path:
    """The model with the adapter in its weights: W + B A alpha / r."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    weights, added = load_file(model / "model.safetensors"), load_file(adapter / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    for name, reduce in added.items():
        if name.endswith(".lora_A.weight"):
            expand = added[name.replace("lora_A", "lora_B")]
            layer = name.removeprefix("base_model.model.").replace("lora_A.", "")
            weights[layer] += expand @ reduce * (config["lora_alpha"] / config["r"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
