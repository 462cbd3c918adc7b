"""Figures: axes-level plots composed, at journal widths, written as PNG, SVG and PDF."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError
from densing.core.units import short_count
from densing.fit.loss_law.fit import LossLawFit
from densing.fit.score_curve.fit import ScoreCurveFit
from densing.models.registry import Registry, load_registry
from densing.report.figures import plots, scales
from densing.report.figures.style import DOUBLE, FAINT, PALETTE, SINGLE, new_figure, save, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from densing.density.sets import DensitySet
    from densing.frame.frame import ReferenceFrame
    from densing.report.data import ReportData
    from densing.trend.exponential import Trend

COLUMNS = 3
"""Of figures with a panel per benchmark."""


def loss_law_figure(fit: LossLawFit, path: Path) -> None:
    """One loss law with all its optima, into a file."""
    with style():
        figure, ax = new_figure(SINGLE, 2.8)
        plots.plot_loss_law(fit, ax)
        _optima_legend(fit, ax, 0)
        save(figure, path)


def score_curve_figure(fit: ScoreCurveFit, path: Path, *, held_out: pd.DataFrame | None = None) -> None:
    """One score curve, into a file."""
    with style():
        figure, ax = new_figure(SINGLE, 2.6)
        plots.plot_score_curve(fit, ax, held_out=held_out).legend()
        save(figure, path)


def _optima_legend(fit: LossLawFit, ax: Axes, read: int) -> None:
    from matplotlib.lines import Line2D

    order = [read, *(i for i in range(len(fit.optima)) if i != read)]
    lines = [
        Line2D(
            [], [], color="#222222", ls=("-", "--", ":", "-.")[min(k, 3)], lw=1.1, label=plots.law_text(fit.optima[i])
        )
        for k, i in enumerate(order)
    ]
    ax.legend(handles=lines, loc="lower left", fontsize=6.5)


def ladder_figure(frame: ReferenceFrame) -> Figure:
    """Loss against compute on every benchmark of a frame, all optima drawn, the one that is read solid."""
    with style():
        figure, axes = _grid(len(frame.benchmarks), 1.9)
        for benchmark, ax in zip(frame.benchmarks, axes, strict=True):
            fit, read = frame.law_fit(benchmark), frame.optimum(benchmark)
            plots.plot_loss_law(fit, ax, read=read).set_title(f"{benchmark}: {fit.status}", loc="left")
            _optima_legend(fit, ax, read)
        _label_edges(axes)
        handles, labels = axes[0].get_legend_handles_labels()
        _legend_below(figure, handles, [f"N = {text}" for text in labels], 6)
        return figure


def curves_figure(frame: ReferenceFrame) -> Figure:
    """Score against loss on every benchmark of a frame, with bands and held-out points."""
    with style():
        figure, axes = _grid(len(frame.benchmarks), 1.7)
        for benchmark, ax in zip(frame.benchmarks, axes, strict=True):
            points = frame.scores[frame.scores["benchmark"] == benchmark]
            plots.plot_score_curve(
                frame.curve_fit(benchmark),
                ax,
                draws=frame.draws(benchmark).curve,
                held_out=points[points["held_out"] == 1],
            ).set_title(benchmark, loc="left")
        _label_edges(axes)
        handles, labels = axes[0].get_legend_handles_labels()
        _legend_below(figure, handles, labels, 6)
        return figure


def profile_figure(frame: ReferenceFrame) -> Figure:
    """The loss law's objective along α on every benchmark: where the optima lie, what 95% leaves open."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with style():
        figure, axes = _grid(len(frame.benchmarks), 1.8)
        for benchmark, ax in zip(frame.benchmarks, axes, strict=True):
            fit = frame.law_fit(benchmark)
            plots.plot_profile(fit.profile("alpha"), fit, ax, read=frame.optimum(benchmark))
            ax.set_title(f"{benchmark}: {fit.status}", loc="left")
        _label_edges(axes)
        look: dict[str, Any] = {"marker": "s", "ls": "none", "ms": 5.5, "mec": PALETTE[1], "mew": 1.1}
        handles = [
            Line2D([], [], mfc=PALETTE[1], **look),
            Line2D([], [], mfc="white", **look),
            Patch(color=PALETTE[0], alpha=0.2, lw=0),
            Line2D([], [], color=FAINT, lw=0.8, ls="--"),
        ]
        _legend_below(figure, handles, ["optimum the frame reads", "other optimum", "95% region of α", "its limit"], 4)
        return figure


