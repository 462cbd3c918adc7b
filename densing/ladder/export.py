"""A checkpoint as a Hugging Face folder that transformers and vLLM load as it is, with its model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import sha256_of
from densing.core.errors import DensingError
from densing.core.files import copy_files
from densing.core.text import markdown_text
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.training.checkpoint import Record

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"


def write_weights(weights: Mapping[str, torch.Tensor], model_config: Any, tokenizer_folder: Path, folder: Path) -> str:
    """Write model and tokenizer.

    Returns
    -------
    str
        SHA-256 of the weights' file.

    Raises
    ------
    DensingError
        If the weights cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    copy_files(tokenizer_folder.iterdir(), folder)
    model_config.save_pretrained(folder)
    try:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS, {"format": "pt"})
    except SafetensorError as error:
        raise DensingError(f"{folder / WEIGHTS}: cannot be written: {error}") from error
    return sha256_of(folder / WEIGHTS)


def write_card(record: Record, config: LadderConfig, shape: Shape, folder: Path) -> None:
    """Write the model card, README.md."""
    corpus = config.corpus.path or "source code of the Python standard library"
    rows = [
        ("Parameters", f"{record.params_non_embedding:,} without embeddings, {record.params:,} with"),
        ("Training tokens", f"{record.tokens:,} ({record.tokens / record.params_non_embedding:.1f} per parameter)"),
        ("Layers, width, feed-forward width", f"{shape.layers}, {shape.width}, {shape.ffn_width}"),
        ("Heads, key-value heads, head size", f"{shape.heads}, {shape.kv_heads}, {shape.head_dim}"),
        ("Context, vocabulary", f"{config.context:,}, {config.tokenizer.vocabulary:,}"),
        (
            "Batch, peak learning rate",
            f"{shape.batch} sequences, {config.learning_rate:g} at width 256 and 2^17 tokens per step",
        ),
        ("Corpus", f"{markdown_text(corpus)}; SHA-256 of its tokens `{record.recipe['corpus']}`"),
        ("Seed", f"{record.recipe['seed']}"),
        (
            "Held-out loss",
            f"{record.held_out_loss:.4f} nats per token, {record.held_out_bits_per_byte:.4f} bits per byte",
        ),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    (folder / "README.md").write_text(
        f"""---
license: {config.license}
library_name: transformers
pipeline_tag: text-generation
tags: [densing-law, reference-model]
---
# {config.name} {record.name}
One checkpoint of a reference ladder: small models of one recipe at several sizes and token budgets, from
which the loss law of the densing law (doi 10.1038/s42256-025-01137-0) is fitted. It is a ruler, not an
assistant.

| | |
| --- | --- |
{table}

A Llama with grouped-query attention and SwiGLU, trained at a constant rate that decays over the last tenth
of the steps (warmup-stable-decay) with densing.
""",
        encoding="utf-8",
    )
