"""Which capabilities get denser, and how fast: doubling times by benchmark under rulers that share little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from densing.report.figures.panels import benchmark_title, legend_below
from densing.report.figures.style import DOUBLE, FAINT, MARKERS, PALETTE, new_figure, say, style
from densing.trend.capabilities import RULERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData
    from densing.trend.capabilities import Reading

_SHOWN = (10.0, 1000.0)
"""Days; past them density hardly grows, and what lies there is an arrow at the edge."""


def capabilities_figure(data: ReportData, *, width: float = DOUBLE) -> Figure:
    """Draw the doubling time of every benchmark by every ruler, with its 95% interval."""
    readings = data.capabilities.readings
    with style():
        figure, ax = new_figure(width, 0.62 * len(readings) + 1.0)
        plot_capabilities(readings, ax)
        handles = [ax.plot([], [], MARKERS[i] + "-", color=PALETTE[i], ms=5, lw=1.2)[0] for i in range(len(RULERS))]
        legend_below(figure, handles, RULERS, len(RULERS))
        say(figure, data.capabilities.finding, "Scores of the registry; a ladder's doubling time is median-unbiased")
        return figure


def plot_capabilities(readings: Mapping[str, Mapping[str, Reading]], ax: Axes) -> Axes:
    """Draw the doubling time of every benchmark by every ruler: values, 95% intervals, an arrow where one goes on.

    Parameters
    ----------
    readings : mapping from benchmark to ruler to Reading
        Those of `densing.trend.capabilities.Capabilities`. One that says nothing is dotted, one that is not known a
        cross.
    """
    for place, row in enumerate(readings.values()):
        for number, ruler in enumerate(RULERS):
            reading, colour = row[ruler], PALETTE[number]
            y = place + 0.18 * (number - (len(RULERS) - 1) / 2)
            interval = reading.interval
            if np.isnan(reading.days):
                ax.plot(_SHOWN[0], y, "x", color=FAINT, ms=4)
                continue
            nothing = interval.low <= 0 and np.isinf(interval.high)
            ends = np.clip([interval.low, interval.high] if interval.low >= 0 else _SHOWN, *_SHOWN)
            ax.plot(ends, [y, y], color=colour, lw=1.2, alpha=0.35 if nothing else 1, ls=":" if nothing else "-")
            if interval.high > _SHOWN[1]:
                ax.plot(_SHOWN[1], y, ">", color=colour, ms=4, mew=0, clip_on=False)
            if _SHOWN[0] <= reading.days <= _SHOWN[1]:
                ax.plot(reading.days, y, MARKERS[number], color=colour, ms=5, mec="white", mew=0.5, zorder=3)
    ax.set_yticks(range(len(readings)), [benchmark_title(name) for name in readings])
    ax.set(
        xscale="log",
        xlim=_SHOWN,
        ylim=(len(readings) - 0.5, -0.5),
        xlabel="doubling time of density (days), with its 95% interval",
    )
    ticks = [10, 20, 50, 100, 200, 500, 1000]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return ax
