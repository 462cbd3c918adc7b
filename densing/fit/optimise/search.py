"""The global part of a fit: look everywhere in the box, keep every distinct optimum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from densing.core.arrays import BoolArray, FloatArray, IntArray
from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.polish import polish, polish_with_scipy
from densing.fit.optimise.projection import (
    LogModel,
    SeparableModel,
    project,
    solve_nonnegative,
)
from densing.fit.status import FitError

_VALUES_AT_ONCE = 1_000_000
"""Grid nodes times problems (or data points) evaluated together; bounds a search to about 100 MB."""
_LIFT = 1e-3
"""Least coefficient that the extra starts of a fit have: at zero its logarithm has no slope, and least squares may
have put it there because of an outlier."""


@dataclass(frozen=True)
class Optima:
    """Local minima of R problems, best first; absent ones are NaN.

    Attributes
    ----------
    theta : array, shape (R, M, q)
    coefficients : array, shape (R, M, p)
    cost : array, shape (R, M)
        Value of the objective, infinite where absent.
    """

    theta: FloatArray
    coefficients: FloatArray
    cost: FloatArray


def find_optima(
    model: SeparableModel,
    objective: Objective,
    axes: Sequence[FloatArray],
    target: FloatArray,
    weights: FloatArray,
    extra: FloatArray | None = None,
) -> Optima:
    """Every distinct local minimum of R problems that share their points: search, polish, merge.

    Parameters
    ----------
    axes : one increasing array per shape parameter
    target, weights : array, shape (R, n)
        With an objective on logarithms, `target` is still y itself.
    extra : array, shape (K, q), optional
        Shape parameters to polish in every problem beside what the search finds; the best outcome is kept.
        The search minimises squares; where outliers drag those away, Huber's optimum is none of its minima.

    Raises
    ------
    FitError
        If the objective is finite nowhere, as with points of 1e308.
    """
    relative = weights / target**2 if objective.logarithmic else weights
    with np.errstate(over="ignore", invalid="ignore"):  # such a start is none
        problem, theta = search(model, axes, target, relative)
    searched = len(problem)
    if not searched:
        raise FitError("the objective is finite nowhere in the search; check the units of the points")
    if extra is not None:
        problem = np.concatenate([problem, np.repeat(np.arange(len(target)), len(extra))])
        theta = np.concatenate([theta, np.tile(extra, (len(target), 1))])
    target, weights = target[problem], weights[problem]
    if not objective.logarithmic:
        theta, coefficients, cost = polish(model, objective, theta, target, weights)
    else:
        offset, columns = model.columns(theta)
        start = project(columns, target - offset, relative[problem])
        logs = LogModel(model, columns.shape[-1])
        least = np.where(np.arange(len(theta)) < searched, 1e-20, _LIFT)[:, None]
        joint = np.concatenate([theta, np.log(np.maximum(start, least))], 1)
        joint, _, cost = polish(logs, objective, joint, np.log(target), weights)
        theta, coefficients = logs.split(joint)
    if extra is not None:
        best = np.full(len(target), np.inf)
        np.minimum.at(best, problem, cost)
        keep = (np.arange(len(problem)) < searched) | (cost == best[problem])
        problem, theta, coefficients, cost = problem[keep], theta[keep], coefficients[keep], cost[keep]
    return _distinct(problem, theta, coefficients, cost, int(problem.max()) + 1, model.box)


def finish(
    model: SeparableModel, objective: Objective, optima: Optima, target: FloatArray, weights: FloatArray
) -> list[tuple[FloatArray, FloatArray, float]]:
    """Polish the optima of one problem with SciPy and merge those that become one.

    Returns
    -------
    list of (theta (q,), coefficients (p,), cost), best first
    """
    found = []
    for theta, coefficients in zip(optima.theta[0], optima.coefficients[0], strict=True):
        if objective.logarithmic:
            logs = LogModel(model, len(coefficients))
            start = np.concatenate([theta, np.log(coefficients)])
            joint, _, cost = polish_with_scipy(logs, objective, start, np.log(target), weights)
            theta, coefficients = (part[0] for part in logs.split(joint[None]))
        else:
            theta, coefficients, cost = polish_with_scipy(model, objective, theta, target, weights)
        found.append((theta, coefficients, cost))
    arrays = [np.array(part) for part in zip(*found, strict=True)]
    merged = _distinct(np.zeros(len(found), dtype=np.intp), arrays[0], arrays[1], arrays[2], 1, model.box)
    return list(zip(merged.theta[0], merged.coefficients[0], merged.cost[0].tolist(), strict=True))


def search(
    model: SeparableModel, axes: Sequence[FloatArray], target: FloatArray, weights: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Local minima of the projected sum of squares on the product grid of the axes.

    A node is kept when no neighbour, diagonals included, lies lower. The grid holds the edges of the
    box, so a minimum anywhere in it is enclosed by nodes that were looked at.

    Returns
    -------
    problem : array, shape (K,)
        Which of the R problems each minimum belongs to; every problem has one at least.
    theta : array, shape (K, q)
    """
    nodes = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], -1)
    shape = tuple(len(a) for a in axes)
    problems: list[IntArray] = []
    minima: list[IntArray] = []
    for rows in _slices(len(target), max(1, _VALUES_AT_ONCE // len(nodes))):
        values = _projected_costs(model, nodes, target[rows], weights[rows])
        problem, node = np.nonzero(_local_minima(values.reshape(-1, *shape)).reshape(values.shape))
        problems.append(problem + rows.start)
        minima.append(node)
    return np.concatenate(problems), nodes[np.concatenate(minima)]


def _slices(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _projected_costs(model: SeparableModel, nodes: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Sums of squares (R, G) with the best coefficients at every node.

    All problems share the columns, so the normal equations of every problem at every node come from
    one matrix product per pair of columns.
    """
    weighted_target = weights * target
    total = (weighted_target * target).sum(1)[:, None]
    costs = np.empty((len(target), len(nodes)))
    for part in _slices(len(nodes), max(1, _VALUES_AT_ONCE // target.shape[1])):
        offset, columns = model.columns(nodes[part])
        phi = np.ascontiguousarray(np.moveaxis(columns, -1, 0))
        moment = [weighted_target @ one.T for one in phi]
        half = {(i, j): weights @ (phi[i] * phi[j]).T for i in range(len(phi)) for j in range(i + 1)}
        gram = [[half[max(i, j), min(i, j)] for j in range(len(phi))] for i in range(len(phi))]
        rest = np.broadcast_to(total, (len(target), len(offset)))
        if offset.any():
            moment = [m - weights @ (one * offset).T for m, one in zip(moment, phi, strict=True)]
            rest = total + weights @ (offset**2).T - 2 * weighted_target @ offset.T
        costs[:, part] = rest - solve_nonnegative(gram, moment)[1]
    return np.where(np.isfinite(costs), costs, np.inf)


def _local_minima(values: FloatArray) -> BoolArray:
    """Nodes of a grid (R, A, B, ...) that no neighbour undercuts; of a plateau, one node."""
    core = values.shape[1:]
    padded = np.pad(values, [(0, 0)] + [(1, 1)] * len(core), constant_values=np.inf)
    lowest = np.isfinite(values)
    shifts = list(np.ndindex(*(3,) * len(core)))
    for place, shift in enumerate(shifts):
        window = tuple(slice(s, s + size) for s, size in zip(shift, core, strict=True))
        neighbour = padded[(slice(None), *window)]
        # On a plateau only its first node counts: strictly under the neighbours before it.
        lowest &= values < neighbour if place < len(shifts) // 2 else values <= neighbour
    return lowest


def _distinct(
    problem: IntArray, theta: FloatArray, coefficients: FloatArray, cost: FloatArray, problems: int, box: FloatArray
) -> Optima:
    """Sort minima by problem and cost; drop those that repeat a better one.

    Two are one when they lie within 1e-4 of the box's width of each other, or within 5% of it at costs
    that differ by less than 1e-7 relatively (points along the floor of one flat valley).
    """
    order = np.lexsort((cost, problem))
    problem, theta, coefficients, cost = problem[order], theta[order], coefficients[order], cost[order]
    rank = np.arange(len(problem)) - np.searchsorted(problem, problem)
    width = int(rank.max()) + 1
    place = np.full((problems, width, theta.shape[1]), np.nan)
    values = np.full((problems, width), np.inf)
    source = np.zeros((problems, width), dtype=np.intp)
    span = np.where(box[:, 1] > box[:, 0], box[:, 1] - box[:, 0], 1.0)
    place[problem, rank] = theta / span
    values[problem, rank] = cost
    source[problem, rank] = np.arange(len(problem))
    kept = np.isfinite(values)
    for later in range(1, width):
        with np.errstate(invalid="ignore"):
            distance = np.abs(place[:, :later] - place[:, later : later + 1]).max(-1)
            level = values[:, later : later + 1] - values[:, :later] <= 1e-7 * np.abs(values[:, :later])
        same = kept[:, :later] & ((distance < 1e-4) | ((distance < 0.05) & level))
        kept[:, later] &= ~same.any(1)
    row, column = np.nonzero(kept)
    slot = (row, (np.cumsum(kept, 1) - 1)[row, column])
    most = int(kept.sum(1).max())
    optima = Optima(
        np.full((problems, most, theta.shape[1]), np.nan),
        np.full((problems, most, coefficients.shape[1]), np.nan),
        np.full((problems, most), np.inf),
    )
    optima.theta[slot] = theta[source[row, column]]
    optima.coefficients[slot] = coefficients[source[row, column]]
    optima.cost[slot] = cost[source[row, column]]
    return optima
