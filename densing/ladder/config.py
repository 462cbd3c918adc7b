"""What a ladder is made from: a few dials, everything else follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from densing.core.config import Config

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
RESERVED = ("corpus", "state")
"""Folders beside those of the rungs."""


class Shape(Config):
    """One size: a Llama with grouped-query attention and SwiGLU."""

    name: str = Field(pattern=NAME)
    """Of the rung, and of its folder."""
    layers: int = Field(gt=0, le=1000)
    width: int = Field(gt=0, le=10**6)
    """Size of the residual stream."""
    ffn_width: int = Field(gt=0, le=10**7)
    """Size inside the feed-forward layers."""
    heads: int = Field(gt=0, le=10**6)
    kv_heads: int = Field(gt=0, le=10**6)
    """Key and value heads; each serves `heads / kv_heads` query heads."""
    head_dim: int = Field(gt=0, le=10**6, multiple_of=2)
    """Size of a head, even for the rotation of positions. vLLM on a CPU wants at least 32."""
    batch: int = Field(gt=0, le=10**9)
    """Sequences per optimiser step, over all devices."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Shape:
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.name}: {self.heads} heads do not divide among {self.kv_heads} kv_heads; "
                f"take kv_heads from {_divisors(self.heads)}"
            )
        if self.heads * self.head_dim != self.width:
            raise ValueError(
                f"{self.name}: {self.heads} heads of {self.head_dim} make {self.heads * self.head_dim}, "
                f"not the width {self.width}"
            )
        return self


class CorpusConfig(Config):
    """Where the text comes from and how it is split."""

    source: Literal["standard-library", "text", "jsonl", "parquet", "hub"]
    """`standard-library` is the source code of the running Python's own library."""
    path: str | None = None
    """File, folder or glob pattern; for `hub`, the name of the data set."""
    field: str = "text"
    """Key or column that holds the text."""
    subset: str | None = None
    """Configuration of a hub data set."""
    split: str = "train"
    """Split of a hub data set."""
    max_tokens: int | None = Field(None, gt=0, le=10**15)
    """Stop reading after so many training tokens; by default everything is read."""
    held_out: float = Field(0.02, gt=0, le=0.5)
    """Share of the documents that is kept from training; the hash of a document decides."""
    max_epochs: float = Field(4, gt=0)
    """How often training may see the same text; repetition up to four times costs little
    (Muennighoff et al. 2023)."""

    @model_validator(mode="after")
    def _has_path(self) -> CorpusConfig:
        if (self.path is None) != (self.source == "standard-library"):
            wants = "takes no path" if self.path else "needs a path"
            raise ValueError(f"source {self.source!r} {wants}")
        return self


class TokenizerConfig(Config):
    """A tokenizer by name, or a byte-level BPE trained on the corpus."""

    vocabulary: int = Field(gt=0, le=10**8)
    """Size of the embedding, at least the number of tokens."""
    name: str | None = None
    """Folder or hub name; absent, one is trained."""

    @model_validator(mode="after")
    def _holds_all_bytes(self) -> TokenizerConfig:
        if self.name is None and self.vocabulary < 257:
            raise ValueError("a byte-level vocabulary holds the 256 bytes and the end of text: 257 tokens at least")
        return self


class LadderConfig(Config):
    """A family of models at several sizes and token budgets."""

    name: str = Field(pattern=NAME)
    sizes: tuple[Shape, ...] = Field(min_length=1)
    budgets: tuple[Annotated[float, Field(le=1e9)], ...] = (10, 15, 20, 30, 40, 60)
    """Training tokens per parameter, embeddings not counted."""
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    seed: int = Field(0, ge=0, lt=2**63)
    """Of the initial weights and of the order of the text."""
    context: int = Field(4096, gt=1, le=10**9)
    """Tokens per sequence."""
    learning_rate: float = Field(gt=0, le=1e100)
    """Peak rate of a model of width 256 at 131,072 tokens per step; densing.ladder.model has the rule for others."""
    license: str = Field("apache-2.0", pattern=NAME)
    """Of the trained weights, as the model cards name it."""

    @model_validator(mode="after")
    def _consistent(self) -> LadderConfig:
        names = [shape.name for shape in self.sizes]
        if len(set(names)) < len(names):
            raise ValueError(f"two sizes share a name: {', '.join(names)}")
        if taken := set(names) & set(RESERVED):
            raise ValueError(f"a size cannot be named {taken.pop()!r}: the ladder keeps a folder of that name")
        if not self.budgets or min(self.budgets) <= 0 or list(self.budgets) != sorted(set(self.budgets)):
            raise ValueError("budgets must be positive and increasing")
        return self


def _divisors(number: int) -> str:
    return ", ".join(str(k) for k in range(1, number + 1) if number % k == 0)
