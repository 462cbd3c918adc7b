"""What the trend says of dates past its data, and how far past they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from densing.core.errors import InputError
from densing.core.intervals import Interval
from densing.core.units import short_count
from densing.trend.exponential import Trend
from densing.trend.frontier import date_of, days_since

_HORIZON_YEARS = 20
_HORIZON_DAYS = _HORIZON_YEARS * 365


@dataclass(frozen=True)
class Forecast:
    """A quantity on the trend at a date, with the intervals for a model of that date.

    Attributes
    ----------
    date : date
    value : float
        ρ_max, or a size in parameters.
    interval : Interval
        Full where the trend's is; see `Trend.interval`.
    interval_conditional : Interval or None
        Conditional on the optimum that the frame reads.
    doublings_past_data : float
        How many doubling times the date lies past the last model; zero inside the data.
    """

    date: dt.date
    value: float
    interval: Interval
    interval_conditional: Interval | None
    doublings_past_data: float

    @property
    def warning(self) -> str:
        """How far this is extrapolated; empty inside the data."""
        if self.doublings_past_data <= 0:
            return ""
        return f"extrapolated {self.doublings_past_data:.1f} doubling times past the data"

    def __str__(self) -> str:
        return self.in_words(lambda value: f"{value:.4g}" if np.isfinite(value) else "∞")

    def in_words(self, number: Callable[[float], str]) -> str:
        """Value and intervals, each number as `number` writes it."""
        warning = f"; {self.warning}" if self.warning else ""
        intervals = f"{number(self.interval.low)} to {number(self.interval.high)}"
        if (own := self.interval_conditional) is not None:
            intervals = f"full {intervals}, conditional {number(own.low)} to {number(own.high)}"
        intervals = f"{self.interval.level:.0%} {intervals}"
        return f"{self.date}: {number(self.value)} ({intervals}){warning}"


@dataclass(frozen=True)
class DateForecast:
    """The date on which a size suffices.

    Attributes
    ----------
    date : date or None
        None when it lies more than 20 years from the trend's origin.
    earliest, latest : date or None
        95% interval; None where it is open.
    doublings_past_data : float
    """

    date: dt.date | None
    earliest: dt.date | None
    latest: dt.date | None
    doublings_past_data: float

    def __str__(self) -> str:
        if self.date is None:
            return f"more than {_HORIZON_YEARS} years {'away' if self.doublings_past_data else 'before the data'}"
        past = (
            f"; extrapolated {self.doublings_past_data:.1f} doubling times past the data"
            if self.doublings_past_data > 0
            else ""
        )
        return f"{self.date} (95% {self.earliest or 'before the data'} to {self.latest or 'open'}){past}"


def forecast_density(trend: Trend, date: dt.date) -> Forecast:
    """ρ_max at a date.

    Raises
    ------
    InputError
        If the trend's frontier is censored.
    """
    trend.refuse_if_censored()

    def interval(slope: Interval) -> Interval:
        low, high = (float(edge[0]) for edge in trend.band([date], new_model=True, slope=slope))
        return Interval(low, high, slope.level, open_low=low == 0, open_high=bool(np.isinf(high)))

    own = trend.interval_conditional
    return Forecast(
        date,
        trend.density(date),
        interval(trend.interval),
        None if own is None else interval(own),
        _doublings_past(trend, date),
    )


def forecast_size(trend: Trend, effective_size: float, date: dt.date) -> Forecast:
    """Parameters that the densest model of a date needs for an effective size: N̂ / ρ_max.

    Parameters
    ----------
    effective_size : float
        N̂ of the scores wanted, from `ReferenceFrame.invert`.
    """
    density = forecast_density(trend, date)

    def interval(of: Interval) -> Interval:
        high = effective_size / of.low if of.low else np.inf
        return Interval(
            effective_size / of.high, high, of.level, open_low=bool(np.isinf(of.high)), open_high=bool(np.isinf(high))
        )

    own = density.interval_conditional
    return Forecast(
        date,
        effective_size / density.value,
        interval(density.interval),
        None if own is None else interval(own),
        density.doublings_past_data,
    )


def forecast_date(trend: Trend, effective_size: float, params: float) -> DateForecast:
    """The date when a model of `params` parameters has the effective size wanted.

    Raises
    ------
    InputError
        If the trend falls, and so reaches the size on no date to come; if its frontier is censored.
    """
    trend.refuse_if_censored()
    if trend.slope_per_day <= 0:
        raise InputError(
            f"density halves every {-trend.doubling_time_days:.0f} days on this trend, "
            "so there is no date from which the size suffices; ask for one on a trend that rises"
        )
    needed = np.log(effective_size / params)
    day = float((needed - trend.intercept) / trend.slope_per_day)
    if not -_HORIZON_DAYS < day < _HORIZON_DAYS:
        past = (day - days_since([trend.last_date])[0]) / trend.doubling_time_days
        return DateForecast(None, None, None, max(0.0, float(past)))
    # Both edges of the band rise with the date near the crossing; the first crossing from below counts.
    calendar = [date_of(d) for d in range(-_HORIZON_DAYS, _HORIZON_DAYS, 5)]
    low, high = trend.band(calendar, new_model=True)
    ratio = effective_size / params
    inside = (low <= ratio) & (high >= ratio)
    reached = np.flatnonzero(inside)
    if not len(reached):  # a line without scatter: its band is narrower than the calendar's step
        return DateForecast(date_of(day), date_of(day), date_of(day), _doublings_past(trend, date_of(day)))
    earliest = calendar[reached[0]] if reached[0] > 0 else None
    latest = calendar[reached[-1]] if reached[-1] < len(calendar) - 1 else None
    return DateForecast(date_of(day), earliest, latest, _doublings_past(trend, date_of(day)))


def _doublings_past(trend: Trend, date: dt.date) -> float:
    days = days_since([date])[0] - days_since([trend.last_date])[0]
    return max(0.0, float(days / abs(trend.doubling_time_days)))


def describe_size(forecast: Forecast) -> str:
    """A forecast of parameters in words."""
    return forecast.in_words(lambda value: short_count(value) if np.isfinite(value) else "∞")
