"""Profiles of an objective and the likelihood intervals they give.

The interval of a quantity φ holds every value v for which the best fit with φ = v is not significantly
worse than the best fit of all. For least squares the bound is exact in the sense of the F test:
S(v) ≤ S_min·(1 + F₁,ₙ₋ₚ/(n − p)); for Huber's objective the same bound uses the dispersion ψ²/ψ′ of the
residuals (Huber 1981, section 7.10). A region in several pieces is reported whole, from the lowest value
to the highest, so an interval never hides a second optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.polish import polish
from densing.fit.optimise.projection import FloatArray, LogModel, SeparableModel, project
from densing.fit.optimise.search import search


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes
    ----------
    low, high : float
    level : float
        Confidence, 0 to 1.
    open_low, open_high : bool
        The data do not bound this side: the value is the edge of what was searched.
    pieces : tuple of (float, float)
        The region itself; more than one piece when separate optima cannot be told apart.
    """

    low: float
    high: float
    level: float = 0.95
    open_low: bool = False
    open_high: bool = False
    pieces: tuple[tuple[float, float], ...] = ()

    def __contains__(self, value: float) -> bool:
        return bool((self.low <= value or self.open_low) and (value <= self.high or self.open_high))

    @property
    def bounded(self) -> bool:
        """Whether the data bound both sides."""
        return not (self.open_low or self.open_high)

    def __str__(self) -> str:
        if np.isnan(self.low):
            return "not known"
        low = "−∞" if np.isneginf(self.low) else f"{'≤ ' if self.open_low and self.low else ''}{self.low:.4g}"
        high = "∞" if np.isposinf(self.high) else f"{'≥ ' if self.open_high else ''}{self.high:.4g}"
        return f"{low} to {high}"


def hull(first: Interval, second: Interval) -> Interval:
    """Smallest interval that holds both; one that is not known (NaN) adds nothing."""
    known = [interval for interval in (first, second) if not np.isnan(interval.low)]
    if len(known) < 2:
        return (known or [first])[0]
    low, high = min(known, key=lambda i: i.low), max(known, key=lambda i: i.high)
    return Interval(low.low, high.high, first.level, low.open_low, high.open_high, (*first.pieces, *second.pieces))


@dataclass(frozen=True)
class Profile:
    """The objective along one quantity, all others at their best.

    Attributes
    ----------
    name : str
    values, objective : array, shape (v,)
    limit : float
        Objective on the edge of the 95% region.
    interval : Interval
    """

    name: str
    values: FloatArray
    objective: FloatArray
    limit: float
    interval: Interval


def region_limit(
    objective: Objective, residual: FloatArray, weights: FloatArray, cost: float, constants: int, level: float = 0.95
) -> float:
    """Largest objective inside the likelihood region of one quantity.

    Parameters
    ----------
    residual, weights : array, shape (n,)
        At the optimum whose objective is `cost`.
    constants : int
        Constants fitted, p.
    """
    freedom = len(residual) - constants
    curvature = objective.curvature(residual).mean()
    if curvature == 0:  # no residual within Huber's delta: the dispersion cannot be judged
        return np.inf
    dispersion = float((weights * objective.psi(residual) ** 2).sum() / freedom / curvature)
    # Residuals that are rounding errors of an exact law still leave a region of rounding's size.
    return cost + max(0.5 * dispersion * float(fdtri(1, freedom, level)), 1e-12 * cost, 1e-300)


def profile_costs(
    model: SeparableModel,
    objective: Objective,
    axes: Sequence[FloatArray],
    index: int,
    values: FloatArray,
    target: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    """Smallest objective with shape parameter `index` held at each value, over all optima.

    Parameters
    ----------
    axes : search axes of the other parameters (the entry at `index` is not used)
    values : array, shape (v,)
    target, weights : array, shape (n,)

    Returns
    -------
    array, shape (v,)
    """
    relative = weights / target**2 if objective.logarithmic else weights
    starts, owners = [], []
    for number, value in enumerate(values):
        at = [np.array([value]) if i == index else axis for i, axis in enumerate(axes)]
        _, theta = search(model, at, target[None], relative[None])
        starts.append(theta)
        owners.append(np.full(len(theta), number))
    theta, owner = np.concatenate(starts), np.concatenate(owners)
    repeat = (len(theta), 1)
    targets, all_weights = np.tile(target, repeat), np.tile(weights, repeat)
    single = tuple(i for i, axis in enumerate(axes) if len(axis) == 1)
    frozen = (*single, index)
    if objective.logarithmic:
        offset, columns = model.columns(theta)
        start = project(columns, targets - offset, np.tile(relative, repeat))
        theta = np.concatenate([theta, np.log(np.maximum(start, 1e-20))], 1)
        model, targets = LogModel(model, columns.shape[-1]), np.log(targets)
    _, _, cost = polish(model, objective, theta, targets, all_weights, frozen=frozen)
    best = np.full(len(values), np.inf)
    np.minimum.at(best, owner, cost)
    return best


def likelihood_interval(
    costs: Callable[[FloatArray], FloatArray],
    scan: FloatArray,
    limit: float,
    level: float = 0.95,
) -> tuple[Interval, FloatArray, FloatArray]:
    """The region where `costs` stays under `limit`, its ends refined to 1/1,000 of the scan's spacing.

    Parameters
    ----------
    costs : callable
        Profile objective at an array of values.
    scan : array, shape (v,)
        Increasing values from edge to edge; must hold the optima.

    Returns
    -------
    interval : Interval
    values, objective : array
        Everything evaluated on the way, in increasing order of value.
    """
    values, objective = scan, costs(scan)
    for _ in range(3):
        inside = objective <= limit
        crossing = np.flatnonzero(inside[1:] != inside[:-1])
        if not len(crossing):
            break
        steps = np.linspace(0, 1, 11)[1:-1]
        width = values[crossing + 1] - values[crossing]
        extra = (values[crossing, None] + width[:, None] * steps).ravel()
        values, objective = np.concatenate([values, extra]), np.concatenate([objective, costs(extra)])
        order = np.argsort(values)
        values, objective = values[order], objective[order]
    inside = objective <= limit
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    pieces = tuple((float(values[i]), float(values[j - 1])) for i, j in zip(edges[::2], edges[1::2], strict=True))
    interval = Interval(pieces[0][0], pieces[-1][1], level, bool(inside[0]), bool(inside[-1]), pieces)
    return interval, values, objective
