"""Density before and after an event, each part with its own frontier and line."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from densing.density.published import CREDIT
from densing.report.figures.labels import label_points
from densing.report.figures.scales import date_ticks, plain_log_ticks
from densing.report.figures.style import (
    DOUBLE,
    FAINT,
    INK,
    PALETTE,
    QUIET,
    is_narrow,
    new_figure,
    say,
    style,
)
from densing.trend.frontier import date_of, days_since

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData
    from densing.trend.change import SlopeChange

FEW = 5
"""A line through fewer models is drawn weakly."""


def change_figure(data: ReportData, *, width: float = DOUBLE) -> Figure:
    """Draw density on MMLU before and after ChatGPT."""
    with style():
        figure, ax = new_figure(width, 3.8)
        before, after = data.change.before.slope_per_day, data.change.after.slope_per_day
        p = data.change.p_value
        finding = (
            f"Density on MMLU grew {after / before - 1:.0%} faster after ChatGPT"
            + (", which chance explains as well" if p > 0.05 else "")
            + f" (p = {p:.2g})"
        )
        say(figure, finding, CREDIT)
        plot_slope_change(data.change, ax, "ChatGPT")
        return figure


def plot_slope_change(change: SlopeChange, ax: Axes, event: str) -> Axes:
    """Draw density against date before and after an event, each part with its frontier and line."""
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
        few = len(members) < FEW
        text = f"{when}: A = {part.slope_per_day:.4f} per day"
        ax.plot(
            line, [part.density(day) for day in line], color=colour, label=text,
            ls=":" if few else "-", lw=1.0 if few else 1.6,
        )  # fmt: skip
        crossing += zip([*part.dates, *line], [*part.densities, *map(part.density, line)], strict=True)
    parts = (change.before, change.after)
    frontier = [(part.dates[i], part.densities[i], part.models[i]) for part in parts for i in part.members]
    ax.axvline(change.date, color=FAINT, lw=0.8, ls="--")
    ax.text(change.date, 1.01, event, transform=ax.get_xaxis_transform(), ha="center", color=QUIET, fontsize=7)
    ax.legend(loc="upper left", fontsize=6 if is_narrow(ax.figure) else 7)
    date_ticks(plain_log_ticks(ax))
    label_points(ax, *map(list, zip(*frontier, strict=True)), avoid=crossing)
    return ax
