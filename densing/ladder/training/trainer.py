"""Steps of one model: forward, backward, update, on one device or on many."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from densing.core.errors import InputError
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.corpus.order import training_order
from densing.ladder.corpus.shards import Corpus
from densing.ladder.model import build_model, llama_config, parameter_groups
from densing.ladder.training.distributed import Workers, fits_on_each, shard_in_place

_IGNORED = -100
_CLIP = 1.0
_CPU_LOGITS = 1 << 28
"""Logits that one pass may make on a CPU, 1 GiB of 32-bit numbers."""


class DivergedError(Exception):
    """The loss or the gradient is no longer a finite number; the weights are those before the step."""


@dataclass(frozen=True)
class HeldOutLoss:
    """Loss on the held-out text; separators between documents are not predicted.

    Attributes
    ----------
    nats_per_token, bits_per_byte : float
        Over the same text.
    """

    nats_per_token: float
    bits_per_byte: float


class Trainer:
    """A model, its optimiser and its text.

    Parameters
    ----------
    config : LadderConfig
        Context, vocabulary and peak learning rate.
    shape : Shape
    corpus : Corpus
    team : Workers
    seed : int
        Of weights and order of text.
    sharded : bool, optional
        Spread the state over the processes (FSDP2); by default where a copy does not fit on each.

    Raises
    ------
    InputError
        If the batch does not divide over the processes.
    """

    def __init__(
        self,
        config: LadderConfig,
        shape: Shape,
        corpus: Corpus,
        team: Workers,
        seed: int,
        sharded: bool | None = None,
    ) -> None:
        if shape.batch % team.count:
            raise InputError(
                f"{shape.name}: a batch of {shape.batch} sequences does not divide over {team.count} processes"
            )
        self.config, self.shape, self.corpus, self.team, self.seed = config, shape, corpus, team, seed
        self.windows = corpus.window_count(config.context)
        if not self.windows:
            raise InputError(
                f"the corpus has {corpus.tokens:,} training tokens, less than one context of {config.context:,}"
            )
        self.bf16 = team.device.type == "cuda" and torch.cuda.is_bf16_supported()
        vocabulary = config.tokenizer.vocabulary
        self.model = build_model(llama_config(shape, vocabulary, config.context, corpus.separator), seed).to(
            team.device
        )
        self.sharded = team.count > 1 and not fits_on_each(self.model, team.device) if sharded is None else sharded
        if self.sharded:
            shard_in_place(self.model, mixed_precision=self.bf16)
        groups = parameter_groups(self.model, shape, config.context)
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)
        loss: nn.Module = _SummedLoss(self.model)
        if team.count > 1 and not self.sharded:
            loss = DistributedDataParallel(loss)
        self._loss = torch.compile(loss) if team.device.type == "cuda" else loss
        self._synchronised = loss
        self.micro_batch = self._micro_batch()

    def step(self, step: int, factor: float) -> float:
        """One update.

        Parameters
        ----------
        step : int
            Number of the step, which says what text it sees.
        factor : float
            Share of the peak learning rate.

        Returns
        -------
        float
            Loss of the batch before the update, nats per token.

        Raises
        ------
        DivergedError
        """
        batch, context = self.shape.batch, self.config.context
        order = training_order(step * batch, batch, self.windows, self.seed)[self.team.rank :: self.team.count]
        pieces = [order[i : i + self.micro_batch] for i in range(0, len(order), self.micro_batch)]
        total = torch.zeros((), device=self.team.device)
        for number, piece in enumerate(pieces, 1):
            with self._no_reduction(unless=number == len(pieces)):
                inputs, targets = self._on_device(self.corpus.windows(piece, context))
                with self._precision():
                    loss = self._loss(inputs, targets) / (len(order) * context)
                loss.backward()
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        mean = self.team.sum([float(total)])[0] / self.team.count
        if not math.isfinite(mean) or not math.isfinite(_whole(norm)):
            raise DivergedError
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group["rate"] * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        return mean

    @torch.no_grad()
    def held_out_loss(self) -> HeldOutLoss:
        """Loss on the corpus's held-out text."""
        windows = self.corpus.held_out_windows(self.config.context)
        together = self.micro_batch * self.team.count
        nats = tokens = 0.0
        for begin in range(0, len(windows), together):
            own = begin + self.team.rank * self.micro_batch
            rows = windows[own : own + self.micro_batch]
            # Every pass has the same shape, and every process the same number of them, as collectives need.
            filling = np.full((self.micro_batch - len(rows), windows.shape[1]), self.corpus.separator)
            inputs, targets = self._on_device(np.concatenate([rows, filling]))
            targets[targets == self.corpus.separator] = _IGNORED
            with self._precision():
                nats += float(self._loss(inputs, targets))
            tokens += float((targets != _IGNORED).sum())
        nats, tokens = self.team.sum([nats, tokens])
        return HeldOutLoss(nats / tokens, nats / math.log(2) / self.corpus.held_out_bytes)

    def snapshot(self) -> dict[str, Any]:
        """Weights and optimiser state, whole, on the CPU; every process must ask."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        model, optimizer = get_state_dict(self.model, self.optimizer, options=options)
        return {"model": model, "optimizer": optimizer}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot; every process must have it."""
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=snapshot["model"],
            optim_state_dict=snapshot["optimizer"],
            options=StateDictOptions(full_state_dict=True),
        )

    def _micro_batch(self) -> int:
        """Sequences per pass: the largest divisor of a process's batch whose logits fit."""
        own = self.shape.batch // self.team.count
        logits = _CPU_LOGITS
        if self.team.device.type == "cuda":
            logits = torch.cuda.get_device_properties(self.team.device).total_memory // 32
        fitting = logits // (self.config.context * self.config.tokenizer.vocabulary)
        return max(size for size in range(1, own + 1) if own % size == 0 and size <= max(1, fitting))

    def _on_device(self, windows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = torch.from_numpy(windows).to(self.team.device, non_blocking=True)
        return tokens[:, :-1], tokens[:, 1:].clone()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.bf16 and not self.sharded:
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def _no_reduction(self, unless: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last pass stay in their process."""
        if self.sharded:
            self.model.set_requires_gradient_sync(unless)
        elif isinstance(self._synchronised, DistributedDataParallel) and not unless:
            return self._synchronised.no_sync()
        return nullcontext()


class _SummedLoss(nn.Module):
    """A causal language model that answers with its loss, so that compiling and DDP see the whole."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.model(input_ids=inputs, use_cache=False).logits
        return functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=_IGNORED
        )


def _whole(norm: torch.Tensor) -> float:
    """A norm whose parts may lie on many processes."""
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
