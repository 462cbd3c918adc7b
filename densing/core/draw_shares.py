"""What share of the draws behind an interval has no value, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DrawShares:
    """Shares of all draws, each between 0 and 1; the remaining draws have a finite value.

    Attributes
    ----------
    missing : float
        Draws without an answer: their replicate lacks the optimum asked for. They do not enter the interval.
    out_of_range : float
        Draws whose answer is a bound: a score at or under chance or over the ceiling, a loss under the data floor.
    """

    missing: float
    out_of_range: float

    def __str__(self) -> str:
        return f"{self.missing:.1%} missing, {self.out_of_range:.1%} out of range"
