"""The frontier: which models set the pace, and the slope of their ln ρ, for many sets of densities at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Frontier = Literal["records", "all", "quantile"]

ORIGIN = dt.date(2023, 2, 24)
"""Day zero: the release of Llama-1."""


def days_since(dates: ArrayLike | Sequence[dt.date]) -> FloatArray:
    """Days from the origin to each date (anything NumPy reads as a date)."""
    days = np.asarray(dates, dtype="datetime64[D]")
    return (days - np.datetime64(ORIGIN, "D")).astype(float)


def date_of(days: float) -> dt.date:
    """The date that many days after the origin."""
    return ORIGIN + dt.timedelta(days=round(days))


@dataclass(frozen=True)
class Dates:
    """Models grouped by release date, so that many sets of densities can be searched for records."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    days: FloatArray

    @classmethod
    def of(cls, days: FloatArray) -> Dates:
        """Group models by their days since the origin."""
        order = np.argsort(days, kind="stable")
        unique, starts = np.unique(days[order], return_index=True)
        return cls(order, starts, unique)

    def best(self, values: FloatArray) -> FloatArray:
        """Largest of each date: (R, M) to (R, dates)."""
        return np.maximum.reduceat(values[:, self.order], self.starts, axis=1)


def is_record(best: FloatArray) -> BoolArray:
    """Which dates set a new maximum, row by row."""
    running = np.maximum.accumulate(best, axis=1)
    before = np.concatenate([np.full((len(best), 1), -np.inf), running[:, :-1]], axis=1)
    return best > before


def least_squares_slopes(days: FloatArray, values: FloatArray, chosen: BoolArray) -> FloatArray:
    """Least-squares slope of each row's chosen values; NaN where fewer than two are chosen."""
    weight = chosen.astype(float)
    count = weight.sum(1)
    values = np.where(chosen, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = (days - ((weight @ days) / count)[:, None]) * weight
        return np.asarray((centred * values).sum(1) / (centred * days).sum(1))


def frontier_slopes(dates: Dates, logs: FloatArray, frontier: Frontier) -> FloatArray:
    """Slope of the frontier of each row of ln ρ (R, M); models with −∞ take no part."""
    if frontier == "all":
        days = np.repeat(dates.days, np.diff(np.append(dates.starts, len(dates.order))))
        return least_squares_slopes(days, logs[:, dates.order], np.isfinite(logs[:, dates.order]))
    best = dates.best(logs)
    return least_squares_slopes(dates.days, best, is_record(best))


def frontier_members(found: Dates, logs: FloatArray, frontier: Frontier) -> list[int]:
    """Rows of the models on the frontier of ln ρ (M,), by date."""
    if frontier == "all":
        return [int(i) for i in found.order]
    best = found.best(logs[None])
    starts = np.append(found.starts, len(found.order))
    members = []
    for place in np.flatnonzero(is_record(best)[0]):
        same_day = found.order[starts[place] : starts[place + 1]]
        members.append(int(same_day[np.argmax(logs[same_day])]))
    return members
