"""What a fit says about itself, and the error for data that cannot be fitted at all."""

from __future__ import annotations

from enum import Enum

from densing.core.errors import InputError


class FitStatus(str, Enum):
    """How far a fit can be trusted.

    `CONVERGED`: an optimum inside the box whose 95% region stays inside too and holds no other optimum.
    `BOUND_HIT`: the optimum lies on the edge of the box, or a coefficient is held at zero.
    `NOT_IDENTIFIED`: the data leave a shape parameter open: its 95% region reaches the edge of the box
    or holds a second optimum.
    """

    CONVERGED = "converged"
    BOUND_HIT = "bound hit"
    NOT_IDENTIFIED = "not identified"

    def __str__(self) -> str:
        return self.value


class FitError(InputError):
    """The data cannot be fitted; the message names what is wrong and where."""
