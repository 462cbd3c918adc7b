"""The score curve S(L) = c / (1 + exp(−γ(L − l))) + d: from conditional loss to benchmark score.

Equation (2) of the densing law. With γ < 0 and c ≥ 0 the score never rises with the loss; d is the
chance floor and c + d the ceiling, both linear, so the search runs over the steepness −γ and the
midpoint l alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from densing.fit.bootstrap import Resampling, leverage
from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.projection import FloatArray, IntArray
from densing.fit.optimise.search import find_optima
from densing.fit.profile import Interval, Profile, likelihood_interval, profile_costs, region_limit
from densing.fit.status import FitStatus

if TYPE_CHECKING:
    import pandas as pd

CURVE_CONSTANTS = ("c", "gamma", "l", "d")
GRID = (32, 48)
"""Nodes of the search axes of ln(−γ) and l; replicates make do with half as many of each."""
ANCHOR = (0.0, 100.0)
"""The point the article's curves are held to: a model without loss answers everything."""


@dataclass(frozen=True)
class ScoreCurve:
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
    def ceiling(self) -> float:
        """Score at vanishing loss, c + d, percent."""
        return self.c + self.d

    def score(self, loss: ArrayLike) -> Any:
        """Score at a loss, percent."""
        return self.c * expit(self.gamma * (np.asarray(loss, float) - self.l)) + self.d

    def loss(self, score: ArrayLike) -> Any:
        """L̂ = l − ln(c/(S − d) − 1)/γ; NaN unless d < S < c + d; negative over S(0)."""
        rise = (np.asarray(score, float) - self.d) / self.c
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = self.l - np.log(1 / rise - 1) / self.gamma
        return np.where((rise > 0) & (rise < 1), loss, np.nan)

    def loss_slope(self, score: ArrayLike) -> Any:
        """dL̂/dS, nats per percentage point: how an error of the score enters."""
        above, below = np.asarray(score, float) - self.d, self.ceiling - np.asarray(score, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((above > 0) & (below > 0), self.c / (self.gamma * above * below), np.nan)

    @property
    def constants(self) -> FloatArray:
        """c, gamma, l, d as an array of four."""
        return np.array([self.c, self.gamma, self.l, self.d])


@dataclass(frozen=True)
class ScoreCurveMode(ScoreCurve):
    """One optimum of a fit, with its objective (weighted sum of squares, percent²) and status."""

    objective: float = np.nan
    status: FitStatus = FitStatus.CONVERGED
    bounds_hit: tuple[str, ...] = ()


@dataclass(frozen=True)
class CurveModel:
    """The curve on its points; θ = (ln(−γ), l). A fixed floor or ceiling moves into the offset."""

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
        """c, gamma, l, d from shapes (..., 2) and coefficients (..., p): (..., 4)."""
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

    def slopes(self, theta: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Derivatives by ln(−γ) and l."""
        rise = self.rise(theta)
        steepness = np.exp(theta[:, :1])
        change = -self.constants(theta, coefficients)[:, :1] * rise * (1 - rise) * steepness
        return np.stack([change * (self.at_loss - theta[:, 1:2]), -change], -1)


@dataclass(frozen=True)
class ScoreCurveFit:
    """Everything the checkpoints say about the score curve.

    Attributes
    ----------
    modes : tuple of ScoreCurveMode
        All distinct optima, best first.
    status : FitStatus
    notes : tuple of str
        Why it is not identified, and which part of the curve no checkpoint reaches.
    loss, score, weights : array, shape (n,)
        Points without the anchor, in increasing order of loss; weights in 1/percent² up to a factor.
    rows : array, shape (n,)
        Row of the caller's data behind each point.
    """

    modes: tuple[ScoreCurveMode, ...]
    status: FitStatus
    notes: tuple[str, ...]
    limit: float
    floor: float | None
    ceiling: float | None
    anchor: bool
    loss: FloatArray = field(repr=False)
    score: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    rows: IntArray = field(repr=False)

    @property
    def best(self) -> ScoreCurveMode:
        """The optimum with the smallest objective."""
        return self.modes[0]

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest score on the curve that the fitted checkpoints span, percent."""
        return float(self.best.score(self.loss[-1])), float(self.best.score(self.loss[0]))

    def reaches(self, score: ArrayLike) -> Any:
        """Whether a score lies on the part of the curve that checkpoints span."""
        low, high = self.reach
        return (np.asarray(score, float) >= low) & (np.asarray(score, float) <= high)

    def residuals(self, mode: int = 0) -> pd.DataFrame:
        """Points with predicted score and residual, percentage points."""
        import pandas as pd

        predicted = self.modes[mode].score(self.loss)
        return pd.DataFrame(
            {"loss": self.loss, "score": self.score, "predicted": predicted, "residual": self.score - predicted}
        )

    @cached_property
    def _model(self) -> CurveModel:
        return curve_model(self.loss, self.floor, self.ceiling, self.anchor)

    @cached_property
    def _data(self) -> tuple[FloatArray, FloatArray]:
        """Scores and weights with the anchor's appended."""
        return with_anchor(self.score, self.weights, self.anchor)

    def profile(self, name: str, level: float = 0.95) -> Profile:
        """Objective along the midpoint ``l`` or the steepness ``gamma``, and its likelihood interval."""
        if name not in ("l", "gamma"):
            raise ValueError(f"no profile of {name!r}; choose l or gamma")
        index = 1 if name == "l" else 0
        model, (target, weights) = self._model, self._data
        at = [mode.l if name == "l" else float(np.log(-mode.gamma)) for mode in self.modes]
        low, high = model.box[index]
        near = [a + (high - low) / 40 * np.array([-0.6, -0.2, -0.05, 0, 0.05, 0.2, 0.6]) for a in at]
        scan = np.unique(np.clip(np.concatenate([np.linspace(low, high, 41), *near]), low, high))
        axes = curve_axes(model)
        limit = self._limit(level)

        def costs(values: FloatArray) -> FloatArray:
            return profile_costs(model, Objective(), axes, index, values, target, weights)

        interval, values, objective = likelihood_interval(costs, scan, limit, level)
        if name == "gamma":
            pieces = tuple((-float(np.exp(b)), -float(np.exp(a))) for a, b in reversed(interval.pieces))
            values, objective = -np.exp(values[::-1]), objective[::-1]
            interval = Interval(pieces[0][0], pieces[-1][1], level, interval.open_high, interval.open_low, pieces)
        return Profile(name, values, objective, limit, interval)

    def _limit(self, level: float) -> float:
        target, weights = self._data
        at = np.append(self.loss, ANCHOR[0]) if self.anchor else self.loss
        residual = target - self.best.score(at)
        free = 2 + (self.floor is None) + (self.ceiling is None)
        return region_limit(Objective(), residual, weights, self.best.objective, free, level)

    def bootstrap(self, plan: Resampling) -> ScoreCurveDraws:
        """Refit every replicate of a plan over the caller's rows; the anchor is in all of them.

        Parameters
        ----------
        plan : Resampling
            Over the rows that were fitted, in the caller's order.
        """
        model, (target, weights) = self._model, self._data
        theta = np.array([[np.log(-self.best.gamma), self.best.l]])
        slopes = _all_slopes(model, theta, self.best)
        predicted = self.best.score(np.append(self.loss, ANCHOR[0]) if self.anchor else self.loss)
        pull = leverage(slopes, weights)
        replicates, points = len(plan), len(self.loss)
        local = plan.reordered(self.rows)
        # Residuals of unequal weight are made comparable before they change places.
        root = np.sqrt(weights[:points])
        targets = np.empty((replicates, len(target)))
        scaled = local.targets(predicted[:points] * root, (target - predicted)[:points] * root, pull[:points])
        targets[:, :points] = scaled / root
        targets[:, points:] = target[points:]
        multiplicity = np.ones((replicates, len(target)))
        multiplicity[:, :points] = local.multiplicity
        optima = find_optima(model, Objective(), curve_axes(model, share=2), targets, multiplicity * weights)
        return ScoreCurveDraws(plan.kind, model.constants(optima.theta, optima.coefficients), optima.cost)

    def to_frame(self) -> pd.DataFrame:
        """One row per optimum."""
        import pandas as pd

        return pd.DataFrame(
            [
                {name: getattr(mode, name) for name in CURVE_CONSTANTS}
                | {"ceiling": mode.ceiling, "objective": mode.objective, "status": str(mode.status)}
                for mode in self.modes
            ],
            index=[f"optimum {i + 1}" for i in range(len(self.modes))],
        )

    def __str__(self) -> str:
        return "\n".join(
            [
                f"Score curve on {len(self.loss)} points{' and the anchor' if self.anchor else ''}: {self.status}",
                self.to_frame().to_string(float_format=lambda value: f"{value:.5g}"),
                *(f"  {note}" for note in self.notes),
            ]
        )

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{note}</li>" for note in self.notes)
        table = self.to_frame().to_html(float_format=lambda value: f"{value:.5g}")
        return f"<p>Score curve on {len(self.loss)} points: {self.status}</p>{table}<ul>{notes}</ul>"


@dataclass(frozen=True)
class ScoreCurveDraws:
    """Constants of every optimum of every replicate.

    Attributes
    ----------
    constants : array, shape (R, M, 4)
        c, gamma, l, d; best optimum first, NaN where absent.
    objective : array, shape (R, M)
    """

    kind: str
    constants: FloatArray
    objective: FloatArray

    @property
    def best(self) -> FloatArray:
        """Constants of each replicate's best optimum, (R, 4)."""
        return self.constants[:, 0]


def curve_model(loss: FloatArray, floor: float | None, ceiling: float | None, anchor: bool) -> CurveModel:
    """The model with its box: a rise no wider than 10 spans of the data and no narrower than a
    thirtieth of one, its middle between loss 0 and one span beyond the data.
    """
    span = float(np.ptp(loss))
    at = np.append(loss, ANCHOR[0]) if anchor else loss
    steepness = (float(np.log(0.4 / span)), float(np.log(120 / span)))
    return CurveModel(at, floor, ceiling, (steepness, (0.0, float(loss[-1]) + span)))


def with_anchor(score: FloatArray, weights: FloatArray, anchor: bool) -> tuple[FloatArray, FloatArray]:
    """Scores and weights with those of the anchor appended, which weighs as much as the median point."""
    if not anchor:
        return score, weights
    return np.append(score, ANCHOR[1]), np.append(weights, np.median(weights))


def curve_axes(model: CurveModel, share: int = 1) -> list[FloatArray]:
    """Search axes of ln(−γ) and l, with one node in `share`."""
    return [np.linspace(*bounds, nodes // share) for bounds, nodes in zip(model.bounds, GRID, strict=True)]


def _all_slopes(model: CurveModel, theta: FloatArray, curve: ScoreCurve) -> FloatArray:
    """Slopes of the prediction by every free constant, (n, k)."""
    _, columns = model.columns(theta)
    free = [curve.d] if model.ceiling is not None else ([curve.c] if model.floor is not None else [curve.c, curve.d])
    coefficients = np.array([free[: columns.shape[-1]]])
    return np.concatenate([model.slopes(theta, coefficients)[0], columns[0]], -1)
