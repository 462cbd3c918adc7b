"""Forecasts of the next record, held against what came: fit to a date, predict, compare, correct.

The line through the records is no forecast of records. It was drawn through models that were chosen for being
high, and carried on it passes where a record of that day would stand, while the record that does stand is older.
So the population is forecast instead: all models' ln ρ about a trend whose level wanders, families with a common
part, as many new families as lately came out; the record of a future date is the largest of what stands and what
these simulated families bring.

What earlier forecasts got wrong corrects later ones. Each past forecast has a normal score (the standard normal
quantile of where the outcome fell among its draws; a calibrated forecast has mean 0 and standard deviation 1).
Forecasts from one origin share their future, so they count once; three origins without error are added, so that
a few past errors correct little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from densing.errors import InputError
from densing.fit.status import FitError
from densing.frontier import date_of, days_since
from densing.trendlab.mixed_effects import fit_cells, same, share_grid

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

FloatArray = NDArray[np.float64]
HORIZONS = (3, 6, 12)
"""Months ahead."""
FIRST_ORIGIN = np.datetime64("2023-09", "M")
_WANDERING = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Variance that the level of ln ρ gains in a year, over that of one model."""
_RECENT = 365.0
"""Days over which new families are counted."""
_FEWEST_MODELS = 10
_PRIOR_ORIGINS = 3
_DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Correction:
    """What earlier forecasts say about the next one.

    Attributes
    ----------
    shift : float
        Standard deviations by which outcomes lay over their forecasts.
    stretch : float
        How many times wider than forecast they scattered; at least 1.
    origins : int
        Earlier origins whose outcomes are known.
    """

    shift: float
    stretch: float
    origins: int

    @classmethod
    def of(cls, origins: ArrayLike, scores: ArrayLike) -> Correction:
        """Correction from the normal scores of past forecasts, one number per origin and horizon."""
        when, values = np.asarray(origins), np.asarray(scores, float)
        each = np.array([values[when == origin].mean() for origin in np.unique(when)])
        if not len(each):
            return cls(0.0, 1.0, 0)
        weight = len(each) + _PRIOR_ORIGINS
        shift = float(np.median(each)) * len(each) / weight
        spread = np.sqrt((_PRIOR_ORIGINS + ((each - shift) ** 2).sum()) / weight)
        return cls(shift, max(1.0, float(spread)), len(each))

    def quantile(self, draws: FloatArray, probability: ArrayLike) -> FloatArray:
        """Quantiles of a forecast's draws (R,), corrected."""
        return np.quantile(draws, ndtr(self.shift + self.stretch * ndtri(np.asarray(probability))))


