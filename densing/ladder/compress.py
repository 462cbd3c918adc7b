"""Compressed copies of a checkpoint: its matrices rounded to few bits.

Rounding to the nearest level without calibration data is the plainest method of its kind, so that what a copy
loses is easy to reason about. The copy stays a 32-bit Hugging Face folder that loads like its parent; its configuration
says how many bits its weights could be kept in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError
from densing.core.files import atomic_folder, copy_files, reading
from densing.models.size import read_config, refuse_giants

if TYPE_CHECKING:
    import torch

GROUP = 32
"""Weights along a row that share a scale."""


def quantise(source: Path, out: Path, bits: int) -> Path:
    """Round every matrix inside the layers to integers of `bits` bits, with a scale per group of a row.

    Embedding, output head and norms stay as they are.

    Parameters
    ----------
    source : Path
        Checkpoint in Hugging Face layout.
    out : Path
        New folder.
    bits : int
        2 to 8.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If `bits` is out of range, `source` is no checkpoint, or `out` exists.
    """
    if not 2 <= bits <= 8:
        raise InputError(f"{bits} bits: weights can be rounded to 2 to 8")
    import torch
    from transformers import AutoModelForCausalLM

    if out.exists():
        raise InputError(f"{out}: exists; choose a new folder")
    if not (source / "config.json").exists():
        raise InputError(f"{source}: no checkpoint in Hugging Face layout (no config.json)")
    refuse_giants(read_config(source / "config.json"), source / "config.json")
    with reading(source, "a causal language model", "train or fetch it again"):
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    head = model.get_output_embeddings()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                module.weight.copy_(_rounded(module.weight, bits))

    model.config.weight_bits = bits
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        copy_files(source.glob("*token*"), folder)
        (folder / "README.md").write_text(_card(source, bits), encoding="utf-8")
    return out


def _rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Symmetric rounding; the last group of a row may be shorter."""
    import torch

    largest = 2 ** (bits - 1) - 1
    groups = [
        torch.round(part / scale) * scale
        for part in torch.split(weight, GROUP, dim=1)
        for scale in [(part.abs().amax(1, keepdim=True) / largest).clamp_min(torch.finfo(weight.dtype).tiny)]
    ]
    return torch.cat(groups, dim=1)


def _card(source: Path, bits: int) -> str:
    parent = f"{source.parent.name}/{source.name}"
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [densing-law, compressed]
---
# {parent}, {bits}-bit weights
A compressed copy of `{parent}`. Matrices inside the layers are rounded to the nearest of {2**bits - 1} levels, with
one scale per {GROUP} weights. Embedding, output head and norms are the parent's.
"""
