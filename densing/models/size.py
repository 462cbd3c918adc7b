"""A model's size: which parameters are counted, and what a configuration says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densing.core.errors import InputError
from densing.core.files import parse_mapping, reading
from densing.core.hub import WEIGHTS
from densing.core.text import shortened
from densing.core.units import short_count

_ROUNDED_TO_A_BYTE = 16
"""Most parameters of a rounded model that share a byte."""
_FEW = 10**7
"""Parameters that take no memory worth refusing: what is wrong with them is said by whoever loads them."""
_MOST_BUFFERS = 8 << 30
"""Bytes of what a model computes from its configuration: masks and positions."""


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


def size_of_counts(counts: Mapping[str, float], *, weight_bits: float = 16, config: Path | None = None) -> Size | None:
    """A size from the counts of parameters that are known.

    Parameters
    ----------
    counts : mapping
        Parameters by kind: ``total``, ``non_embedding``, ``active``.
    weight_bits : float
    config : Path, optional
        The model's config.json, which says how many of the total are embeddings.

    Returns
    -------
    Size or None
        None where neither the total nor the parameters without embeddings are given.

    Raises
    ------
    InputError
        If a configuration is given without the total, or says nothing of embeddings.
    """
    refuse_contradictions(counts)
    if config is not None:
        if "total" not in counts:
            raise InputError("--config needs --total-params: it says how many of them are embeddings")
        counts = {"non_embedding": without_embeddings(counts["total"], read_config(config)), **counts}
    if not {"total", "non_embedding"} & set(counts):
        if "active" in counts:
            raise InputError("active parameters alone are no size: give all of them too, with --total-params")
        return None
    return Size(**counts, weight_bits=weight_bits)


def refuse_contradictions(counts: Mapping[str, float]) -> None:
    """Refuse counts of parameters of which a part is more than the whole.

    Raises
    ------
    InputError
        Names both.
    """
    names = {"active": "active parameters", "non_embedding": "parameters without embeddings"}
    for part, name in names.items():
        if part in counts and counts[part] > counts.get("total", float("inf")):
            raise InputError(
                f"{short_count(counts[part])} {name} are more than the total of {short_count(counts['total'])}; "
                "were the two exchanged?"
            )


def read_config(path: Path) -> dict[str, Any]:
    """A model's config.json.

    Raises
    ------
    InputError
        If it is missing or not a JSON mapping.
    """
    return parse_mapping(path, "a model's config.json")


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
    nested = config.get("text_config")
    config = nested if isinstance(nested, dict) else config
    missing = [key for key in ("vocab_size", "hidden_size") if not is_count(config.get(key))]
    if missing:
        raise InputError(
            f"the configuration has no {' and no '.join(missing)} that is a whole number; "
            "give the size without embeddings instead"
        )
    matrices = 1 if config.get("tie_word_embeddings", False) else 2
    rest = total - matrices * config["vocab_size"] * config["hidden_size"]
    if rest <= 0:
        raise InputError(f"embeddings of the configuration alone exceed the {short_count(total)} parameters given")
    return rest


def is_count(value: Any) -> bool:
    """Whether a value of a configuration is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12


def dense_params(*, layers: int, width: int, heads: int, kv_heads: int, head_dim: int, ffn_width: int) -> int:
    """Parameters without embeddings of a dense Llama-like model, its norms included.

    Per layer: query and output 2·d·h·d_h, key and value 2·d·h_kv·d_h, three matrices d·d_ffn, two norms d;
    after the last layer one more norm. The article's sizes are counted this way: s1 has 8 layers of 655,360
    weights and 512 norm gains, and 256 gains of the last norm, 5,247,232 in all.
    """
    attention = 2 * width * head_dim * (heads + kv_heads)
    return layers * (attention + 3 * width * ffn_width + 2 * width) + width


def transformer_params(config: Mapping[str, Any]) -> float | None:
    """Parameters without embeddings of a dense Llama-like Hugging Face configuration; None for other kinds."""
    needed = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    if (
        not all(is_count(config.get(key)) for key in needed)
        or config.get("num_local_experts")
        or config.get("num_experts")
    ):
        return None
    width, layers, heads, ffn_width = (config[key] for key in needed)
    kv_heads, head_dim = config.get("num_key_value_heads") or heads, config.get("head_dim") or width // heads
    if not (is_count(kv_heads) and is_count(head_dim)):
        return None
    return float(
        dense_params(
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            ffn_width=ffn_width,
        )
    )


def refuse_giants(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a configuration of more layers or experts than any model has: each takes memory to count.

    Raises
    ------
    InputError
    """
    nested = config.get("text_config")
    for key, most in {"num_hidden_layers": 1_000, "n_layer": 1_000, "num_local_experts": 4_096, "num_experts": 4_096,
                      "n_routed_experts": 4_096}.items():  # fmt: skip
        for part in (config, nested if isinstance(nested, dict) else {}):
            value = part.get(key, 0)
            if isinstance(value, int) and value > most:
                raise InputError(f"{path}: {key} is {shortened(str(value), 40)}, and {most:,} are the most; correct it")


def refuse_more_than_weights(folder: Path, config: Any, loader: Any, **options: Any) -> None:
    """Refuse a configuration that describes more parameters than the files of weights can hold.

    What they lack would be made, and take memory without end, before it is found to be missing.

    Parameters
    ----------
    folder : Path
        That holds the weights.
    config : transformers.PretrainedConfig
    loader : class
        Of transformers, as AutoModelForCausalLM.
    **options
        Of its `from_config`.

    Raises
    ------
    InputError
    """
    import torch

    stored = sum(path.stat().st_size for path in folder.glob(WEIGHTS))
    with torch.device("meta"):
        model = loader.from_config(config, **options)
    described = sum(parameter.numel() for parameter in model.parameters())
    of_a_byte = _ROUNDED_TO_A_BYTE if getattr(config, "quantization_config", None) else 1
    if stored and described > max(of_a_byte * stored, _FEW):
        raise InputError(
            f"{folder / 'config.json'}: it describes {short_count(described)} parameters, which {stored:,} bytes of "
            "weights cannot be; it is the configuration of another model, or a file is missing"
        )
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    if buffers > _MOST_BUFFERS:
        raise InputError(f"{folder / 'config.json'}: it asks for tables of {buffers:,} bytes; is a length in it right?")


def count_params(folder: Path) -> tuple[int, int]:
    """Parameters of a model with and without its embedding and output head, from its configuration.

    The model is built without memory for its weights, so that any architecture transformers knows is
    counted exactly.

    Parameters
    ----------
    folder : Path
        That holds the model's config.json.

    Raises
    ------
    InputError
        If the configuration is unreadable, needs code from the repository, or is no causal language model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    path = folder / "config.json"
    asked = read_config(path)
    refuse_giants(asked, path)
    with reading(path, "a causal language model that transformers knows", "no code of the checkpoint is run"):
        # Left unset, transformers asks on the terminal whether to run the checkpoint's code, and takes any "y".
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    everything = {id(parameter): parameter.numel() for parameter in model.parameters()}
    embeddings = {
        id(parameter): parameter.numel()
        for module in (model.get_input_embeddings(), model.get_output_embeddings())
        if module is not None
        for parameter in module.parameters()
    }
    total = sum(everything.values())
    return total, total - sum(embeddings.values())
