"""Axes-level plots: each takes data and an `Axes`, draws, and returns the `Axes`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.core.units import short_count
from densing.fit.loss_law.fit import LossLawFit
from densing.fit.loss_law.law import LossLaw
from densing.fit.profile import Profile
from densing.fit.score_curve.fit import ScoreCurveFit
from densing.report.figures.scales import date_ticks, mark_area, plain_log_ticks, shades
from densing.report.figures.style import FAINT, INK, MARKERS, PALETTE, QUIET, label_points, shortened
from densing.trend.exponential import DAYS_PER_MONTH, Trend, doubling_text
from densing.trend.frontier import date_of, days_since

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from densing.density.densities import Density
    from densing.density.sets import DensitySet
    from densing.trend.change import SlopeChange
    from densing.trend.rulers import FrameRow


def plot_loss_law(fit: LossLawFit, ax: Axes, *, read: int = 0) -> Axes:
    """Ladder losses against training compute (6·N·D), a line per size, every optimum drawn.

    Parameters
    ----------
    fit : LossLawFit
    read : int
        Index of the optimum drawn solid; the others are dashed and dotted.
    """
    from matplotlib.ticker import NullLocator

    sizes = np.unique(fit.params)
    colours = shades(len(sizes))
    for size, colour in zip(sizes, colours, strict=True):
        own = fit.params == size
        tokens = fit.tokens[own]
        ax.plot(6 * size * tokens, fit.loss[own], "o", ms=3, color=colour, label=short_count(size), zorder=3)
        grid = np.geomspace(tokens.min() / 1.3, tokens.max() * 1.3, 40)
        others = [i for i in range(len(fit.optima)) if i != read]
        for order, index in enumerate([read, *others]):
            ax.plot(
                6 * size * grid,
                fit.optima[index].loss(size, grid),
                ("-", "--", ":", "-.")[min(order, 3)],
                color=colour,
                lw=1.1 if order == 0 else 0.9,
                zorder=2,
            )
    ax.set(xscale="log", yscale="log", xlabel="training compute 6·N·D (FLOP)", ylabel="conditional loss (nats/token)")
    ax.xaxis.set_minor_locator(NullLocator())
    return plain_log_ticks(ax)


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
    shown = [i for i, (d, use) in enumerate(zip(days, chosen.in_range, strict=True)) if d is not None and use]
    family = [(families or {}).get(name, "") for name in chosen.names]
    counts = {f: family.count(f) for f in set(family) if f}
    named = sorted(counts, key=lambda f: (-counts[f], f))[:6]
    area = [mark_area((sizes or {}).get(name)) for name in chosen.names]
    for place, group in enumerate([*named, None]):
        rows = [i for i in shown if (family[i] if family[i] in named else None) == group]
        if not rows:
            continue
        ax.scatter(
            [days[i] for i in rows],
            [chosen.values[i] for i in rows],
            s=[area[i] for i in rows],
            c=FAINT if group is None else PALETTE[place],
            marker="o" if group is None else MARKERS[place],
            alpha=0.75,
            edgecolors="white",
            linewidths=0.4,
            label="other families" if group is None and named else group,
            zorder=3 if group is None else 3.1,
        )
    labelled = [i for i in shown if chosen.names[i] == highlight]
    crossing: list[tuple[Any, float]] = []
    if trend is not None and trend.censored:
        why = trend.censored.replace(", so ", ",\nso ")
        ax.text(0.02, 0.98, f"no trend: {why}", transform=ax.transAxes, va="top", fontsize=8, color=PALETTE[0])
    elif trend is not None:
        crossing = _draw_trend(trend, ax, until)
        frontier = {trend.models[i] for i in trend.members}
        labelled += [i for i in shown if chosen.names[i] in frontier - {highlight}]
    for i in shown:
        if chosen.names[i] == highlight:
            ax.scatter([days[i]], [chosen.values[i]], s=130, facecolors="none", edgecolors=PALETTE[1], lw=1.6, zorder=6)
    label_points(
        ax,
        [days[i] for i in labelled],
        [chosen.values[i] for i in labelled],
        [chosen.names[i] for i in labelled],
        avoid=[*((days[i], chosen.values[i]) for i in shown), *crossing],
        strong=highlight,
    )
    if shown:
        plain_log_ticks(ax)
    return date_ticks(ax)


def _draw_trend(trend: Trend, ax: Axes, until: dt.date | None) -> list[tuple[Any, float]]:
    """Line, band, forecast, frontier and their numbers; returns points of the line."""
    first, last = trend.first_date, trend.last_date
    end = max(until or last, last)
    calendar = [date_of(d) for d in np.linspace(*days_since([first, end]), 120)]
    line = [trend.density(day) for day in calendar]
    name, slope = trend.drawn_interval
    if slope.bounded:
        band = trend.band(calendar, slope=slope)
        ax.fill_between(calendar, *band, color=PALETTE[0], alpha=0.13, lw=0, zorder=1, label=f"95% band, {name}")
    ends = [first, last, end]
    values = [trend.density(day) for day in ends]
    ax.plot(ends[:2], values[:2], color=PALETTE[0], lw=1.4, zorder=2, label="trend")
    members = list(trend.members)
    ax.plot(
        [trend.dates[i] for i in members], trend.densities[members], "o", ms=7.5, mfc="none", mec=INK, mew=0.9,
        zorder=4, ls="none", label="frontier",
    )  # fmt: skip
    if end > last:
        ax.plot(ends[1:], values[1:], color=PALETTE[0], lw=1.4, ls=(0, (4, 3)), zorder=2)
        ax.axvspan(last, end, color="#efefef", lw=0, zorder=0)
        ax.text(end, 0.02, "forecast ", transform=ax.get_xaxis_transform(), ha="right", color=QUIET, fontsize=7)
    days = trend.doubling_time_days
    text = f"doubles every {days:.0f} days" if trend.slope_per_day > 0 else f"halves every {-days:.0f} days"
    interval = f"95% {trend.interval_name}: {doubling_text(trend.doubling_interval_days)}"
    if trend.doubling_interval_conditional_days is not None:
        interval += f"\nconditional: {doubling_text(trend.doubling_interval_conditional_days)}"
    ax.text(
        0.02, 0.98, f"{text}\n{interval}\nR² {trend.r_squared:.3f}, {len(members)} models on the frontier",
        transform=ax.transAxes, va="top", fontsize=8, color=PALETTE[0],
    )  # fmt: skip
    lowest, highest = trend.densities.min(), max(trend.densities.max(), max(line))
    margin = dt.timedelta(days=0.03 * (end - first).days)
    ax.set(ylim=(lowest / 2.5, highest * 2.5), xlim=(first - margin, end))
    return list(zip(calendar, line, strict=True))


def plot_frames(rows: Sequence[FrameRow], ax: Axes) -> Axes:
    """The doubling time under every frame: point, full interval, conditional interval."""
    rising = [row for row in rows if row.identified is not None and row.identified.slope_per_day > 0]
    # Long intervals are cut, so that an unbounded one does not press the others together.
    longest = max((row.trend.doubling_time_days for row in rising if row.trend), default=100.0)
    limit = max((min(row.trend.doubling_interval_days.high, 3 * longest) for row in rising if row.trend), default=100.0)
    for place, row in enumerate(reversed(rows)):
        if row.trend is None or row not in rising:
            why = f"{row.texts[0]}: {row.reason}" if row.reason else "density falls"
            ax.text(0.02 * limit, place, why.replace(", so ", ",\nso "), va="center", color=QUIET, fontsize=6.5)
            continue
        days, full = row.trend.doubling_time_days, row.trend.doubling_interval_days
        conditional = row.trend.doubling_interval_conditional_days or full
        for interval, width, colour in ((full, 1.0, QUIET), (conditional, 3.2, PALETTE[0])):
            nothing = interval.low == 0 and np.isinf(interval.high)
            ends, look = [interval.low, min(interval.high, limit)], {"color": colour, "alpha": 0.35 if nothing else 1}
            ax.plot(ends, [place, place], lw=width, solid_capstyle="butt", **look)
            if interval.high > limit:
                ax.plot(limit, place, ">", ms=4, mew=0, clip_on=False, **look)
        ax.plot(days, place, "o", ms=5, color=INK, mec="white", mew=0.6, zorder=3)
        beside = {"xy": (1, place), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        ax.annotate(f"{days:.0f} days", xytext=(9, 1), va="bottom", fontsize=7, **beside)
        ax.annotate(f"95% full: {row.texts[1]}", xytext=(9, -1), va="top", fontsize=6.5, color=QUIET, **beside)
    names = [
        f"{shortened(row.frame.name, 40)}\nα {row.frame.law().alpha:.2f}, β {row.frame.law().beta:.2f}" for row in rows
    ]
    ax.set_yticks(range(len(rows)), names[::-1])
    ax.set(xlim=(0, limit), ylim=(-0.6, len(rows) - 0.4), xlabel="doubling time of density (days)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    handles = [ax.plot([], [], color=QUIET, lw=1)[0], ax.plot([], [], color=PALETTE[0], lw=3.2)[0]]
    ax.legend(handles, ["95% full, over all optima", "95% conditional, at the frame's optimum"],
              loc="lower left", ncols=2, bbox_to_anchor=(0, 1), borderaxespad=0.2)  # fmt: skip
    return ax


def plot_profile(profile: Profile, fit: LossLawFit, ax: Axes, *, read: int | None = None) -> Axes:
    """The objective along an exponent with everything else at its best; all optima, the 95% region.

    Parameters
    ----------
    read : int, optional
        Index of the optimum that a frame reads: filled, the others open.
    """
    best = fit.best.objective
    near = profile.objective < 6 * best
    ax.plot(profile.values[near], profile.objective[near] / best, color=PALETTE[0])
    ax.axhline(profile.limit / best, color=FAINT, lw=0.8, ls="--")
    for low, high in profile.interval.pieces:
        ax.fill_between([low, high], 0.5, profile.limit / best, color=PALETTE[0], alpha=0.2, lw=0)
    for index, optimum in enumerate(fit.optima):
        face = PALETTE[1] if read in (None, index) else "white"
        ax.plot(
            getattr(optimum, profile.name), optimum.objective / best, MARKERS[index % len(MARKERS)], ms=5.5, ls="none",
            mfc=face, mec=PALETTE[1], mew=1.1, zorder=3, label=law_text(optimum),
        )  # fmt: skip
    symbol = {"alpha": "α", "beta": "β"}.get(profile.name, profile.name)
    ax.set(xscale="log", yscale="log", xlabel=symbol, ylabel="objective / its minimum", ylim=(0.85, 16))
    ax.legend(loc="upper left", fontsize=6.5)
    plain_log_ticks(ax, "x", 7)
    return plain_log_ticks(ax)


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
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.2, "shrinkA": 3, "shrinkB": 3.5},
        )  # fmt: skip
        ax.plot(row["parent_density"], place, "o", mfc="white", mec=INK, ms=5)
        ax.plot(row["density"], place, "^" if better else "v", color=colour, ms=6)
    ax.set_yticks(
        range(len(ordered)),
        [f"{shortened(m)}  ←  {shortened(p)}" for m, p in zip(ordered["model"], ordered["parent"], strict=True)],
    )
    ax.set(xscale="log", xlabel="density ρ", ylim=(-0.6, len(ordered) - 0.4))
    ax.plot([], [], "o", mfc="white", mec=INK, ms=5, ls="none", label="parent")
    ax.plot([], [], "^", color=PALETTE[2], ms=6, ls="none", label="compressed, denser than the parent")
    ax.plot([], [], "v", color=PALETTE[1], ms=6, ls="none", label="compressed, less dense")
    return plain_log_ticks(ax, "x")


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
    ax.set(
        yscale="log", xlabel="date of the price", ylabel="US dollars per million input tokens",
        ylim=(paid.min() / 2, paid.max() * 2),
    )  # fmt: skip
    points = [*zip(dates, paid, strict=True), *((day, 1 / trend.density(day)) for day in line)]
    label_points(ax, dates, list(paid), list(prices["model"]), avoid=points)
    months = trend.doubling_time_days / DAYS_PER_MONTH
    text = f"halves every {months:.2f} months\nR² {trend.r_squared:.3f}"
    ax.text(0.98, 0.96, text, transform=ax.transAxes, va="top", ha="right", color=PALETTE[0])
    ax.legend(loc="lower left")
    return date_ticks(plain_log_ticks(ax))


def plot_slope_change(change: SlopeChange, ax: Axes, event: str) -> Axes:
    """Density against date before and after an event, each part with its frontier and line."""
    ax.set(yscale="log", ylabel="density ρ on MMLU", xlabel="release date")
    crossing: list[tuple[dt.date, float]] = []
    for when, part, colour, marker in (
        ("before", change.before, PALETTE[1], "s"),
        ("after", change.after, PALETTE[0], "o"),
    ):
        ax.plot(part.dates, part.densities, marker, ms=3.5, color=colour, alpha=0.6, mew=0, ls="none")
        members = list(part.members)
        at = [part.dates[i] for i in members]
        ax.plot(at, part.densities[members], marker, ms=6.5, mfc="none", mec=INK, mew=0.9)
        line = [date_of(d) for d in np.linspace(*days_since([at[0], at[-1]]), 50)]
        text = f"{when} {event}: A = {part.slope_per_day:.4f} per day, {len(members)} on the frontier"
        ax.plot(line, [part.density(day) for day in line], color=colour, label=text)
        crossing += zip([*part.dates, *line], [*part.densities, *map(part.density, line)], strict=True)
    parts = (change.before, change.after)
    frontier = [(part.dates[i], part.densities[i], part.models[i]) for part in parts for i in part.members]
    label_points(ax, *map(list, zip(*frontier, strict=True)), avoid=crossing)
    ax.axvline(change.date, color=FAINT, lw=0.8, ls="--")
    ax.text(change.date, 1.01, event, transform=ax.get_xaxis_transform(), ha="center", color=QUIET, fontsize=7)
    legend = ax.legend(loc="upper left", title=f"change of slope: p = {change.p_value:.2g}", title_fontsize=7)
    legend.set(alignment="left")
    return date_ticks(plain_log_ticks(ax))


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
        for interval, width in ((one.interval, 0.5), (one.interval_conditional, 2.4)):
            low, high = max(interval.low, value / 300), min(interval.high, value * 300)
            ax.plot([low, high], [row, row], color=colour, lw=width * (1.3 if own else 1))
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
    ax.set(xscale="log", xlabel=f"density ρ in frame {density.frame} (95% full thin, conditional thick)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return plain_log_ticks(ax, "x")


def _released(chosen: DensitySet, model: str, date: dt.date) -> bool:
    when = chosen.dates[chosen.names.index(model)]
    return bool(not np.isnat(when) and when <= np.datetime64(date, "D"))
