"""Did the trend change its slope? At a date given beforehand, or at the date the data suggest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from densing.core.arrays import BoolArray, FloatArray
from densing.core.errors import InputError
from densing.core.intervals import Interval
from densing.fit.status import FitError
from densing.trend.exponential import Trend, fit_trend
from densing.trend.frontier import Dates, date_of, frontier_slopes, pick_frontier

CHATGPT = dt.date(2022, 11, 30)
_FEWEST_A_SIDE = 3


@dataclass(frozen=True)
class SlopeChange:
    """Two trends and the test of one slope for both.

    Attributes
    ----------
    date : date
        Models released on it belong to the later part.
    before, after : Trend
        Each with its own frontier.
    p_value : float
        Chance of so large a difference of the two frontiers' slopes, were the true slopes one: residuals
        about the common slope dealt out again within each part, frontiers selected anew.
    """

    date: dt.date
    before: Trend
    after: Trend
    p_value: float

    @property
    def difference(self) -> float:
        """Later slope minus earlier slope, per day."""
        return self.after.slope_per_day - self.before.slope_per_day

    def __str__(self) -> str:
        ratio = self.after.slope_per_day / self.before.slope_per_day
        return (
            f"before {self.date}: A = {self.before.slope_per_day:.6f} per day "
            f"({len(self.before.members)} on the frontier); after: {self.after.slope_per_day:.6f} "
            f"({len(self.after.members)}); ratio {ratio:.2f}, p = {self.p_value:.2g}"
        )


@dataclass(frozen=True)
class Breakpoint:
    """The date at which a bend of the trend fits best.

    Attributes
    ----------
    date : date
    slope_before, slope_after : float
        Slopes of the line with a bend there, per day.
    statistic : float
        Largest F over all candidate dates (Andrews 1993).
    p_value : float
        Chance of so large a statistic on a straight line: residuals of all models dealt out again, the
        frontier selected and searched anew. A date that was searched for needs a harder test than one that
        was given.
    interval : Interval
        Days since the origin of the candidates that fit nearly as well (F within the 95% point of χ²₁).
        Candidates lie halfway between neighbours on the frontier, so its ends do too: the gaps between
        releases limit how finely a bend is dated.
    """

    date: dt.date
    slope_before: float
    slope_after: float
    statistic: float
    p_value: float
    interval: Interval

    def __str__(self) -> str:
        return (
            f"best bend at {self.date} ({date_of(self.interval.low)} to {date_of(self.interval.high)}): "
            f"{self.slope_before:.6f} before, {self.slope_after:.6f} per day after; "
            f"sup F = {self.statistic:.2f}, p = {self.p_value:.2g}"
        )


def slope_change(
    dates: ArrayLike,
    densities: ArrayLike,
    date: dt.date = CHATGPT,
    *,
    models: Sequence[str] | None = None,
    replicates: int = 10_000,
    seed: int = 0,
) -> SlopeChange:
    """Test a change of slope at a date that was given beforehand.

    Parameters
    ----------
    dates : array of dates, shape (M,)
    densities : array, shape (M,)
    date : date
        Models released on it belong to the later part.
    models : sequence of str, optional
        Names, for the tables.
    replicates : int
        How many pairs of frontiers the test deals out.
    seed : int
        Seed of those frontiers and of the intervals of both trends.

    Raises
    ------
    FitError
        If one side has fewer than three models on its frontier.
    InputError
        If the frontier of one side is censored.
    """
    when, values = np.asarray(dates, dtype="datetime64[D]"), np.asarray(densities, dtype=float)
    named = np.array(models if models is not None else [f"model {i + 1}" for i in range(len(values))])
    early = when < np.datetime64(date, "D")
    parts = []
    for side, chosen in (("before", early), ("after", ~early)):
        try:
            parts.append(
                fit_trend(when[chosen], values[chosen], models=list(named[chosen]), replicates=replicates, seed=seed)
            )
        except FitError as error:
            raise FitError(f"{side} {date}: {error}") from error
    for part in parts:
        part.refuse_if_censored()
    before, after = parts
    # The common slope weighs each frontier by how widely its dates spread, as one regression with two levels would.
    spread = [float(((t.days[list(t.members)] - t.days[list(t.members)].mean()) ** 2).sum()) for t in parts]
    common = (spread[0] * before.slope_per_day + spread[1] * after.slope_per_day) / sum(spread)
    rng = np.random.default_rng(seed)
    dealt = [_dealt_slopes(part, common, replicates, rng) for part in parts]
    differences = dealt[1] - dealt[0]
    differences = differences[np.isfinite(differences)]
    observed = after.slope_per_day - before.slope_per_day
    p_value = float((1 + (np.abs(differences) >= abs(observed)).sum()) / (1 + len(differences)))
    return SlopeChange(date, before, after, p_value)


def _dealt_slopes(trend: Trend, slope: float, replicates: int, rng: np.random.Generator) -> FloatArray:
    residual = np.log(trend.densities) - slope * trend.days
    order = rng.permuted(np.broadcast_to(np.arange(len(residual)), (replicates, len(residual))), axis=1)
    return frontier_slopes(Dates.of(trend.days), residual[order] + slope * trend.days, trend.frontier)


def find_breakpoint(trend: Trend, *, replicates: int = 10_000, seed: int = 0) -> Breakpoint:
    """Search the frontier for a bend and test it.

    The frontier is a choice made from the data: its records are no sample about a line, and a bend among
    them is easily had by choosing. Each replicate therefore deals out the residuals of all models about the
    trend, selects its frontier anew and searches it for its own best bend.

    Parameters
    ----------
    trend : Trend
        With at least six models on its frontier.
    replicates : int
        How many frontiers the test deals out; those with fewer than six models do not count.
    seed : int
        Seed of those frontiers.

    Raises
    ------
    FitError
        If fewer are there: three are needed on each side.
    InputError
        For a rule that picks no models, as a quantile regression, and where the frontier is censored.
    """
    trend.refuse_if_censored()
    if trend.distribution is None:
        raise InputError(
            f"the frontier {trend.frontier} rests on all models, so none can be picked anew; "
            "search for a bend on another frontier"
        )
    members = list(trend.members)
    t, y = trend.days[members], np.log(trend.densities[members])
    if len(t) < 2 * _FEWEST_A_SIDE:
        raise FitError(f"{len(t)} models on the frontier; a search for a bend needs at least {2 * _FEWEST_A_SIDE}")
    candidates, statistics = (part[0] for part in _bends(t, y[None], np.ones((1, len(t)), bool)))
    best = int(statistics.argmax())
    again = _dealt_bends(trend, replicates, np.random.default_rng(seed))
    p_value = float((1 + (again >= statistics[best]).sum()) / (1 + len(again)))
    design = np.column_stack([np.ones_like(t), t, np.maximum(t - candidates[best], 0)])
    _, slope, bend = np.linalg.lstsq(design, y, rcond=None)[0]
    near = candidates[statistics >= statistics[best] - 3.841]
    return Breakpoint(
        date_of(float(candidates[best])),
        float(slope),
        float(slope + bend),
        float(statistics[best]),
        p_value,
        Interval(float(near.min()), float(near.max())),
    )


def _dealt_bends(trend: Trend, replicates: int, rng: np.random.Generator) -> FloatArray:
    """Largest F of each frontier that the residuals of all models make when dealt out again."""
    found, logs = Dates.of(trend.days), np.log(trend.densities)
    # The frontier's own slope is biased by the choice; the one it points to half of the time is not.
    assert trend.distribution is not None
    slope = float(trend.distribution.quantile(0.5))
    residual = logs - slope * trend.days
    order = rng.permuted(np.broadcast_to(np.arange(len(logs)), (replicates, len(logs))), axis=1)
    dealt = residual[order] + slope * trend.days
    picked = pick_frontier(found, dealt, trend.frontier)
    enough = picked.chosen.sum(1) >= 2 * _FEWEST_A_SIDE
    return _bends(picked.days, picked.values[enough], picked.chosen[enough])[1].max(1, initial=0)


def _bends(days: FloatArray, values: FloatArray, chosen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Candidate bends of each row's chosen values, halfway between neighbours, and their F (zero where absent).

    A bend's F follows from the part of its hinge that a straight line leaves over.
    """
    counts = chosen.sum(1)
    widest = int(counts.max(initial=0))
    # Each row's chosen values moved to its left.
    place = np.argsort(~chosen, axis=1, kind="stable")[:, :widest]
    here = np.take_along_axis(chosen, place, 1).astype(float)
    t, y = days[place], np.take_along_axis(values, place, 1)

    def left_over(rows: FloatArray) -> FloatArray:
        centred = (rows - ((rows * here).sum(1) / counts)[:, None]) * here
        return np.asarray(centred - time * ((centred * time).sum(1) / (time**2).sum(1))[:, None])

    time = (t - ((t * here).sum(1) / counts)[:, None]) * here
    remains = left_over(y)
    total = (remains**2).sum(1)
    ends = range(_FEWEST_A_SIDE - 1, widest - _FEWEST_A_SIDE)
    candidates, statistics = np.full((2, len(values), len(ends)), np.nan)
    for column, last in enumerate(ends):
        at = (t[:, last] + t[:, last + 1]) / 2
        hinge = left_over(np.maximum(t - at[:, None], 0))
        gain = (hinge * remains).sum(1) ** 2 / np.maximum((hinge**2).sum(1), 1e-300)
        f = gain * (counts - 3) / np.maximum(total - gain, 1e-300)
        candidates[:, column] = at
        statistics[:, column] = np.where(last + _FEWEST_A_SIDE < counts, f, 0)
    return candidates, statistics
