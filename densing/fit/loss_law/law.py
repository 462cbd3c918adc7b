"""The loss law L(N, D) = a·N^−α + b·D^−β + E.

Equation (1) of the densing law (Xiao et al. 2025, doi 10.1038/s42256-025-01137-0) without E; E is
Hoffmann et al.'s irreducible loss (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import FloatArray
from densing.core.results import Result
from densing.fit.loss_law.forms import Design

CONSTANTS = ("a", "alpha", "b", "beta", "E")


@dataclass(frozen=True, repr=False)
class LossLaw(Result):
    """L(N, D) = a·N^−α + b·D^−β + E, in nats per token.

    Attributes
    ----------
    a, alpha, b, beta, E : float
        Constants of the terms; those that the form of the law lacks are zero.
    """

    a: float
    alpha: float
    b: float
    beta: float
    E: float = 0.0

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        law = f"L = {self.a:.4g}·N^−{self.alpha:.4g} + {self.b:.4g}·D^−{self.beta:.4g}"
        return law + (f" + {self.E:.4g}" if self.E else "")

    def to_dict(self) -> dict[str, Any]:
        """The constants by name."""
        return dict(vars(self))

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Any:
        """Loss of models of N parameters trained on D tokens; arrays broadcast."""
        params, tokens = np.asarray(params, float), np.asarray(tokens, float)
        return self.a * params**-self.alpha + self.b * tokens**-self.beta + self.E

    def data_floor(self, tokens: ArrayLike) -> Any:
        """Loss that remains at D tokens when N is unlimited: b·D^−β + E."""
        return self.b * np.asarray(tokens, float) ** -self.beta + self.E

    @property
    def constants(self) -> FloatArray:
        """a, alpha, b, beta, E as an array of five."""
        return np.array([self.a, self.alpha, self.b, self.beta, self.E])


@dataclass(frozen=True, repr=False)
class LossLawOptimum(LossLaw):
    """One optimum of a fit of the loss law.

    Attributes
    ----------
    objective : float
        Sum of squares (of L or ln L) or sum of Huber's losses.
    delta_aic : float
        Akaike difference to the best optimum: n·ln of the ratio of sums of squares (twice that for
        Huber's objective, whose likelihood is Laplace's).
    bounds_hit : tuple of str
        Names of the constants that lie on an edge of the box or are held at zero.
    """

    objective: float = np.nan
    delta_aic: float = 0.0
    bounds_hit: tuple[str, ...] = ()


def law_constants(design: Design, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Return a, α, b, β, E (..., 5) from shape parameters (..., 2) and coefficients (..., p)."""
    constants = np.zeros((*theta.shape[:-1], 5))
    constants[..., 1] = theta[..., 0]
    if design.has_tokens:
        constants[..., 3] = theta[..., 1]
    for column, name in enumerate(design.terms):
        constants[..., CONSTANTS.index(name)] = coefficients[..., column] * _units(design, theta)[name]
    return constants


def law_shape(design: Design, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return shape parameters (..., 2) and coefficients (..., p) from constants: `law_constants` undone."""
    theta = constants[..., [1, 3]]
    units = _units(design, theta)
    linear = [constants[..., CONSTANTS.index(name)] / units[name] for name in design.terms]
    return theta, np.stack(linear, -1)


def _units(design: Design, theta: FloatArray) -> dict[str, Any]:
    """Factor from the coefficient of each column to the law's own constant."""
    return {"a": design.params_unit ** theta[..., 0], "b": design.tokens_unit ** theta[..., 1], "E": 1.0}
