"""How many sequences fit in one pass, from the memory that passes were seen to take."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable

import torch
from torch.autograd.graph import saved_tensors_hooks

from densing.core.errors import DensingError

CPU_BYTES = 4 << 30
"""What a pass may keep on a CPU. It does not follow the memory that is free, since the number of passes shows in
the last bits of the weights."""
_GPU_SHARE = 0.85
"""Of a device's memory; the rest is for fragments and for what libraries take."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers that malloc.h gives these two settings."""


def bytes_of(work: Callable[[], None], device: torch.device) -> int:
    """Memory that a forward and backward pass takes beyond what is there before.

    On a GPU the allocator's peak, on a CPU what the forward pass keeps for the backward one.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        work()
    return sum(kept.values())


def bytes_free(device: torch.device, promised: int) -> int:
    """Memory that passes may take.

    Parameters
    ----------
    promised : int
        Bytes of what is not there yet but will stay: gradients and the optimiser's moments.
    """
    if device.type != "cuda":
        return CPU_BYTES
    total: int = torch.cuda.get_device_properties(device).total_memory
    return int(_GPU_SHARE * total) - torch.cuda.memory_allocated(device) - promised


def refuse_more_than_memory(name: str, needed: int) -> None:
    """Refuse a model that no memory of this machine holds, before any of it is made.

    Raises
    ------
    DensingError
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
    if needed > there:
        raise DensingError(
            f"{name}: its weights take {needed / 1e9:,.1f} GB, and this machine has {there / 1e9:,.1f} GB of memory"
        )


def sequences_that_fit(of_one: int, of_two: int, free: int) -> int:
    """Sequences of a pass, when one and two were seen to take so many bytes; at least one."""
    each = max(1, of_two - of_one)
    return max(1, (free - of_one) // each + 1)


def keep_freed_memory() -> None:
    """Keep what a step frees for the next one; glibc alone gives it back to the kernel and takes it again.

    On a CPU a step of a small model is a quarter faster. Other systems than Linux are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(_MMAP_THRESHOLD, 1 << 25)
        mallopt(_TRIM_THRESHOLD, 1 << 30)
