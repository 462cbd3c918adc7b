"""Prices of models per token over time, and how fast the cheapest falls."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from densing.density.published import CREDIT
from densing.report.figures.labels import label_points
from densing.report.figures.scales import date_ticks, plain_log_ticks
from densing.report.figures.style import DOUBLE, FAINT, INK, PALETTE, new_figure, say, style
from densing.trend.exponential import DAYS_PER_MONTH, Trend
from densing.trend.frontier import date_of, days_since

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData


def price_figure(data: ReportData, *, width: float = DOUBLE) -> Figure:
    """Draw prices over time and the cheapest line."""
    with style():
        figure, ax = new_figure(width, 3.4)
        months = data.price_trend.doubling_time_days / DAYS_PER_MONTH
        say(figure, f"The cheapest price of a token halves every {months:.1f} months", CREDIT)
        plot_prices(data.prices, data.price_trend, ax)
        return figure


def plot_prices(prices: pd.DataFrame, trend: Trend, ax: Axes) -> Axes:
    """Draw prices per million input tokens, the line through the cheapest, and its halving time."""
    dates = [dt.date.fromisoformat(str(d)) for d in prices["date"]]
    paid = prices["usd_per_million_input_tokens"].to_numpy(float)
    ax.margins(x=0.08)
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
    text = f"R² {trend.r_squared:.3f}"
    ax.text(0.98, 0.96, text, transform=ax.transAxes, va="top", ha="right", color=PALETTE[0])
    ax.legend(loc="lower left")
    date_ticks(plain_log_ticks(ax))
    label_points(ax, dates, list(paid), list(prices["model"]), avoid=points)
    return ax