def record_draws(
    days: ArrayLike,
    logs: ArrayLike,
    families: ArrayLike,
    origin: float,
    ahead: Sequence[float],
    *,
    draws: int = 4000,
    seed: int = 0,
) -> FloatArray:
    """Draws of the record that will stand some days after an origin, from the models until the origin.

    Parameters
    ----------
    days, logs : array, shape (M,)
        Release days and ln ρ of all models; later ones take no part.
    families : array of labels, shape (M,)
    origin : float
        Day on which the forecast is made.
    ahead : sequence of float
        Days after it.

    Returns
    -------
    array, shape (R, len(ahead))
        ln ρ.

    Raises
    ------
    FitError
        If fewer than ten models came out until the origin.
    """
    known = np.asarray(days, float) <= origin
    t, y, groups = np.asarray(days, float)[known], np.asarray(logs, float)[known], np.asarray(families)[known]
    if len(t) < _FEWEST_MODELS:
        raise FitError(f"a forecast needs at least {_FEWEST_MODELS} models; {len(t)} came out until {date_of(origin)}")
    rng = np.random.default_rng([seed, 19])
    # Seen from the origin backwards the level's wandering starts at zero, so the line's level there is the level
    # that the future starts from.
    wandering = np.minimum.outer(origin - t, origin - t) / _RECENT
    shares = [(share, wander) for (share,) in share_grid(1) for wander in _WANDERING]
    cells = fit_cells(np.column_stack([np.ones_like(t), t - origin]), y, [same(groups), wandering], shares)
    picked = rng.choice(len(cells), draws, p=[cell.weight for cell in cells])
    scale = np.array([cell.scale for cell in cells])[picked]
    scale *= np.sqrt((len(t) - 2) / rng.chisquare(len(t) - 2, draws))
    turn = np.array([np.linalg.cholesky(cell.covariance) for cell in cells])[picked]
    error = np.einsum("rij,rj->ri", turn, rng.standard_normal((draws, 2)))
    level, slope = (np.array([cell.coefficients for cell in cells])[picked] + scale[:, None] * error).T
    share, wander = np.array([cell.shares for cell in cells])[picked].T

    span = min(_RECENT, origin - t.min())
    members = np.unique(groups[t >= origin - span], return_counts=True)[1]
    if not len(members):
        members = np.unique(groups, return_counts=True)[1]
    end = max(ahead)
    expected = rng.gamma(len(members) + 0.5, end / span, draws)
    arrivals = rng.poisson(expected)
    most = max(int(arrivals.max()), 1)
    after = np.sort(rng.uniform(0, end, (draws, most)), axis=1)
    present = rng.permuted(np.arange(most) < arrivals[:, None], axis=1)
    # A family's best: what its models share, and the largest of what each has of its own.
    own = ndtri(rng.random((draws, most)) ** (1 / rng.choice(members, (draws, most))))
    common = rng.standard_normal((draws, most))
    steps = np.sqrt(np.diff(after, axis=1, prepend=0) / _RECENT * wander[:, None])
    wandered = np.cumsum(steps * rng.standard_normal((draws, most)), axis=1)
    noise = np.sqrt(share)[:, None] * common + np.sqrt(1 - share)[:, None] * own + wandered
    best = np.where(present, level[:, None] + slope[:, None] * after + scale[:, None] * noise, -np.inf)
    standing = y.max()
    return np.stack([np.maximum(np.where(after <= day, best, -np.inf).max(1), standing) for day in ahead], 1)


