"""Warmup-stable-decay: one trunk at a constant rate, one short decayed branch per token budget.

A branch starts from the trunk and sees the text that the trunk sees next, so each branch ends exactly
where a run of its own with that budget would: the shared part is trained once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from densing.core.errors import InputError

DECAY_SHARE = 0.1
"""Of a budget's steps, those that decay (Hu et al. 2024, arXiv 2404.06395, use a tenth)."""
WARMUP_TOKENS_PER_PARAMETER = 1.0
"""Independent of the budgets, so that a longer run begins like a shorter one."""


@dataclass(frozen=True)
class Branch:
    """The decayed end of one budget.

    Attributes
    ----------
    start : int
        Trunk step that it leaves from.
    steps : int
        Steps of the whole budget; the branch takes those from `start` on.
    """

    start: int
    steps: int

    def factor(self, step: int) -> float:
        """Share of the peak rate at a step of the branch: 1 − √progress (Hägele et al. 2024)."""
        return 1.0 - float((step - self.start + 1) / (self.steps - self.start + 1)) ** 0.5


@dataclass(frozen=True)
class Schedule:
    """All steps that a rung takes.

    Attributes
    ----------
    warmup : int
        Steps in which the rate rises.
    branches : tuple of Branch
        In increasing order of their budget.
    """

    warmup: int
    branches: tuple[Branch, ...]

    def trunk_factor(self, step: int) -> float:
        """Share of the peak rate at a step of the trunk."""
        return min(1.0, (step + 1) / self.warmup)

    @property
    def trained_steps(self) -> int:
        """Steps of the trunk and of all branches."""
        return self.branches[-1].start + sum(branch.steps - branch.start for branch in self.branches)

    @property
    def separate_steps(self) -> int:
        """Steps that a run of its own for every budget would take."""
        return sum(branch.steps for branch in self.branches)


def make_schedule(name: str, params: int, budgets: Sequence[float], tokens_per_step: int) -> Schedule:
    """The schedule of a model.

    Parameters
    ----------
    name : str
        Of the model, for messages.
    params : int
        Parameters without embeddings.
    budgets : sequence of float
        Tokens, increasing; rounded to whole steps.
    tokens_per_step : int
        Batch times context.

    Raises
    ------
    InputError
        If a budget is too short for its warmup, or two budgets round to the same steps.
    """
    warmup = max(1, round(WARMUP_TOKENS_PER_PARAMETER * params / tokens_per_step))
    branches = []
    for tokens in budgets:
        steps = round(tokens / tokens_per_step)
        start = steps - max(1, round(DECAY_SHARE * steps))
        if start < warmup:
            raise InputError(
                f"{name}: a budget of {tokens:,.0f} tokens is {steps} steps of {tokens_per_step:,} tokens, too few "
                f"for {warmup} of warmup and a decay; lower its batch or the context, or raise the budget"
            )
        branches.append(Branch(start, steps))
    if len({branch.steps for branch in branches}) < len(branches):
        raise InputError(f"{name}: two budgets round to the same number of steps of {tokens_per_step:,} tokens")
    return Schedule(warmup, tuple(branches))
