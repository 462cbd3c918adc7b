"""The loss laws of a ladder: loss against training compute, every optimum drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from densing.core.units import short_count
from densing.fit.loss_law.fit import LossLawFit
from densing.fit.loss_law.law import LossLaw
from densing.report.figures.panels import benchmark_title, label_edges, legend_below, panels
from densing.report.figures.scales import plain_log_ticks, shades
from densing.report.figures.style import DOUBLE, SINGLE, is_narrow, new_figure, save, say, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.frame.frame import ReferenceFrame


def ladder_figure(frame: ReferenceFrame, *, width: float = DOUBLE) -> Figure:
    """Draw loss against compute on every benchmark of a frame, the optimum that it reads solid."""
    with style():
        figure, axes = panels(len(frame.benchmarks), 1.9, width)
        for benchmark, ax in zip(frame.benchmarks, axes, strict=True):
            fit, read = frame.law_fit(benchmark), frame.optimum(benchmark)
            plot_loss_law(fit, ax, read=read).set_title(benchmark_title(benchmark), loc="left")
            _optima_legend(fit, ax, read)
        label_edges(axes)
        handles, labels = axes[0].get_legend_handles_labels()
        legend_below(figure, handles, [f"N = {text}" for text in labels], 6)
        several = sum(len(frame.law_fit(benchmark).optima) > 1 for benchmark in frame.benchmarks)
        finding = f"Loss falls with size and data; {several} of {len(frame.benchmarks)} laws have more than one optimum"
        say(figure, finding, f"Frame {frame.name}: {frame.spec.title}. Solid: the optimum that the frame reads.")
        return figure


def loss_law_figure(fit: LossLawFit, path: Path) -> None:
    """Draw one loss law with all its optima into a file."""
    with style():
        figure, ax = new_figure(SINGLE, 2.8)
        plot_loss_law(fit, ax)
        _optima_legend(fit, ax, 0)
        save(figure, path)


def plot_loss_law(fit: LossLawFit, ax: Axes, *, read: int = 0) -> Axes:
    """Draw the losses of a ladder against training compute (6·N·D), with a line per size and optimum.

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


def _optima_legend(fit: LossLawFit, ax: Axes, read: int) -> None:
    from matplotlib.lines import Line2D

    order = [read, *(i for i in range(len(fit.optima)) if i != read)]
    lines = [
        Line2D([], [], color="#222222", ls=("-", "--", ":", "-.")[min(k, 3)], lw=1.1, label=law_text(fit.optima[i]))
        for k, i in enumerate(order)
    ]
    narrow = is_narrow(ax.figure)
    ax.legend(handles=lines, loc="upper right", fontsize=5 if narrow else 6.5, handlelength=1 if narrow else None)


def law_text(law: LossLaw) -> str:
    """Return the exponents of a law, for a legend."""
    return f"α {law.alpha:.3f}, β {law.beta:.3f}" + (f", E {law.E:.3f}" if law.E else "")
