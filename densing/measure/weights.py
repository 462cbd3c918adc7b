"""What a checkpoint says of its weights: how many there are, in how many bits, and which of them work at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from densing.core.files import parse_json
from densing.measure.checkpoint import Checkpoint
from densing.models.size import Size

USUAL_BITS = 16.0


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
        If the configuration is of no causal language model that transformers knows.
    """
    from densing.models.size import count_params

    config = parse_json(checkpoint.folder / "config.json")
    total, bare = count_params(checkpoint.folder)
    return Size(
        total=total, non_embedding=bare, active=active_params(config, total), weight_bits=bits_of(config, options)
    )


def bits_of(config: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> float:
    """Bits of a weight in memory, by a model's configuration and the engine's options.

    Examples
    --------
    >>> bits_of({"quantization_config": {"quant_method": "gptq", "bits": 4}})
    4.0
    """
    for name, bits in (("load_in_4bit", 4.0), ("load_in_8bit", 8.0)):
        if (options or {}).get(name):
            return bits
    quantised = config.get("quantization_config") or {}
    if quantised.get("load_in_4bit") or quantised.get("_load_in_4bit"):
        return 4.0
    if quantised.get("load_in_8bit") or quantised.get("_load_in_8bit"):
        return 8.0
    for name in ("bits", "w_bit", "weight_bits", "nbits", "num_bits"):
        if isinstance(quantised.get(name), int | float):
            return float(quantised[name])
    for group in (quantised.get("config_groups") or {}).values():
        if number := (group.get("weights") or {}).get("num_bits"):
            return float(number)
    if isinstance(config.get("weight_bits"), int):  # a copy by `densing.ladder.compress`
        return float(config["weight_bits"])
    return {"fp8": 8.0, "fbgemm_fp8": 8.0, "mxfp4": 4.0, "awq": 4.0, "gptq": 4.0}.get(
        str(quantised.get("quant_method")), USUAL_BITS
    )


def active_params(config: Mapping[str, Any], total: int) -> float | None:
    """Parameters that one token uses in a mixture of experts; None for other models.

    The experts of a layer are alike, so of all that lies in them the share `num_experts_per_tok` works at once.
    """
    text = config.get("text_config") or config
    experts = next((text[n] for n in ("num_local_experts", "num_experts", "n_routed_experts") if text.get(n)), None)
    chosen = text.get("num_experts_per_tok") or text.get("experts_per_token")
    if not experts or not chosen:
        return None
    width, inner = text.get("hidden_size"), text.get("moe_intermediate_size") or text.get("intermediate_size")
    layers = text.get("num_hidden_layers")
    if not (width and inner and layers):
        return None
    dense = int(text.get("first_k_dense_replace") or 0)
    in_experts = 3 * width * inner * experts * (layers - dense)
    if in_experts >= total:
        return None
    return float(total - in_experts * (1 - chosen / experts))


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
    config = parse_json(checkpoint.folder / "config.json")
    method = str((config.get("quantization_config") or {}).get("quant_method", ""))
    if not method:
        return ""
    return (
        f"; its weights are in the format {method}, which needs {READERS.get(method, 'its own package')}, or "
        "--engine vllm on a GPU"
    )
