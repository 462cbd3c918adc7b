"""Ratios and ranks from shared draws: what a density can be trusted for.

Draw r of every model rests on the same refit of the same frame, so what is wrong with the frame is wrong with all
of them and cancels between two. Draws are arrays (R, M); zero stands for at chance, infinity for over the frame's
reach, NaN for a replicate without the optimum asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.density import percentile_interval
from densing.errors import InputError
from densing.fit.intervals import Interval

FloatArray = NDArray[np.float64]
_QUARTER, _YEAR = np.timedelta64(91, "D"), np.timedelta64(365, "D")
_FEWEST_IN_WINDOW = 8


@dataclass(frozen=True)
class Ratio:
    """Density of one model over that of another.

    Attributes
    ----------
    value : float
        Of the densities as read; NaN where one is out of range, and then the interval alone is known.
    interval : Interval
        95%, from the shared draws.
    denser : float
        Probability that the first is the denser one; a tie counts half.
    """

    value: float
    interval: Interval
    denser: float


def ratio(first: FloatArray, second: FloatArray, values: tuple[float, float]) -> Ratio:
    """Ratio of two models.

    Parameters
    ----------
    first, second : array, shape (R,)
        Shared draws of their densities.
    values : tuple of float
        Their densities as read.

    Raises
    ------
    InputError
        If the draws are not of one frame: then row r of one has nothing to do with row r of the other.
    """
    if first.shape != second.shape:
        raise InputError(f"{len(first)} and {len(second)} draws are not shared: compare models in one frame")
    if np.array_equal(first, second, equal_nan=True):
        return Ratio(1.0, Interval(1.0, 1.0), 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = first / second  # NaN where both are out of reach on one side: such a draw says nothing
        value = float(np.divide(*values))
    known = ~(np.isnan(first) | np.isnan(second))
    denser = (first[known] > second[known]).mean() + (first[known] == second[known]).mean() / 2
    return Ratio(value, percentile_interval(drawn), float(denser) if known.any() else np.nan)


@dataclass(frozen=True)
class Reading:
    """Density of one model on one benchmark.

    Attributes
    ----------
    value : float
        NaN out of range.
    draws : array, shape (R,)
    """

    value: float
    draws: FloatArray


def compare(first: Mapping[str, Reading], second: Mapping[str, Reading]) -> dict[str, Ratio]:
    """Ratios of two models on every benchmark that both have, and ``joint``: their geometric mean.

    Parameters
    ----------
    first, second : mapping from benchmark to Reading
        In one frame, with shared draws.

    Raises
    ------
    InputError
        If they have no benchmark in common.
    """
    common = [name for name in first if name in second]
    if not common:
        raise InputError(
            f"no benchmark in common: one has {', '.join(first) or 'none'}, the other {', '.join(second) or 'none'}"
        )
    found = {
        name: ratio(first[name].draws, second[name].draws, (first[name].value, second[name].value)) for name in common
    }
    joint = [
        Reading(
            float(_geometric_mean([r[name].value for name in common])),
            _geometric_mean([r[name].draws for name in common]),
        )
        for r in (first, second)
    ]
    return found | {"joint": ratio(joint[0].draws, joint[1].draws, (joint[0].value, joint[1].value))}


def _geometric_mean(values: Sequence[ArrayLike]) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(np.log(np.asarray(values)).mean(0)))


def paired_scores(first: ArrayLike, second: ArrayLike, replicates: int, rng: np.random.Generator) -> FloatArray:
    """Scores (R, 2) in percent of two models on the same items, the items drawn with replacement together.

    Only four kinds of items differ (right or wrong for either), so their counts are drawn, not the items.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or len(a) < 2:
        raise InputError(f"{len(a)} and {len(b)} items cannot be paired; both models must have answered the same ones")
    kinds = np.bincount(2 * a + b, minlength=4)
    counts = rng.multinomial(len(a), kinds / len(a), size=replicates)
    return 100 * np.stack([counts[:, 2] + counts[:, 3], counts[:, 1] + counts[:, 3]], 1) / len(a)


@dataclass(frozen=True)
class Rank:
    """Place of a model among others, 1 the densest.

    Attributes
    ----------
    rank : int
        By the densities as read.
    of : int
        Models, itself among them.
    low, high : int
        95% interval from the shared draws.
    since, until : datetime64 or None
        Window of the models compared; None for all.
    """

    rank: int
    of: int
    low: int
    high: int
    since: np.datetime64 | None = None
    until: np.datetime64 | None = None

    def __str__(self) -> str:
        window = "" if self.since is None else f" released from {self.since} to {self.until}"
        return f"{self.rank} of {self.of} models{window} (95% {self.low} to {self.high})"


def rank(own: float, own_draws: FloatArray, values: FloatArray, draws: FloatArray) -> Rank:
    """Rank of a model among others.

    Parameters
    ----------
    own, own_draws : float and array, shape (R,)
    values, draws : array, shape (M,) and (R, M)
        Of the others.
    """
    place = 1 + int((values > own).sum())
    known = ~np.isnan(own_draws)
    with np.errstate(invalid="ignore"):
        places = 1 + (draws[known] > own_draws[known, None]).sum(1)
    low, high = np.quantile(places, 0.025, method="lower"), np.quantile(places, 0.975, method="higher")
    return Rank(place, len(values) + 1, int(low), int(high))


def window(dates: NDArray[np.datetime64], date: np.datetime64) -> tuple[NDArray[np.bool_], np.datetime64]:
    """Models of the quarter until a date, or of twelve months where the quarter has fewer than eight.

    Returns
    -------
    inside : array of bool, shape (M,)
    since : datetime64
        First day of the window.
    """
    for length in (_QUARTER, _YEAR):
        since = date - length
        inside = (dates > since) & (dates <= date)
        if inside.sum() >= _FEWEST_IN_WINDOW:
            break
    return inside, since + np.timedelta64(1, "D")


def rank_in_window(
    own: float,
    own_draws: FloatArray,
    date: np.datetime64,
    values: FloatArray,
    draws: FloatArray,
    dates: NDArray[np.datetime64],
) -> Rank:
    """Rank among the models of the quarter (or the twelve months) until a date; see `window`."""
    inside, since = window(dates, date)
    found = rank(own, own_draws, values[inside], draws[:, inside])
    return Rank(found.rank, found.of, found.low, found.high, since, date)


def share_of_frontier(own_draws: FloatArray, frontier_draws: FloatArray) -> tuple[float, Interval]:
    """Density over that of the frontier on a date: the median of the shared draws, and its 95% interval.

    Parameters
    ----------
    own_draws, frontier_draws : array, shape (R,)
        Of the model, and of ρ_max on the trend at its date.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = own_draws / frontier_draws
    known = drawn[~np.isnan(drawn)]
    return float(np.quantile(known, 0.5, method="higher")) if len(known) else np.nan, percentile_interval(drawn)


def percentile_at(own: float, date_days: float, days: FloatArray, values: FloatArray, slope: float) -> float:
    """Percentile of a model against all others, each carried along the trend to its date.

    Parameters
    ----------
    slope : float
        Growth of ln ρ, per day: a model a doubling time older counts half of what it has.
    """
    with np.errstate(divide="ignore"):
        carried = np.log(values) + slope * (date_days - days)
    return float(100 * ((carried < np.log(own)).mean() + (carried == np.log(own)).mean() / 2))
