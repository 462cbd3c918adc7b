"""The score curve S(L) = c / (1 + exp(−γ(L − l))) + d: from conditional loss to benchmark score.

Equation (2) of the densing law. With γ < 0 and c ≥ 0 the score never rises with the loss; d is the
chance floor and c + d the ceiling, both linear, so the search runs over the steepness −γ and the
midpoint l alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from densing.core.arrays import FloatArray
from densing.core.results import Result

CURVE_CONSTANTS = ("c", "gamma", "l", "d")
GRID = (32, 48)
"""Nodes of the search axes of ln(−γ) and l; replicates make do with half as many of each."""
ANCHOR = (0.0, 100.0)
"""The point the article's curves are held to: a model without loss answers everything."""


@dataclass(frozen=True, repr=False)
class ScoreCurve(Result):
    """S(L) = c / (1 + exp(−γ(L − l))) + d, in percent.

    Attributes
    ----------
    c : float
        Rise from floor to ceiling, percentage points.
    gamma : float
        Steepness, per nat; negative.
    l : float
        Loss at half the rise, nats per token.
    d : float
        Floor (chance), percent.
    """

    c: float
    gamma: float
    l: float  # noqa: E741 - the method's own symbol
    d: float

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        return f"S = {self.c:.4g} / (1 + exp({-self.gamma:.4g}·(L − {self.l:.4g}))) + {self.d:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """The constants by name."""
        return dict(vars(self))

    @property
    def ceiling(self) -> float:
        """Score that the curve tends to as the loss falls, c + d, percent."""
        return self.c + self.d

    def score(self, loss: ArrayLike) -> Any:
        """Score at a loss, percent."""
        return self.c * expit(self.gamma * (np.asarray(loss, float) - self.l)) + self.d

    @property
    def constants(self) -> FloatArray:
        """c, gamma, l, d as an array of four."""
        return np.array([self.c, self.gamma, self.l, self.d])


def score_band(constants: FloatArray, loss: ArrayLike, level: float = 0.95) -> FloatArray:
    """Return the percentile band of the scores that draws of a curve's constants give at each loss.

    Parameters
    ----------
    constants : array, shape (R, 4)
        c, gamma, l, d of each draw; a draw with NaN is missing and does not count.
    loss : array, shape (n,)
        Nats per token.
    level : float
        Share of the draws inside the band, 0 to 1.

    Returns
    -------
    array, shape (2, n)
        Lower and upper edge, percent.
    """
    c, gamma, middle, d = (constants[:, i : i + 1] for i in range(4))
    scores = c * expit(gamma * (np.asarray(loss, float) - middle)) + d
    return np.asarray(np.nanquantile(scores, [(1 - level) / 2, (1 + level) / 2], axis=0))


@dataclass(frozen=True, repr=False)
class ScoreCurveOptimum(ScoreCurve):
    """One optimum of a fit of the score curve.

    Attributes
    ----------
    objective : float
        Weighted sum of squares, percent².
    bounds_hit : tuple of str
        Names of what lies on a bound: ``gamma``, ``l`` or ``c`` (a curve that does not rise), or a
        ``ceiling`` of 100% or more. A floor of zero is a floor.
    """

    objective: float = np.nan
    bounds_hit: tuple[str, ...] = ()


@dataclass(frozen=True)
class CurveModel:
    """The curve on its points; θ = (ln(−γ), l). A fixed floor or ceiling moves into the offset.

    Attributes
    ----------
    at_loss : array, shape (n,)
        Losses of the points, the anchor's last where there is one.
    floor, ceiling : float or None
        Percent where held fixed, None where free.
    bounds : pair of (float, float)
        Box of ln(−γ) and l.
    """

    at_loss: FloatArray
    floor: float | None
    ceiling: float | None
    bounds: tuple[tuple[float, float], tuple[float, float]]

    @property
    def box(self) -> FloatArray:
        """Bounds of ln(−γ) and l."""
        return np.array(self.bounds)

    def rise(self, theta: FloatArray) -> FloatArray:
        """Share of the way from floor to ceiling at every point, (B, n)."""
        return expit(-np.exp(theta[:, :1]) * (self.at_loss - theta[:, 1:2]))

    def columns(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The fixed part as offset; columns of the free floor and ceiling."""
        rise = self.rise(theta)
        ones = np.ones_like(rise)
        if self.floor is None and self.ceiling is None:  # c·rise + d
            return np.zeros_like(rise), np.stack([rise, ones], -1)
        if self.floor is None:  # ceiling·rise + d·(1 − rise)
            return self._top * rise, (1 - rise)[..., None]
        if self.ceiling is None:  # floor + c·rise
            return self.floor * ones, rise[..., None]
        return self.floor + (self.ceiling - self.floor) * rise, np.empty((*rise.shape, 0))

    @property
    def _top(self) -> float:
        assert self.ceiling is not None
        return self.ceiling

    def constants(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return c, gamma, l, d (..., 4) from shape parameters (..., 2) and coefficients (..., p)."""
        nothing = np.zeros(theta.shape[:-1])
        if self.floor is None and self.ceiling is None:
            c, d = coefficients[..., 0], coefficients[..., 1]
        elif self.floor is None:
            d = coefficients[..., 0]
            c = self._top - d
        else:
            d = nothing + self.floor
            c = coefficients[..., 0] if self.ceiling is None else nothing + self.ceiling - self.floor
        return np.stack([c, -np.exp(theta[..., 0]), theta[..., 1], d], -1)

    def shape_of(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return shape parameters (..., 2) and coefficients (..., p) from constants: `constants` undone."""
        theta = np.stack([np.log(-constants[..., 1]), constants[..., 2]], -1)
        if self.ceiling is not None:
            free = [3] if self.floor is None else []
        else:
            free = [0, 3] if self.floor is None else [0]
        return theta, constants[..., free]

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by ln(−γ) and l."""
        rise = self.rise(theta)
        steepness = np.exp(theta[:, :1])
        change = -self.constants(theta, coefficients)[:, :1] * rise * (1 - rise) * steepness
        return np.stack([change * (self.at_loss - theta[:, 1:2]), -change], -1)


def curve_model(loss: FloatArray, floor: float | None, ceiling: float | None, anchor: bool) -> CurveModel:
    """Return the model of points in increasing order of loss, with its box.

    A rise is no wider than 10 spans of the data and no narrower than a thirtieth of one; its middle lies
    between loss 0 and one span beyond the data.
    """
    span = float(np.ptp(loss))
    at = np.append(loss, ANCHOR[0]) if anchor else loss
    steepness = (float(np.log(0.4 / span)), float(np.log(120 / span)))
    return CurveModel(at, floor, ceiling, (steepness, (0.0, float(loss[-1]) + span)))


def curve_axes(model: CurveModel, share: int = 1) -> list[FloatArray]:
    """Return the search axes of ln(−γ) and l, with one node in `share`."""
    return [np.linspace(*bounds, nodes // share) for bounds, nodes in zip(model.bounds, GRID, strict=True)]
