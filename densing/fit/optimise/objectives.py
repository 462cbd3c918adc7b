"""What a fit minimises: the loss of a residual, its slope, and two curvatures.

The sum over points is always a sum, never a mean: L-BFGS and its kind stop at an absolute tolerance,
and a mean divides the objective below it (the published Chinchilla refit stopped early that way).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from densing.core.arrays import FloatArray
from densing.fit.status import FitError

ObjectiveName = Literal["least-squares", "log-least-squares", "huber-log"]


@dataclass(frozen=True)
class Objective:
    """Sum of ρ(residual); quadratic without `delta`, Huber's function with it.

    Attributes
    ----------
    logarithmic : bool
        Residuals are differences of ln y rather than of y.
    delta : float or None
        Residual at which Huber's ρ turns from r²/2 to δ(|r| − δ/2). None: ρ = r² (a sum of squares).
    """

    logarithmic: bool = False
    delta: float | None = None

    @classmethod
    def named(cls, name: str, delta: float) -> Objective:
        """The objective of that name; `delta` matters to ``huber-log`` alone.

        Raises
        ------
        FitError
            If the name is not one of the three, or Huber's δ is not positive and finite.
        """
        known = {
            "least-squares": cls(),
            "log-least-squares": cls(logarithmic=True),
            "huber-log": cls(logarithmic=True, delta=delta),
        }
        if name not in known:
            raise FitError(f"unknown objective {name!r}; choose one of {', '.join(known)}")
        if name == "huber-log" and not 0 < delta < np.inf:
            raise FitError(f"Huber's delta={delta:g} must be positive and finite")
        return known[name]

    def scaled(self, values: FloatArray) -> FloatArray:
        """Values of y on the scale of the residuals: y itself or its logarithm."""
        return np.log(values) if self.logarithmic else values

    def unscaled(self, values: FloatArray) -> FloatArray:
        """The inverse of `scaled`."""
        return np.exp(values) if self.logarithmic else values

    def residual(self, target: FloatArray, predicted: FloatArray) -> FloatArray:
        """Residuals of a prediction, y − ŷ or ln(y/ŷ)."""
        return np.log(target / predicted) if self.logarithmic else target - predicted

    def rho(self, residual: FloatArray) -> FloatArray:
        """Loss of each residual."""
        if self.delta is None:
            return residual**2
        size = np.abs(residual)
        return np.where(size <= self.delta, 0.5 * residual**2, self.delta * (size - 0.5 * self.delta))

    def psi(self, residual: FloatArray) -> FloatArray:
        """dρ/dr."""
        if self.delta is None:
            return 2.0 * residual
        return np.clip(residual, -self.delta, self.delta)

    def curvature(self, residual: FloatArray) -> FloatArray:
        """d²ρ/dr², zero on Huber's straight arms."""
        if self.delta is None:
            return np.full_like(residual, 2.0)
        return (np.abs(residual) <= self.delta).astype(float)

    def majoriser(self, residual: FloatArray) -> FloatArray:
        """ψ(r)/r: the weight of a parabola that touches ρ at r and lies above it everywhere."""
        if self.delta is None:
            return np.full_like(residual, 2.0)
        return self.delta / np.maximum(np.abs(residual), self.delta)
