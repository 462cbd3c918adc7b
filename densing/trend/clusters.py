"""The slope of a frontier whose models come in families from labs, and how well it is known.

The frontier is a choice made from the data, and what moves one model of a family moves its siblings too. An interval
that keeps the frontier fixed, or takes the models for independent, is too narrow, and the line through the records is
steeper than the truth because records are selected. One test undoes all of it. A slope is inside the interval when the
observed frontier is not surprising under it: residuals of ln ρ are dealt out over the models in the order of random
numbers that are correlated within families and labs, the candidate's trend is added, the frontier selected anew and
compared with the observed one. The candidate under which half of the replicates are flatter is the median-unbiased
slope.

What is compared is the slope of the standing record (the largest ρ so far, on every release date), not the line
through the records alone: without a trend the records crowd on the first dates, where any steepness may happen, and a
line through them cannot tell a slow trend from none.

A model that is too good for its frame has no density but a limit that it exceeds. It enters at its limit, and so does
every simulated model that exceeds its own: the observed slope and the simulated ones are bent alike.

`benchmarks/trend_coverage.py` holds the intervals against simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from densing.core.arrays import BoolArray, FloatArray
from densing.core.intervals import Interval
from densing.trend.frontier import Dates, frontier_slopes
from densing.trend.mixed_effects import fit_cells, grouping, share_grid

_SLOPES = 41
_ROUGH = 200
"""Replicates that find where the candidate slopes have to lie."""
_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class SlopeDistribution:
    """How well the frontier's slope is known when the densities are: the ranks of all candidate slopes.

    Attributes
    ----------
    slopes : array, shape (s,)
        Increasing candidates.
    below : array, shape (s,)
        Confidence that the slope lies under each, increasing.
    family_share, lab_share : float
        Part of the scatter of ln ρ that models of one family, of one lab, have in common (posterior means). The
        correlation within a family is their sum.
    """

    slopes: FloatArray
    below: FloatArray
    family_share: float = 0.0
    lab_share: float = 0.0

    def quantile(self, probability: ArrayLike) -> FloatArray:
        """Slope under which the confidence is `probability`; infinite beyond what the data can exclude."""
        wanted = np.asarray(probability, float)
        inside = np.interp(wanted, self.below, self.slopes)
        return np.where(wanted < self.below[0], -np.inf, np.where(wanted > self.below[-1], np.inf, inside))

    @property
    def median_unbiased(self) -> float:
        """The slope that is as likely too flat as too steep; per day."""
        return float(self.quantile(0.5))

    def interval(self, level: float = 0.95) -> Interval:
        """Interval of the slope, per day."""
        low, high = self.quantile([(1 - level) / 2, (1 + level) / 2])
        return interval_of(float(low), float(high), level)


def interval_of(low: float, high: float, level: float) -> Interval:
    """An interval whose infinite sides are open."""
    return Interval(low, high, level, open_low=bool(np.isinf(low)), open_high=bool(np.isinf(high)))


def slope_distribution(
    days: FloatArray,
    logs: FloatArray,
    frontier: str,
    *,
    groups: Sequence[ArrayLike] = (),
    limits: FloatArray | None = None,
    level: float = 0.95,
    replicates: int = 4_000,
    seed: int = 0,
) -> SlopeDistribution:
    """Test candidate slopes about the observed one; see the module's head.

    Parameters
    ----------
    days : array, shape (M,)
    logs : array, shape (M,)
        ln ρ, infinite where a model exceeds its limit by an unknown amount.
    frontier : {"records", "all"}
        A rule of `densing.trend.frontier.FRONTIERS` that picks models.
    groups : sequence of array of labels, shape (M,)
        Families, and labs, of the models; none where they are independent.
    limits : array, shape (M,), optional
        Largest ln ρ that can be read of each model.
    level : float
        Of the widest interval that will be asked for.
    """
    tops = np.full(len(days), np.inf) if limits is None else limits
    logs = np.minimum(logs, tops)
    censored = logs >= tops
    t = days - days.mean()
    found = Dates.of(t)
    design = np.column_stack([np.ones_like(t), t])
    line, scatter = _censored_line(design, logs, censored)
    completed = np.where(censored, _truncated(design @ line, scatter, tops, 0.5), logs)
    shared = [place for place, labels in enumerate(groups) if len(np.unique(np.asarray(labels))) < len(t)]
    roots = [grouping(groups[place]) for place in shared]
    cells = fit_cells(design, completed, roots, share_grid(len(roots)))
    weights = np.array([cell.weight for cell in cells])
    trend = weights @ np.array([cell.coefficients for cell in cells])
    test = _Test(found, t, np.minimum(tops - trend[0], np.inf), frontier)
    rng = np.random.default_rng([seed, 13])
    for cell, count in zip(cells, rng.multinomial(replicates, weights), strict=True):
        for start in range(0, count, size := max(1, _VALUES_AT_ONCE // len(t))):
            rows = min(size, count - start)
            residual = _residuals(logs, design @ trend, censored, tops, scatter, cell.scale, rows, rng)
            test.add(_dealt(residual, cell.normals(roots, len(t), rows, rng)))
    slopes, below = test.invert(logs - trend[0], level, rng)
    shares = np.zeros(max(2, len(groups)))
    shares[shared] = weights @ np.array([cell.shares for cell in cells]) if roots else []
    return SlopeDistribution(slopes, below, float(shares[0]), float(shares[1]))


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
    return np.asarray(line, float), scatter


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
    scale: float,
    rows: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Residuals about the trend of all models in rising order, (1, M), or (rows, M) where some must be imagined.

    They are stretched to the scale of the errors: a line through models that have much in common follows them closely.
    """
    residual = (logs - trend)[None]
    if censored.any():
        residual = np.tile(residual, (rows, 1))
        drawn = rng.random((rows, int(censored.sum())))
        residual[:, censored] = _truncated(trend[censored], scatter, tops[censored], drawn) - trend[censored]
    residual = residual - residual.mean(1, keepdims=True)
    size = np.sqrt((residual**2).mean())
    return np.sort(residual * (scale / size if size > 0 else 1.0), 1)


