"""The ladder as the other stages see it: its checkpoints, with sizes, tokens and held-out losses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from densing.core.artifacts import read_json, typed, understanding, write_json
from densing.core.errors import InputError
from densing.core.ranges import Finite, Positive
from densing.core.units import short_count

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A reference model on disk.

    Attributes
    ----------
    name : str
    rung : str
        Its size's name.
    params : int or None
        With embeddings; None where that is not published.
    params_non_embedding : int
    tokens : int
        Trained on.
    path : Path
        Folder in Hugging Face layout.
    held_out_loss : float or None
        Nats per token; None for a ladder that others trained.
    held_out_bits_per_byte : float or None
    revision : str or None
        Of the hub repository it was fetched from.
    """

    name: str
    rung: str
    params: Positive | None
    params_non_embedding: Positive
    tokens: Positive
    path: Path
    held_out_loss: Finite | None = None
    held_out_bits_per_byte: Finite | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Ladder:
    """Reference models of one family.

    Attributes
    ----------
    name : str
    budgets : tuple of float
        Tokens per parameter without embeddings that it was trained for; of a ladder that others trained,
        those its checkpoints have.
    checkpoints : tuple of Checkpoint
        By size, then by tokens.
    training : mapping
        How it was trained: recipes, hashes of corpus, tokenizer and weights, loss histories. Empty for a
        ladder that others trained.
    source : mapping
        Of a ladder that others released: `from`, who released it and where; `license`; `load`, the command that
        fetches its weights. Empty for one that was trained here.
    """

    name: str
    budgets: tuple[float, ...]
    checkpoints: tuple[Checkpoint, ...]
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path, *, weights: bool = True) -> Ladder:
        """Read a manifest.

        Parameters
        ----------
        path : Path
            The file, or the ladder's folder.
        weights : bool
            Whether every checkpoint must be on disk; the table of a ladder can be read without.

        Raises
        ------
        ArtifactError
            If it is missing or damaged.
        InputError
            If a checkpoint that it lists is not on disk; says how to get it.
        """
        file = path / MANIFEST if path.is_dir() else path
        payload = read_json(file, "ladder").payload
        with understanding(file, "ladder"):
            stated = typed(payload["checkpoints"], list[Checkpoint])
            checkpoints = tuple(replace(entry, path=(file.parent / entry.path).resolve()) for entry in stated)
            name, budgets = typed(payload["name"], str), typed(payload["budgets"], tuple[Finite, ...])
            source, training = typed(payload.get("source", {}), dict[str, str]), typed(payload["training"], dict)
            if not checkpoints:
                raise ValueError("no checkpoints")
        remedy = f"fetch it: {source['load']}" if "load" in source else "train or load it again"
        for checkpoint in checkpoints:
            if weights and not (checkpoint.path / "config.json").exists():
                raise InputError(f"{file}: checkpoint {checkpoint.name!r} is not at {checkpoint.path}; {remedy}")
        return cls(name, budgets, checkpoints, training, source)

    def write(self, folder: Path, seed: int | None = None) -> None:
        """Write the manifest into a folder, with paths relative to it."""
        checkpoints = [
            asdict(checkpoint) | {"path": Path(os.path.relpath(checkpoint.path, folder)).as_posix()}
            for checkpoint in self.checkpoints
        ]
        payload = {
            "name": self.name,
            "budgets": list(self.budgets),
            "checkpoints": checkpoints,
            "training": dict(self.training),
            "source": dict(self.source),
        }
        hashes = {key: str(self.training.get(f"{key}_sha256", "")) for key in ("corpus", "tokenizer")}
        made_from = {key: sha256 for key, sha256 in hashes.items() if sha256}
        write_json(folder / MANIFEST, "ladder", payload, made_from=made_from, seed=seed)

    def rows(self) -> list[dict[str, Any]]:
        """One row per checkpoint, for a table or a DataFrame."""
        return [
            {
                "checkpoint": checkpoint.name,
                "params": checkpoint.params,
                "params_non_embedding": checkpoint.params_non_embedding,
                "tokens": checkpoint.tokens,
                "tokens_per_parameter": checkpoint.tokens / checkpoint.params_non_embedding,
                "held_out_loss": checkpoint.held_out_loss,
                "held_out_bits_per_byte": checkpoint.held_out_bits_per_byte,
                "revision": checkpoint.revision,
                "path": str(checkpoint.path),
            }
            for checkpoint in self.checkpoints
        ]

    def __str__(self) -> str:
        sizes = sorted({checkpoint.params_non_embedding for checkpoint in self.checkpoints})
        return (
            f"ladder {self.name}: {len(self.checkpoints)} checkpoints of {len(sizes)} sizes, "
            f"{short_count(sizes[0])} to {short_count(sizes[-1])} parameters without embeddings"
        )
