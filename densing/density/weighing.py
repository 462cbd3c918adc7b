"""Memory-access and compute time per parameter: what a sparse or quantised model's size is weighed by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from densing.core.config import Config, read_yaml, validate
from densing.core.errors import unknown
from densing.core.paths import DATA

_PRESETS = DATA / "hardware.yaml"


class Hardware(Config):
    """An accelerator and the input it answers; METHOD: T_mem = N/B, T_comp = 2·N·len/C."""

    title: str = ""
    source: str = ""
    bandwidth: float = Field(gt=0)
    """Memory bandwidth B, bytes per second."""
    flops: float = Field(gt=0)
    """Compute rate C, FLOP per second."""
    input_tokens: float = Field(100, gt=0)
    """Length of the input, tokens."""
    bytes_per_weight: float = Field(2, gt=0)
    """Bytes of an unquantised weight."""
    memory_bytes: float | None = None
    """Size of the memory; a model that does not fit is read through `offload_bandwidth`."""
    offload_bandwidth: float | None = None
    """Bandwidth to the memory that holds what does not fit, bytes per second."""
    ratio: float | None = Field(None, gt=0)
    """k₁/k₂ as somebody printed it, instead of the one that follows from the figures above."""


@dataclass(frozen=True)
class Weighing:
    """k₁ and k₂, up to a common unit.

    Attributes
    ----------
    memory : float
        k₁, seconds of memory access per parameter.
    compute : float
        k₂, seconds of computing per active parameter.
    offloaded : float or None
        k₁ˢ, what takes the place of k₁ for a sparse model that does not fit; None where it fits.
    """

    memory: float
    compute: float
    offloaded: float | None = None

    def size(self, params: float, active_params: float | None = None, weight_bits: float = 16) -> float:
        """Size that a density divides by: (N·k₁ˢ·bits/16 + N_A·k₂)/(k₁ + k₂).

        The unit stays that of a dense model in memory, so reading slowly counts in full. A dense model is
        its parameters whether it fits or not: k₁ˢ is for sparse ones alone.

        Parameters
        ----------
        params : float
            All parameters, N.
        active_params : float, optional
            Those a token uses, N_A; all of them for a dense model.
        weight_bits : float
            Bits per weight in memory.
        """
        access, active = self.memory, params
        if active_params is not None:
            access, active = self.offloaded or self.memory, active_params
        return (params * access * weight_bits / 16 + active * self.compute) / (self.memory + self.compute)


def weigh(hardware: Hardware, params: float, weight_bits: float = 16) -> Weighing:
    """k₁ and k₂ of a model on that hardware.

    Returns
    -------
    Weighing
        With k₁ = bytes per weight / B, k₂ = 2·len/C, and k₁ˢ where the model does not fit.
    """
    if hardware.ratio is not None:
        return Weighing(hardware.ratio, 1.0)
    offloaded = None
    needed = params * hardware.bytes_per_weight * weight_bits / 16
    if hardware.memory_bytes and hardware.offload_bandwidth and needed > hardware.memory_bytes:
        offloaded = hardware.bytes_per_weight / hardware.offload_bandwidth
    return Weighing(
        hardware.bytes_per_weight / hardware.bandwidth, 2 * hardware.input_tokens / hardware.flops, offloaded
    )


def load_hardware(name: str | Path) -> Hardware:
    """A preset by name, or a description from a YAML file.

    Raises
    ------
    InputError
        For an unknown name or a file that does not describe hardware.
    """
    presets = read_yaml(_PRESETS)["presets"]
    if str(name) in presets:
        return validate(presets[str(name)], Hardware, f"{_PRESETS.name}: {name}")
    if Path(name).suffix in (".yaml", ".yml"):
        return validate(read_yaml(Path(name)), Hardware, str(name))
    raise unknown("hardware", str(name), presets)
