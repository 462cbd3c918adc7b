"""The loss law as separable models: plain, and rewritten so that a quantity of interest is a parameter.

A profile of, say, the effective size needs the best fit among all laws that give that size. Rewriting
the law with the size as one of its shape parameters turns that into the fit of another separable model,
so one search and one optimiser serve the fit and every profile.

In the columns N and D are divided by their geometric means (`params_unit`, `tokens_unit`): the
coefficients are then of the order of the loss and nearly uncorrelated with the exponents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from densing.core.arrays import FloatArray

Form = Literal["two-term", "irreducible", "params-only"]
TERMS: dict[Form, tuple[str, ...]] = {
    "two-term": ("a", "b"),
    "irreducible": ("a", "b", "E"),
    "params-only": ("a", "E"),
}
"""Linear coefficients of each form, in the order of the columns."""

EXPONENT_BOX = (0.01, 2.0)
"""Where exponents are looked for. Below 0.01 a power of any N in use is a constant (E says that
better); published exponents lie between 0.08 and 0.7."""


@dataclass(frozen=True)
class Design:
    """The (N, D) points of a fit and the form of its law.

    Attributes
    ----------
    params, tokens : array, shape (n,)
    """

    form: Form
    params: FloatArray
    tokens: FloatArray
    log_params: FloatArray = field(init=False, repr=False)
    log_tokens: FloatArray = field(init=False, repr=False)
    params_unit: float = field(init=False)
    tokens_unit: float = field(init=False)

    def __post_init__(self) -> None:
        log_params, log_tokens = np.log(self.params), np.log(self.tokens)
        object.__setattr__(self, "params_unit", float(np.exp(log_params.mean())))
        object.__setattr__(self, "tokens_unit", float(np.exp(log_tokens.mean())))
        object.__setattr__(self, "log_params", log_params - log_params.mean())
        object.__setattr__(self, "log_tokens", log_tokens - log_tokens.mean())

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the linear coefficients."""
        return TERMS[self.form]

    @property
    def has_tokens(self) -> bool:
        """Whether the law has a term in D."""
        return "b" in self.terms

    def exponent_axes(self, nodes: int) -> list[FloatArray]:
        """Search axes of (α, β), from edge to edge of the box in equal ratios."""
        axis = np.geomspace(*EXPONENT_BOX, nodes)
        return [axis, axis if self.has_tokens else np.array([1.0])]

    def share_axis(self) -> FloatArray:
        """Search axis of the share of the floor at D₀ that no amount of data removes: E / floor."""
        fixed = {"two-term": 0.0, "params-only": 1.0}
        return np.array([fixed[self.form]]) if self.form in fixed else np.linspace(0.0, 1.0, 9)


def _powers(exponents: FloatArray, logs: FloatArray) -> FloatArray:
    """x^(−exponent) for B exponents and n values of ln x: (B, n)."""
    return np.exp(-exponents[:, None] * logs)


@dataclass(frozen=True)
class PlainLaw:
    """L = a·N^−α + b·D^−β + E with the terms of the form; θ = (α, β)."""

    design: Design

    @property
    def box(self) -> FloatArray:
        """Bounds of α and β."""
        return np.array([EXPONENT_BOX, EXPONENT_BOX])

    def _term(self, name: str, theta: FloatArray) -> FloatArray:
        if name == "a":
            return _powers(theta[:, 0], self.design.log_params)
        if name == "b":
            return _powers(theta[:, 1], self.design.log_tokens)
        return np.ones((len(theta), len(self.design.params)))

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """No offset; one column per term."""
        columns = np.stack([self._term(name, theta) for name in self.design.terms], -1)
        return np.zeros(columns.shape[:2]), columns

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by α and β."""
        by_alpha = -coefficients[:, :1] * self.design.log_params * self._term("a", theta)
        if not self.design.has_tokens:
            return np.stack([by_alpha, np.zeros_like(by_alpha)], -1)
        by_beta = -coefficients[:, 1:2] * self.design.log_tokens * self._term("b", theta)
        return np.stack([by_alpha, by_beta], -1)


@dataclass(frozen=True)
class PinnedLaw:
    """The same law with one coefficient as a shape parameter; θ = (α, β, ln coefficient).

    The coefficient is in the law's own units (`a`, not a over N's unit).
    """

    design: Design
    name: str

    @property
    def box(self) -> FloatArray:
        """Bounds of α, β and the logarithm of the coefficient."""
        return np.array([EXPONENT_BOX, EXPONENT_BOX, (-50.0, 100.0)])

    def _split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The pinned term, its slopes by θ, and the columns of the others."""
        design = self.design
        _, columns = PlainLaw(design).columns(theta[:, :2])
        index = design.terms.index(self.name)
        unit = {"a": np.log(design.params_unit), "b": np.log(design.tokens_unit), "E": 0.0}[self.name]
        exponent = {"a": theta[:, 0], "b": theta[:, 1], "E": np.zeros(len(theta))}[self.name]
        pinned = np.exp(theta[:, 2] - exponent * unit)[:, None] * columns[..., index]
        logs = {"a": design.log_params, "b": design.log_tokens, "E": np.zeros(1)}[self.name] + unit
        slopes = np.zeros((*pinned.shape, 3))
        slopes[..., 2] = pinned
        if self.name != "E":
            slopes[..., "ab".index(self.name)] = -logs * pinned
        return pinned, slopes, np.delete(columns, index, axis=-1)

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The pinned term as offset; one column per other term."""
        pinned, _, others = self._split(theta)
        return pinned, others

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by α, β and the logarithm of the pinned coefficient."""
        _, slopes, _ = self._split(theta)
        index = self.design.terms.index(self.name)
        plain = PlainLaw(self.design).slopes(theta[:, :2], np.insert(coefficients, index, 0.0, axis=1))
        slopes[..., :2] += plain
        return slopes