def _grid(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, axes = new_figure(DOUBLE, height * rows + 0.4, rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for unused in flat[count:]:
        unused.remove()
    return figure, flat[:count]


def _label_edges(axes: Sequence[Axes]) -> None:
    """Leave the titles of the axes, which all panels share, to the first column and the lowest panels."""
    for i, ax in enumerate(axes):
        if i % COLUMNS:
            ax.set_ylabel("")
        if i + COLUMNS < len(axes):
            ax.set_xlabel("")


def _legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), columnspacing=1.4)


def density_figure(
    chosen: DensitySet, trend: Trend | None, *, registry: Registry | None = None, highlight: str | None = None
) -> Figure:
    """The headline: density against release date, frontier, trend with its band, half a year of forecast.

    Parameters
    ----------
    registry : Registry, optional
        Where families are looked up; the shipped one where not given.
    """
    registry = registry or load_registry()
    families = {}
    for name in chosen.names:
        with suppress(InputError):  # a printed model may have no row
            families[name] = registry.entry(name).family
    with style():
        figure, ax = new_figure(DOUBLE, 4.2)
        plots.plot_densities(
            chosen,
            trend,
            ax,
            families=families,
            sizes={d.model: d.size for d in chosen.details},
            until=trend.last_date + dt.timedelta(days=180) if trend else None,
            highlight=highlight,
        )
        ax.set_title(chosen.title[:1].upper() + chosen.title[1:], loc="left")
        _density_legend(figure, ax)
        return figure


def _density_legend(figure: Figure, ax: Axes) -> None:
    """Families and lines at one size, then what a mark's area means."""
    from matplotlib.collections import PathCollection

    handles, labels = ax.get_legend_handles_labels()
    sizes = {short_count(size): scales.mark_area(size) for size in (1e9, 1e10, 1e11)}
    round_marks = [ax.scatter([], [], s=area, c=FAINT, alpha=0.75, edgecolors="white") for area in sizes.values()]
    _legend_below(figure, [*handles, *round_marks], [*labels, *(f"size {text}" for text in sizes)], 7)
    for handle in figure.legends[0].legend_handles[: len(handles)]:
        if isinstance(handle, PathCollection):
            handle.set_sizes([26])


def trend_figure(data: ReportData, which: str) -> Figure:
    """`density_figure` of one set of a report."""
    row = data.row(which)
    return density_figure(row.densities, row.trend, registry=data.registry, highlight=data.highlight)


def frames_figure(data: ReportData, which: str) -> Figure:
    """The doubling time of one set of models under every frame."""
    rows = list(data.rows[which].values())
    with style():
        figure, ax = new_figure(DOUBLE, 0.36 * len(rows) + 0.9)
        plots.plot_frames(rows, ax)
        return figure


def compression_figure(data: ReportData) -> Figure:
    """Compressed models against their parents."""
    with style():
        figure, ax = new_figure(DOUBLE * 0.8, 2.6)
        plots.plot_compression(data.compression, ax)
        handles, labels = ax.get_legend_handles_labels()
        _legend_below(figure, handles, labels, 3)
        return figure


def price_figure(data: ReportData) -> Figure:
    """Prices and the cheapest line."""
    with style():
        figure, ax = new_figure(DOUBLE * 0.75, 3.2)
        plots.plot_prices(data.prices, data.price_trend, ax)
        return figure


def change_figure(data: ReportData) -> Figure:
    """Density on MMLU before and after ChatGPT."""
    with style():
        figure, ax = new_figure(DOUBLE, 3.6)
        plots.plot_slope_change(data.change, ax, "ChatGPT")
        return figure


def card_figure(data: ReportData) -> Figure:
    """One model's density among its neighbours."""
    found = data.card
    assert found is not None
    density, date = found
    with style():
        figure, ax = new_figure(DOUBLE, 2.8)
        plots.plot_card(density, data.row(data.main_set).densities, date, ax)
        return figure


def all_figures(data: ReportData) -> dict[str, Callable[[], Figure]]:
    """Every figure that the data allow, by name, to be drawn when wanted."""
    wanted: dict[str, Callable[[], Figure]] = {
        "ladder": lambda: ladder_figure(data.frame),
        "score_curves": lambda: curves_figure(data.frame),
        "profiles": lambda: profile_figure(data.frame),
        "compression": lambda: compression_figure(data),
        "prices": lambda: price_figure(data),
        "before_after_chatgpt": lambda: change_figure(data),
    }
    for which in data.rows:
        wanted[f"density_{which}"] = lambda which=which: trend_figure(data, which)  # type: ignore[misc]
        wanted[f"frames_{which}"] = lambda which=which: frames_figure(data, which)  # type: ignore[misc]
    if data.card is not None:
        wanted["card"] = lambda: card_figure(data)
    return wanted
