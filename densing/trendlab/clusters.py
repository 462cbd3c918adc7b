"""The slope of a frontier whose models come in families from labs.

What moves one model of a family moves its siblings too, so the frontier's slope is known less well than that many
independent models would say, and it is steeper than the truth: records are selected. Both are undone by one test.
A slope is inside the interval when the observed frontier is not surprising under it: residuals of ln ρ are dealt
out over the models in the order of random numbers that are correlated within families and labs, the candidate's
trend is added, the frontier selected anew and compared with the observed one. The candidate under which half of
the replicates are flatter is the median-unbiased slope.

What is compared is the slope of the standing record (the largest ρ so far, on every release date), not the line
through the records alone: without a trend the records crowd on the first dates, where any steepness may happen,
and a line through them cannot tell a slow trend from none.

A model that is too good for its frame has no density but a limit that it exceeds. It enters at its limit, and so
does every simulated model that exceeds its own: the observed slope and the simulated ones are bent alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from densing.errors import InputError
from densing.fit.intervals import Interval
from densing.fit.status import FitError
from densing.frontier import BoolArray, Dates, Frontier, frontier_slopes, is_record
from densing.slope_interval import SlopeDistribution, interval_of
from densing.trendlab.mixed_effects import Cell, correlated_normals, fit_cells, same, share_grid

FloatArray = NDArray[np.float64]
_SLOPES = 31
_ROUGH = 200
"""Replicates that find where the candidate slopes have to lie."""
_FEWEST_MODELS = 5


@dataclass(frozen=True)
class ClusteredSlope:
    """The slope of a frontier, and how well it is known.

    Attributes
    ----------
    least_squares : float
        Slope of ln ρ over the frontier's points, per day; a censored model counts with its limit.
    distribution : SlopeDistribution
    family_share, lab_share : float
        Part of the scatter of ln ρ that models of one family, of one lab, have in common (posterior means). The
        correlation within a family is their sum.
    censored : int
        Models that exceed their limit.
    """

    least_squares: float
    distribution: SlopeDistribution
    family_share: float
    lab_share: float
    censored: int

    @property
    def median_unbiased(self) -> float:
        """The slope that is as likely too flat as too steep; per day."""
        return float(self.distribution.quantile(0.5))

    def interval(self, level: float = 0.95) -> Interval:
        """Interval of the slope, per day."""
        low, high = self.distribution.quantile([(1 - level) / 2, (1 + level) / 2])
        return interval_of(float(low), float(high), level)


def clustered_slope(
    days: ArrayLike,
    densities: ArrayLike,
    families: ArrayLike,
    labs: ArrayLike | None = None,
    *,
    limits: ArrayLike | None = None,
    frontier: Frontier = "records",
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
) -> ClusteredSlope:
    """Slope of the frontier with families and labs as clusters.

    Parameters
    ----------
    days : array, shape (M,)
    densities : array, shape (M,)
        ρ > 0; infinite where a model exceeds its limit by an unknown amount. A model at chance has no place on
        a frontier and is left out by the caller.
    families, labs : array of labels, shape (M,)
    limits : array, shape (M,), optional
        Largest ρ that the frame can read of each model: its largest effective size over the model's size.
    level : float
        Of the widest interval that will be asked for.

    Raises
    ------
    InputError
        If a density is not positive, or infinite without a limit.
    FitError
        If fewer than five models, or fewer than three points on the frontier, are left.
    """
    t, values = np.asarray(days, float), np.asarray(densities, float)
    tops = np.full(len(t), np.inf) if limits is None else np.log(np.asarray(limits, float))
    if not (values > 0).all():
        raise InputError("a density on a frontier must be positive; leave out models at chance and unknown ones")
    if np.isinf(np.minimum(np.log(values), tops)).any():
        raise InputError("a density is infinite and has no finite limit; give the largest density its frame can read")
    logs = np.minimum(np.log(values), tops)
    censored = logs >= tops
    t = t - t.mean()
    found = Dates.of(t)
    if len(t) < _FEWEST_MODELS or (frontier == "records" and is_record(found.best(logs[None])).sum() < 3):
        raise FitError(
            f"a trend needs at least {_FEWEST_MODELS} models and 3 of them on the frontier; {len(t)} were given"
        )
    design = np.column_stack([np.ones_like(t), t])
    line, scatter = _censored_line(design, logs, censored)
    completed = np.where(censored, _truncated(design @ line, scatter, tops, 0.5), logs)
    kernels = [same(families)] + ([] if labs is None else [same(labs)])
    cells = fit_cells(design, completed, kernels, share_grid(len(kernels)))
    weights = np.array([cell.weight for cell in cells])
    trend = weights @ np.array([cell.coefficients for cell in cells])
    residual = _residuals(logs, design @ trend, censored, tops, scatter, replicates, seed)
    noise = trend[0] + _dealt(residual, cells, replicates, seed)
    distribution = _invert(found, t, logs, noise, tops, frontier, level)
    shares = weights @ np.array([cell.shares for cell in cells])
    return ClusteredSlope(
        float(frontier_slopes(found, logs[None], frontier)[0]),
        distribution,
        float(shares[0]),
        float(shares[1]) if len(shares) > 1 else 0.0,
        int(censored.sum()),
    )


def _censored_line(design: FloatArray, logs: FloatArray, censored: BoolArray) -> tuple[FloatArray, float]:
    """A line by expectation and maximisation where some values are only known to exceed what is given."""
    freedom = max(len(logs) - design.shape[1], 1)
    expected, extra = logs, np.zeros(len(logs))
    for _ in range(200 if censored.any() else 1):
        line = np.linalg.lstsq(design, expected, rcond=None)[0]
        mean = design @ line
        scatter = max(float(np.sqrt((((expected - mean) ** 2).sum() + extra.sum()) / freedom)), 1e-12)
        z = (logs - mean) / scatter
        hazard = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / np.maximum(ndtr(-z), 1e-300)
        expected = np.where(censored, mean + scatter * hazard, logs)
        extra = np.where(censored, scatter**2 * np.clip(1 + z * hazard - hazard**2, 0, 1), 0)
    return line, scatter


def _truncated(mean: FloatArray, scatter: float, low: FloatArray, probability: ArrayLike) -> FloatArray:
    """Quantiles of a normal that is known to exceed `low`."""
    beyond = ndtr((mean - low) / scatter)
    return mean - scatter * ndtri(np.maximum(beyond * (1 - np.asarray(probability)), 1e-300))


def _residuals(
    logs: FloatArray,
    trend: FloatArray,
    censored: BoolArray,
    tops: FloatArray,
    scatter: float,
    replicates: int,
    seed: int,
) -> FloatArray:
    """Residuals about the trend of all models in rising order, (1, M), or (R, M) where some must be imagined."""
    residual = (logs - trend)[None]
    if censored.any():
        residual = np.tile(residual, (replicates, 1))
        drawn = np.random.default_rng([seed, 17]).random((replicates, int(censored.sum())))
        residual[:, censored] = _truncated(trend[censored], scatter, tops[censored], drawn) - trend[censored]
    # Two constants were fitted: the residuals are a little smaller than the errors.
    larger = np.sqrt(len(logs) / (len(logs) - 2))
    return np.sort(larger * (residual - residual.mean(1, keepdims=True)), 1)


def _dealt(ordered: FloatArray, cells: list[Cell], replicates: int, seed: int) -> FloatArray:
    """The residuals (R, M), dealt out in the order of correlated normals."""
    order = correlated_normals(cells, replicates, np.random.default_rng([seed, 13])).argsort(1)
    dealt = np.empty(order.shape)
    np.put_along_axis(dealt, order, np.broadcast_to(ordered, order.shape), 1)
    return dealt


def _standing_slopes(days: FloatArray, best: FloatArray) -> FloatArray:
    """Least-squares slope of the largest value so far, row by row of the best of each date (R, dates)."""
    centred = days - days.mean()
    return np.asarray(np.maximum.accumulate(best, axis=1) @ centred / (centred**2).sum())


def _invert(
    found: Dates,
    days: FloatArray,
    logs: FloatArray,
    noise: FloatArray,
    tops: FloatArray,
    frontier: Frontier,
    level: float,
) -> SlopeDistribution:
    """Confidence that the slope lies under each candidate: the share of replicates that are steeper than observed."""

    def slopes_of(values: FloatArray) -> FloatArray:
        if frontier == "all":
            return frontier_slopes(found, values, frontier)
        return _standing_slopes(found.days, found.best(values))

    observed = float(slopes_of(logs[None])[0])
    # One date's models rise alike, so without limits their best is the best of their noise.
    best = found.best(noise) if frontier == "records" and np.isinf(tops).all() else None

    def steeper(slope: float, replicates: int) -> float:
        if best is not None:
            again = _standing_slopes(found.days, best[:replicates] + slope * found.days)
        else:
            again = slopes_of(np.minimum(noise[:replicates] + slope * days, tops))
        return float((again > observed).mean() + (again == observed).mean() / 2)

    def confidence(slopes: FloatArray, replicates: int) -> tuple[FloatArray, int]:
        below = np.array([steeper(slope, replicates) for slope in slopes])
        # Only the noise of the replicates makes the confidence fall with the slope.
        middle = int(np.abs(below - 0.5).argmin())
        below[middle:] = np.maximum.accumulate(below[middle:])
        below[middle::-1] = np.minimum.accumulate(below[middle::-1])
        return below, middle

    reach = noise.std() / days.std() / np.sqrt(len(days))
    wide = observed + reach * np.linspace(-20, 20, 61)
    rough, _ = confidence(wide, _ROUGH)
    tail = (1 - level) / 2
    first = max(int(np.searchsorted(rough, tail / 4)) - 1, 0)
    last = min(int(np.searchsorted(rough, 1 - tail / 4)), len(wide) - 1)
    slopes = np.linspace(wide[first], wide[last], _SLOPES)
    below, middle = confidence(slopes, len(noise))
    # Interpolation needs rising confidence: of equal neighbours only the one nearest the middle stays.
    keep = np.ones(_SLOPES, dtype=bool)
    keep[:middle] = below[:middle] < below[1 : middle + 1]
    keep[middle + 1 :] = below[middle + 1 :] > below[middle:-1]
    return SlopeDistribution(slopes[keep], below[keep])
