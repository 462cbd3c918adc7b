"""Compressed copies of a checkpoint: its matrices rounded to few bits, or their smallest weights set to zero.

Both are the plainest method of their kind, without calibration data, so that what a copy loses is easy to
reason about. The copy stays a 32-bit Hugging Face folder that loads like its parent.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError
from densing.ladder.training.checkpoint import write_folder

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
    method = (
        f"Matrices inside the layers rounded to the nearest of {2**bits - 1} levels, one scale per {GROUP} weights."
    )
    return _compress(source, out, lambda weight: _rounded(weight, bits), f"{bits}-bit weights", method)


def prune(source: Path, out: Path, share: float) -> Path:
    """Set the smallest weights of every matrix inside the layers to zero.

    Parameters
    ----------
    source : Path
        Checkpoint in Hugging Face layout.
    out : Path
        New folder.
    share : float
        Of each matrix's weights, between 0 and 1.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If `share` is out of range, `source` is no checkpoint, or `out` exists.
    """
    if not 0 < share < 1:
        raise InputError(f"a share of {share:g} cannot be pruned; it lies between 0 and 1")
    method = f"In every matrix inside the layers, the {share:.0%} smallest weights set to zero."
    return _compress(source, out, lambda weight: _without_smallest(weight, share), f"{share:.0%} pruned", method)


def _compress(source: Path, out: Path, change: Callable[[torch.Tensor], torch.Tensor], title: str, method: str) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    if out.exists():
        raise InputError(f"{out}: exists; choose a new folder")
    if not (source / "config.json").exists():
        raise InputError(f"{source}: no checkpoint in Hugging Face layout (no config.json)")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, use_safetensors=True)
    except OSError as error:
        raise InputError(f"{source}: weights cannot be loaded: {error}") from error
    head = model.get_output_embeddings()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                module.weight.copy_(change(module.weight))

    def fill(folder: Path) -> None:
        model.save_pretrained(folder)
        for file in sorted(source.glob("*token*")):
            shutil.copy(file, folder)
        (folder / "README.md").write_text(_card(source, title, method), encoding="utf-8")

    write_folder(out, fill)
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


def _without_smallest(weight: torch.Tensor, share: float) -> torch.Tensor:
    import torch

    count = round(share * weight.numel())
    kept = weight.flatten().clone()
    kept[torch.argsort(kept.abs(), stable=True)[:count]] = 0
    return kept.view_as(weight)


def _card(source: Path, title: str, method: str) -> str:
    parent = f"{source.parent.name}/{source.name}"
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [densing-law, compressed]
---
# {parent}, {title}
A compressed copy of `{parent}`. {method} Embedding, output head and norms are the parent's.
"""
