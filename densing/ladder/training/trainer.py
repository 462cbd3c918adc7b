"""Steps of one model: forward, backward, update, on one device or on many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.nn.parallel import DistributedDataParallel

from densing.core.errors import DensingError, InputError
from densing.ladder.config import LadderConfig, Shape
from densing.ladder.corpus.shards import Corpus
from densing.ladder.model import build_model, llama_config, parameter_groups, peak_rates
from densing.ladder.shapes import params
from densing.ladder.training.batches import Batches
from densing.ladder.training.causal_loss import CausalLoss
from densing.ladder.training.distributed import Workers, fits_on_each, shard_in_place
from densing.ladder.training.loss import IGNORED
from densing.ladder.training.memory import bytes_free, bytes_of, refuse_more_than_memory, sequences_that_fit

_CLIP = 1.0
_WEIGHT_BYTES = 4
_LATER_BYTES = 12
"""Per parameter, of the gradient and the two moments, which the first step makes."""


class DivergedError(Exception):
    """The gradient is no longer a finite number; the weights are those before the step that it names.

    Parameters
    ----------
    step : int
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


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
    compiled : bool, optional
        By default on an NVIDIA GPU.

    Raises
    ------
    InputError
        If the corpus is shorter than one sequence.
    DensingError
        If one sequence does not fit in the device's memory.
    """

    def __init__(
        self,
        config: LadderConfig,
        shape: Shape,
        corpus: Corpus,
        team: Workers,
        seed: int,
        sharded: bool | None = None,
        compiled: bool | None = None,
    ) -> None:
        self.config, self.shape, self.corpus, self.team = config, shape, corpus, team
        if not corpus.window_count(config.context):
            raise InputError(
                f"the corpus has {corpus.tokens:,} training tokens, less than one context of {config.context:,}"
            )
        self.batches = Batches(corpus, config.context, shape.batch, seed, team)
        self.bf16 = team.device.type == "cuda" and torch.cuda.is_bf16_supported()
        vocabulary = config.tokenizer.vocabulary
        if corpus.separator >= vocabulary:
            raise InputError(f"{corpus.folder}: its separator is no token of the vocabulary; make the corpus anew")
        refuse_more_than_memory(shape.name, _WEIGHT_BYTES * params(shape, vocabulary))
        self.model = build_model(llama_config(shape, vocabulary, config.context, corpus.separator), seed).to(
            team.device
        )
        self.loss = CausalLoss(self.model, config.context)
        self.sharded = team.count > 1 and not fits_on_each(self.model, team.device) if sharded is None else sharded
        if self.sharded:
            shard_in_place(self.loss, mixed_precision=self.bf16)
        self._parameters = list(self.model.parameters())
        groups = parameter_groups(self.model, peak_rates(shape, config.context, config.learning_rate))
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)
        self.diverged_at = torch.full((), -1.0, device=team.device)
        self.passes, self.sequences = self._passes()
        if team.device.type == "cuda" if compiled is None else compiled:
            self.loss.compile()
        distributed = team.count > 1 and not self.sharded
        self._pass = DistributedDataParallel(self.loss) if distributed else self.loss

    def step(self, step: int, factor: float) -> torch.Tensor:
        """One update. Nothing in it waits for the device.

        Parameters
        ----------
        step : int
            Number of the step, which says what text it sees.
        factor : float
            Share of the peak learning rate.

        Returns
        -------
        tensor, shape ()
            Loss of the batch before the update, nats per token; the mean over the processes is the batch's. From the
            first gradient that is not finite on, nothing is updated any more; `check` tells.
        """
        # The processes' gradients are averaged, so that each divides by its even share of the batch.
        divisor = self.shape.batch * self.config.context / self.team.count
        total = torch.zeros((), device=self.team.device)
        for number, (inputs, targets) in enumerate(self._pieces(self._known(self.batches.of_step(step))), 1):
            with self._no_reduction(unless=number == self.passes):
                with self._precision():
                    loss = self._pass(inputs, targets, divisor)
                loss.backward()
            total += loss.detach()
        norm = _whole(torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP))
        failed = (self.diverged_at < 0) & ~torch.isfinite(norm)
        self.diverged_at = torch.where(failed, float(step), self.diverged_at)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        self.optimizer.found_inf = (self.diverged_at >= 0).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    def check(self) -> None:
        """Wait for the device, and see whether all steps were good.

        Raises
        ------
        DivergedError
        """
        if (step := int(self.diverged_at)) >= 0:
            raise DivergedError(step)

    @torch.no_grad()
    def held_out_loss(self) -> HeldOutLoss:
        """Loss on the corpus's held-out text."""
        windows = self.corpus.held_out_windows(self.config.context)
        together = self.sequences * self.team.count
        nats = tokens = 0.0
        for begin in range(0, len(windows), together):
            own = begin + self.team.rank * self.sequences
            rows = windows[own : own + self.sequences]
            inputs, targets = self._on_device(self._known(torch.from_numpy(rows.copy())))
            targets[targets == self.corpus.separator] = IGNORED
            with self._precision():
                nats += float(self.loss(inputs, targets, 1.0))
            tokens += float((targets != IGNORED).sum())
        nats, tokens = self.team.sum([nats, tokens])
        return HeldOutLoss(nats / tokens, nats / math.log(2) / self.corpus.held_out_bytes)

    def snapshot(self) -> dict[str, Any]:
        """Weights and optimiser state, whole, on the CPU; every process must ask."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        model, optimizer = get_state_dict(self.model, self.optimizer, options=options)
        return {"model": model, "optimizer": optimizer}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot; every process must have it. Settings of the optimiser stay this trainer's."""
        settings = [
            {key: value for key, value in group.items() if key != "params"} for group in self.optimizer.param_groups
        ]
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=snapshot["model"],
            optim_state_dict=snapshot["optimizer"],
            options=StateDictOptions(full_state_dict=True),
        )
        for group, own in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(own)

    def weights(self) -> dict[str, torch.Tensor]:
        """The model's weights as they are released; every process must ask."""
        return self.loss.weights(self.snapshot()["model"])

    def _passes(self) -> tuple[int, int]:
        """Passes per step, and sequences in each: as many as the memory that passes take allows.

        Where one sequence does not fit, layers are computed again in the backward pass.
        """
        device = self.team.device
        own = -(-self.shape.batch // self.team.count)
        promised = _LATER_BYTES * sum(_local(parameter).numel() for parameter in self._parameters)
        free = bytes_free(device, promised)
        for self.loss.recomputed in (False, True):
            try:
                of_one, of_two = (bytes_of(partial(self._try_pass, count), device) for count in (1, 2))
            except torch.cuda.OutOfMemoryError:
                of_one, of_two = free + 1, free + 1
            if (fits := self.team.most(float(of_one > free))) == 0:
                break
            torch.cuda.empty_cache()
        if fits:
            raise DensingError(
                f"{self.shape.name}: one sequence of {self.config.context:,} tokens does not fit in the memory of "
                f"{device}; use a device with more, or several with torchrun"
            )
        passes = int(self.team.most(-(-own // sequences_that_fit(of_one, of_two, free))))
        return passes, -(-own // passes)

    def _try_pass(self, count: int) -> None:
        """Forward and backward on that many sequences, with no trace in the gradients."""
        tokens = torch.zeros((count, self.config.context + 1), dtype=torch.int64)
        inputs, targets = (part.to(self.team.device) for part in (tokens[:, :-1], tokens[:, 1:]))
        with self._precision():
            loss = self.loss(inputs, targets, 1.0)
        loss.backward()
        self.optimizer.zero_grad()

    def _known(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens on the CPU, all of which the embedding has a row for."""
        if len(tokens) and (largest := int(tokens.numpy().max())) >= self.config.tokenizer.vocabulary:
            raise InputError(
                f"{self.corpus.folder}: token {largest:,} lies beyond the vocabulary of "
                f"{self.config.tokenizer.vocabulary:,}; delete the folder and train again to make the corpus anew"
            )
        return tokens

    def _pieces(self, tokens: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and targets of every pass of a step."""
        for number in range(self.passes):
            yield self._on_device(tokens[number * self.sequences : (number + 1) * self.sequences])

    def _on_device(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets; what is missing of a whole pass is filled up with what does not count.

        Every pass has the same shape, for which it is compiled, and every process the same number of them, as their
        exchanges need.
        """
        context = self.config.context
        tokens = windows.to(self.team.device, non_blocking=True)
        inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
        if missing := self.sequences - len(windows):
            inputs = torch.cat([inputs, inputs.new_full((missing, context), self.corpus.separator)])
            targets = torch.cat([targets, targets.new_full((missing, context), IGNORED)])
        return inputs, targets

    def _precision(self) -> AbstractContextManager[Any]:
        if self.bf16 and not self.sharded:
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def _no_reduction(self, unless: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last pass stay in their process."""
        if self.sharded:
            self.loss.set_requires_gradient_sync(unless)  # type: ignore[operator]
        elif isinstance(self._pass, DistributedDataParallel) and not unless:
            return self._pass.no_sync()
        return nullcontext()


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that lies here."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _whole(norm: torch.Tensor) -> torch.Tensor:
    """A norm whose parts may lie on many processes."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
