"""The trend of the densest models: ln ρ_max = A·t + B, and the doubling time ln 2 / A."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from densing.core.errors import InputError, unknown
from densing.core.intervals import Interval
from densing.fit.status import FitError
from densing.trend.frontier import Dates, Frontier, days_since, frontier_members, frontier_slopes, least_squares_slopes
from densing.trend.interval import SlopeDistribution, interval_of, slope_distribution, with_frame_error

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Trend:
    """An exponential through the frontier.

    Attributes
    ----------
    slope_per_day : float
        A.
    intercept : float
        B, ln ρ on the origin's date.
    r_squared : float
    interval : Interval
        Of A, every replicate selecting its frontier anew; with draws of the densities, their errors too.
    interval_sampling : Interval
        The same for the densities as they are.
    interval_fixed : Interval
        Of A by Student's t on the frontier's points: what would hold if the frontier had been known
        beforehand. Given for comparison; for records it is too narrow. A quantile regression has one
        interval, from its asymptotic error, and all three are that.
    members : tuple of int
        Rows of the models on the frontier, by date.
    models, dates, densities
        All models that took part.
    rows : tuple of int
        Their rows among the models that were given.
    skipped : int
        Models without a finite density or a date.
    out_of_range_share : float
        Share of the draws in which some model has no finite size; the interval holds for the others.
    """

    slope_per_day: float
    intercept: float
    r_squared: float
    interval: Interval
    interval_sampling: Interval
    interval_fixed: Interval
    members: tuple[int, ...]
    models: tuple[str, ...] = field(repr=False)
    dates: tuple[dt.date, ...] = field(repr=False)
    densities: FloatArray = field(repr=False)
    frontier: Frontier = "records"
    quantile: float | None = None
    skipped: int = 0
    out_of_range_share: float = 0.0
    replicates: int = 0
    seed: int = 0
    rows: tuple[int, ...] = field(default=(), repr=False)
    distribution: SlopeDistribution | None = field(default=None, repr=False, compare=False)

    def with_draws(self, draws: FloatArray) -> Trend:
        """The same trend with the errors of the densities in its interval.

        Parameters
        ----------
        draws : array, shape (R, M)
            Of the densities of all models that were given, in their order; see `fit_trend`.
        """
        if self.distribution is None:  # a quantile regression keeps its own interval
            return self
        interval, share = with_frame_error(
            self.distribution,
            Dates.of(self.days),
            np.log(self.densities),
            np.asarray(draws)[:, list(self.rows)],
            self.frontier,
            self.slope_per_day,
            self.interval_sampling.level,
            self.replicates,
            self.seed,
        )
        return replace(self, interval=interval, out_of_range_share=share)

    @property
    def doubling_time_days(self) -> float:
        """Ln 2 / A; negative when density falls, and then its size is a halving time."""
        return float(np.log(2) / self.slope_per_day)

    @property
    def doubling_interval_days(self) -> Interval:
        """Interval of the doubling time, negative where density falls; open when the slope's interval holds zero."""
        return self._doubling(self.interval)

    def _doubling(self, slope: Interval) -> Interval:
        return doubling_interval(slope, falling=self.slope_per_day < 0)

    @property
    def days(self) -> FloatArray:
        """Days of all models since the origin."""
        return days_since(self.dates)

    @property
    def first_date(self) -> dt.date:
        """Date of the frontier's first model."""
        return self.dates[self.members[0]]

    @property
    def last_date(self) -> dt.date:
        """Release of the last model that took part: what lies after it is a forecast."""
        return max(self.dates)

    def density(self, date: dt.date) -> float:
        """ρ_max on the trend line."""
        return float(np.exp(self.intercept + self.slope_per_day * days_since([date])[0]))

    def members_table(self) -> pd.DataFrame:
        """Models on the frontier."""
        import pandas as pd

        rows = list(self.members)
        return pd.DataFrame(
            {
                "model": [self.models[i] for i in rows],
                "release_date": [self.dates[i].isoformat() for i in rows],
                "density": self.densities[rows],
                "on_line": [self.density(self.dates[i]) for i in rows],
            }
        )

    def leave_one_out(self) -> pd.DataFrame:
        """The trend without each frontier model in turn.

        Columns ``slope_selected_anew`` (another model may take its place) and ``slope_others_kept`` (the
        line through the rest).

        Raises
        ------
        InputError
            For a quantile regression, which rests on all models.
        """
        import pandas as pd

        if self.frontier == "quantile":
            raise InputError("leaving one out is for the frontiers records and all; a quantile rests on every model")

        rows = []
        for member in self.members:
            keep = [i for i in range(len(self.models)) if i != member]
            logs = np.log(self.densities[keep])[None]
            anew = float(frontier_slopes(Dates.of(self.days[keep]), logs, self.frontier)[0])
            rest = np.array([i for i in self.members if i != member])
            others = float(
                least_squares_slopes(
                    self.days[rest], np.log(self.densities[rest])[None], np.ones((1, len(rest)), bool)
                )[0]
            )
            rows.append({"without": self.models[member], "slope_selected_anew": anew, "slope_others_kept": others})
        return pd.DataFrame(rows)

    def band(self, dates: Sequence[dt.date], *, new_model: bool = False) -> tuple[FloatArray, FloatArray]:
        """Band about the line: the slope's interval turned about the frontier's centre, and the level's error.

        Its confidence is that of the slope's interval. A quantile line rests on all models, so their centre
        and their scatter take the place of the frontier's.

        Parameters
        ----------
        dates : sequence of date
        new_model : bool
            For the density of a next record rather than for the line: adds the scatter of one model.

        Returns
        -------
        low, high : array, shape (len(dates),)
        """
        rows = list(range(len(self.models)) if self.frontier == "quantile" else self.members)
        residual = np.log(self.densities[rows]) - self.slope_per_day * self.days[rows]
        spread = np.sqrt(((residual - residual.mean()) ** 2).sum() / (len(rows) - 2))
        days = days_since(dates)
        line = self.intercept + self.slope_per_day * days
        offset = days - self.days[rows].mean()
        reach = stdtrit(len(rows) - 2, 0.5 + self.interval.level / 2)
        level = spread * np.sqrt(1 / len(rows) + new_model) * reach
        with np.errstate(invalid="ignore"):
            turns = np.outer([self.interval.low - self.slope_per_day, self.interval.high - self.slope_per_day], offset)
        turns = np.where(np.isnan(turns), 0.0, turns)
        with np.errstate(over="ignore"):
            return np.exp(line - np.hypot(turns.min(0), level)), np.exp(line + np.hypot(turns.max(0), level))

    def to_dict(self) -> dict[str, Any]:
        """Numbers for tables and JSON."""
        doubling = self.doubling_interval_days
        return {
            "frontier": self.frontier if self.quantile is None else f"quantile {self.quantile:g}",
            "models": len(self.models),
            "on_frontier": len(self.members),
            "skipped": self.skipped,
            "slope_per_day": self.slope_per_day,
            "slope_low": self.interval.low,
            "slope_high": self.interval.high,
            "slope_low_fixed_frontier": self.interval_fixed.low,
            "slope_high_fixed_frontier": self.interval_fixed.high,
            "intercept": self.intercept,
            "r_squared": self.r_squared,
            "doubling_days": self.doubling_time_days,
            "doubling_days_low": doubling.low,
            "doubling_days_high": doubling.high,
            "doubling_months": self.doubling_time_days / DAYS_PER_MONTH,
            "first_date": self.first_date.isoformat(),
            "last_date": self.last_date.isoformat(),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        return pd.DataFrame([self.to_dict()])

    def __str__(self) -> str:
        word, days = (
            ("doubling", self.doubling_time_days) if self.slope_per_day > 0 else ("halving", -self.doubling_time_days)
        )
        level = f"{self.interval.level:.0%}"
        lines = [
            f"{self.members_table().to_string(index=False, float_format=lambda v: f'{v:.4g}')}",
            f"A = {self.slope_per_day:.7f} per day ({level} {self.interval.low:.5f} to {self.interval.high:.5f}), "
            f"R² = {self.r_squared:.4f}",
            f"{word} time {days:.2f} days ({days / DAYS_PER_MONTH:.2f} months), "
            f"{level} {doubling_text(self.doubling_interval_days)}",
        ]
        if self.interval != self.interval_sampling:
            lines.append(f"  given the densities: {doubling_text(self._doubling(self.interval_sampling))}")
        if self.frontier != "quantile":
            name = "with the frontier held fixed (too narrow)" if self.frontier == "records" else "by Student's t"
            lines.append(f"  {name}: {doubling_text(self._doubling(self.interval_fixed))}")
        if self.out_of_range_share > 0.001:
            lines.append(
                f"  in {self.out_of_range_share:.0%} of the draws some model has no finite size; "
                "the interval holds for the rest"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.members_table().to_html(index=False) + "<br>".join(str(self).splitlines()[-3:])


def doubling_interval(slope: Interval, *, falling: bool = False) -> Interval:
    """Interval of ln 2 / A from that of A.

    Parameters
    ----------
    falling : bool
        Of a halving time, as negative days: halving in 90 to 140 days is −140 to −90.
    """
    if falling:
        return _mirrored(doubling_interval(_mirrored(slope)))
    low = float(np.log(2) / slope.high) if slope.high > 0 else np.inf
    high = float(np.log(2) / slope.low) if slope.low > 0 else np.inf
    return Interval(low, high, slope.level, open_high=not np.isfinite(high), open_low=slope.open_high)


def _mirrored(interval: Interval) -> Interval:
    return Interval(
        -interval.high, -interval.low, interval.level, open_low=interval.open_high, open_high=interval.open_low
    )


def doubling_text(interval: Interval) -> str:
    """``88 to 158 days``, or what is left of it when the slope may be zero; a halving time is called one."""
    if interval.low < 0:
        return f"halving in {doubling_text(_mirrored(interval))}"
    if np.isinf(interval.high):
        return f"{interval.low:.0f} days or more" if interval.low > 0 else "not bounded by the data"
    return f"{interval.low:.0f} to {interval.high:.0f} days"


def fit_trend(
    dates: ArrayLike,
    densities: ArrayLike,
    *,
    models: Sequence[str] | None = None,
    draws: FloatArray | None = None,
    frontier: Frontier = "records",
    quantile: float = 0.9,
    level: float = 0.95,
    replicates: int = 4_000,
    seed: int = 0,
) -> Trend:
    """Fit the exponential trend of the densest models.

    Parameters
    ----------
    dates : array of dates, shape (M,)
        Release dates; models without one (NaT) are skipped.
    densities : array, shape (M,)
        ρ; models without a finite positive one are skipped.
    models : sequence of str, optional
        Names, for the tables.
    draws : array, shape (R, M), optional
        Draws of each model's density, row by row from one draw of the frame; NaN, or infinite where out
        of range.
    frontier : {"records", "all", "quantile"}
        Models that set a new maximum by date, one a date (as published); all models; quantile regression
        of ln ρ at `quantile`.
    replicates : int
        Of the interval; its ends are then known to about a twentieth of its width.

    Raises
    ------
    FitError
        If fewer than three models are on the frontier: a line through two has no error.
    """
    named = (
        models if models is not None else [f"model {i + 1}" for i in range(len(np.atleast_1d(np.asarray(densities))))]
    )
    when = np.asarray(dates, dtype="datetime64[D]")
    values = np.asarray(densities, dtype=float)
    if not len(when) == len(values) == len(named):
        raise FitError(f"{len(when)} dates, {len(values)} densities and {len(named)} models do not match")
    if draws is not None and np.shape(draws)[1:] != (len(values),):
        raise FitError(f"draws of shape {np.shape(draws)} do not match {len(values)} models")
    if frontier not in get_args(Frontier):
        raise unknown("frontier", frontier, get_args(Frontier))
    if not 0 < level < 1 or replicates < 1:
        raise InputError(f"level={level:g} must lie between 0 and 1, replicates={replicates} be at least 1")
    usable = np.isfinite(values) & (values > 0) & ~np.isnat(when)
    kept = [str(name) for name, use in zip(named, usable, strict=True) if use]
    calendar = tuple(day.astype(object) for day in when[usable])
    days, logs = days_since(when[usable]), np.log(values[usable])
    found = Dates.of(days)
    if frontier == "quantile":
        trend = _quantile_trend(days, logs, quantile, level)
    else:
        trend = _least_squares_trend(days, logs, found, frontier, level)
        distribution = slope_distribution(found, logs, frontier, trend.slope_per_day, level, replicates, seed)
        low, high = distribution.quantile([(1 - level) / 2, (1 + level) / 2])
        sampling = interval_of(float(low), float(high), level)
        trend = replace(trend, interval=sampling, interval_sampling=sampling, distribution=distribution)
    trend = replace(
        trend,
        rows=tuple(int(i) for i in np.flatnonzero(usable)),
        models=tuple(kept),
        dates=calendar,
        densities=values[usable],
        frontier=frontier,
        quantile=quantile if frontier == "quantile" else None,
        skipped=int((~usable).sum()),
        replicates=replicates,
        seed=seed,
    )
    return trend if draws is None else trend.with_draws(draws)


def _least_squares_trend(days: FloatArray, logs: FloatArray, found: Dates, frontier: Frontier, level: float) -> Trend:
    members = frontier_members(found, logs, frontier)
    if len(members) < 3:
        raise FitError(f"{len(members)} models on the frontier; a trend needs at least 3")
    t, y = days[members], logs[members]
    spread_t = ((t - t.mean()) ** 2).sum()
    if spread_t == 0:
        raise FitError("all models on the frontier have one release date")
    slope = float(((t - t.mean()) * (y - y.mean())).sum() / spread_t)
    intercept = float(y.mean() - slope * t.mean())
    residual = y - intercept - slope * t
    error = np.sqrt((residual**2).sum() / (len(t) - 2) / spread_t)
    reach = float(stdtrit(len(t) - 2, 0.5 + level / 2)) * error
    fixed = Interval(slope - reach, slope + reach, level)
    total = ((y - y.mean()) ** 2).sum()
    r_squared = float(1 - (residual**2).sum() / total) if total > 0 else 1.0
    return Trend(slope, intercept, r_squared, fixed, fixed, fixed, tuple(members), (), (), np.empty(0))


def _quantile_trend(days: FloatArray, logs: FloatArray, quantile: float, level: float) -> Trend:
    """Quantile regression of ln ρ on the date, with statsmodels' own interval."""
    import statsmodels.api as sm

    if not 0 < quantile < 1:
        raise InputError(f"quantile={quantile:g} must lie between 0 and 1")
    if len(days) < 5 or np.ptp(days) == 0:
        raise FitError(
            f"{len(days)} models are too few for a quantile regression; it needs at least 5, on several dates"
        )
    fit = sm.QuantReg(logs, sm.add_constant(days)).fit(q=quantile)
    low, high = (float(v) for v in fit.conf_int(alpha=1 - level)[1])
    interval = Interval(low, high, level)
    on_or_above = np.flatnonzero(logs >= fit.predict() - 1e-9)
    members = tuple(int(i) for i in on_or_above[np.argsort(days[on_or_above], kind="stable")])
    return Trend(
        float(fit.params[1]),
        float(fit.params[0]),
        float(fit.prsquared),
        interval,
        interval,
        interval,
        members,
        (),
        (),
        np.empty(0),
    )
