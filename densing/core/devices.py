"""Accelerators: their peak rates, and which one is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PEAK_FLOPS = {
    "rtx-3090": 71.0e12,
    "rtx-4090": 165.2e12,
    "rtx-5090": 209.5e12,
    "l40s": 362.0e12,
    "a100": 312.0e12,
    "h100": 989.4e12,
    "h200": 989.4e12,
    "b200": 2250.0e12,
}
"""Dense bfloat16 multiplication with 32-bit sums, FLOP/s, from NVIDIA's data sheets and architecture papers."""


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
    return next((peak for key, peak in PEAK_FLOPS.items() if key in name), None)