@dataclass(frozen=True)
class Backtest:
    """Past forecasts and their outcomes.

    Attributes
    ----------
    table : DataFrame
        One row per origin and horizon: origin, months, date, actual, predicted, low, high (ρ), score (the
        normal score before correction), earlier_origins (whose outcomes were known and corrected it).
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    level: float

    @property
    def bias(self) -> float:
        """Median of actual over predicted."""
        return float((self.table["actual"] / self.table["predicted"]).median())

    @property
    def coverage(self) -> float:
        """Share of outcomes inside their interval."""
        return float(self.table["actual"].between(self.table["low"], self.table["high"]).mean())

    def correction(self, until: float = np.inf) -> Correction:
        """Correction from the forecasts whose outcome was known on a day."""
        known = self.table[self.table["outcome_day"] <= until]
        return Correction.of(known["origin"].to_numpy(), known["score"].to_numpy())

    def summary(self) -> pd.DataFrame:
        """n, bias and coverage by months ahead."""
        rated = self.table.assign(
            ratio=self.table["actual"] / self.table["predicted"],
            held=self.table["actual"].between(self.table["low"], self.table["high"]),
        )
        return rated.groupby("months").agg(n=("held", "size"), bias=("ratio", "median"), coverage=("held", "mean"))

    def __str__(self) -> str:
        origins = self.table["origin"].nunique()
        return (
            f"{len(self.table)} forecasts from {origins} origins since {self.table['origin'].min()}: median of actual "
            f"over predicted {self.bias:.2f}; {self.level:.0%} intervals held {self.coverage:.0%} of the outcomes"
        )


def backtest(
    days: ArrayLike,
    densities: ArrayLike,
    families: ArrayLike,
    *,
    months: Sequence[int] = HORIZONS,
    level: float = 0.9,
    draws: int = 4000,
    seed: int = 0,
) -> Backtest:
    """Forecast the standing record from every quarter since September 2023, each corrected by earlier outcomes.

    Parameters
    ----------
    days, densities : array, shape (M,)
        Release days and ρ.
    families : array of labels, shape (M,)
    months : sequence of int
        Ahead. Only forecasts whose date lies inside the data are made.

    Raises
    ------
    InputError
        If a density is not finite and positive: where models are out of range the record is not known.
    FitError
        If no origin has enough models before it and data after it.
    """
    import pandas as pd

    t, logs = np.asarray(days, float), _logs(densities)
    rows: list[dict[str, object]] = []
    for origin in _origins(t.max()):
        ahead = [month for month in months if origin + month * _DAYS_A_MONTH <= t.max()]
        if not ahead or (t <= origin).sum() < _FEWEST_MODELS:
            continue
        past = pd.DataFrame(rows, columns=["origin", "outcome_day", "score"])
        past = past[past["outcome_day"] <= origin]
        correction = Correction.of(past["origin"].to_numpy(), past["score"].to_numpy())
        # All horizons, known or not, so that a forecast's draws do not depend on how far the data reach.
        found = record_draws(t, logs, families, origin, [m * _DAYS_A_MONTH for m in months], draws=draws, seed=seed)
        for month, drawn in zip(months, found.T, strict=True):
            day = origin + month * _DAYS_A_MONTH
            if month not in ahead:
                continue
            actual = float(logs[t <= day].max())
            rank = ((drawn < actual).mean() + (drawn <= actual).mean()) / 2
            tail = (1 - level) / 2
            low, middle, high = np.exp(correction.quantile(drawn, [tail, 0.5, 1 - tail]))
            rows.append(
                {
                    "origin": date_of(origin),
                    "months": month,
                    "date": date_of(day),
                    "outcome_day": day,
                    "actual": np.exp(actual),
                    "predicted": middle,
                    "low": low,
                    "high": high,
                    "score": float(ndtri(np.clip(rank, 0.5 / draws, 1 - 0.5 / draws))),
                    "earlier_origins": correction.origins,
                }
            )
    if not rows:
        raise FitError("no quarter since September 2023 has ten models before it and data three months after it")
    return Backtest(pd.DataFrame(rows), level)


@dataclass(frozen=True)
class RecordForecast:
    """The record that will stand on a date: median, interval, and the chance that it is a new one."""

    date: dt.date
    value: float
    low: float
    high: float
    level: float
    chance_of_new: float
    correction: Correction

    def __str__(self) -> str:
        return (
            f"{self.date}: {self.value:.2g} ({self.level:.0%} {self.low:.2g} to {self.high:.2g}), a new record with "
            f"probability {self.chance_of_new:.0%}; corrected by forecasts from {self.correction.origins} origins"
        )


def forecast_record(
    days: ArrayLike,
    densities: ArrayLike,
    families: ArrayLike,
    dates: Sequence[dt.date],
    tested: Backtest,
    *,
    draws: int = 4000,
    seed: int = 0,
) -> list[RecordForecast]:
    """The record that will stand on future dates, corrected by what the backtest showed.

    Parameters
    ----------
    dates : sequence of date
        After the last model's release.
    tested : Backtest
        Of the same models.

    Raises
    ------
    InputError
        If a date is not after the last release.
    """
    t, logs = np.asarray(days, float), _logs(densities)
    origin = float(t.max())
    ahead = days_since(dates) - origin
    if (ahead <= 0).any():
        raise InputError(f"the models reach to {date_of(origin)}; a forecast is for a date after it")
    correction = tested.correction()
    found = record_draws(t, logs, families, origin, list(ahead), draws=draws, seed=seed)
    tail = (1 - tested.level) / 2
    forecasts = []
    for date, drawn in zip(dates, found.T, strict=True):
        low, middle, high = np.exp(correction.quantile(drawn, [tail, 0.5, 1 - tail]))
        # Chance of a draw over the standing record, its normal score corrected like every quantile.
        same_record = np.clip((drawn <= logs.max()).mean(), 0.5 / draws, 1 - 0.5 / draws)
        chance = 1 - float(ndtr((ndtri(same_record) - correction.shift) / correction.stretch))
        forecasts.append(RecordForecast(date, float(middle), float(low), float(high), tested.level, chance, correction))
    return forecasts


def _logs(densities: ArrayLike) -> FloatArray:
    values = np.asarray(densities, float)
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(
            f"{int((~(np.isfinite(values) & (values > 0))).sum())} models have no finite density, so the record is not "
            "known; forecast in a frame that reads them all"
        )
    return np.log(values)


def _origins(last: float) -> list[float]:
    """Days of the quarters from the first origin until the last model."""
    quarters = np.arange(FIRST_ORIGIN, np.datetime64(date_of(last), "M") + 1, np.timedelta64(3, "M"))
    return [float(day) for day in days_since(quarters)]
