"""What a checkpoint says of its weights: how many there are, in how many bits, and which of them work at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from densing.core.config import Config, validate
from densing.core.files import parse_mapping
from densing.measure.checkpoint import Checkpoint
from densing.models.size import Size, count_params, is_count, read_config

USUAL_BITS = 16.0
MOST_RANKS = 16_384
"""Of an adapter; more than any has."""


Bits = Annotated[float, Field(ge=1, le=32)]


class _Group(Config, extra="ignore"):
    """Layers whose weights are rounded alike, as compressed-tensors lists them."""

    weights: _Rounding | None = None


class _Rounding(Config, extra="ignore"):
    """How weights were rounded, by the names that the packages which do it have for it."""

    quant_method: str | None = None
    load_in_4bit: bool | None = None
    old_load_in_4bit: bool | None = Field(None, alias="_load_in_4bit")
    load_in_8bit: bool | None = None
    old_load_in_8bit: bool | None = Field(None, alias="_load_in_8bit")
    bits: Bits | None = None
    w_bit: Bits | None = None
    weight_bits: Bits | None = None
    nbits: Bits | None = None
    num_bits: Bits | None = None
    config_groups: dict[str, _Group] | None = None

    @property
    def stated(self) -> float | None:
        """Bits of a weight, where they are stated."""
        if self.load_in_4bit or self.old_load_in_4bit:
            return 4.0
        if self.load_in_8bit or self.old_load_in_8bit:
            return 8.0
        groups = [group.weights.num_bits for group in (self.config_groups or {}).values() if group.weights]
        stated = (self.bits, self.w_bit, self.weight_bits, self.nbits, self.num_bits, *groups)
        return next((bits for bits in stated if bits), None)


class _Weights(Config, extra="ignore"):
    """What is read of a model's configuration here."""

    quantization_config: _Rounding | None = None
    weight_bits: Bits | None = None
    text_config: dict[str, Any] | None = None


def size_of_checkpoint(checkpoint: Checkpoint, options: Mapping[str, Any] | None = None) -> Size:
    """A checkpoint's parameters, with the bits of its weights.

    Parameters
    ----------
    checkpoint : Checkpoint
    options : mapping, optional
        Those of the engine; ``load_in_4bit`` and ``load_in_8bit`` change the bits.

    Raises
    ------
    InputError
        If the configuration is of no causal language model that transformers knows, or rounds its weights to a number
        of bits that is none.
    """
    path = checkpoint.folder / "config.json"
    config = read_config(path)
    bits = bits_of(config, options, str(path))
    total, bare = count_params(checkpoint.folder)
    return Size(total=total, non_embedding=bare, active=active_params(config, total), weight_bits=bits)


def bits_of(
    config: Mapping[str, Any], options: Mapping[str, Any] | None = None, source: str = "the configuration"
) -> float:
    """Bits of a weight in memory, by a model's configuration and the engine's options.

    Raises
    ------
    InputError
        If the configuration states something else than 1 to 32 bits; begins with `source`.

    Examples
    --------
    >>> bits_of({"quantization_config": {"quant_method": "gptq", "bits": 4}})
    4.0
    """
    stated = validate(dict(config), _Weights, source)
    for name, bits in (("load_in_4bit", 4.0), ("load_in_8bit", 8.0)):
        if (options or {}).get(name):
            return bits
    quantised = stated.quantization_config or _Rounding()
    usual = {"fp8": 8.0, "fbgemm_fp8": 8.0, "mxfp4": 4.0, "awq": 4.0, "gptq": 4.0}.get(str(quantised.quant_method))
    # `weight_bits` is that of a copy by `densing.ladder.compress`.
    return quantised.stated or stated.weight_bits or usual or USUAL_BITS


def active_params(config: Mapping[str, Any], total: int) -> float | None:
    """Parameters that one token uses in a mixture of experts; None for other models.

    The experts of a layer are alike, so of all that lies in them the share `num_experts_per_tok` works at once.
    """
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config

    def count(*names: str) -> int | None:
        return next((text[name] for name in names if is_count(text.get(name))), None)

    experts, chosen = (
        count("num_local_experts", "num_experts", "n_routed_experts"),
        count("num_experts_per_tok", "experts_per_token"),
    )
    width, inner = count("hidden_size"), count("moe_intermediate_size", "intermediate_size")
    layers, dense = count("num_hidden_layers"), count("first_k_dense_replace") or 0
    if not (experts and chosen and width and inner and layers) or chosen > experts or dense > layers:
        return None
    in_experts = 3 * width * inner * experts * (layers - dense)
    if in_experts >= total:
        return None
    return float(total - in_experts * (1 - chosen / experts))


class _Adapter(Config, extra="ignore"):
    """The sizes in an adapter's configuration: each is a side of matrices that are made before weights are read."""

    r: int | None = Field(None, ge=1, le=MOST_RANKS)
    init_r: int | None = Field(None, ge=1, le=MOST_RANKS)
    num_virtual_tokens: int | None = Field(None, ge=1, le=MOST_RANKS)
    rank_pattern: dict[str, Annotated[int, Field(ge=1, le=MOST_RANKS)]] | None = None


def adapter_rank(folder: Path) -> int | None:
    """The highest rank of an adapter that peft wrote; None for one that has no rank.

    Raises
    ------
    InputError
        If its configuration is missing or wrong.
    """
    path = folder / "adapter_config.json"
    config = validate(parse_mapping(path, "an adapter of peft"), _Adapter, str(path))
    return max([config.r, *(config.rank_pattern or {}).values()]) if config.r else None


READERS = {
    "gptq": "`pip install optimum gptqmodel` for the torch engine",
    "awq": "`pip install gptqmodel` for the torch engine",
    "fp8": "a GPU that computes in 8 bits",
    "compressed-tensors": "`pip install compressed-tensors` for the torch engine",
    "bitsandbytes": "`pip install 'densing[adapters]'` for the torch engine",
}
"""What reads a format of rounded weights, besides vLLM on a GPU."""


def remedy(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """What to do about weights that an engine cannot load: a sentence, or nothing."""
    if options.get("peft") or options.get("lora_local_path"):
        return "; is the adapter made for this model? Its adapter_config.json names the one that it was trained on"
    if any(options.get(name) for name in ("load_in_4bit", "load_in_8bit")):
        return f"; weights rounded on loading need {READERS['bitsandbytes']}"
    path = checkpoint.folder / "config.json"
    quantised = validate(read_config(path), _Weights, str(path)).quantization_config
    method = quantised.quant_method if quantised else None
    if not method:
        return ""
    return (
        f"; its weights are in the format {method}, which needs {READERS.get(method, 'its own package')}, or "
        "--engine vllm on a GPU"
    )
