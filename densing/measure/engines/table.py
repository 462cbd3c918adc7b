"""The engines there are. A new one is a row here, or an entry point of another package."""

from __future__ import annotations

from densing.measure.plugins import Plugin, PluginTable

ENGINES = PluginTable(
    "engine",
    "densing.engines",
    (
        Plugin(
            "torch",
            "densing.measure.engines.torch_engine:TorchEngine",
            "Computes with transformers on a CPU, an NVIDIA GPU or an Apple GPU.",
            install="densing[models]",
        ),
        Plugin(
            "vllm",
            "densing.measure.engines.vllm_engine:VllmEngine",
            "Computes with vLLM, which is the faster one on GPUs.",
            install="densing[vllm]",
        ),
    ),
)
"""Each home is a subclass of `densing.measure.engines.base.Engine`; see there for what it must do."""
DEFAULT = "torch"


def checked_engine(name: str) -> str:
    """The name, if an engine has it.

    Raises
    ------
    InputError
        Lists the engines there are.
    """
    return ENGINES.find(name).name
