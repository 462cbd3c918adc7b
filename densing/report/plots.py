"""Axes-level plots: each takes data and an `Axes`, draws, and returns the `Axes`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.fit.intervals import Profile
from densing.fit.loss_law import LossLaw, LossLawFit
from densing.fit.score_curve import ScoreCurveFit
from densing.frontier import date_of, days_since
from densing.report.style import FAINT, INK, MARKERS, PALETTE, label_points, shortened
from densing.trend import Trend, doubling_text
from densing.units import short_count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from densing.density import Density
    from densing.density_sets import DensitySet
    from densing.frame_comparison import FrameRow
    from densing.slope_change import SlopeChange


def plot_loss_law(fit: LossLawFit, ax: Axes, *, read: int = 0) -> Axes:
    """Ladder losses against training compute (6·N·D), a line per size, every optimum drawn.

    Parameters
    ----------
    fit : LossLawFit
    read : int
        Index of the optimum drawn solid; the others are dashed and dotted.
    """
    sizes = np.unique(fit.params)
    colours = _sequence(len(sizes))
    for size, colour in zip(sizes, colours, strict=True):
        own = fit.params == size
        tokens = fit.tokens[own]
        ax.plot(6 * size * tokens, fit.loss[own], "o", ms=3, color=colour, label=short_count(size), zorder=3)
        grid = np.geomspace(tokens.min() / 1.3, tokens.max() * 1.3, 40)
        others = [i for i in range(len(fit.modes)) if i != read]
        for order, index in enumerate([read, *others]):
            ax.plot(
                6 * size * grid,
                fit.modes[index].loss(size, grid),
                ("-", "--", ":", "-.")[min(order, 3)],
                color=colour,
                lw=1.1 if order == 0 else 0.9,
                zorder=2,
            )
    ax.set(xscale="log", yscale="log", xlabel="training compute 6·N·D (FLOP)", ylabel="conditional loss (nats/token)")
    return _plain_log_ticks(ax, fit.loss)


def law_text(law: LossLaw) -> str:
    """The exponents of a law, for a legend."""
    return f"α {law.alpha:.3f}, β {law.beta:.3f}" + (f", E {law.E:.3f}" if law.E else "")


def plot_score_curve(fit: ScoreCurveFit, ax: Axes, *, draws: Any = None, held_out: pd.DataFrame | None = None) -> Axes:
    """Score against loss: fitted checkpoints, held-out ones, the curve and its 95% band.

    Parameters
    ----------
    draws : array, shape (R, 4), optional
        Constants of bootstrap replicates, for the band.
    held_out : DataFrame, optional
        Columns conditional_loss (or loss) and score.
    """
    top = float(fit.loss.max())
    low = float(fit.loss.min())
    extra = None
    if held_out is not None and len(held_out):
        column = "conditional_loss" if "conditional_loss" in held_out else "loss"
        extra = held_out[column].to_numpy(float), held_out["score"].to_numpy(float)
        low = min(low, float(extra[0].min()))
    grid = np.linspace(max(0.0, low - 0.15 * (top - low)), top + 0.05 * (top - low), 200)
    if draws is not None:
        rise = 1 / (1 + np.exp(np.clip(-draws[:, 1:2] * (grid - draws[:, 2:3]), -700, 700)))
        band = np.nanquantile(draws[:, :1] * rise + draws[:, 3:4], [0.025, 0.975], axis=0)
        ax.fill_between(grid, band[0], np.minimum(band[1], 105), color=PALETTE[0], alpha=0.18, lw=0, label="95%")
    ax.plot(grid, fit.best.score(grid), color=PALETTE[0], label="curve")
    ax.plot(fit.loss, fit.score, "o", ms=3.5, color=INK, label="fitted", zorder=3)
    if extra is not None:
        ax.plot(*extra, "^", ms=5, mfc="white", mec=PALETTE[1], mew=1.2, label="held out", zorder=3)
    ax.set(xlabel="conditional loss (nats/token)", ylabel="score (%)", ylim=(-3, 106))
    return ax


def plot_densities(
    chosen: DensitySet,
    trend: Trend | None,
    ax: Axes,
    *,
    families: Mapping[str, str] | None = None,
    sizes: Mapping[str, float] | None = None,
    until: dt.date | None = None,
    highlight: str | None = None,
) -> Axes:
    """Density against release date: families by colour and marker, sizes by area, frontier, trend, forecast.

    Parameters
    ----------
    families : mapping from model to family, optional
        The six with most models get a colour; the rest are grey.
    sizes : mapping from model to parameters, optional
        Areas grow with their cube root's square.
    until : date, optional
        The trend is drawn on to here and the part past the data shaded.
    highlight : str, optional
        A model to point out.
    """
    ax.set(yscale="log", ylabel="density ρ (effective size / size)", xlabel="release date")
    days = chosen.dates.astype("datetime64[D]").astype(object)
    shown = [i for i, (d, v) in enumerate(zip(days, chosen.values, strict=True)) if d is not None and np.isfinite(v)]
    family = [(families or {}).get(name, "") for name in chosen.names]
    counts = {f: family.count(f) for f in set(family) if f}
    named = sorted(counts, key=lambda f: (-counts[f], f))[:6]
    area = [_area((sizes or {}).get(name)) for name in chosen.names]
    for group in [*named, None]:
        rows = [i for i in shown if (family[i] if family[i] in named else None) == group]
        if not rows:
            continue
        place = named.index(group) if group in named else None
        ax.scatter(
            [days[i] for i in rows],
            [chosen.values[i] for i in rows],
            s=[area[i] for i in rows],
            c=FAINT if place is None else PALETTE[place],
            marker="o" if place is None else MARKERS[place],
            alpha=0.75,
            edgecolors="white",
            linewidths=0.4,
            label="other families" if group is None and named else group,
            zorder=3,
        )
    if trend is not None:
        _draw_trend(trend, ax, until)
        members = list(trend.members)
        label_points(
            ax,
            [trend.dates[i] for i in members],
            trend.densities[members],
            [trend.models[i] for i in members],
            zorder=5,
        )
    if highlight is not None and highlight in chosen.names:
        i = chosen.names.index(highlight)
        if i in shown:
            ax.scatter([days[i]], [chosen.values[i]], s=120, facecolors="none", edgecolors=PALETTE[1], lw=1.6, zorder=6)
            ax.annotate(
                shortened(highlight), (days[i], chosen.values[i]), (8, -12), textcoords="offset points",
                color=PALETTE[1], fontsize=7.5, fontweight="bold", zorder=7,
            )  # fmt: skip
    return _dates(ax)


def _draw_trend(trend: Trend, ax: Axes, until: dt.date | None) -> None:
    first, last = trend.first_date, trend.last_date
    end = max(until or last, last)
    calendar = [date_of(d) for d in np.linspace(*days_since([first, end]), 120)]
    low, high = trend.band(calendar)
    bounded = trend.interval.bounded
    line = [trend.density(day) for day in calendar]
    if bounded:
        ax.fill_between(calendar, low, high, color=PALETTE[0], alpha=0.13, lw=0, zorder=1)
    ax.plot(calendar, line, color=PALETTE[0], lw=1.4, zorder=2)
    members = list(trend.members)
    ax.plot(
        [trend.dates[i] for i in members], trend.densities[members], "o", ms=7, mfc="none", mec=INK, mew=0.9, zorder=4,
        label="frontier",
    )  # fmt: skip
    if end > last:
        ax.axvspan(last, end, color="#f1f1f1", zorder=0)
        ax.text(end, 0.97, "forecast ", transform=ax.get_xaxis_transform(), ha="right", color=FAINT, fontsize=7)
    text = f"doubling time {trend.doubling_time_days:.0f} days" if trend.slope_per_day > 0 else "density falls"
    ax.text(
        0.02,
        0.98,
        f"{text}\n95% {doubling_text(trend.doubling_interval_days)}\nR² {trend.r_squared:.3f}, {len(members)} models",
        transform=ax.transAxes, va="top", fontsize=8, color=PALETTE[0],
    )  # fmt: skip
    values = trend.densities
    ax.set_ylim(values.min() / 2.5, max(values.max(), max(line)) * 2.5)


def plot_frames(rows: Sequence[FrameRow], ax: Axes) -> Axes:
    """The doubling time under every frame: point, interval at the frame's optimum, interval over all optima."""
    limit = 400.0
    for place, row in enumerate(reversed(rows)):
        if row.trend is None:
            ax.text(5, place, f"no trend: {row.reason}", va="center", color=FAINT, fontsize=7)
            continue
        own, every = row.trend.doubling_interval_days, row.doubling_all_optima
        for interval, width, colour in ((every, 1.0, FAINT), (own, 3.2, PALETTE[0])):
            ax.plot(
                [interval.low, min(interval.high, limit)], [place, place], color=colour, lw=width, solid_capstyle="butt"
            )
            if interval.high > limit:
                ax.plot(limit, place, ">", color=colour, ms=4, clip_on=False)
        ax.plot(row.trend.doubling_time_days, place, "o", ms=5, color=INK, zorder=3)
        share = row.trend.out_of_range_share
        note = f"   {share:.0%} of draws out of range" if share > 0.02 else ""
        ax.text(limit * 1.02, place, f"{row.trend.doubling_time_days:.0f} d{note}", va="center", fontsize=7)
    names = [shortened(f"{row.frame.name} (β {row.frame.law().beta:.2f})", 48) for row in reversed(rows)]
    ax.set_yticks(range(len(rows)), names)
    ax.set(xlim=(0, limit), ylim=(-0.6, len(rows) - 0.4), xlabel="doubling time of density (days)")
    ax.grid(axis="y", visible=False)
    handles = [
        ax.plot([], [], color=PALETTE[0], lw=3.2)[0],
        ax.plot([], [], color=FAINT, lw=1)[0],
    ]
    ax.legend(handles, ["95% at the frame's optimum", "95% over all optima"], loc="upper center", ncols=2,
              bbox_to_anchor=(0.5, 1.16))  # fmt: skip
    return ax


