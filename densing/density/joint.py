"""One size per model that explains all of its scores: a two-way random-effects model of ln N̂.

Each benchmark b carries each model m back to a size of its own, through its own law and curve:

    ln N̂_mb = n_m + o_b + u_mb + e_mb,    Σ_b o_b/τ_b² = 0,

with n_m the joint size, o_b the benchmark's offset (what its law says too much for every model alike), u_mb the
scatter of standard deviation τ_b (what benchmarks disagree about), and e_mb the noise of finitely many
items. Offsets and scatter are estimated over a panel of models, once per draw of the laws and curves, so
that the errors of the reference family are in every answer; a model is then read against them by its own
scores alone. Scores at chance and over the ceiling are bounds; missing ones are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from densing.core.arrays import BoolArray, FloatArray
from densing.frame.pooling import Pool, pool

_ROUNDS = 10
_BEYOND = float(np.log(1000))
"""Sizes farther than this beyond those of the fitted scores count as bounds: no law is good for more."""
_LEAST_SCATTER = 0.1
"""Benchmarks never agree better than this, in ln N̂: one of them would otherwise decide alone."""
_PRIOR = 10.0
"""Models that a benchmark's scatter is drawn to that of all benchmarks by."""


class Cells(NamedTuple):
    """What every score says alone, of M models and B benchmarks: by the frame's own laws, then by R draws of them.

    Attributes
    ----------
    log_sizes : array, shape (1 + R, M, B)
        ln N̂ of every score as measured; −∞ at chance, +∞ over the ceiling or under the law's floor, NaN where there
        is no score.
    noise : array, shape (M, B)
        Standard deviation of ln N̂ from the items of a score.
    lowest, highest : array, shape (1 + R, B)
        ln N̂ of the lowest and the highest score that the curve was fitted on: bounds of the sizes that
        scores out of range stand for.
    """

    log_sizes: FloatArray
    noise: FloatArray
    lowest: FloatArray
    highest: FloatArray


@dataclass(frozen=True)
class Panel:
    """What benchmarks say too much, and what they disagree about.

    Attributes
    ----------
    offsets : array, shape (1 + R, B)
        o_b, by the frame's own laws and by each draw of them.
    scatter : array, shape (B,)
        τ_b.
    """

    offsets: FloatArray
    scatter: FloatArray


