"""The trend of the densest models: ln ρ_max = A·t + B, and the doubling time ln 2 / A."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from densing.core.arrays import FloatArray
from densing.core.draw_shares import DrawShares
from densing.core.errors import InputError
from densing.core.intervals import Interval, hull
from densing.core.results import Result
from densing.fit.status import FitError
from densing.trend.clusters import SlopeDistribution, slope_distribution
from densing.trend.frontier import Dates, days_since, draw_line, frontier_rule, frontier_slopes, least_squares_slopes
from densing.trend.interval import with_frame_error

if TYPE_CHECKING:
    import pandas as pd

    from densing.density.sets import DensitySet

DAYS_PER_MONTH = 365.25 / 12
TOO_DENSE = "too dense for the frame to give a finite size"
AT_CHANCE = "at or under chance"
UNDATED = "without a release date"
UNKNOWN = "without a density"
PARTLY = "measured on some of the benchmarks only"
_UNBOUNDED = "not bounded by the data"
_FEW = 5
"""Names that are printed without being asked for."""


@dataclass(frozen=True, repr=False)
class Trend(Result):
    """An exponential through the frontier.

    Attributes
    ----------
    slope_per_day : float
        A, by least squares over the frontier. Records are chosen for being high, so it is steeper than the trend.
    intercept : float
        B, ln ρ on the origin's date.
    r_squared : float
    interval : Interval
        Interval of A; every replicate selects its frontier anew. With draws of the densities it is full:
        their errors are in it, whatever the optimum of the frame's law. Without, it is `interval_sampling`.
    interval_conditional : Interval or None
        Interval of A, conditional on the optimum that the frame reads; None without draws for it.
    interval_sampling : Interval
        Interval of A that takes the densities as they are, without error. Where the frontier is censored the
        models without a finite density are in it, each at the largest that the frame can read.
    interval_fixed : Interval
        Interval of A by Student's t on the frontier's points: what would hold if the frontier had been known
        beforehand. Given for comparison; for records it is too narrow. A quantile regression has one
        interval, from its asymptotic error, and all three are that.
    members : tuple of int
        Rows of the models on the frontier, by date.
    models, dates, densities
        All models that took part.
    rows : tuple of int
        Their rows among the models that were given.
    left_out : mapping from reason to tuple of str
        Names of the models that took no part; the reasons are this module's constants.
    groups : tuple of tuple of str
        Families, and labs, of the models that took part.
    censored_models : int
        How many models without a finite density are in `interval_sampling`.
    shares, shares_conditional : DrawShares or None
        Draws without an answer, and draws in which some model has no finite size: the intervals hold for
        the others. None without draws.
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
    frontier: str = "records"
    quantile: float | None = None
    interval_conditional: Interval | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    shares: DrawShares | None = None
    shares_conditional: DrawShares | None = None
    replicates: int = 0
    seed: int = 0
    rows: tuple[int, ...] = field(default=(), repr=False)
    groups: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    censored_models: int = 0
    distribution: SlopeDistribution | None = field(default=None, repr=False, compare=False)

    @property
    def brief(self) -> str:
        """What was found, in one line."""
        found = self._findings()[0 if self.censored else 1]
        return f"{found}; {len(self.members)} of {len(self.models)} models on the frontier"

    def _with_draws(self, draws: FloatArray, draws_conditional: FloatArray | None) -> Trend:
        """Return the trend with the errors of the densities in its intervals."""
        if self.distribution is None:  # a quantile regression keeps its own interval
            return self
        full, shares = self._with_frame_error(draws)
        if draws_conditional is None:
            return replace(self, interval=full, shares=shares)
        conditional, shares_conditional = self._with_frame_error(draws_conditional)
        return replace(
            self,
            interval=hull(full, conditional),
            interval_conditional=conditional,
            shares=shares,
            shares_conditional=shares_conditional,
        )

    def _with_frame_error(self, draws: FloatArray) -> tuple[Interval, DrawShares]:
        assert self.distribution is not None
        return with_frame_error(
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

    @property
    def censored(self) -> str:
        """Why the slope is no estimate, as a sentence; empty where it is one.

        A model that is too dense for a finite size is a record whose height is unknown: the frontier among
        the models that are left is not the frontier.
        """
        dropped = len(self.left_out.get(TOO_DENSE, ()))
        if not dropped:
            return ""
        read = dropped + len(self.models) + len(self.left_out.get(AT_CHANCE, ()))
        return (
            f"{dropped} of {read} models, including the densest, have no finite size in this frame, "
            "so the frontier is censored and its slope is not an estimate"
        )

    def refuse_if_censored(self) -> None:
        """Raise where nothing can be read off the line.

        Raises
        ------
        InputError
            If the frontier is censored.
        """
        if self.censored:
            raise InputError(f"{self.censored}; choose a frame in which all models have a size")

    @property
    def doubling_time_days(self) -> float:
        """Ln 2 / A; negative when density falls, and then its size is a halving time.

        Where the frontier is `censored` this describes the models that are left and estimates nothing.
        """
        return float(np.log(2) / self.slope_per_day)

    @property
    def median_unbiased_doubling_days(self) -> float:
        """Doubling time by the slope that is as likely too flat as too steep; NaN for a quantile regression.

        The models without a finite density are in it, see `interval_sampling`.
        """
        return np.nan if self.distribution is None else float(np.log(2) / self.distribution.median_unbiased)

    @property
    def doubling_interval_days(self) -> Interval:
        """Interval of the doubling time, negative where density falls; open when the slope's interval holds zero.

        Full where draws of the densities were given, see `interval`.
        """
        return self._doubling(self.interval)

    @property
    def doubling_interval_conditional_days(self) -> Interval | None:
        """Interval of the doubling time, conditional on the optimum that the frame reads; None without draws for it."""
        return None if self.interval_conditional is None else self._doubling(self.interval_conditional)

    @property
    def doubling_interval_given_densities_days(self) -> Interval:
        """Interval of the doubling time that takes the densities as they are; see `interval_sampling`."""
        falls = self.distribution is not None and self.distribution.median_unbiased < 0
        return doubling_interval(self.interval_sampling, falling=falls)

    def _doubling(self, slope: Interval) -> Interval:
        return doubling_interval(slope, falling=self.slope_per_day < 0)

    @property
    def frontier_names(self) -> tuple[str, ...]:
        """Names of the models on the frontier, by date."""
        return tuple(self.models[i] for i in self.members)

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
        """Models on the frontier, with the line's value; NaN where the frontier is censored."""
        import pandas as pd

        rows = list(self.members)
        return pd.DataFrame(
            {
                "model": self.frontier_names,
                "release_date": [self.dates[i].isoformat() for i in rows],
                "density": self.densities[rows],
                "on_line": [np.nan if self.censored else self.density(self.dates[i]) for i in rows],
            }
        )

    def models_list(self) -> list[dict[str, Any]]:
        """All models that took part, as files of a trend list them."""
        return [
            {"model": name, "release_date": day.isoformat(), "density": float(value)}
            for name, day, value in zip(self.models, self.dates, self.densities, strict=True)
        ]

    def leave_one_out(self) -> pd.DataFrame:
        """The trend without each frontier model in turn.

        Columns ``slope_selected_anew`` (another model may take its place) and ``slope_others_kept`` (the
        line through the rest).

        Raises
        ------
        InputError
            For a rule that picks no models, as a quantile regression, and where the frontier is censored.
        """
        self.refuse_if_censored()
        import pandas as pd

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

    def band(self, dates: Sequence[dt.date], *, slope: Interval | None = None) -> tuple[FloatArray, FloatArray]:
        """Band about the line: the slope's interval turned about the frontier's centre, and the level's error.

        Its confidence is that of the slope's interval. A quantile line rests on all models, so their centre
        and their scatter take the place of the frontier's.

        Parameters
        ----------
        dates : sequence of date
        slope : Interval, optional
            Of A; `interval` where not given.

        Returns
        -------
        low, high : array, shape (len(dates),)
        """
        rows = list(self.members if frontier_rule(self.frontier).pick else range(len(self.models)))
        residual = np.log(self.densities[rows]) - self.slope_per_day * self.days[rows]
        spread = np.sqrt(((residual - residual.mean()) ** 2).sum() / (len(rows) - 2))
        days = days_since(dates)
        line = self.intercept + self.slope_per_day * days
        offset = days - self.days[rows].mean()
        slope = slope or self.interval
        reach = stdtrit(len(rows) - 2, 0.5 + slope.level / 2)
        level = spread / np.sqrt(len(rows)) * reach
        with np.errstate(invalid="ignore"):
            turns = np.outer([slope.low - self.slope_per_day, slope.high - self.slope_per_day], offset)
        turns = np.where(np.isnan(turns), 0.0, turns)
        with np.errstate(over="ignore"):
            return np.exp(line - np.hypot(turns.min(0), level)), np.exp(line + np.hypot(turns.max(0), level))

    def to_dict(self) -> dict[str, Any]:
        """Numbers for tables and JSON; those that rest on the slope are NaN where the frontier is censored."""
        known = np.nan if self.censored else 1.0
        conditional = self.interval_conditional or Interval(np.nan, np.nan)
        doubling = self.doubling_interval_days
        doubling_conditional = self.doubling_interval_conditional_days or Interval(np.nan, np.nan)
        shares, shares_conditional = (s or DrawShares(np.nan, np.nan) for s in (self.shares, self.shares_conditional))
        return {
            "frontier": self.frontier if self.quantile is None else f"quantile {self.quantile:g}",
            "identified": not self.censored,
            "reason": self.censored,
            "models": len(self.models),
            "on_frontier": len(self.members),
            "left_out": {reason: list(names) for reason, names in self.left_out.items()},
            "slope_per_day": known * self.slope_per_day,
            "slope_low": known * self.interval.low,
            "slope_high": known * self.interval.high,
            "slope_low_conditional": known * conditional.low,
            "slope_high_conditional": known * conditional.high,
            "slope_low_fixed_frontier": known * self.interval_fixed.low,
            "slope_high_fixed_frontier": known * self.interval_fixed.high,
            "intercept": known * self.intercept,
            "r_squared": known * self.r_squared,
            "doubling_days": known * self.doubling_time_days,
            "doubling_days_low": known * doubling.low,
            "doubling_days_high": known * doubling.high,
            "doubling_days_low_conditional": known * doubling_conditional.low,
            "doubling_days_high_conditional": known * doubling_conditional.high,
            "doubling_days_median_unbiased": self.median_unbiased_doubling_days,
            "doubling_days_low_given_densities": self.doubling_interval_given_densities_days.low,
            "doubling_days_high_given_densities": self.doubling_interval_given_densities_days.high,
            "family_share": self.distribution.family_share if self.distribution else np.nan,
            "lab_share": self.distribution.lab_share if self.distribution else np.nan,
            "doubling_months": known * self.doubling_time_days / DAYS_PER_MONTH,
            "missing_share": shares.missing,
            "out_of_range_share": shares.out_of_range,
            "missing_share_conditional": shares_conditional.missing,
            "out_of_range_share_conditional": shares_conditional.out_of_range,
            "first_date": self.first_date.isoformat(),
            "last_date": self.last_date.isoformat(),
        }

    @property
    def interval_name(self) -> str:
        """What `interval` is: ``full`` with draws of the densities, ``given the densities`` without."""
        return "given the densities" if self.shares is None else "full"

    @property
    def drawn_interval(self) -> tuple[str, Interval]:
        """Name and interval of the slope that a band is drawn from: the conditional one where `interval` is open."""
        if self.interval_conditional is not None and not self.interval.bounded:
            return "conditional", self.interval_conditional
        return self.interval_name, self.interval

    def summary(self, *, name_all: bool = False) -> list[str]:
        """What the trend says, what its intervals rest on and what was left out, in lines.

        Parameters
        ----------
        name_all : bool
            Names every model that was left out, however many there are.
        """
        return [*self._findings(), *left_out_lines(self.left_out, name_all=name_all)]

    def _findings(self) -> list[str]:
        if self.censored:
            return ["doubling time: not identified", f"  {self.censored}", *self._with_censored()]
        word, days = (
            ("doubling", self.doubling_time_days) if self.slope_per_day > 0 else ("halving", -self.doubling_time_days)
        )
        level = f"{self.interval.level:.0%} {self.interval_name}"
        slope = f"{level} {_signed(self.interval.low)} to {_signed(self.interval.high)}"
        lines = [
            f"A = {self.slope_per_day:.7f} per day ({slope}), R² = {self.r_squared:.4f}",
            f"{word} time {days:.2f} days ({days / DAYS_PER_MONTH:.2f} months), "
            f"{level}: {doubling_text(self.doubling_interval_days)}",
        ]
        if self.distribution is not None:
            days_unbiased = two_digits(self.median_unbiased_doubling_days)
            why = "since selecting records makes their line too steep"
            lines.append(f"  median-unbiased: {days_unbiased} days, {why}{self._shared}")
        if self.doubling_interval_conditional_days is not None:
            text = doubling_text(self.doubling_interval_conditional_days)
            lines.append(f"  conditional on the optimum that the frame reads: {text}")
        if self.shares is not None:
            lines.append(f"  given the densities: {doubling_text(self.doubling_interval_given_densities_days)}")
        rule = frontier_rule(self.frontier)
        if rule.pick is not None:
            name = "with the frontier held fixed (too narrow)" if rule.by_density else "by Student's t"
            lines.append(f"  {name}: {doubling_text(self._doubling(self.interval_fixed))}")
        if self.shares is not None:
            lines.append(f"  draws behind the full interval: {self.shares}")
        if self.shares_conditional is not None:
            lines.append(f"  draws behind the conditional interval: {self.shares_conditional}")
        if self.shares is not None:
            lines.append(
                "  a draw is out of range when some model has no finite size in it; intervals hold for the rest"
            )
        return lines

    @property
    def _shared(self) -> str:
        """What families and labs have in common, in words; nothing where they are not known."""
        if self.distribution is None or not self.groups:
            return ""
        family, lab = self.distribution.family_share, self.distribution.lab_share
        if len(self.groups) == 1:
            return f"; what is of one group shares {family:.0%} of its scatter"
        return f"; models of one family share {family + lab:.0%} of the scatter, of one lab {lab:.0%}"

    def _with_censored(self) -> list[str]:
        """What can be said all the same, with the models that have no finite size at the largest that can be read."""
        if not self.censored_models:
            return []
        days, interval = self.median_unbiased_doubling_days, self.doubling_interval_given_densities_days
        return [
            f"  with these {len(self.left_out[TOO_DENSE])} as censored, over the largest density that could be read: "
            f"median-unbiased doubling time {two_digits(days)} days, "
            f"{self.interval_sampling.level:.0%} given the densities: {doubling_text(interval)}"
        ]

    def text(self, *, name_all: bool = False) -> str:
        """The frontier's models, then the `summary`."""
        table = self.members_table().to_string(index=False, float_format=lambda v: f"{v:.4g}")
        return "\n".join([*([] if self.censored else [table]), *self.summary(name_all=name_all)])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from html import escape

        table = "" if self.censored else self.members_table().to_html(index=False)
        return table + "<br>".join(map(escape, self.summary()))


def _signed(slope: float) -> str:
    return f"{slope:.5f}" if np.isfinite(slope) else ("∞" if slope > 0 else "−∞")


def left_out_lines(left_out: Mapping[str, Sequence[str]], *, name_all: bool = False) -> list[str]:
    """Models that took no part, counted by reason; a few are named, or all on request."""
    lines = []
    for reason, names in left_out.items():
        named = f": {', '.join(names)}" if name_all or len(names) <= _FEW else ""
        lines.append(f"left out, {reason}: {len(names)} model{'s' if len(names) > 1 else ''}{named}")
    return lines


def doubling_interval(slope: Interval, *, falling: bool = False) -> Interval:
    """Interval of ln 2 / A from that of A.

    Parameters
    ----------
    falling : bool
        Whether density falls: the interval is then of a halving time, in negative days, so that halving in
        90 to 140 days is −140 to −90.
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
        text = doubling_text(_mirrored(interval))
        return text if text == _UNBOUNDED else f"halving in {text}"
    if np.isinf(interval.high):
        return f"{two_digits(interval.low)} days or more" if interval.low > 0 else _UNBOUNDED
    return f"{two_digits(interval.low)} to {two_digits(interval.high)} days"


def two_digits(value: float) -> str:
    """Two significant digits, which is as much as an end of an interval from some thousand draws knows."""
    return f"{float(f'{value:.2g}'):g}" if np.isfinite(value) else ("not known" if np.isnan(value) else "∞")


def fit_trend(
    dates: ArrayLike,
    densities: ArrayLike,
    *,
    models: Sequence[str] | None = None,
    draws: FloatArray | None = None,
    draws_conditional: FloatArray | None = None,
    groups: Sequence[Sequence[str]] = (),
    limits: ArrayLike | None = None,
    frontier: str = "records",
    quantile: float = 0.9,
    level: float = 0.95,
    replicates: int = 4_000,
    seed: int = 0,
) -> Trend:
    """Fit the exponential trend of the densest models.

    Parameters
    ----------
    dates : array of dates, shape (M,)
        Release dates; models without one (NaT) are left out.
    densities : array, shape (M,)
        ρ; infinite for a model too dense for the frame to give it a size, zero for one at or under chance,
        NaN where it is not known. Those are left out and counted; an infinite one leaves the frontier
        censored.
    models : sequence of str, optional
        Names, for the tables.
    draws : array, shape (R, M), optional
        Full draws of each model's density, row by row from one draw of the frame: NaN where a replicate has
        no answer, infinite or zero where out of range.
    draws_conditional : array, shape (R, M), optional
        Draws at the optimum that the frame reads, beside the full ones.
    groups : sequence of sequence of str, each of length M, optional
        Families, and labs, of the models; without them models count as independent.
    limits : array, shape (M,), optional
        Largest density that could be read of each model. With it, models of infinite density are in
        `Trend.interval_sampling` as censored.
    frontier : str
        One of `densing.trend.frontier.FRONTIERS`: ``records`` (as published), ``all`` or ``quantile``.
    quantile : float
        For the frontier ``quantile``: share of the models that lie under the line.
    level : float
        Confidence of the intervals, 0 to 1.
    replicates : int
        How many frontiers the interval is made of; with 4,000 its ends are known to about a twentieth of
        its width.
    seed : int
        Seed of those frontiers.

    Raises
    ------
    FitError
        If fewer than three models are on the frontier: a line through two has no error. If the arrays do
        not match.
    InputError
        For an unknown frontier, and a level, quantile or number of replicates that is out of range.
    """
    named = (
        models if models is not None else [f"model {i + 1}" for i in range(len(np.atleast_1d(np.asarray(densities))))]
    )
    when = np.asarray(dates, dtype="datetime64[D]")
    values = np.asarray(densities, dtype=float)
    if not len(when) == len(values) == len(named):
        raise FitError(f"{len(when)} dates, {len(values)} densities and {len(named)} models do not match")
    for labels in (*groups, *([] if limits is None else [limits])):
        if len(np.asarray(labels)) != len(values):
            raise FitError(f"{len(np.asarray(labels))} groups or limits do not match {len(values)} models")
    for given in (draws, draws_conditional):
        if given is not None and np.shape(given)[1:] != (len(values),):
            raise FitError(f"draws of shape {np.shape(given)} do not match {len(values)} models")
    if draws_conditional is not None and draws is None:
        raise InputError("draws_conditional were given without draws, the full ones they are shown beside")
    picks = frontier_rule(frontier).pick is not None
    if not 0 < level < 1 or replicates < 1:
        raise InputError(f"level={level:g} must lie between 0 and 1, replicates={replicates} be at least 1")
    usable = np.isfinite(values) & (values > 0) & ~np.isnat(when)
    kept = [str(name) for name, use in zip(named, usable, strict=True) if use]
    left_out = models_left_out([str(name) for name in named], when, values)
    calendar = tuple(day.astype(object) for day in when[usable])
    days, logs = days_since(when[usable]), np.log(values[usable])
    try:
        line = draw_line(days, logs, frontier, quantile, level)
    except FitError as error:
        raise FitError("; ".join([str(error), *left_out_lines(left_out)])) from error
    sampling = line.interval
    distribution: SlopeDistribution | None = None
    if picks:
        endless = np.isposinf(values) & ~np.isnat(when) & (limits is not None)
        entered = usable | endless
        tops = np.log(np.asarray(limits, float)[entered]) if endless.any() else None
        with np.errstate(divide="ignore"):
            distribution = slope_distribution(
                days_since(when[entered]),
                np.log(values[entered]),
                frontier,
                groups=[np.asarray(labels)[entered] for labels in groups],
                limits=tops,
                level=level,
                replicates=replicates,
                seed=seed,
            )
        sampling = distribution.interval(level)
    trend = Trend(
        line.slope,
        line.intercept,
        line.r_squared,
        interval=sampling,
        interval_sampling=sampling,
        interval_fixed=line.interval,
        members=line.members,
        distribution=distribution,
        rows=tuple(int(i) for i in np.flatnonzero(usable)),
        models=tuple(kept),
        dates=calendar,
        densities=values[usable],
        frontier=frontier,
        quantile=None if picks else quantile,
        left_out=left_out,
        replicates=replicates,
        seed=seed,
        groups=tuple(tuple(np.asarray(labels)[usable]) for labels in groups),
        censored_models=0 if distribution is None else int(endless.sum()),
    )
    return trend if draws is None else trend._with_draws(draws, draws_conditional)


def fit_density_trend(chosen: DensitySet, **options: Any) -> Trend:
    """Fit the trend of a set of densities with all its draws, families and labs as clusters.

    Models without a finite density are censored at the largest effective size that was read of any model; so are those
    whose size is not identified but larger in most draws. Only models that were measured on all of a frame's benchmarks
    take part: one of which only the benchmark is known that it was made for (Phi-1, code) would lead for years.

    Parameters
    ----------
    chosen : DensitySet
    **options
        Those of `fit_trend`; `groups` are the set's, or those of the registry, where not given.
    """
    from densing.models.registry import load_registry

    groups = options.pop("groups", None) or chosen.groups or load_registry().groups(chosen.names)
    limits, values = None, chosen.values.copy()
    partial = np.array([name in chosen.partial for name in chosen.names], dtype=bool)
    values[partial] = np.nan
    if chosen.details and (usable := chosen.in_range & ~partial).any():
        sizes = np.array([detail.size for detail in chosen.details])
        limits = (values * sizes)[usable].max() / sizes
        drawn = np.array([np.median(detail.draws) if len(detail.draws) else np.nan for detail in chosen.details])
        values[np.isnan(values) & ~partial & (drawn > limits)] = np.inf
    trend = fit_trend(
        chosen.dates,
        values,
        models=chosen.names,
        draws=chosen.draws,
        draws_conditional=chosen.draws_conditional,
        groups=groups,
        limits=limits,
        **options,
    )
    rest = {reason: tuple(n for n in names if n not in chosen.partial) for reason, names in trend.left_out.items()}
    left_out = {reason: names for reason, names in rest.items() if names}
    if chosen.partial & set(chosen.names):
        left_out[PARTLY] = tuple(name for name in chosen.names if name in chosen.partial)
    return replace(trend, left_out=left_out)


def models_left_out(
    names: Sequence[str], dates: NDArray[np.datetime64], values: FloatArray
) -> dict[str, tuple[str, ...]]:
    """Names of the models that a trend leaves out, by reason; see `fit_trend` for the arguments."""
    undated = np.isnat(dates)
    reasons = {
        TOO_DENSE: ~undated & np.isposinf(values),
        AT_CHANCE: ~undated & (values == 0),
        UNDATED: undated,
        UNKNOWN: ~undated & (np.isnan(values) | (values < 0)),
    }
    return {
        reason: tuple(name for name, out in zip(names, rows, strict=True) if out)
        for reason, rows in reasons.items()
        if rows.any()
    }