def plot_profile(profile: Profile, fit: LossLawFit, ax: Axes) -> Axes:
    """The objective along an exponent with everything else at its best; all optima, the 95% region."""
    near = profile.objective < 6 * fit.best.objective
    ax.plot(profile.values[near], profile.objective[near] / fit.best.objective, color=PALETTE[0])
    ax.axhline(profile.limit / fit.best.objective, color=FAINT, lw=0.8, ls="--")
    for low, high in profile.interval.pieces:
        ax.axvspan(low, high, color=PALETTE[0], alpha=0.13, lw=0)
    for index, mode in enumerate(fit.modes):
        value, level = getattr(mode, profile.name), mode.objective / fit.best.objective
        marker = MARKERS[index % len(MARKERS)]
        ax.plot(value, level, marker, color=PALETTE[1], ms=5, zorder=3, ls="none", label=law_text(mode))
    ax.legend(loc="upper center", fontsize=6.5)
    symbol = {"alpha": "α", "beta": "β"}.get(profile.name, profile.name)
    ax.set(xscale="log", yscale="log", xlabel=symbol, ylabel="objective / its minimum", ylim=(0.93, 9))
    _plain_log_ticks(ax, profile.objective[near] / fit.best.objective)
    _plain_log_ticks(ax, profile.values[near], axis="x")
    return ax


