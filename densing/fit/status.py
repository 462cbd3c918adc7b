"""What a fit says about itself, and the error for data that cannot be fitted at all."""

from __future__ import annotations

from enum import Enum

from densing.core.errors import InputError


class FitStatus(str, Enum):
    """How far an optimum of a fit can be trusted.

    `CONVERGED`: the best optimum, inside the box; its 95% region stays inside too and holds no other
    optimum.
    `BOUND_HIT`: the best optimum lies on the edge of what was searched, holds a coefficient at zero, or
    needs a score of 100% or more as its ceiling.
    `NOT_IDENTIFIED`: the data leave it open; the 95% region of the best optimum reaches the edge of the
    box, holds another optimum, or holds no dependence at all.
    `REJECTED`: another optimum, which lies outside the 95% region of the best one.
    """

    CONVERGED = "converged"
    BOUND_HIT = "bound hit"
    NOT_IDENTIFIED = "not identified"
    REJECTED = "rejected at 95%"

    def __str__(self) -> str:
        return self.value


class FitError(InputError):
    """The data cannot be fitted; the message names what is wrong and where."""
