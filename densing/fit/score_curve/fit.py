"""Fitting the score curve: check the points, find every optimum, say which part the points reach."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import FloatArray, IntArray
from densing.fit.model import FittedModel
from densing.fit.optimise.objectives import Objective
from densing.fit.optimise.search import find_optima, finish
from densing.fit.points import as_columns, demand, demand_positive
from densing.fit.profile import Problem, Quantity
from densing.fit.score_curve.curve import (
    ANCHOR,
    CURVE_CONSTANTS,
    CurveModel,
    ScoreCurveOptimum,
    curve_axes,
    curve_model,
)
from densing.fit.status import FitError

if TYPE_CHECKING:
    import pandas as pd

HIGHEST = 100.0
"""The highest score there is, percent."""
_REWEIGHTINGS = 4
"""Rounds of weighing points by the binomial variance of the curve fitted before."""
_SQUARES = Objective()


@dataclass(frozen=True, repr=False)
class ScoreCurveFit(FittedModel[ScoreCurveOptimum]):
    """Everything the checkpoints say about the score curve; see `fit_score_curve`.

    Attributes
    ----------
    optima : tuple of ScoreCurveOptimum
        All distinct optima, the best first.
    floor, ceiling : float or None
        Floor and ceiling held fixed, percent; None where they were fitted.
    anchor : bool
        Whether the point (0 nats, 100%) was added.
    open_ceiling : bool
        Whether a fitted ceiling may exceed 100%.
    loss, score, weights : array, shape (n,)
        Points without the anchor, in increasing order of loss; weights in 1/percent² up to a factor.
    rows : array, shape (n,)
        Row of the caller's data behind each point.
    """

    floor: float | None
    ceiling: float | None
    anchor: bool
    open_ceiling: bool
    loss: FloatArray = field(repr=False)
    score: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)

    scan_nodes = 41

    @cached_property
    def problem(self) -> Problem:
        """The curve on its points and the anchor; a ceiling that the best optimum needs at 100% is held there."""
        model = self._model
        if not self.open_ceiling and "ceiling" in self.best.bounds_hit:
            model = replace(model, ceiling=HIGHEST)
        free = 2 + (model.floor is None) + (model.ceiling is None)
        return Problem(model, _SQUARES, *_with_anchor(self.score, self.weights, self.anchor), free)

    @cached_property
    def _model(self) -> CurveModel:
        return curve_model(self.loss, self.floor, self.ceiling, self.anchor)

    @property
    def title(self) -> str:
        """Number of points, and whether the anchor is among them."""
        return f"Score curve on {len(self.loss)} points{' and the anchor' if self.anchor else ''}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Constants, ceiling and objective."""
        return (*CURVE_CONSTANTS, "ceiling", "objective")

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest score on the curve that the fitted checkpoints span, percent."""
        return float(self.best.score(self.loss[-1])), float(self.best.score(self.loss[0]))

    def reaches(self, score: ArrayLike) -> Any:
        """Whether a score lies on the part of the curve that checkpoints span."""
        low, high = self.reach
        return (np.asarray(score, float) >= low) & (np.asarray(score, float) <= high)

    def predicted(self, optimum: int = 0) -> FloatArray:
        """Score that an optimum predicts at every point, the anchor's last, percent."""
        predicted: FloatArray = self.optima[optimum].score(self._model.at_loss)
        return predicted

    def residuals(self, optimum: int = 0) -> pd.DataFrame:
        """Points with predicted score and residual, percentage points."""
        import pandas as pd

        predicted = self.predicted(optimum)[: len(self.loss)]
        return pd.DataFrame(
            {"loss": self.loss, "score": self.score, "predicted": predicted, "residual": self.score - predicted}
        )

    def shape_of(self, constants: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shape parameters (..., 2) and coefficients (..., p) of the problem's model from constants (..., 4)."""
        model = self.problem.model
        assert isinstance(model, CurveModel)
        return model.shape_of(constants)

    def distances(self, constants: FloatArray) -> FloatArray:
        """Distances in (ln(−γ), l) of curves with these constants (..., 4) from the fit's optima (..., K).

        Both are measured in widths of their box.
        """
        width = np.ptp(self._model.box, axis=1)
        own, _ = self._model.shape_of(np.array([optimum.constants for optimum in self.optima]))
        theta, _ = self._model.shape_of(constants)
        return np.abs((theta[..., None, :] - own) / width).sum(-1)

    def refit(self, targets: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find all optima of R other sets of scores at the same losses: constants (R, M, 4), objective (R, M)."""
        return _search(self._model, self.open_ceiling, targets, weights, share=2)

    def describe(self, optimum: ScoreCurveOptimum) -> str:
        """Midpoint and steepness of an optimum."""
        return f"(l {optimum.l:.3g}, γ {optimum.gamma:.3g})"

    def doubts(self) -> list[str]:
        """Whether the points know of a curve at all."""
        mean = np.average(self.score, weights=self.weights)
        constant = float((self.weights * (self.score - mean) ** 2).sum())
        return [f"a constant score, {mean:.4g}, fits the points as well at 95%"] if constant <= self.limit else []

    def remarks(self) -> list[str]:
        """Which part of the curve no checkpoint reaches, and whether its ceiling is one."""
        best, found = self.best, []
        bottom, top = ((score - best.d) / best.c for score in self.reach)
        if "ceiling" in best.bounds_hit:
            found.append(
                f"the ceiling, {best.ceiling:.4g}, is higher than a score can be"
                if self.open_ceiling
                else f"the ceiling is held at {HIGHEST:g}, the highest score there is; the points ask for a higher one"
            )
        if self.ceiling is None and top < 0.9:
            source = "rests on the anchor" if self.anchor else "is extrapolated"
            found.append(f"checkpoints reach {top:.0%} of the rise: the ceiling, {best.ceiling:.4g}, {source}")
        if self.floor is None and bottom > 0.1:
            found.append(
                f"the lowest checkpoint stands at {bottom:.0%} of the rise: the floor, {best.d:.4g}, is extrapolated"
            )
        return found

    def quantity(self, name: str, *, tokens: float | None = None, loss: float | None = None) -> Quantity:  # noqa: ARG002
        """The midpoint ``l`` or the steepness ``gamma``; neither depends on tokens or on a loss.

        Raises
        ------
        FitError
            If another quantity is asked for.
        """
        steepness, middle = self._model.bounds
        axes = curve_axes(self._model)
        model = self.problem.model
        if name == "l":
            at = tuple(optimum.l for optimum in self.optima)
            return Quantity(name, model, axes, 1, at, middle, np.asarray, np.asarray, middle)
        if name == "gamma":
            at = tuple(float(-np.log(-optimum.gamma)) for optimum in self.optima)
            low, high = -steepness[1], -steepness[0]
            ends = (-float(np.exp(-low)), -float(np.exp(-high)))
            return Quantity(name, model, axes, 0, at, (low, high), np.negative, lambda v: -np.exp(-v), ends)
        raise FitError(f"there is no profile of {name!r} for a score curve; choose l or gamma")


def fit_score_curve(
    loss: ArrayLike,
    score: ArrayLike,
    *,
    floor: float | None = None,
    ceiling: float | None = None,
    anchor: bool = True,
    items: ArrayLike | None = None,
    open_ceiling: bool = False,
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
        Highest score held fixed, percent; free (and at most 100) where not given.
    anchor : bool
        Whether to add the point (0 nats, 100%), as the article does: without it, checkpoints that stop
        below the plateau leave the ceiling open.
    items : int or array, shape (n,), optional
        Items behind each score. Points are then weighted by their binomial variance, S(100 − S)/items,
        taken from the fitted curve; the anchor gets the median weight.
    open_ceiling : bool
        Whether a free ceiling may exceed 100%, as in the article's own curves.

    Returns
    -------
    ScoreCurveFit
        All distinct optima; the same whatever the order of the points.

    Raises
    ------
    FitError
        If there are too few points or one loss only, if values are out of range, if scores look like
        fractions, or if they do not rise as the loss falls.
    """
    for name, value in (("floor", floor), ("ceiling", ceiling)):
        if value is not None and not 0 <= value <= HIGHEST:
            raise FitError(f"the {name}, {value:g}, must lie between 0 and 100 percent")
    if floor is not None and ceiling is not None and floor >= ceiling:
        raise FitError(f"the floor, {floor:g}, must lie under the ceiling, {ceiling:g}")
    free = 2 + (floor is None) + (ceiling is None)
    values, scores, counts, rows = _checked_points(loss, score, items, free, anchor)
    weights = np.ones(len(values))
    model = curve_model(values, floor, ceiling, anchor)
    for _ in range(1 if counts is None else _REWEIGHTINGS):
        optima = _optima(model, open_ceiling, *_with_anchor(scores, weights, anchor))
        if counts is not None:
            share = np.clip(optima[0].score(values) / 100, 0.5 / counts, 1 - 0.5 / counts)
            weights = counts / (share * (1 - share)) / 1e4
            weights = weights / np.median(weights)
    return ScoreCurveFit(optima, rows, floor, ceiling, anchor, open_ceiling, values, scores, weights)


def _checked_points(
    loss: ArrayLike, score: ArrayLike, items: ArrayLike | None, free: int, anchor: bool
) -> tuple[FloatArray, FloatArray, FloatArray | None, IntArray]:
    """The points and their items in increasing order of loss, and their rows, or a FitError."""
    columns = as_columns({"loss": loss, "score": score})
    losses, scores = columns["loss"], columns["score"]
    demand_positive("loss", losses)
    demand("score", scores, (scores >= 0) & (scores <= HIGHEST), "lie between 0 and 100 percent")
    if len(losses) + anchor < free + 1:
        raise FitError(
            f"{len(losses)} points cannot fit the curve's {free} constants; give at least {free + 1 - anchor}"
        )
    if scores.max() <= 1:
        raise FitError("every score is at most 1: they look like fractions; multiply by 100")
    if np.ptp(losses) == 0:
        raise FitError(f"all points have loss {losses[0]:g}: they say nothing about a curve; add other checkpoints")
    rows = np.lexsort((scores, losses))
    losses, scores = losses[rows], scores[rows]
    _demand_fall(losses, scores)
    if items is None:
        return losses, scores, None, rows
    counts = as_columns({"items": items})["items"]
    if len(counts) not in (1, len(losses)):
        raise FitError(f"columns differ in length: loss has {len(losses)}, items has {len(counts)}")
    counts = np.broadcast_to(counts, losses.shape)
    demand("items", counts, counts >= 1, "be counts of 1 or more")
    return losses, scores, counts[rows], rows


def _demand_fall(losses: FloatArray, scores: FloatArray) -> None:
    """Refuse scores that no falling curve describes better than their mean.

    That is so where, wherever a line is drawn, the checkpoints of lower loss do not score higher on average.
    """
    parted = np.flatnonzero(np.diff(losses)) + 1
    lower = np.cumsum(scores)[parted - 1] / parted
    if (lower <= scores.mean() * (1 + 1e-12)).all():
        raise FitError(
            f"the scores do not rise as the loss falls: the lowest loss, {losses[0]:g}, has score {scores[0]:g}, "
            f"the highest, {losses[-1]:g}, has {scores[-1]:g}; check the columns, or add checkpoints that leave chance"
        )


def _with_anchor(score: FloatArray, weights: FloatArray, anchor: bool) -> tuple[FloatArray, FloatArray]:
    """Scores and weights with those of the anchor appended, which weighs as much as the median point."""
    if not anchor:
        return score, weights
    return np.append(score, ANCHOR[1]), np.append(weights, np.median(weights))


def _optima(
    model: CurveModel, open_ceiling: bool, target: FloatArray, weights: FloatArray
) -> tuple[ScoreCurveOptimum, ...]:
    """Every optimum of one data set, finished by SciPy."""
    points = int((model.at_loss > ANCHOR[0]).sum())
    found, costs = _search(model, open_ceiling, target[None], weights[None], finished=True)
    edge = 1e-4 * np.ptp(model.box, axis=1)
    optima: list[ScoreCurveOptimum] = []
    for constants, cost in zip(found[0], costs[0].tolist(), strict=True):
        if not np.isfinite(cost):
            continue
        theta, _ = model.shape_of(constants)
        rise = model.rise(theta[None])[0, :points]
        if optima and not ((rise > 0.01) & (rise < 0.99)).any():
            continue  # a step between two checkpoints fits any middle and any steepness: no optimum
        on_edge = (theta - model.box[:, 0] < edge) | (model.box[:, 1] - theta < edge)
        hit = [name for name, at_edge in zip(("gamma", "l"), on_edge, strict=True) if at_edge]
        hit += ["c"] if constants[0] <= 1e-9 else []
        if model.ceiling is None and constants[0] + constants[3] >= HIGHEST - 1e-6:
            every = model.rise(theta[None])[0]
            push = weights * every * (target - constants[0] * every - constants[3])
            pressed = push.sum() > 1e-9 * (weights * every * target).sum()  # the points ask for a higher ceiling
            hit += ["ceiling"] if pressed or constants[0] + constants[3] > HIGHEST + 1e-6 else []
        named = dict(zip(CURVE_CONSTANTS, constants.tolist(), strict=True))
        optima.append(ScoreCurveOptimum(**named, objective=cost, bounds_hit=tuple(hit)))
    if "c" in optima[0].bounds_hit:
        floor = "" if model.floor is None else f" over the floor, {model.floor:g}"
        raise FitError(
            f"the scores do not rise{floor} as the loss falls, so no curve goes through them; "
            "add checkpoints that leave chance"
        )
    return tuple(optima)


def _search(
    model: CurveModel,
    open_ceiling: bool,
    targets: FloatArray,
    weights: FloatArray,
    *,
    share: int = 1,
    finished: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Find all optima of R data sets with a ceiling of at most 100% unless it is open or fixed.

    The optima of the bounded problem are those of the free one under the bound, and those with the ceiling
    held at the bound that press against it.

    Returns
    -------
    constants : array, shape (R, M, 4)
        The best first; NaN where there are fewer.
    cost : array, shape (R, M)
        Infinite where there are fewer.
    """
    constants, cost = _find(model, targets, weights, share, finished)
    if open_ceiling or model.ceiling is not None:
        return constants, cost
    over = constants[..., 0] + constants[..., 3] > HIGHEST
    rows = np.flatnonzero(over.any(1))
    if not len(rows):
        return constants, cost
    at_bound, bound_cost = _find(replace(model, ceiling=HIGHEST), targets[rows], weights[rows], share, finished)
    theta, _ = model.shape_of(at_bound)
    rise = model.rise(theta.reshape(-1, 2)).reshape(*theta.shape[:2], -1)
    predicted = at_bound[..., :1] * rise + at_bound[..., 3:]
    # The slope of the objective by the ceiling: the points would have it higher still.
    presses = (weights[rows, None] * (targets[rows, None] - predicted) * rise).sum(-1) > 0
    cost = np.where(over, np.inf, cost)
    none_left = ~np.isfinite(cost[rows]).any(1) & ~presses.any(1)
    held = np.full((len(cost), bound_cost.shape[1]), np.inf)
    held[rows] = np.where(presses | none_left[:, None], bound_cost, np.inf)
    held_constants = np.full((*held.shape, 4), np.nan)
    held_constants[rows] = at_bound
    cost, constants = np.concatenate([cost, held], 1), np.concatenate([constants, held_constants], 1)
    order = np.argsort(cost, axis=1, kind="stable")
    cost = np.take_along_axis(cost, order, 1)
    constants = np.take_along_axis(constants, order[..., None], 1)
    return np.where(np.isfinite(cost)[..., None], constants, np.nan), cost


def _find(
    model: CurveModel, targets: FloatArray, weights: FloatArray, share: int, finished: bool
) -> tuple[FloatArray, FloatArray]:
    """Constants (R, M, 4) and objective (R, M) of the optima of a model as it is; SciPy finishes a single one."""
    found = find_optima(model, _SQUARES, curve_axes(model, share), targets, weights)
    if not finished:
        return model.constants(found.theta, found.coefficients), found.cost
    theta, coefficients, cost = zip(*finish(model, _SQUARES, found, targets[0], weights[0]), strict=True)
    return model.constants(np.array([theta]), np.array([coefficients])), np.array([cost])