@dataclass(frozen=True)
class FloorLaw:
    """L = a·N^−α + f·(s + (1 − s)·(D/D₀)^−β); θ = (α, β, s, ln f).

    f is the loss left at D₀ tokens when N is unlimited, s the share of it that is E.
    """

    design: Design
    at_tokens: float

    @property
    def box(self) -> FloatArray:
        """Bounds of α, β, s and ln f."""
        return np.array([EXPONENT_BOX, EXPONENT_BOX, (0.0, 1.0), (-30.0, 10.0)])

    def _floor(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        logs = self.design.log_tokens + np.log(self.design.tokens_unit / self.at_tokens)
        return np.exp(theta[:, 3:]), _powers(theta[:, 1], logs), logs

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The data term as offset, N^−α as column."""
        floor, power, _ = self._floor(theta)
        share = theta[:, 2:3]
        offset = floor * (share + (1 - share) * power)
        return offset, _powers(theta[:, 0], self.design.log_params)[..., None]

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by α, β, s and ln f."""
        floor, power, logs = self._floor(theta)
        share = theta[:, 2:3]
        by_alpha = -coefficients * self.design.log_params * _powers(theta[:, 0], self.design.log_params)
        by_beta = -floor * (1 - share) * logs * power
        by_floor = floor * (share + (1 - share) * power)
        return np.stack([by_alpha, by_beta, floor * (1 - power), by_floor], -1)


@dataclass(frozen=True)
class SizeLaw:
    """L = a·N^−α + (L̂ − a·N̂^−α)·(s + (1 − s)·(D/D₀)^−β); θ = (α, β, s, ln N̂).

    By construction a model of N̂ parameters and D₀ tokens has the loss L̂. The floor, L̂ − a·N̂^−α, is not
    held positive: where the data leave it open this widens the region, never narrows it.
    """

    design: Design
    at_loss: float
    at_tokens: float

    @property
    def box(self) -> FloatArray:
        """Bounds of α, β, s and ln N̂ (one parameter to 1e26)."""
        return np.array([EXPONENT_BOX, EXPONENT_BOX, (0.0, 1.0), (0.0, 60.0)])

    def _parts(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Power of N, the same at N̂, power of D, and the logarithms of N̂ and D they are powers of."""
        log_size = theta[:, 3:] - np.log(self.design.params_unit)
        log_data = self.design.log_tokens + np.log(self.design.tokens_unit / self.at_tokens)
        power = _powers(theta[:, 0], self.design.log_params)
        return power, np.exp(-theta[:, :1] * log_size), _powers(theta[:, 1], log_data), log_size, log_data

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The data term of a law whose floor is L̂ as offset; the column trades floor for a·N^−α."""
        power, at_size, data, _, _ = self._parts(theta)
        shape = theta[:, 2:3] + (1 - theta[:, 2:3]) * data
        return self.at_loss * shape, (power - at_size * shape)[..., None]

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by α, β, s and ln N̂."""
        power, at_size, data, log_size, log_data = self._parts(theta)
        share = theta[:, 2:3]
        shape = share + (1 - share) * data
        floor = self.at_loss - coefficients * at_size
        by_alpha = coefficients * (at_size * log_size * shape - power * self.design.log_params)
        by_beta = -floor * (1 - share) * log_data * data
        by_size = coefficients * theta[:, :1] * at_size * shape
        return np.stack([by_alpha, by_beta, floor * (1 - data), by_size], -1)
