"""Fitting the score curve: check the points, find every optimum, say which part the points reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.projection import FloatArray, IntArray
from densing.fit.optimise.search import find_optima, finish
from densing.fit.score_curve.curve import (
    CURVE_CONSTANTS,
    CurveModel,
    ScoreCurveFit,
    ScoreCurveMode,
    curve_axes,
    curve_model,
    with_anchor,
)
from densing.fit.status import FitError, FitStatus

_REWEIGHTINGS = 4
"""Rounds of weighing points by the binomial variance of the curve fitted before."""


def fit_score_curve(
    loss: ArrayLike,
    score: ArrayLike,
    *,
    floor: float | None = None,
    ceiling: float | None = None,
    anchor: bool = True,
    items: ArrayLike | None = None,
) -> ScoreCurveFit:
    """Fit the score curve to checkpoints with measured loss and score.

    Parameters
    ----------
    loss : array, shape (n,)
        Conditional loss, nats per token.
    score : array, shape (n,)
        Score in percent.
    floor : float, optional
        Chance score held fixed, percent; free (and never negative) where not given.
    ceiling : float, optional
        Highest score held fixed, percent; free where not given.
    anchor : bool
        Add the point (0 nats, 100%), as the article does: without it, checkpoints that stop below the
        plateau leave the ceiling open.
    items : int or array, shape (n,), optional
        Items behind each score. Points are then weighted by their binomial variance, S(100 − S)/items,
        taken from the fitted curve; the anchor gets the median weight.

    Raises
    ------
    FitError
        Too few points, one loss only, values out of range, scores that look like fractions.
    """
    values, scores, counts, rows = _checked_curve_points(loss, score, items, floor, ceiling, anchor)
    weights = np.ones(len(values))
    model = curve_model(values, floor, ceiling, anchor)
    for _ in range(1 if counts is None else _REWEIGHTINGS):
        target, all_weights = with_anchor(scores, weights, anchor)
        modes = _curve_modes(model, target, all_weights, anchor)
        if counts is not None:
            share = np.clip(modes[0].score(values) / 100, 0.5 / counts, 1 - 0.5 / counts)
            weights = counts / (share * (1 - share)) / 1e4
            weights = weights / np.median(weights)
    fit = ScoreCurveFit(modes, modes[0].status, (), np.inf, floor, ceiling, anchor, values, scores, weights, rows)
    return _judged(fit)


def _checked_curve_points(
    loss: ArrayLike,
    score: ArrayLike,
    items: ArrayLike | None,
    floor: float | None,
    ceiling: float | None,
    anchor: bool,
) -> tuple[FloatArray, FloatArray, FloatArray | None, IntArray]:
    losses, scores = np.atleast_1d(np.asarray(loss, float)), np.atleast_1d(np.asarray(score, float))
    if len(losses) != len(scores):
        raise FitError(f"columns differ in length: loss has {len(losses)}, score has {len(scores)}")
    wrong = np.flatnonzero(~(np.isfinite(losses) & (losses > 0)))
    if len(wrong):
        raise FitError(f"loss must be positive and finite: row {wrong[0] + 1} is {losses[wrong[0]]:g}")
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 100)))
    if len(wrong):
        raise FitError(f"score must lie between 0 and 100 percent: row {wrong[0] + 1} is {scores[wrong[0]]:g}")
    if scores.max() <= 1:
        raise FitError("every score is at most 1: they look like fractions; multiply by 100")
    free = 2 + (floor is None) + (ceiling is None)
    if len(losses) + anchor < free + 1:
        raise FitError(
            f"{len(losses)} points cannot fit the curve's {free} constants; give at least {free + 1 - anchor}"
        )
    if np.ptp(losses) == 0:
        raise FitError(f"all points have loss {losses[0]:g}: they say nothing about a curve")
    for name, value in (("floor", floor), ("ceiling", ceiling)):
        if value is not None and not 0 <= value <= 100:
            raise FitError(f"the {name}, {value:g}, must lie between 0 and 100 percent")
    if floor is not None and ceiling is not None and floor >= ceiling:
        raise FitError(f"the floor, {floor:g}, must lie under the ceiling, {ceiling:g}")
    rows = np.lexsort((scores, losses))
    counts = None
    if items is not None:
        counts = np.asarray(items, float)
        if counts.shape not in ((), (1,), losses.shape):
            raise FitError(f"columns differ in length: loss has {len(losses)}, items has {counts.size}")
        counts = np.broadcast_to(counts, losses.shape)
        if not (counts >= 1).all():
            raise FitError("items must be counts of 1 or more")
        counts = counts[rows]
    return losses[rows], scores[rows], counts, rows


def _curve_modes(
    model: CurveModel, target: FloatArray, weights: FloatArray, anchored: bool
) -> tuple[ScoreCurveMode, ...]:
    optima = find_optima(model, Objective(), curve_axes(model), target[None], weights[None])
    modes: list[ScoreCurveMode] = []
    for theta, coefficients, cost in finish(model, Objective(), optima, target, weights):
        rise = model.rise(theta[None])[0, : len(model.at_loss) - anchored]
        if modes and not ((rise > 0.01) & (rise < 0.99)).any():
            continue  # a step between two checkpoints fits any middle and any steepness: no optimum
        constants = model.constants(theta, coefficients)
        edge = 1e-4 * np.ptp(model.box, axis=1)
        on_edge = (theta - model.box[:, 0] < edge) | (model.box[:, 1] - theta < edge)
        hit = [name for name, at_edge in zip(("gamma", "l"), on_edge, strict=True) if at_edge]
        hit += [name for name, value in (("c", constants[0]), ("d", constants[3])) if value <= 1e-9]
        # A floor of zero is a floor; a flat curve, or one at the edge of the search, is no curve.
        status = FitStatus.BOUND_HIT if {"gamma", "l", "c"} & set(hit) else FitStatus.CONVERGED
        named = dict(zip(CURVE_CONSTANTS, constants.tolist(), strict=True))
        modes.append(ScoreCurveMode(**named, objective=cost, status=status, bounds_hit=tuple(hit)))
    return tuple(modes)


def _judged(fit: ScoreCurveFit) -> ScoreCurveFit:
    fit = replace(fit, limit=fit._limit(0.95))
    best, notes = fit.best, []
    rivals = [mode for mode in fit.modes[1:] if mode.objective <= fit.limit]
    if best.c <= 1e-9:
        notes.append("the scores do not rise as the loss falls")
    if rivals:
        notes.append(f"the data cannot tell the best optimum from l = {', '.join(f'{m.l:.3g}' for m in rivals)} at 95%")
    identified = not notes
    if best.c > 0:
        top = (fit.reach[1] - best.d) / best.c
        bottom = (fit.reach[0] - best.d) / best.c
        if fit.ceiling is None and top < 0.9:
            source = "rests on the anchor" if fit.anchor else "is extrapolated"
            notes.append(f"checkpoints reach {top:.0%} of the rise: the ceiling, {best.ceiling:.4g}, {source}")
        if fit.floor is None and bottom > 0.1:
            notes.append(
                f"the lowest checkpoint stands at {bottom:.0%} of the rise: the floor, {best.d:.4g}, is extrapolated"
            )
    status = best.status if identified else FitStatus.NOT_IDENTIFIED
    return replace(fit, status=status, notes=tuple(notes))
