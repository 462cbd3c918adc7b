"""The text of each step, read while the step before it is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from densing.ladder.corpus.order import training_order
from densing.ladder.corpus.shards import Corpus
from densing.ladder.training.distributed import Workers

_STEPS = 64
"""Whose windows are found together."""


class Batches:
    """A process's share of every batch.

    Parameters
    ----------
    corpus : Corpus
    context, batch : int
        Tokens per sequence, sequences per step over all processes. Where they do not divide evenly, some processes
        have one sequence less.
    seed : int
        Of the order of the text.
    team : Workers
    """

    def __init__(self, corpus: Corpus, context: int, batch: int, seed: int, team: Workers) -> None:
        self.corpus, self.context, self.batch, self.seed, self.team = corpus, context, batch, seed, team
        self.windows = corpus.window_count(context)
        self._orders: tuple[int, NDArray[np.int64]] | None = None
        self._ahead: tuple[int, Future[torch.Tensor]] | None = None
        # A CPU has no one else to read for it, and a step waits for nothing but its memory.
        self._reader = ThreadPoolExecutor(1) if team.device.type != "cpu" else None

    def of_step(self, step: int) -> torch.Tensor:
        """Windows of a step, shape (sequences, context + 1), in page-locked memory where a GPU will fetch them."""
        if self._reader is None:
            return self._read(step)
        expected = self._ahead and self._ahead[0] == step
        tokens = self._ahead[1].result() if self._ahead and expected else self._read(step)
        self._ahead = step + 1, self._reader.submit(self._read, step + 1)
        return tokens

    def _order(self, step: int) -> NDArray[np.int64]:
        """The windows of a step, shape (batch,); found for many steps at once, which takes as long as for one."""
        block, place = divmod(step, _STEPS)
        orders = self._orders
        if orders is None or orders[0] != block:
            order = training_order(block * _STEPS * self.batch, _STEPS * self.batch, self.windows, self.seed)
            self._orders = orders = block, order.reshape(_STEPS, self.batch)
        return orders[1][place]

    def _read(self, step: int) -> torch.Tensor:
        own = self._order(step)[self.team.rank :: self.team.count]
        tokens = torch.from_numpy(self.corpus.windows(own, self.context))
        return tokens.pin_memory() if self.team.device.type == "cuda" else tokens
