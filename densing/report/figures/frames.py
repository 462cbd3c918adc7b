"""The doubling time of one set of models under every reference frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from densing.report.figures.style import DOUBLE, INK, PALETTE, QUIET, new_figure, shortened, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData
    from densing.trend.rulers import FrameRow


def frames_figure(data: ReportData, which: str) -> Figure:
    """Draw the doubling time of one set of models under every frame."""
    rows = list(data.rows[which].values())
    with style():
        figure, ax = new_figure(DOUBLE, 0.36 * len(rows) + 0.9)
        plot_frames(rows, ax)
        return figure


def plot_frames(rows: Sequence[FrameRow], ax: Axes) -> Axes:
    """Draw the doubling time under every frame, with its full and its conditional interval."""
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