@dataclass(frozen=True)
class JointSizes:
    """Joint sizes of M models from B benchmarks: by the frame's own laws, then by R draws of them.

    Attributes
    ----------
    centre : array, shape (1 + R, M)
        ln of the joint size. NaN for a model without a score; −∞ where all of its scores are at chance, +∞ where
        all are over their curves.
    own : array, shape (1 + R, M, B)
        ln of each benchmark's own size, its offset taken off. The centre is their mean by `weights`.
    weights : array, shape (M, B)
        Adding up to 1; zero for missing scores.
    spread : array, shape (M, B)
        Standard deviation of a benchmark's own size about the joint one: scatter, items, and laws and curves.
    width_these, width_like_these : array, shape (M,)
        Standard deviations of what the scores leave open beside the laws: for these benchmarks, by their items and
        the scores that are missing; for benchmarks like these, by what they scatter too.
    """

    centre: FloatArray = field(repr=False)
    own: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    spread: FloatArray = field(repr=False)
    width_these: FloatArray = field(repr=False)
    width_like_these: FloatArray = field(repr=False)

    def where(self, chosen: BoolArray, other: JointSizes) -> JointSizes:
        """These sizes of the chosen models (M,), and another reading's of the rest."""
        cells = chosen[:, None]
        return JointSizes(
            np.where(chosen, self.centre, other.centre),
            np.where(cells, self.own, other.own),
            np.where(cells, self.weights, other.weights),
            np.where(cells, self.spread, other.spread),
            np.where(chosen, self.width_these, other.width_these),
            np.where(chosen, self.width_like_these, other.width_like_these),
        )

    def disagreement(self) -> FloatArray:
        """How many standard deviations each benchmark lies from the joint size, by the frame's own laws, (M, B)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            # A benchmark is part of the mean that it is compared with.
            spread = self.spread * np.sqrt(1 - self.weights)
            return np.asarray((self.own[0] - self.centre[0][:, None]) / spread)


class _Readings:
    """Cells with offsets taken off: their middles and spreads over the draws, and which are bounds."""

    def __init__(self, cells: Cells, offsets: FloatArray) -> None:
        low, high = (bound[:, None, :] - offsets[:, None, :] for bound in (cells.lowest, cells.highest))
        raw = cells.log_sizes - offsets[:, None, :]
        self.present = ~np.isnan(raw[0])
        self.values = np.clip(np.where(self.present, raw, 0.0), low - _BEYOND, high + _BEYOND)
        below, self.middle, above = _quantiles(self.values)
        self.variance = ((above - below) / 3.92) ** 2
        self.low, self.high = _quantiles(low)[1], _quantiles(high)[1]
        middle = _quantiles(np.where(self.present, raw, 0.0))[1]
        self.under = self.present & (middle < self.low - _BEYOND)
        self.over = self.present & (middle > self.high + _BEYOND)
        self.known = self.present & ~self.under & ~self.over
        self.bounds = np.where(self.under, low, high)


def _quantiles(rows: FloatArray) -> FloatArray:
    """2.5%, 50% and 97.5% over the draws; of a single row, itself."""
    drawn = rows[1:] if len(rows) > 1 else rows
    return np.asarray(np.quantile(drawn, [0.025, 0.5, 0.975], axis=0, method="inverted_cdf"))


def _answered(cells: Cells) -> BoolArray:
    """Which rows have a law for every score, (1 + R,): a replicate may lack the optimum that is asked for."""
    missing = np.isnan(cells.log_sizes) & ~np.isnan(cells.log_sizes[0])
    return np.asarray(~missing.any((1, 2)))


def _rows(cells: Cells, rows: BoolArray) -> Cells:
    return Cells(cells.log_sizes[rows], cells.noise, cells.lowest[rows], cells.highest[rows])


def _with_missing(values: FloatArray, rows: BoolArray) -> FloatArray:
    """Values of some rows with NaN in the others."""
    if rows.all():
        return values
    whole = np.full((len(rows), *values.shape[1:]), np.nan)
    whole[rows] = values
    return whole


def estimate_panel(cells: Cells) -> Panel:
    """Offsets of every draw and scatter of the benchmarks, over all models.

    The weights of the cells are the same in every draw, so the offsets are a linear fit of the draw's sizes. Scores
    out of range take no part. A draw without a law has no offsets: NaN.
    """
    answered = _answered(cells)
    cells, benchmarks = _rows(cells, answered), cells.log_sizes.shape[2]
    offsets = np.zeros((len(cells.log_sizes), benchmarks))
    scatter = np.full(benchmarks, 0.5)
    for _ in range(_ROUNDS):
        read = _Readings(cells, offsets)
        spare = cells.noise**2 + read.variance
        weights = read.known / (scatter**2 + spare)
        scatter = _scatter(read.middle - _mean(read.middle, weights)[:, None], spare, weights, read.known)
        weights = read.known / (scatter**2 + spare)
        share = weights / np.maximum(weights.sum(1, keepdims=True), 1e-300)
        normal = np.diag(weights.sum(0)) - weights.T @ share
        rest = read.values - (read.values * share).sum(-1, keepdims=True)
        offsets = offsets + (rest * weights).sum(1) @ np.linalg.pinv(normal)
        among = 1 / scatter**2
        offsets = offsets - (offsets @ among / among.sum())[:, None]
    return Panel(_with_missing(offsets, answered), scatter)


def read_jointly(cells: Cells, panel: Panel, like: JointSizes | None = None) -> JointSizes:
    """Joint sizes of models against offsets and scatter that are given: each by its own scores alone.

    Parameters
    ----------
    like : JointSizes, optional
        Of the same models by other draws, whose weights are taken.
    """
    answered = _answered(cells) & ~np.isnan(panel.offsets[:, 0])
    read = _Readings(_rows(cells, answered), panel.offsets[answered])
    values, spare = read.values, cells.noise**2 + read.variance
    bounded = read.under | read.over
    if bounded.any():
        imputed, extra = _beyond_bounds(read, spare, panel.scatter)
        values = np.where(bounded, read.bounds + (imputed - _quantiles(read.bounds)[1]), values)
        spare = np.where(bounded, spare + extra, spare)
    weights = read.present / (panel.scatter**2 + spare)
    with np.errstate(invalid="ignore"):
        weights = weights / weights.sum(1, keepdims=True) if like is None else like.weights
    centre = (values * weights).sum(-1)
    none = ~read.known.any(1)
    under, over = none & read.under.any(1), none & read.over.any(1)
    centre = np.select([under & over, under, over, none], [np.nan, -np.inf, np.inf, np.nan], centre)
    among = 1 / panel.scatter**2
    items = (weights**2 * cells.noise**2).sum(1)
    these = items + ((weights - among / among.sum()) ** 2 * panel.scatter**2).sum(1)
    like_these = items + (weights**2 * panel.scatter**2).sum(1)
    widths = (np.where(none, 0.0, np.sqrt(variance)) for variance in (these, like_these))
    own = np.where(read.present, values, np.nan)
    centre, own = _with_missing(centre, answered), _with_missing(own, answered)
    return JointSizes(centre, own, weights, np.sqrt(panel.scatter**2 + spare), *widths)


def _beyond_bounds(read: _Readings, spare: FloatArray, scatter: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of normal sizes that lie beyond their bounds (Tobin 1958), given the model's other scores."""
    bound = np.where(read.under, read.low, read.high)
    sign = np.where(read.over, 1.0, -1.0)
    width = np.sqrt(scatter**2 + spare)
    values, extra = np.where(read.known, read.middle, bound), np.zeros(bound.shape)
    for _ in range(_ROUNDS):
        centre = _mean(values, read.present / (width**2 + extra))[:, None]
        start = sign * (bound - centre) / width
        hazard = np.exp(-(start**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(-start))
        values = np.where(read.known, read.middle, centre + sign * width * hazard)
        extra = np.where(read.known, 0.0, width**2 * np.clip(1 + start * hazard - hazard**2, 0, 1))
    return values, extra


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted means over the last axis; zero where nothing has weight."""
    total = weights.sum(-1)
    return np.asarray((weights * values).sum(-1) / np.where(total > 0, total, 1.0))


def _scatter(residual: FloatArray, spare: FloatArray, weights: FloatArray, known: BoolArray) -> FloatArray:
    """τ_b from residuals: those of a weighted mean have variance (τ² + s²)·(1 − weight's share).

    Each benchmark's is drawn to that of all together as if `_PRIOR` more models had shown it: with few benchmarks,
    one of them could otherwise agree with the mean for the reason alone that it is the mean.
    """
    total = weights.sum(-1, keepdims=True)
    rest = known * (1 - weights / np.where(total > 0, total, 1.0))
    # A residual known to less than the scatter itself says little about the scatter.
    trust = rest / (1 + spare / 0.25) ** 2
    freedom = (trust * rest).sum(0)
    excess = (trust * (residual**2 - rest * spare)).sum(0)
    pooled = max(excess.sum() / max(freedom.sum(), 1e-300), _LEAST_SCATTER**2)
    return np.sqrt(np.maximum((excess + _PRIOR * pooled) / (freedom + _PRIOR), _LEAST_SCATTER**2))


def read_pooled(cells: Cells, like: JointSizes | None = None) -> JointSizes:
    """Joint sizes of models by `pool`, each from its own benchmarks alone.

    Benchmarks that identify nothing have no weight; where all are like that, all take part and the width says so.

    Parameters
    ----------
    like : JointSizes, optional
        Of the same models by other draws, whose weights are taken.
    """
    rows, models, benchmarks = cells.log_sizes.shape
    centre, weights = np.full((rows, models), np.nan), np.zeros((models, benchmarks))
    scatter = np.zeros(models)
    for model, sizes in enumerate(np.moveaxis(cells.log_sizes, 1, 0)):
        scored = np.flatnonzero(np.isfinite(sizes[0]))
        if not len(scored):
            bounds = set(sizes[0][~np.isnan(sizes[0])])
            centre[:, model] = bounds.pop() if len(bounds) == 1 else np.nan
            continue
        found = next(
            (found for widest in (100.0, np.inf) if len((found := pool(sizes[1:, scored], widest)).taken)),
            Pool(np.arange(len(scored)), np.full(len(scored), 1 / len(scored)), 0.0),
        )
        weights[model, scored[found.taken]], scatter[model] = found.share, found.scatter
        if like is not None:
            weights[model] = like.weights[model]
        taken = weights[model] > 0
        with np.errstate(invalid="ignore"):
            centre[:, model] = sizes[:, taken] @ weights[model, taken]
    own = np.where(np.isfinite(cells.log_sizes), cells.log_sizes, np.nan)
    items = (weights**2 * cells.noise**2).sum(1)
    like_these = items + (weights**2).sum(1) * scatter**2
    below, _, above = _quantiles(np.where(np.isnan(cells.log_sizes), 0.0, cells.log_sizes))
    with np.errstate(invalid="ignore"):
        spread = np.hypot(scatter[:, None], np.hypot(cells.noise, (above - below) / 3.92))
    return JointSizes(centre, own, weights, spread, np.sqrt(items), np.sqrt(like_these))
