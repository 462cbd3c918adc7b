"""How far earlier forecasts of the record were off: each with its interval, beside what came."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from densing.core.errors import InputError
from densing.fit.status import FitError
from densing.report.figures.density_over_time import source_line
from densing.report.figures.panels import legend_below
from densing.report.figures.scales import date_ticks, plain_log_ticks
from densing.report.figures.style import DOUBLE, INK, MARKERS, PALETTE, QUIET, new_figure, say, style
from densing.trend.backtests import LEVEL, backtest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData
    from densing.trend.backtests import Backtest

_APART = 9.0
"""Days between the marks of forecasts for one date."""


def backtest_figure(data: ReportData, which: str, *, width: float = DOUBLE) -> Figure:
    """Draw what every quarter's forecast of the record was, and what the record of its date turned out to be."""
    row = data.row(which)
    assert row.trend is not None
    with style():
        figure, ax = new_figure(width, 3.4)
        try:
            found = backtest(row.trend)
        except (FitError, InputError) as error:
            ax.text(0.5, 0.5, fill(str(error), 60), transform=ax.transAxes, ha="center", va="center", color=QUIET)
            finding = "No earlier forecast can be held against what came"
        else:
            plot_backtest(found, ax)
            handles, labels = ax.get_legend_handles_labels()
            legend_below(figure, handles, labels, 4)
            held = sum(one["low"] <= one["actual"] <= one["high"] for one in found.rows)
            finding = (
                f"{held} of {len(found.rows)} earlier forecasts held what came ({LEVEL:.0%} intervals); "
                f"it was {found.bias:.2f} times the forecast in the median"
            )
        say(figure, finding, f"{source_line(row.densities)} Each forecast is corrected by earlier ones only.")
        return figure


def plot_backtest(found: Backtest, ax: Axes) -> Axes:
    """Draw forecasts of the record on the date that they were for, by months ahead, over the record that came.

    Parameters
    ----------
    found : Backtest
        Of `densing.trend.backtests.backtest`. An interval that missed what came is drawn strongly.
    """
    horizons = found.by_horizon()
    came = {row["date"]: row["actual"] for row in found.rows}
    dates = sorted(came)
    ax.step(dates, [came[day] for day in dates], where="post", color=INK, lw=1.2, label="the record that came")
    for number, (months, part) in enumerate(horizons):
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        aside = np.timedelta64(round(_APART * (number - (len(horizons) - 1) / 2)), "D")
        for row in part.rows:
            day = np.datetime64(row["date"], "D") + aside
            missed = not row["low"] <= row["actual"] <= row["high"]
            ax.plot([day, day], [row["low"], row["high"]], color=colour, lw=2.2 if missed else 1.0)
        days = [np.datetime64(row["date"], "D") + aside for row in part.rows]
        ahead = f"{months} months ahead"
        ax.plot(days, [row["predicted"] for row in part.rows], marker, color=colour, ms=4.5, mec="white", mew=0.5,
                ls="none", label=ahead, zorder=3)  # fmt: skip
    ax.set(yscale="log", ylabel="density ρ of the record")
    return date_ticks(plain_log_ticks(ax))
