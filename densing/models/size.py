"""A model's size: which parameters are counted, and what a configuration says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densing.core.errors import InputError
from densing.core.units import short_count


@dataclass(frozen=True)
class Size:
    """A model's parameters, as far as they are known.

    Attributes
    ----------
    total : float, optional
        With embeddings.
    non_embedding : float, optional
        Without them.
    active : float, optional
        Those that one token uses, for mixtures of experts.
    weight_bits : float
        Bits per weight in memory; 16 unless quantised.
    """

    total: float | None = None
    non_embedding: float | None = None
    active: float | None = None
    weight_bits: float = 16

    def counted(self, kind: str) -> tuple[float, tuple[str, ...]]:
        """Parameters as a frame counts them, and a note where only the other kind is known."""
        wanted, other = (
            (self.non_embedding, self.total) if kind == "non_embedding" else (self.total, self.non_embedding)
        )
        if wanted is not None:
            return wanted, ()
        if other is None:
            raise InputError("no size given: name the model's parameters")
        have = "with" if kind == "non_embedding" else "without"
        want = "without" if kind == "non_embedding" else "with"
        effect = "understated" if kind == "non_embedding" else "overstated"
        return other, (f"size counted {have} embeddings, the frame counts {want}: the density is {effect}",)


def read_config(path: Path) -> dict[str, Any]:
    """A model's config.json.

    Raises
    ------
    InputError
        If it is missing or not a JSON mapping.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: the configuration cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the configuration is not readable as JSON: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping, as in a model's config.json")
    return data


def without_embeddings(total: float, config: Mapping[str, Any]) -> float:
    """Parameters without embeddings, from the total and a model's configuration.

    Parameters
    ----------
    total : float
        Parameters with embeddings.
    config : mapping
        Hugging Face configuration: vocab_size, hidden_size, tie_word_embeddings.

    Raises
    ------
    InputError
        If the configuration lacks a key, or leaves nothing.
    """
    config = config.get("text_config", config)
    missing = [key for key in ("vocab_size", "hidden_size") if key not in config]
    if missing:
        raise InputError(
            f"the configuration has no {' and no '.join(missing)}; give the size without embeddings instead"
        )
    matrices = 1 if config.get("tie_word_embeddings", False) else 2
    rest = total - matrices * config["vocab_size"] * config["hidden_size"]
    if rest <= 0:
        raise InputError(f"embeddings of the configuration alone exceed the {short_count(total)} parameters given")
    return rest


def transformer_params(config: Mapping[str, Any]) -> float | None:
    """Parameters without embeddings of a dense Llama-like configuration; None for other kinds.

    Per layer: query and output 2·d·h·d_h, key and value 2·d·h_kv·d_h, three matrices d·d_ffn, two norms.
    """
    needed = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    if any(key not in config for key in needed) or config.get("num_local_experts") or config.get("num_experts"):
        return None
    d, layers, heads, ffn = (int(config[key]) for key in needed)
    head = int(config.get("head_dim") or d // heads)
    groups = int(config.get("num_key_value_heads") or heads)
    return float(layers * (2 * d * head * (heads + groups) + 3 * d * ffn + 2 * d) + d)