def _dealt(ordered: FloatArray, normals: FloatArray) -> FloatArray:
    """The residuals (R, M), dealt out in the order of correlated normals."""
    dealt = np.empty(normals.shape)
    np.put_along_axis(dealt, normals.argsort(1), np.broadcast_to(ordered, normals.shape), 1)
    return dealt


class _Test:
    """Slopes that simulated frontiers have under a candidate trend."""

    def __init__(self, found: Dates, days: FloatArray, tops: FloatArray, frontier: str) -> None:
        self.found, self.days, self.tops, self.frontier = found, days, tops, frontier
        # One date's models rise alike, so without limits their best is the best of their noise.
        self.by_date = frontier == "records" and bool(np.isinf(tops).all())
        self.parts: list[FloatArray] = []

    def add(self, noise: FloatArray) -> None:
        # Dates stand in rows, so that the running maximum of all replicates is taken at once.
        self.parts.append(np.ascontiguousarray(self.found.best(noise).T) if self.by_date else noise)

    def slopes(self, values: FloatArray) -> FloatArray:
        if self.frontier == "records":
            return self._standing(self.found.best(values).T)
        return frontier_slopes(self.found, values, self.frontier)

    def _standing(self, best: FloatArray) -> FloatArray:
        """Least-squares slope of the largest value so far, for each column of the best of each date (dates, R)."""
        centred = self.found.days - self.found.days.mean()
        standing = np.array(best, order="C")
        for earlier, later in pairwise(standing):  # row by row, which is six times as fast as `accumulate` down columns
            np.maximum(earlier, later, out=later)
        return np.asarray(centred @ standing / (centred**2).sum())

    def invert(self, logs: FloatArray, level: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Candidate slopes, and the share of the replicates that are steeper than observed under each."""
        noise = np.concatenate(self.parts, axis=int(self.by_date))
        some = rng.permutation(noise.shape[self.by_date])[:_ROUGH]
        few = noise[:, some] if self.by_date else noise[some]
        observed = float(self.slopes(logs[None])[0])
        tolerance = 1e-9 * max(abs(observed), float(logs.std() / self.days.std()))

        def steeper(slope: float, noise: FloatArray) -> float:
            if self.by_date:
                again = self._standing(noise + slope * self.found.days[:, None])
            else:
                again = self.slopes(np.minimum(noise + slope * self.days, self.tops))
            return float(((again > observed + tolerance).mean() + (again >= observed - tolerance).mean()) / 2)

        def confidence(slopes: FloatArray, noise: FloatArray) -> tuple[FloatArray, int]:
            below = np.array([steeper(slope, noise) for slope in slopes])
            # Only the noise of the replicates makes the confidence fall with the slope.
            middle = int(np.abs(below - 0.5).argmin())
            below[middle:] = np.maximum.accumulate(below[middle:])
            below[middle::-1] = np.minimum.accumulate(below[middle::-1])
            return below, middle

        reach = max(float(few.std()) / self.days.std() / np.sqrt(len(self.days)), tolerance)
        wide = observed + reach * np.linspace(-20, 20, 81)
        rough, _ = confidence(wide, few)
        tail = (1 - level) / 2
        first = max(int(np.searchsorted(rough, tail / 4)) - 1, 0)
        last = min(int(np.searchsorted(rough, 1 - tail / 4)), len(wide) - 1)
        slopes = np.linspace(wide[first], wide[last], _SLOPES)
        below, middle = confidence(slopes, noise)
        # Interpolation needs rising confidence: of equal neighbours only the one nearest the middle stays.
        keep = np.ones(_SLOPES, dtype=bool)
        keep[:middle] = below[:middle] < below[1 : middle + 1]
        keep[middle + 1 :] = below[middle + 1 :] > below[middle:-1]
        return slopes[keep], below[keep]
