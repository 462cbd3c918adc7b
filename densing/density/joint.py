"""One size per model that explains all of its scores: a two-way random-effects model of ln N̂.

Each benchmark b carries each model m back to a size of its own, through its own law and curve:

    ln N̂_mb = n_m + o_b + u_mb + e_mb,    Σ_b o_b/τ_b² = 0,

with n_m the joint size, o_b the benchmark's offset (what its law says too much for every model alike), u_mb the
scatter of standard deviation τ_b (what benchmarks disagree about), and e_mb the noise of finitely many
items. Offsets and scatter are estimated from all models together, once per draw of the laws and curves, so
that the errors of the reference family are in every answer. Scores at chance and over the ceiling are
bounds; missing ones are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ROUNDS = 10
_BEYOND = float(np.log(1000))
"""Sizes farther than this beyond those of the fitted scores count as bounds: no law is good for more."""
_LEAST_SCATTER = 0.05
"""Benchmarks never agree better than this, in ln N̂: one of them would otherwise decide alone."""
_FEWEST = 5
"""Degrees of freedom that estimate a benchmark's scatter; with fewer it is that of all benchmarks together."""


@dataclass(frozen=True)
class JointSizes:
    """Joint sizes of M models from B benchmarks, in R draws.

    Attributes
    ----------
    these : array, shape (R, M)
        ln of the size that these benchmarks give: errors of laws, curves and items, and of the scores that
        are missing. NaN for models without a score in range.
    like_these : array, shape (R, M)
        The same for benchmarks like these: what other benchmarks would scatter is in it too.
    centre : array, shape (R, M)
        ln of the best size under every draw of laws and curves, without the noise of items.
    own : array, shape (R, M, B)
        ln of each benchmark's own size, its offset taken off. The centre is a weighted mean of them.
    offsets, scatter : array, shape (R, B)
        o_b and τ_b.
    """

    these: FloatArray = field(repr=False)
    like_these: FloatArray = field(repr=False)
    centre: FloatArray = field(repr=False)
    own: FloatArray = field(repr=False)
    offsets: FloatArray = field(repr=False)
    scatter: FloatArray = field(repr=False)

    def disagreement(self) -> FloatArray:
        """How many standard deviations each benchmark lies from the joint size, median over draws: (M, B)."""
        with np.errstate(invalid="ignore"):
            return _nan_median((self.own - self.centre[..., None]) / self.scatter[:, None, :])


def _nan_median(values: FloatArray) -> FloatArray:
    """Median over the first axis; NaN where any value is."""
    return np.median(values, axis=0)


def joint_sizes(
    log_sizes: FloatArray,
    noise: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    *,
    seed: int | Sequence[int] = 0,
) -> JointSizes:
    """Joint sizes of all models, with offsets and scatter estimated over them.

    Parameters
    ----------
    log_sizes : array, shape (R, M, B)
        ln N̂ of every score as measured, by draw r of its benchmark's law and curve; −∞ at chance, +∞ over
        the ceiling or under the law's floor, NaN where there is no score.
    noise : array, shape (R, M, B)
        Standard deviation of ln N̂ from the items of a score; only read where `log_sizes` is finite.
    lowest, highest : array, shape (R, B)
        ln N̂ of the lowest and the highest score that the curve was fitted on: bounds of the sizes that
        scores out of range stand for.
    seed : int or sequence of int
        Of the noise that is drawn.

    Returns
    -------
    JointSizes
    """
    log_sizes = np.asarray(log_sizes, float)
    found = estimate(log_sizes, noise, lowest, highest)
    return found.drawn(np.random.default_rng(seed))


@dataclass(frozen=True)
class _Estimate:
    """Everything before noise is drawn; missing cells have weight zero."""

    values: FloatArray
    spare: FloatArray
    weights: FloatArray
    known: BoolArray
    offsets: FloatArray
    scatter: FloatArray
    centre: FloatArray

    def drawn(self, rng: np.random.Generator) -> JointSizes:
        """Add what the scores leave open: once for these benchmarks, once for benchmarks like these."""
        precision = self.weights.sum(-1)
        open_ = ~self.known.any(-1)
        share = 1 / self.scatter**2
        share = (share / share.sum(-1, keepdims=True))[:, None, :]
        present = self.weights > 0
        absent = (share * ~present).sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            items = (np.where(present, share**2 * self.spare, 0.0)).sum(-1)
            missing = absent**2 / precision + (~present * share**2 * self.scatter[:, None, :] ** 2).sum(-1)
            widths = np.sqrt(items + missing), np.sqrt(1 / precision)
        normal = rng.standard_normal(self.centre.shape)
        centre = np.where(open_, np.nan, self.centre)
        these, like_these = (centre + width * normal for width in widths)
        own = np.where(present, self.values - self.offsets[:, None, :], np.nan)
        return JointSizes(these, like_these, centre, own, self.offsets, self.scatter)


