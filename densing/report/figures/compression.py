"""Compressed models beside the models they were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densing.density.published import CREDIT
from densing.report.figures.panels import legend_below
from densing.report.figures.scales import plain_log_ticks
from densing.report.figures.style import DOUBLE, INK, PALETTE, new_figure, say, shortened, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.report.data import ReportData


def compression_figure(data: ReportData, *, width: float = DOUBLE) -> Figure:
    """Draw compressed models beside their parents."""
    with style():
        figure, ax = new_figure(width, 3.5 if width >= DOUBLE else 3.9)
        plot_compression(data.compression, ax)
        handles, labels = ax.get_legend_handles_labels()
        legend_below(figure, handles, labels, 3)
        pairs = data.compression
        denser = int((pairs["density"] >= pairs["parent_density"]).sum())
        say(
            figure, f"{denser} of {len(pairs)} compressed models are denser than the models they were made from", CREDIT
        )
        return figure


def plot_compression(pairs: pd.DataFrame, ax: Axes) -> Axes:
    """Draw an arrow from the density of each parent to that of the compressed model.

    Parameters
    ----------
    pairs : DataFrame
        Columns model, parent, density, parent_density.
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
        [f"{shortened(m)}\nfrom {shortened(p)}" for m, p in zip(ordered["model"], ordered["parent"], strict=True)],
    )
    ax.set(xscale="log", xlabel="density ρ", ylim=(-0.6, len(ordered) - 0.4))
    ax.plot([], [], "o", mfc="white", mec=INK, ms=5, ls="none", label="parent")
    ax.plot([], [], "^", color=PALETTE[2], ms=6, ls="none", label="compressed, denser than the parent")
    ax.plot([], [], "v", color=PALETTE[1], ms=6, ls="none", label="compressed, less dense")
    return plain_log_ticks(ax, "x")
