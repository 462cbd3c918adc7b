"""Where a model stands among those of a registry: its rank, and how it compares with the frontier of its date.

Draw r of every model rests on the same refit of the same frame, so an error of the frame moves all models alike and
hardly touches a rank.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from densing import __version__
from densing.core.arrays import BoolArray, FloatArray
from densing.core.errors import InputError
from densing.core.intervals import Interval, percentile_interval
from densing.core.units import short_count
from densing.density.densities import Density
from densing.density.sets import DensitySet
from densing.fit.status import FitError
from densing.frame.frame import AVERAGE, JOINT
from densing.trend.frontier import ORIGIN, days_since, draw_line

FEWEST_IN_QUARTER = 8
"""Models that a calendar quarter needs for a rank within it."""
_OF = {AVERAGE: "on the average", JOINT: "by all its scores together"}
_FEWEST_DRAWS = 100
"""Draws with a frontier that an interval needs."""


@dataclass(frozen=True)
class Rank:
    """Place of a model among others, 1 the densest.

    Attributes
    ----------
    place : int
        By the densities as read.
    of : int
        How many models, itself among them.
    low, high : int
        95% interval of the place, from the shared draws.
    """

    place: int
    of: int
    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.place} of {self.of} (95% {self.low} to {self.high})"


@dataclass(frozen=True)
class Placement:
    """Where a model stands among those of a registry.

    Attributes
    ----------
    density : Density
    date : date
        Of its release.
    overall : Rank or None
        Among all models with a density; None where its own is no number.
    within : Rank or None
        Among those of the window; None where that is empty.
    window : str
        The window in words: a quarter, or twelve months.
    frontier_date : date
        Of the frontier that it is held against: its own date, or the others' last where that is earlier.
    of_frontier : float
        Its density over that of the frontier's line on that date; NaN where there is no line.
    of_frontier_interval : Interval
        95%, from the shared draws, each with its own line through the frontier's models.
    percentile : float
        Percent of the others that are less dense, each carried along the frontier's slope to that date.
    notes : tuple of str
    """

    density: Density
    date: dt.date
    overall: Rank | None
    within: Rank | None
    window: str
    frontier_date: dt.date
    of_frontier: float
    of_frontier_interval: Interval
    percentile: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the density, for JSON."""
        return {
            "date": self.date.isoformat(),
            "overall": None if self.overall is None else vars(self.overall),
            "within": None if self.within is None else vars(self.within),
            "window": self.window,
            "frontier_date": self.frontier_date.isoformat(),
            "of_frontier": self.of_frontier,
            "of_frontier_low": self.of_frontier_interval.low,
            "of_frontier_high": self.of_frontier_interval.high,
            "percentile": self.percentile,
            "sentence": self.sentence,
            "notes": list(self.notes),
        }

    @property
    def sentence(self) -> str:
        """What may be quoted of the model."""
        one = self.density
        named = f"{one.model or 'This model'} ({short_count(one.size)} parameters, {self.date})"
        read = f"{_OF.get(one.benchmark, f'on {one.benchmark}')} in frame {one.frame} of densing {__version__}"
        if self.overall is None:
            return f"{named} has the capability density {one.text} {read} and no rank: {one.status}."
        text = f"{named} has the capability density {one.value:.2g} (95% {one.interval}) {read}"
        text += f": rank {self.overall}"
        if self.within is not None:
            text += f", rank {self.within} in {self.window}"
        if math.isfinite(self.of_frontier):
            text += (
                f"; {self.of_frontier:.2g} times (95% {self.of_frontier_interval}) as dense as the frontier "
                f"of {self.frontier_date}, ahead of {self.percentile:.0f}% of all models carried along it to that day"
            )
        return f"{text}."


def rank_model(density: Density, date: dt.date, others: DensitySet) -> Placement:
    """Where a model stands among a set of others.

    Parameters
    ----------
    density : Density
        Of the model.
    date : date
        Of its release, which chooses the window and the point on the frontier.
    others : DensitySet
        In the same frame and on the same benchmark, with draws; a model of the same name takes no part.

    Raises
    ------
    InputError
        If the others have no shared draws, or no other model is left.
    """
    if others.draws is None or len(others.draws) != len(density.draws):
        raise InputError(f"{others.title}: without shared draws of one frame a model has no rank among them")
    others = others.take([i for i, name in enumerate(others.names) if name != density.model])
    known = others.take(np.flatnonzero(~np.isnan(others.values)))
    if not known.names:
        raise InputError(f"{others.title}: no other model has a density there, so there is nothing to rank among")
    notes = []
    if len(known.names) < len(others.names):
        notes.append(f"{len(others.names) - len(known.names)} models whose density is not identified are left out")
    dates = [day for day in known.dates.astype(object) if day is not None]
    last = min(date, max(dates, default=date))
    if last < date:
        notes.append(
            f"the last of the other models is of {last}: none is as new as {date}, and the frontier is that of {last}"
        )
    inside, window = _window(known, date)
    ranked = math.isfinite(density.value)
    overall = _rank(density, known) if ranked else None
    within = _rank(density, known.take(np.flatnonzero(inside))) if ranked and inside.any() else None
    if not inside.any():
        notes.append(f"no other model was released in {window}")
    share, interval, percentile, why = _against_frontier(density, last, known)
    if why:
        notes.append(why)
    return Placement(density, date, overall, within, window, last, share, interval, percentile, tuple(notes))


