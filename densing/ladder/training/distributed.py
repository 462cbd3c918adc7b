"""The processes of one training run: one alone, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from densing.core.devices import pick_device
from densing.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from densing.ladder.training.causal_loss import CausalLoss

_PATIENCE = timedelta(hours=1)
"""The others wait while the first process compares a corpus with its hashes, or writes a state."""


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

    def use_device(self) -> None:
        """Make the device the one that this process's work goes to."""
        if self.device.type == "cuda":
            import torch

            torch.cuda.set_device(self.device)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, the same in each; they meet on the CPU, without waiting for the device."""
        if self.count == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def most(self, value: float) -> float:
        """The largest value of any process, the same in each."""
        if self.count == 1:
            return value
        import torch
        import torch.distributed as dist

        largest = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return float(largest)


def _set_by_torchrun(variable: str, default: str) -> int:
    text = os.environ.get(variable, default)
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise InputError(
            f"{variable}={text!r}: the environment says that this process is one of several, and not which; start "
            f"them with torchrun, or unset WORLD_SIZE, RANK and LOCAL_RANK"
        )
    return int(text)


@contextmanager
def workers() -> Iterator[Workers]:
    """Join the other processes of a torchrun, if there are any, for the length of the block."""
    count = _set_by_torchrun("WORLD_SIZE", "1")
    device = pick_device(_set_by_torchrun("LOCAL_RANK", "0"))
    if count <= 1:
        yield Workers(0, 1, device)
        return
    import torch.distributed as dist

    team = Workers(_set_by_torchrun("RANK", ""), count, device)
    team.use_device()
    try:
        # Numbers on the CPU are exchanged there, so that agreeing on when to save waits for no device.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except ValueError as error:
        raise InputError(f"{error}; start all {count} processes with torchrun, or unset WORLD_SIZE") from error
    try:
        yield team
    finally:
        dist.destroy_process_group()


def shard_in_place(loss: CausalLoss, mixed_precision: bool) -> None:
    """Spread weights, gradients and optimiser state over the processes (FSDP2), layer by layer.

    Gradients are summed in 32 bits: in 16 the sum over many processes would lose the small ones.
    """
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    precision = torch.bfloat16 if mixed_precision else None
    policy = MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32)
    for layer in loss.layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(loss, mp_policy=policy)


def fits_on_each(model: nn.Module, device: torch.device) -> bool:
    """Whether a whole copy of the training state takes at most half of the device's memory."""
    import torch

    if device.type != "cuda":
        return True
    bytes_per_parameter = 16  # weight, gradient and two moments, each of 32 bits
    needed = bytes_per_parameter * sum(parameter.numel() for parameter in model.parameters())
    return needed <= torch.cuda.get_device_properties(device).total_memory / 2