def plot_compression(pairs: pd.DataFrame, ax: Axes) -> Axes:
    """Compressed models and their parents: an arrow from the parent's density to the child's.

    Parameters
    ----------
    pairs : DataFrame
        model, parent, density, parent_density.
    """
    ordered = pairs.sort_values("density").reset_index(drop=True)
    for place, row in ordered.iterrows():
        better = row["density"] >= row["parent_density"]
        colour = PALETTE[2] if better else PALETTE[1]
        ax.annotate(
            "", (row["density"], place), (row["parent_density"], place),
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.2, "shrinkA": 3, "shrinkB": 1},
        )  # fmt: skip
        ax.plot(row["parent_density"], place, "o", mfc="white", mec=INK, ms=5, label="parent" if place == 0 else None)
        ax.plot(row["density"], place, "s", color=colour, ms=5, label="compressed" if place == 0 else None)
    ax.set_yticks(
        range(len(ordered)),
        [f"{shortened(m)}  ←  {shortened(p)}" for m, p in zip(ordered["model"], ordered["parent"], strict=True)],
    )
    ax.set(xscale="log", xlabel="density ρ", ylim=(-0.6, len(ordered) - 0.4))
    _plain_log_ticks(ax, ordered[["density", "parent_density"]].to_numpy().ravel(), axis="x")
    ax.legend(loc="lower right")
    return ax


def plot_prices(prices: pd.DataFrame, trend: Trend, ax: Axes) -> Axes:
    """Prices per million input tokens, the cheapest line, and its halving time."""
    dates = [dt.date.fromisoformat(str(d)) for d in prices["date"]]
    paid = prices["usd_per_million_input_tokens"].to_numpy(float)
    ax.plot(dates, paid, "o", ms=4, color=FAINT, label="models")
    members = list(trend.members)
    at = [trend.dates[i] for i in members]
    ax.plot(at, 1 / trend.densities[members], "o", ms=6, mfc="none", mec=INK, mew=1, label="cheapest line")
    line = [date_of(d) for d in np.linspace(*days_since([at[0], at[-1]]), 50)]
    ax.plot(line, [1 / trend.density(day) for day in line], color=PALETTE[0])
    ax.set(yscale="log", ylabel="US dollars per million input tokens", ylim=(paid.min() / 2, paid.max() * 2))
    label_points(ax, dates, list(paid), list(prices["model"]))
    months = trend.doubling_time_days * 12 / 365.25
    ax.text(
        0.98,
        0.96,
        f"halves every {months:.2f} months\nR² {trend.r_squared:.3f}",
        transform=ax.transAxes,
        va="top",
        ha="right",
        color=PALETTE[0],
    )
    _plain_log_ticks(ax, paid)
    ax.legend(loc="lower left")
    return _dates(ax)


