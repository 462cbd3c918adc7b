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

from densing.core.arrays import FloatArray
from densing.core.intervals import Interval
from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.polish import polish
from densing.fit.optimise.projection import LogModel, SeparableModel, project
from densing.fit.optimise.search import search
from densing.fit.status import FitError


@dataclass(frozen=True)
class Problem:
    """What a fit minimises: the objective of a model on its points.

    Attributes
    ----------
    model : SeparableModel
    objective : Objective
    target, weights : array, shape (n,)
    constants : int
        Constants fitted, p.
    """

    model: SeparableModel
    objective: Objective
    target: FloatArray
    weights: FloatArray
    constants: int


@dataclass(frozen=True)
class Quantity:
    """A quantity that a profile runs along: one shape parameter of a model of the same points.

    The profile looks at a coordinate that grows with the quantity, most often its logarithm.

    Attributes
    ----------
    name : str
    model : SeparableModel
        The law or curve, written so that the quantity fixes shape parameter `index`.
    axes : sequence of arrays
        Search axes of the shape parameters; that of `index` is not used.
    index : int
    at : tuple of float
        Coordinate at every optimum of the fit; NaN where an optimum has none.
    box : (float, float)
        Range of the coordinate that is looked at.
    shape, value : callable
        From the coordinate to the shape parameter, and to the quantity.
    open_ends : (float, float)
        What the interval ends in on a side that the data leave unbounded.
    """

    name: str
    model: SeparableModel
    axes: Sequence[FloatArray]
    index: int
    at: tuple[float, ...]
    box: tuple[float, float]
    shape: Callable[[FloatArray], FloatArray]
    value: Callable[[FloatArray], FloatArray]
    open_ends: tuple[float, float]

    def scan(self, nodes: int) -> FloatArray:
        """Coordinates from edge to edge of the box, and more of them around the optima."""
        near = (self.box[1] - self.box[0]) / (nodes - 1) * np.array([-0.6, -0.2, -0.05, 0, 0.05, 0.2, 0.6])
        around = [at + near for at in self.at if np.isfinite(at)]
        return np.unique(np.clip(np.concatenate([np.linspace(*self.box, nodes), *around]), *self.box))

    def interval(self, region: Interval) -> Interval:
        """The interval of the quantity from that of its coordinate."""
        pieces = tuple((float(low), float(high)) for low, high in self.value(np.array(region.pieces)))
        low = self.open_ends[0] if region.open_low else pieces[0][0]
        high = self.open_ends[1] if region.open_high else pieces[-1][1]
        return Interval(low, high, region.level, region.open_low, region.open_high, pieces)


@dataclass(frozen=True)
class Profile:
    """The objective along one quantity, all others at their best.

    Attributes
    ----------
    name : str
        Name of the quantity.
    values, objective : array, shape (v,)
        Values of the quantity, in increasing order, and the smallest objective with each.
    limit : float
        Objective on the edge of the likelihood region.
    interval : Interval
        The likelihood interval of the quantity.
    """

    name: str
    values: FloatArray
    objective: FloatArray
    limit: float
    interval: Interval


def region_limit(problem: Problem, residual: FloatArray, cost: float, level: float = 0.95) -> float:
    """Return the largest objective inside the likelihood region of one quantity.

    Parameters
    ----------
    residual : array, shape (n,)
        Residuals of the best optimum, on the scale of the objective.
    cost : float
        Its objective.
    level : float
        Confidence, 0 to 1.
    """
    objective, freedom = problem.objective, len(residual) - problem.constants
    curvature = objective.curvature(residual).mean()
    if curvature == 0:  # no residual within Huber's delta: the dispersion cannot be judged
        return np.inf
    dispersion = float((problem.weights * objective.psi(residual) ** 2).sum() / freedom / curvature)
    # Residuals that are rounding errors of an exact law still leave a region of rounding's size.
    return cost + max(0.5 * dispersion * float(fdtri(1, freedom, level)), 1e-12 * cost, 1e-300)


def profile_costs(problem: Problem, quantity: Quantity, coordinates: FloatArray) -> FloatArray:
    """Return the smallest objective with the quantity held at each of many values, over all optima.

    Parameters
    ----------
    coordinates : array, shape (v,)
        Values of the quantity's coordinate.

    Returns
    -------
    array, shape (v,)
    """
    model, objective, index = quantity.model, problem.objective, quantity.index
    target, weights = problem.target, problem.weights
    relative = weights / target**2 if objective.logarithmic else weights
    starts, owners = [], []
    for number, value in enumerate(quantity.shape(coordinates)):
        at = [np.array([value]) if i == index else axis for i, axis in enumerate(quantity.axes)]
        _, theta = search(model, at, target[None], relative[None])
        starts.append(theta)
        owners.append(np.full(len(theta), number))
    theta, owner = np.concatenate(starts), np.concatenate(owners)
    repeat = (len(theta), 1)
    targets, all_weights = np.tile(target, repeat), np.tile(weights, repeat)
    single = tuple(i for i, axis in enumerate(quantity.axes) if len(axis) == 1)
    frozen = (*single, index)
    if objective.logarithmic:
        offset, columns = model.columns(theta)
        start = project(columns, targets - offset, np.tile(relative, repeat))
        theta = np.concatenate([theta, np.log(np.maximum(start, 1e-20))], 1)
        model, targets = LogModel(model, columns.shape[-1]), np.log(targets)
    _, _, cost = polish(model, objective, theta, targets, all_weights, frozen=frozen)
    best = np.full(len(coordinates), np.inf)
    np.minimum.at(best, owner, cost)
    return best


def likelihood_interval(
    costs: Callable[[FloatArray], FloatArray],
    scan: FloatArray,
    limit: float,
    level: float = 0.95,
) -> tuple[Interval, FloatArray, FloatArray]:
    """Find the region where `costs` stays under `limit`, its ends to 1/1,000 of the scan's spacing.

    Parameters
    ----------
    costs : callable
        From an array of values to the profile's objective at each.
    scan : array, shape (v,)
        Increasing values from edge to edge; must hold the optima.

    Returns
    -------
    interval : Interval
        The hull of the region.
    values, objective : array
        Everything that was evaluated on the way, in increasing order of value.

    Raises
    ------
    FitError
        If no value from edge to edge is under the limit: the best fit lies outside of them.
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
    if not inside.any():
        raise FitError(
            "the best fit has this quantity outside of the range in which its interval is looked for; ask for it at "
            "another number of tokens or another loss, closer to those of the points"
        )
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    pieces = tuple((float(values[i]), float(values[j - 1])) for i, j in zip(edges[::2], edges[1::2], strict=True))
    interval = Interval(pieces[0][0], pieces[-1][1], level, bool(inside[0]), bool(inside[-1]), pieces)
    return interval, values, objective
