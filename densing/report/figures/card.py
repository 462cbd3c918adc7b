"""One model's density among its neighbours in rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from densing.frame.statuses import Status
from densing.report.figures.density_over_time import source_line
from densing.report.figures.scales import plain_log_ticks
from densing.report.figures.style import DOUBLE, FAINT, INK, PALETTE, new_figure, say, shortened, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.density.densities import Density
    from densing.report.data import ReportData
    from densing.trend.rank import Placement


def card_figure(data: ReportData, *, width: float = DOUBLE) -> Figure:
    """Draw the highlighted model's density among its neighbours; the report's data must have one."""
    assert data.card is not None
    densities = data.row(data.main_set).densities
    with style():
        figure, ax = new_figure(width, 3.0)
        plot_card(data.card.density, densities.details, ax)
        say(figure, _finding(data.card), source_line(densities))
        return figure


def _finding(placement: Placement) -> str:
    """Return a model's density and its rank in one sentence; no rank out of range."""
    one = placement.density
    name = shortened(one.model or "this model")
    if placement.overall is None:
        return f"{name}: ρ {one.text}, not ranked: {one.status}"
    text = f"{name}: ρ = {one.text}, rank {placement.overall}"
    if np.isfinite(placement.of_frontier):
        text += f", {placement.of_frontier:.2g} times as dense as the frontier of {placement.frontier_date}"
    return text


def plot_card(density: Density, others: Sequence[Density], ax: Axes, *, each_way: int = 4) -> Axes:
    """Draw one model among those next to it in rank: values and intervals, its own in colour.

    Parameters
    ----------
    density : Density
    others : sequence of Density
        In any order; the model itself may be among them.
    each_way : int
        How many denser models are drawn, and how many less dense ones.
    """
    known = density.value if np.isfinite(density.value) else density.bound
    ranked = sorted((one for one in others if one.model != density.model and np.isfinite(one.value)),
                    key=lambda one: one.value)  # fmt: skip
    place = sum(one.value < known for one in ranked)
    window = [*ranked[max(0, place - each_way) : place], density, *ranked[place : place + each_way]]
    for row, one in enumerate(window):
        own = one is density
        value, colour = one.value if np.isfinite(one.value) else one.bound, PALETTE[1] if own else INK
        for interval, width in ((one.interval, 0.5), (one.interval_conditional, 2.4)):
            low, high = max(interval.low, value / 300), min(interval.high, value * 300)
            ax.plot([low, high], [row, row], color=colour, lw=width * (1.3 if own else 1))
            for end, cut, arrow in ((low, interval.low < low, "<"), (high, interval.high > high, ">")):
                if cut:  # an open end is not data
                    ax.plot(end, row, arrow, color=colour, ms=3, mew=0)
        mark = "o" if np.isfinite(one.value) else "<" if one.status is Status.AT_CHANCE else ">"
        ax.plot(value, row, mark, color=colour, ms=7 if own else 4, zorder=3)
    ax.set_yticks(range(len(window)), [shortened(one.model or "this model") for one in window])
    for tick, one in zip(ax.get_yticklabels(), window, strict=True):
        tick.set_fontweight("bold" if one is density else "normal")
    ax.axvline(1, color=FAINT, lw=0.8, ls=":")
    ax.set(xscale="log", xlabel="density ρ (95% full thin,\nconditional thick)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return plain_log_ticks(ax, "x")