def plot_slope_change(change: SlopeChange, ax: Axes, event: str) -> Axes:
    """Density against date before and after an event, each part with its frontier and line."""
    ax.set(yscale="log", ylabel="density ρ on MMLU")
    for part, colour, marker in ((change.before, PALETTE[1], "s"), (change.after, PALETTE[0], "o")):
        ax.plot(part.dates, part.densities, marker, ms=3.5, color=colour, alpha=0.45, ls="none")
        members = list(part.members)
        at = [part.dates[i] for i in members]
        ax.plot(at, part.densities[members], marker, ms=6.5, mfc="none", mec=INK, mew=0.9)
        line = [date_of(d) for d in np.linspace(*days_since([at[0], at[-1]]), 50)]
        text = f"A = {part.slope_per_day:.4f}/day, {len(members)} on the frontier"
        ax.plot(line, [part.density(day) for day in line], color=colour, label=text)
    for part in (change.before, change.after):
        members = list(part.members)
        label_points(
            ax, [part.dates[i] for i in members], list(part.densities[members]), [part.models[i] for i in members]
        )
    ax.axvline(change.date, color=FAINT, lw=0.8, ls="--")
    ax.text(change.date, 1.01, event, transform=ax.get_xaxis_transform(), ha="center", color=FAINT, fontsize=7)
    ax.legend(loc="lower right", title=f"change of slope: p = {change.p_value:.2g}", title_fontsize=7)
    return _dates(ax)


def plot_card(density: Density, chosen: DensitySet, date: dt.date | None, ax: Axes) -> Axes:
    """One model among its neighbours in rank: values and intervals, its own in colour.

    Parameters
    ----------
    density : Density
        Of the model; it may be outside of `chosen`.
    date : date or None
        Its release, for the percentile among models out by then.
    """
    others = [(d.value, d) for d in chosen.details if np.isfinite(d.value) and d.model != density.model]
    ranked = sorted(
        [*others, (density.value if np.isfinite(density.value) else density.bound, density)], key=lambda v: -v[0]
    )
    place = next(i for i, (_, d) in enumerate(ranked) if d is density)
    window = ranked[max(0, place - 4) : place + 5]
    for row, (value, one) in enumerate(reversed(window)):
        own = one is density
        colour = PALETTE[1] if own else INK
        low, high = one.interval_within.low, one.interval_within.high
        ax.plot([max(low, value / 300), min(high, value * 300)], [row, row], color=colour, lw=2 if own else 0.9)
        ax.plot(value, row, "o" if np.isfinite(one.value) else "<", color=colour, ms=7 if own else 4, zorder=3)
    ax.set_yticks(range(len(window)), [shortened(d.model or "this model") for _, d in reversed(window)])
    for tick, (_, one) in zip(ax.get_yticklabels(), reversed(window), strict=True):
        tick.set_fontweight("bold" if one is density else "normal")
    then = [value for (value, d) in others if date is None or _released(chosen, d.model, date)]
    share = np.mean([value < ranked[place][0] for value in then]) if then else np.nan
    when = f" of {len(then)} models out by {date}" if date else f" of {len(then)} models"
    ax.set_title(
        f"{shortened(density.model or 'this model')}: ρ = {density.text}, rank {place + 1} of {len(ranked)}, "
        f"denser than {share:.0%}{when}", loc="left",
    )  # fmt: skip
    ax.set(xscale="log", xlabel=f"density ρ in frame {density.frame} (95% at the frame's optimum)")
    ax.grid(axis="y", visible=False)
    return ax


def _released(chosen: DensitySet, model: str, date: dt.date) -> bool:
    when = chosen.dates[chosen.names.index(model)]
    return bool(not np.isnat(when) and when <= np.datetime64(date, "D"))


def _area(params: float | None) -> float:
    return 22.0 if not params else float(np.clip(5 * (params / 1e9) ** 0.55, 9, 140))


def _sequence(count: int) -> list[tuple[float, float, float]]:
    import seaborn as sns

    return list(sns.color_palette("viridis_r", count + 1)[1:])


def _dates(ax: Axes) -> Axes:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return ax


def _plain_log_ticks(ax: Axes, values: Any, axis: str = "y") -> Axes:
    """Ticks at round numbers, written plainly, where a logarithmic axis spans less than two decades."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    values = np.asarray(values, float)
    low, high = values[values > 0].min(), values.max()
    if high / low > 100:
        return ax
    steps = np.array([1, 1.5, 2, 3, 5, 7]) if high / low > 4 else np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9])
    ticks = np.sort(np.concatenate([steps * 10.0**power for power in range(-8, 14)]))
    inside = ticks[(ticks >= low * 0.8) & (ticks <= high * 1.25)]
    target = ax.yaxis if axis == "y" else ax.xaxis
    target.set_major_locator(FixedLocator(inside.tolist()))
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    target.set_minor_formatter(NullFormatter())
    return ax