def _rank(density: Density, others: DensitySet) -> Rank:
    assert others.draws is not None
    own = density.draws
    answered = ~np.isnan(own)
    places = 1 + (others.draws[answered] > own[answered, None]).sum(1)
    low, high = _ends(places)
    return Rank(1 + int((others.values > density.value).sum()), 1 + len(others.names), low, high)


def rank_all(densities: DensitySet) -> list[Rank | None]:
    """Rank of every model of a set among the others, as `rank_model` forms it; None without a density.

    Returns
    -------
    list of Rank or None
        In the order of the set.
    """
    from scipy.stats import rankdata

    assert densities.draws is not None
    known = np.flatnonzero(~np.isnan(densities.values))
    draws = densities.draws[:, known]
    drawn = rankdata(-np.where(np.isnan(draws), -np.inf, draws), method="min", axis=1)
    ranks: list[Rank | None] = [None] * len(densities.names)
    for column, place in enumerate(known):
        places = drawn[~np.isnan(draws[:, column]), column]
        if math.isfinite(densities.values[place]) and len(places):
            low, high = _ends(places)
            denser = int((densities.values[known] > densities.values[place]).sum())
            ranks[place] = Rank(1 + denser, len(known), low, high)
    return ranks


def _ends(places: FloatArray) -> tuple[int, int]:
    """95% interval of drawn places."""
    return int(np.quantile(places, 0.025, method="lower")), int(np.quantile(places, 0.975, method="higher"))


def _window(others: DensitySet, date: dt.date) -> tuple[BoolArray, str]:
    """Models of the calendar quarter of a date, or of the twelve months to it where the quarter has too few."""
    quarter = (date.month - 1) // 3
    first = dt.date(date.year, 3 * quarter + 1, 1)
    after = dt.date(date.year + (quarter == 3), 3 * ((quarter + 1) % 4) + 1, 1)
    inside = (others.dates >= np.datetime64(first, "D")) & (others.dates < np.datetime64(after, "D"))
    name = f"quarter {quarter + 1} of {date.year}"
    if (count := int(inside.sum())) >= FEWEST_IN_QUARTER:
        return inside, name
    end = np.datetime64(date, "D")
    inside = (others.dates > end - np.timedelta64(365, "D")) & (others.dates <= end)
    models = "1 other model" if count == 1 else f"{count} other models"
    return inside, f"the twelve months to {date} ({name} has {models})"


def _against_frontier(density: Density, date: dt.date, others: DensitySet) -> tuple[float, Interval, float, str]:
    """Density over the frontier's line on a date, its interval, the percentile, and why there is none of them."""
    unknown = Interval(np.nan, np.nan)
    if np.isinf(others.values).any():
        return np.nan, unknown, np.nan, "some models are too dense for the frame, so its frontier has no line"
    placed = others.take(np.flatnonzero(others.in_range & (others.dates >= np.datetime64(ORIGIN, "D"))))
    assert placed.draws is not None
    days, logs, day = days_since(placed.dates), np.log(placed.values), float(days_since([date])[0])
    try:
        line = draw_line(days, logs, "records", 0.5, 0.95)
    except FitError as error:
        return np.nan, unknown, np.nan, f"no frontier to compare with: {error}"
    drawn, members = placed.draws[:, list(line.members)], days[list(line.members)]
    answered = (np.isfinite(drawn) & (drawn > 0)).all(1) & ~np.isnan(density.draws)
    interval = unknown
    if answered.sum() >= _FEWEST_DRAWS:
        heights = _heights(members, np.log(drawn[answered]), day)
        interval = percentile_interval(density.draws[answered] / np.exp(heights))
    with np.errstate(divide="ignore"):
        own = np.log(density.value) - line.slope * day
    gaps = logs - line.slope * days
    percentile = 100 * float((gaps < own).mean() + (gaps == own).mean() / 2)
    return float(density.value / np.exp(line.intercept + line.slope * day)), interval, percentile, ""


def _heights(days: FloatArray, logs: FloatArray, day: float) -> FloatArray:
    """Height on a day of the least-squares line through each row of logs (R, K)."""
    centred = days - days.mean()
    return np.asarray(logs.mean(1) + logs @ centred / (centred**2).sum() * (day - days.mean()))