def estimate(log_sizes: FloatArray, noise: FloatArray, lowest: FloatArray, highest: FloatArray) -> _Estimate:
    """Sizes, offsets and scatter of every draw by iterated weighted least squares; see `joint_sizes`."""
    under = log_sizes < lowest[:, None, :] - _BEYOND
    over = log_sizes > highest[:, None, :] + _BEYOND
    present = ~np.isnan(log_sizes)
    known = present & ~under & ~over
    bound = np.where(under, lowest[:, None, :], highest[:, None, :])
    values = np.where(known, log_sizes, np.where(present, bound, 0.0))
    spare = np.where(known, np.asarray(noise, float) ** 2, 0.0)
    draws, _, benchmarks = log_sizes.shape
    scatter = np.full((draws, benchmarks), 0.5)
    offsets = np.zeros((draws, benchmarks))
    censored = bool((under | over).any())
    for _ in range(_ROUNDS):
        weights = present / (scatter[:, None, :] ** 2 + spare)
        centre = _centre(values - offsets[:, None, :], weights)
        offsets = _centre(np.swapaxes(values - centre[..., None], 1, 2), np.swapaxes(weights, 1, 2))
        share = 1 / scatter**2
        offsets = offsets - ((share * offsets).sum(-1) / share.sum(-1))[:, None]
        centre = _centre(values - offsets[:, None, :], weights)
        expected = centre[..., None] + offsets[:, None, :]
        scatter = _scatter(values - expected, spare, weights, known)
        if censored:
            values, spare = _censored(values, spare, expected, scatter, bound, under, over)
    weights = present / (scatter[:, None, :] ** 2 + spare)
    return _Estimate(values, spare, weights, known, offsets, scatter, _centre(values - offsets[:, None, :], weights))


def _centre(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted means over the last axis; zero where nothing has weight."""
    total = weights.sum(-1)
    return (weights * values).sum(-1) / np.where(total > 0, total, 1.0)


def _scatter(residual: FloatArray, spare: FloatArray, weights: FloatArray, known: BoolArray) -> FloatArray:
    """τ_b from residuals: those of a weighted mean have variance (τ² + s²)·(1 − weight's share)."""
    total = weights.sum(-1, keepdims=True)
    rest = known * (1 - weights / np.where(total > 0, total, 1.0))
    # A residual known to less than the scatter itself says little about the scatter.
    trust = rest * known / (1 + spare / (spare + 0.25))
    freedom = (trust * rest).sum(1)
    excess = (trust * (residual**2 - rest * spare)).sum(1)
    pooled = excess.sum(-1, keepdims=True) / np.maximum(freedom.sum(-1, keepdims=True), 1e-300)
    own = np.where(freedom > _FEWEST, excess / np.maximum(freedom, 1e-300), pooled)
    return np.sqrt(np.maximum(own, _LEAST_SCATTER**2))


def _censored(
    values: FloatArray,
    spare: FloatArray,
    expected: FloatArray,
    scatter: FloatArray,
    bound: FloatArray,
    under: BoolArray,
    over: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of a normal size given that it lies beyond its bound (Tobin 1958)."""
    index = np.nonzero(under | over)
    sign = np.where(over[index], 1.0, -1.0)
    width = scatter[index[0], index[2]]
    start = sign * (bound[index] - expected[index]) / width
    hazard = np.exp(-(start**2) / 2 - np.log(2 * np.pi) / 2 - log_ndtr(-start))
    values, spare = values.copy(), spare.copy()
    values[index] = expected[index] + sign * width * hazard
    spare[index] = width**2 * np.clip(1 + start * hazard - hazard**2, 0, 1)
    return values, spare


def pooled_size(log_sizes: FloatArray, widest: float = 100.0, *, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Joint size of one model from its benchmarks alone, where no other models tell their offsets and scatter.

    A random-effects mean (DerSimonian and Laird 1986, doi 10.1016/0197-2456(86)90046-2): benchmarks weigh by the
    inverse of their own variance and of what they scatter.

    Parameters
    ----------
    log_sizes : array, shape (R, B)
        Draws of ln N̂; ±∞ where a draw is out of range.
    widest : float
        Benchmarks whose 95% interval is wider than this ratio do not take part: they are not identified.

    Returns
    -------
    these, like_these : array, shape (R,)
        ln N̂ for these benchmarks, and for benchmarks like these. NaN where no benchmark is identified.
    """
    low, middle, high = np.quantile(log_sizes, [0.025, 0.5, 0.975], axis=0, method="inverted_cdf")
    with np.errstate(invalid="ignore"):
        taken = np.flatnonzero(high - low <= np.log(widest))
    if not len(taken):
        return np.full(len(log_sizes), np.nan), np.full(len(log_sizes), np.nan)
    values = np.clip(log_sizes[:, taken], middle[taken] - np.log(widest), middle[taken] + np.log(widest))
    middle, variance = middle[taken], ((high - low)[taken] / 3.92) ** 2
    weight = 1 / variance
    spread = (weight * (middle - (weight * middle).sum() / weight.sum()) ** 2).sum()
    between = (spread - len(taken) + 1) / max(weight.sum() - (weight**2).sum() / weight.sum(), 1e-300)
    between = max(between, 0.0) if len(taken) > 1 else 0.0
    share = 1 / (variance + between)
    share /= share.sum()
    these = values @ share
    noise = np.sqrt(between * (share**2).sum()) * np.random.default_rng(seed).standard_normal(len(these))
    return these, these + noise
