"""The headline: density against release date, the frontier, and its trend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.core.errors import InputError
from densing.core.units import short_count
from densing.density.published import CREDIT
from densing.models.registry import Registry, load_registry
from densing.report.data import FORECAST_DAYS
from densing.report.figures.labels import label_points
from densing.report.figures.panels import legend_below
from densing.report.figures.scales import date_ticks, mark_area, plain_log_ticks
from densing.report.figures.style import (
    DOUBLE,
    FAINT,
    INK,
    MARKERS,
    PALETTE,
    QUIET,
    is_narrow,
    new_figure,
    say,
    shortened,
    style,
)
from densing.trend.exponential import Trend, doubling_text
from densing.trend.frontier import date_of, days_since

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.density.sets import DensitySet
    from densing.report.data import ReportData


def trend_figure(data: ReportData, which: str, *, width: float = DOUBLE) -> Figure:
    """Draw `density_figure` of one set of models of a report."""
    row = data.row(which)
    return density_figure(row.densities, row.trend, registry=data.registry, highlight=data.highlight, width=width)


def density_figure(
    chosen: DensitySet,
    trend: Trend | None,
    *,
    registry: Registry | None = None,
    highlight: str | None = None,
    width: float = DOUBLE,
) -> Figure:
    """Draw density against release date, the frontier, and the trend with its band and half a year of it carried on.

    Parameters
    ----------
    registry : Registry, optional
        Where families are looked up; the shipped one where not given.
    highlight : str, optional
        A model to point out.
    width : float
        Inches.
    """
    registry = registry or load_registry()
    families = {}
    for name in chosen.names:
        with suppress(InputError):  # a printed model may have no row
            families[name] = registry.entry(name).family
    with style():
        figure, ax = new_figure(width, 4.4 if width >= DOUBLE else 4.0)
        plot_densities(
            chosen,
            trend,
            ax,
            families=families,
            sizes={d.model: d.size for d in chosen.details},
            until=trend.last_date + dt.timedelta(days=FORECAST_DAYS) if trend else None,
            highlight=highlight,
            named=False,
        )
        _density_legend(figure, ax)
        say(figure, finding(trend), source_line(chosen) + _not_shown(chosen, highlight))
        name_models(chosen, trend, ax, highlight=highlight)
        return figure


def finding(trend: Trend | None) -> str:
    """Return what a trend says in one sentence, no more than its interval allows."""
    if trend is None or trend.censored:
        return "The doubling time of density is not identified" if trend else "Too few models for a trend of density"
    days, interval = trend.doubling_time_days, trend.doubling_interval_days
    if days > 0 and not interval.high < np.inf:
        return "How fast density grows is not bounded by the data"
    times = "double" if days > 0 else "halve"
    text = doubling_text(interval).removeprefix("halving in ")
    return f"The densest models {times} their capability per parameter every {text} (95%)"


def source_line(chosen: DensitySet) -> str:
    """Return what a figure of a set of models was drawn from, and until when its data go."""
    known = chosen.dates[~np.isnat(chosen.dates)]
    until = f", data until {known.max()}" if len(known) else ""
    title = chosen.title[:1].upper() + chosen.title[1:]
    source = CREDIT if chosen.title.startswith("the article") else "Published scores; sources in the registry"
    return f"{title}{until}. {source}."


def _not_shown(chosen: DensitySet, highlight: str | None) -> str:
    """Return why the model to point out is not in the figure; nothing where it is, or where there is none."""
    if highlight is None:
        return ""
    place = chosen.names.index(highlight) if highlight in chosen.names else None
    if place is None:
        why = "it is not one of these models"
    elif np.isnat(chosen.dates[place]):
        why = "it has no release date"
    elif not chosen.in_range[place]:
        why = f"its density is {chosen.details[place].status}"
    else:
        return ""
    return f" {shortened(highlight)} is not shown: {why}."


def _density_legend(figure: Figure, ax: Axes) -> None:
    """Write a legend: families and lines at one size, then what a mark's area means."""
    from matplotlib.collections import PathCollection

    handles, labels = ax.get_legend_handles_labels()
    sizes = {short_count(size): mark_area(size) for size in (1e9, 1e10, 1e11)}
    round_marks = [ax.scatter([], [], s=area, c=FAINT, alpha=0.75, edgecolors="white") for area in sizes.values()]
    legend_below(figure, [*handles, *round_marks], [*labels, *(f"size {text}" for text in sizes)], 7)
    for handle in figure.legends[0].legend_handles[: len(handles)]:
        if isinstance(handle, PathCollection):
            handle.set_sizes([26])


