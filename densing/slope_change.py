"""Did the trend change its slope? At a date given beforehand, or at the date the data suggest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.fit.intervals import Interval
from densing.fit.status import FitError
from densing.frontier import Dates, date_of, frontier_slopes
from densing.trend import Trend, fit_trend

FloatArray = NDArray[np.float64]
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
        Of the line with a bend there, per day.
    statistic : float
        Largest F over all candidate dates (Andrews 1993).
    p_value : float
        Chance of so large a statistic on a straight line, from its residuals dealt out again: a date that
        was searched for needs a harder test than one that was given.
    interval : Interval
        Days since the origin of the candidates that fit nearly as well (F within the 95% point of χ²₁).
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

    Raises
    ------
    FitError
        If one side has fewer than three models on its frontier.
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

    Parameters
    ----------
    trend : Trend
        With at least six models on its frontier.

    Raises
    ------
    FitError
        If fewer are there: three are needed on each side.
    """
    members = list(trend.members)
    t, y = trend.days[members], np.log(trend.densities[members])
    if len(t) < 2 * _FEWEST_A_SIDE:
        raise FitError(f"{len(t)} models on the frontier; a search for a bend needs at least {2 * _FEWEST_A_SIDE}")
    candidates = (t[_FEWEST_A_SIDE - 1 : -_FEWEST_A_SIDE] + t[_FEWEST_A_SIDE : len(t) - _FEWEST_A_SIDE + 1]) / 2
    straight = _projection(np.column_stack([np.ones_like(t), t]))
    bent = [_projection(np.column_stack([np.ones_like(t), t, np.maximum(t - at, 0)])) for at in candidates]
    freedom = len(t) - 3

    def statistics(rows: FloatArray) -> FloatArray:
        """F of every candidate (rows, candidates)."""
        total = ((rows - rows @ straight) ** 2).sum(1)
        left = np.stack([((rows - rows @ hat) ** 2).sum(1) for hat in bent], 1)
        return (total[:, None] - left) / np.maximum(left / freedom, 1e-300)

    observed = statistics(y[None])[0]
    best = int(observed.argmax())
    residual = y - y @ straight
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.broadcast_to(np.arange(len(t)), (replicates, len(t))), axis=1)
    again = statistics(y @ straight + residual[order]).max(1)
    p_value = float((1 + (again >= observed[best]).sum()) / (1 + replicates))
    design = np.column_stack([np.ones_like(t), t, np.maximum(t - candidates[best], 0)])
    _, slope, bend = np.linalg.lstsq(design, y, rcond=None)[0]
    near = candidates[observed >= observed[best] - 3.841]
    return Breakpoint(
        date_of(float(candidates[best])),
        float(slope),
        float(slope + bend),
        float(observed[best]),
        p_value,
        Interval(float(near.min()), float(near.max())),
    )


def _projection(design: FloatArray) -> FloatArray:
    q, _ = np.linalg.qr(design)
    return np.asarray(q @ q.T)
