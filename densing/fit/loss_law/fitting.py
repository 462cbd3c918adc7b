"""Fitting the loss law: check the points, find every optimum, judge what the data can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from densing.fit.loss_law.forms import EXPONENT_BOX, TERMS, Design, Form, PlainLaw
from densing.fit.loss_law.law import (
    CONSTANTS,
    GRID_NODES,
    REPLICATE_NODES,
    ROBUST_NODES,
    LossLawFit,
    LossLawMode,
    law_constants,
)
from densing.fit.optimise.objectives import Objective, ObjectiveName
from densing.fit.optimise.projection import FloatArray, IntArray
from densing.fit.optimise.search import find_optima, finish
from densing.fit.profile import profile_costs
from densing.fit.status import FitError, FitStatus


def fit_loss_law(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    form: Form = "two-term",
    objective: ObjectiveName = "least-squares",
    delta: float = 1e-3,
    weights: ArrayLike | None = None,
) -> LossLawFit:
    """Fit the loss law to measured losses and return every distinct optimum.

    Parameters
    ----------
    params : array, shape (n,)
        N of each model, without or with embeddings, as the frame to be made will be read.
    tokens : array, shape (n,)
        D of each model.
    loss : array, shape (n,)
        Conditional loss, nats per token.
    form : {"two-term", "irreducible", "params-only"}
        a·N^−α + b·D^−β; the same + E; a·N^−α + E.
    objective : {"least-squares", "log-least-squares", "huber-log"}
        On L; on ln L; Huber's loss on ln L. Always summed.
    delta : float
        Huber's δ, in units of ln L.
    weights : array, shape (n,), optional
        Weight of each point in the objective; 1 where not given.

    Returns
    -------
    LossLawFit
        The same whatever the order of the points.

    Raises
    ------
    FitError
        If the data cannot be fitted: fewer points than constants + 1, a single N or D, D proportional
        to N, values that are not positive and finite, an unknown form or objective.
    """
    if form not in get_args(Form):
        raise FitError(f"unknown form {form!r}; choose one of {', '.join(get_args(Form))}")
    kind = Objective.named(objective, delta)
    points = checked_points(params, tokens, loss, weights, form)
    design = Design(form, points[0], points[1])
    unit = float(np.exp(np.log(points[2]).mean()))
    target, weight = points[2] / unit, points[3]
    model = PlainLaw(design)
    extra = np.stack(np.meshgrid(*design.exponent_axes(ROBUST_NODES)), -1).reshape(-1, 2) if kind.delta else None
    optima = find_optima(model, kind, design.exponent_axes(GRID_NODES), target[None], weight[None], extra)
    finished = finish(model, kind, optima, target, weight)
    scale = 1.0 if kind.logarithmic else unit**2
    theta, coefficients, cost = (np.array(part) for part in zip(*finished, strict=True))
    modes = _modes(design, theta, coefficients * unit, cost * scale, kind, len(target))
    fit = LossLawFit(modes, FitStatus.CONVERGED, (), np.inf, form, objective, delta, *points)
    return _judged(fit)


def checked_points(
    params: ArrayLike, tokens: ArrayLike, loss: ArrayLike, weights: ArrayLike | None, form: Form
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
    """The points as sorted arrays, or a FitError that says what is wrong with them."""
    named = {"params": params, "tokens": tokens, "loss": loss}
    if weights is not None:
        named["weights"] = weights
    try:
        arrays = {name: np.atleast_1d(np.asarray(values, dtype=float)) for name, values in named.items()}
    except (TypeError, ValueError) as error:
        raise FitError(f"{', '.join(named)} must be numbers: {error}") from None
    sizes = {name: len(values) for name, values in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise FitError(f"columns differ in length: {', '.join(f'{k} has {v}' for k, v in sizes.items())}")
    for name, values in arrays.items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise FitError(
                f"{name} must be positive and finite: row {wrong[0] + 1} is {values[wrong[0]]:g}"
                + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
            )
    constants = len(TERMS[form]) + ("b" in TERMS[form]) + 1
    count = sizes["loss"]
    if count < constants + 1:
        raise FitError(
            f"{count} points cannot fit the {constants} constants of the {form} law; give at least {constants + 1}"
        )
    order = np.lexsort((arrays["loss"], arrays["tokens"], arrays["params"]))
    n, d, measured = (arrays[name][order] for name in ("params", "tokens", "loss"))
    if np.ptp(n) == 0:
        raise FitError(f"all points have params = {n[0]:g}: one size says nothing about α")
    if "b" in TERMS[form]:
        if np.ptp(d) == 0:
            raise FitError(
                f"all points have tokens = {d[0]:g}: one budget says nothing about β (the form params-only needs none)"
            )
        ratio = d / n
        if np.ptp(ratio) <= 1e-6 * ratio.max():
            raise FitError(
                f"tokens are {ratio[0]:g} times params at every point: the terms in N and in D cannot be told apart"
            )
    weight = arrays["weights"][order] if weights is not None else np.ones(count)
    return n, d, measured, weight, order


def _modes(
    design: Design, theta: FloatArray, coefficients: FloatArray, cost: FloatArray, objective: Objective, points: int
) -> tuple[LossLawMode, ...]:
    modes = []
    tiny = 1e-9 * coefficients.max()
    # A logarithm comes near zero and never there; how near is chance.
    for shape, linear, value in zip(theta, np.where(coefficients <= tiny, 0.0, coefficients), cost, strict=True):
        constants = law_constants(design, shape, linear)
        hit = [
            name
            for name, exponent in zip(("alpha", "beta"), shape, strict=True)
            if (name == "alpha" or design.has_tokens)
            and not EXPONENT_BOX[0] * 1.0001 < exponent < EXPONENT_BOX[1] * 0.9999
        ]
        hit += [name for name, c in zip(design.terms, linear, strict=True) if c <= tiny]
        ratio = np.log(max(value, 1e-300) / max(cost[0], 1e-300))
        likelihood = 2 if objective.delta is not None else 1
        status = FitStatus.BOUND_HIT if hit else FitStatus.CONVERGED
        named = dict(zip(CONSTANTS, constants.tolist(), strict=True))
        delta_aic = likelihood * points * float(ratio)
        modes.append(
            LossLawMode(**named, objective=float(value), delta_aic=delta_aic, status=status, bounds_hit=tuple(hit))
        )
    return tuple(modes)


def _judged(fit: LossLawFit) -> LossLawFit:
    """The fit with its region's limit, its status and the reasons for it."""
    fit = replace(fit, limit=fit._limit(0.95))
    reasons = []
    if fit.rivals:
        others = "; ".join(f"(α {m.alpha:.3g}, β {m.beta:.3g}, E {m.E:.3g})" for m in fit.rivals)
        reasons.append(f"the data cannot tell the best optimum from {others} at 95%")
    model, axes = PlainLaw(fit.design), fit.design.exponent_axes(REPLICATE_NODES)
    for index, name in enumerate(("alpha", "beta") if fit.design.has_tokens else ("alpha",)):
        at_edges = profile_costs(model, fit._objective, axes, index, np.array(EXPONENT_BOX), fit.loss, fit.weights)
        for edge, cost in zip(EXPONENT_BOX, at_edges, strict=True):
            if cost <= fit.limit:
                reasons.append(f"the 95% region of {name} reaches the edge of its box, {edge:g}")
    status = FitStatus.NOT_IDENTIFIED if reasons else fit.best.status
    return replace(fit, status=status, reasons=tuple(reasons))