def plot_densities(
    chosen: DensitySet,
    trend: Trend | None,
    ax: Axes,
    *,
    families: Mapping[str, str] | None = None,
    sizes: Mapping[str, float] | None = None,
    until: dt.date | None = None,
    highlight: str | None = None,
    named: bool = True,
) -> Axes:
    """Draw density against release date: families by colour and marker, sizes by area, frontier, trend, forecast.

    Parameters
    ----------
    families : mapping from model to family, optional
        Six of them get a colour, those on the frontier before those with many models; the rest are grey.
    sizes : mapping from model to parameters, optional
        The area of a mark grows with their square root.
    until : date, optional
        The trend is drawn on to here and the part past the data shaded.
    highlight : str, optional
        A model to point out.
    named : bool
        Whether to write names now; otherwise `name_models` does, when the figure has its legend.
    """
    ax.set(yscale="log", ylabel="density ρ (effective size / size)")
    ax.axhline(1, color=FAINT, lw=0.8, ls=":", zorder=1)
    days = chosen.dates.astype("datetime64[D]").astype(object)
    shown = [i for i, (d, use) in enumerate(zip(days, chosen.in_range, strict=True)) if d is not None and use]
    family = [(families or {}).get(name, "") for name in chosen.names]
    front = {trend.models[i] for i in trend.members} if trend is not None and not trend.censored else set()
    best = {group for name, group in zip(chosen.names, family, strict=True) if name in front}
    counts = {f: (f in best, family.count(f)) for f in set(family) if f}
    coloured = sorted(sorted(counts), key=lambda f: counts[f], reverse=True)[:6]
    area = [mark_area((sizes or {}).get(name)) for name in chosen.names]
    for place, group in enumerate([*coloured, None]):
        rows = [i for i in shown if (family[i] if family[i] in coloured else None) == group]
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
            label="other families" if group is None and coloured else group,
            zorder=3 if group is None else 3.1,
        )
    if trend is not None and trend.censored:
        why = trend.censored.replace(", so ", ",\nso ")
        text = f"doubling time not identified: {why}"
        ax.text(0.02, 0.98, text, transform=ax.transAxes, va="top", fontsize=8, color=PALETTE[0])
    elif trend is not None:
        _draw_trend(trend, ax, until)
        _draw_intervals(chosen, [i for i in shown if chosen.names[i] in front], days, ax)
    for i in shown:
        if chosen.names[i] == highlight:
            ax.scatter([days[i]], [chosen.values[i]], s=130, facecolors="none", edgecolors=PALETTE[1], lw=1.6, zorder=6)
    if shown:
        plain_log_ticks(ax)
    date_ticks(ax)
    return name_models(chosen, trend, ax, highlight=highlight) if named else ax


def name_models(chosen: DensitySet, trend: Trend | None, ax: Axes, *, highlight: str | None = None) -> Axes:
    """Write the names of the frontier's models, and of one to point out, where they cover nothing."""
    days = chosen.dates.astype("datetime64[D]").astype(object)
    shown = [i for i, (d, use) in enumerate(zip(days, chosen.in_range, strict=True)) if d is not None and use]
    labelled = [i for i in shown if chosen.names[i] == highlight]
    line: list[tuple[Any, float]] = []
    if trend is not None and not trend.censored:
        frontier = {trend.models[i] for i in trend.members} - {highlight}
        front = [i for i in shown if chosen.names[i] in frontier]
        labelled += front[-4:] if is_narrow(ax.figure) else front  # a narrow figure has room for the newest alone
        calendar = [date_of(d) for d in np.linspace(*days_since([trend.first_date, trend.last_date]), 100)]
        line = [(day, trend.density(day)) for day in calendar]
    label_points(
        ax,
        [days[i] for i in labelled],
        [chosen.values[i] for i in labelled],
        [chosen.names[i] for i in labelled],
        avoid=[*((days[i], chosen.values[i]) for i in shown), *line],
        strong=highlight,
    )
    return ax


def _draw_intervals(chosen: DensitySet, rows: list[int], days: Any, ax: Axes) -> None:
    """Draw the full intervals of some models inside the axes; an end that is cut is an arrow."""
    low, high = ax.get_ylim()
    for i in rows:
        interval = chosen.details[i].interval
        ends = max(interval.low, low), min(interval.high, high)
        ax.plot([days[i]] * 2, ends, color=QUIET, lw=0.6, alpha=0.7, zorder=2.5)
        for end, cut, arrow in ((ends[0], interval.low < low, "v"), (ends[1], interval.high > high, "^")):
            if cut:
                ax.plot(days[i], end, arrow, color=QUIET, ms=3, mew=0, alpha=0.7, clip_on=False, zorder=2.5)


def _draw_trend(trend: Trend, ax: Axes, until: dt.date | None) -> None:
    """Draw line, band and frontier, carry the line on past the data, and write their numbers."""
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
        ax.text(end, 0.02, "line carried on ", transform=ax.get_xaxis_transform(), ha="right", color=QUIET, fontsize=7)
    days, conditional = trend.doubling_time_days, trend.doubling_interval_conditional_days
    interval = trend.doubling_interval_days
    text = f"as read every {abs(days):.0f} days\n"
    text += f"95% {trend.interval_name}: {doubling_text(interval)}"
    if conditional is not None:
        text += f"\nconditional: {doubling_text(conditional)}"
    ax.text(
        0.02, 0.98, f"{text}\nR² {trend.r_squared:.3f}, {len(members)} models on the frontier",
        transform=ax.transAxes, va="top", fontsize=6.5, color=PALETTE[0],
    )  # fmt: skip
    lowest, highest = trend.densities.min(), max(trend.densities.max(), max(line))
    margin = dt.timedelta(days=0.03 * (end - first).days)
    ax.set(ylim=(lowest / 2.5, highest * 2.5), xlim=(first - margin, end))
