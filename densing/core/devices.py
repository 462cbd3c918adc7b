"""Accelerators: their peak rates, and which one is here."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from densing.core.config import read_yaml
from densing.core.paths import DATA

if TYPE_CHECKING:
    import torch


@lru_cache(maxsize=1)
def peak_rates() -> dict[str, float]:
    """Rate of dense bfloat16 products with 32-bit sums of each known accelerator, FLOP/s, from hardware.yaml."""
    devices = read_yaml(DATA / "hardware.yaml")["devices"]
    return {name: float(rates["tensor_flops"]) for name, rates in devices.items()}


def pick_device(local_rank: int) -> torch.device:
    """The device that a process trains on: its NVIDIA GPU, Apple's, or the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", local_rank)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def peak_flops(device: torch.device) -> float | None:
    """Peak rate of a device, or None where it is not known."""
    import torch

    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower().replace(" ", "-")
    return next((peak for key, peak in peak_rates().items() if key in name), None)
