"""The processes of one training run: one alone, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from densing.core.devices import pick_device

if TYPE_CHECKING:
    import torch
    from torch import nn

_PATIENCE = timedelta(hours=12)
"""The others wait while the first process makes the corpus."""


@dataclass(frozen=True)
class Workers:
    """One process among those that train together.

    Attributes
    ----------
    rank, count : int
    device : torch.device
        That it trains on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, the same in each."""
        if self.count == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total]


@contextmanager
def workers() -> Iterator[Workers]:
    """Join the other processes of a torchrun, if there are any, for the length of the block."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    device = pick_device(int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        yield Workers(0, 1, device)
        return
    import torch
    import torch.distributed as dist

    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Workers(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def shard_in_place(model: nn.Module, mixed_precision: bool) -> None:
    """Spread weights, gradients and optimiser state over the processes (FSDP2), layer by layer."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16) if mixed_precision else MixedPrecisionPolicy()
    layers: nn.ModuleList = model.get_submodule("model.layers")  # type: ignore[assignment]
    for layer in layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(model, mp_policy=policy)


def fits_on_each(model: nn.Module, device: torch.device) -> bool:
    """Whether a whole copy of the training state takes at most half of the device's memory."""
    import torch

    if device.type != "cuda":
        return True
    bytes_per_parameter = 16  # weight, gradient and two moments, each of 32 bits
    needed = bytes_per_parameter * sum(parameter.numel() for parameter in model.parameters())
    return needed <= torch.cuda.get_device_properties(device).total_memory / 2
