"""Scales: ticks at round numbers, dates on an axis, areas of marks, shades of ordered groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Ticks within a decade, the finest steps first."""


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers for a logarithmic axis: those of the finest steps that give at most so many."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in STEPS:
        ticks = np.outer(decades, steps).ravel()
        inside = ticks[(ticks >= low * 0.999) & (ticks <= high * 1.001)]
        if len(inside) <= most:
            break
    return [float(tick) for tick in inside[:: -(-len(inside) // most) or 1]]


def plain_log_ticks(ax: Axes, axis: str = "y", most: int = 6) -> Axes:
    """Write the ticks of a logarithmic axis plainly; call it when the limits are final."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    target, limits = (ax.yaxis, ax.get_ylim()) if axis == "y" else (ax.xaxis, ax.get_xlim())
    target.set_major_locator(FixedLocator(round_ticks(*limits, most)))
    target.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    target.set_minor_formatter(NullFormatter())
    return ax


def _plain(value: float) -> str:
    return f"{value:g}" if 1e-4 <= value < 1e5 else f"$10^{{{np.log10(value):.0f}}}$"


def date_ticks(ax: Axes) -> Axes:
    """Write months and years on the horizontal axis."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date

    class Dates(ConciseDateFormatter):
        """Months, and years where they begin; the first tick says its year too."""

        def format_ticks(self, values: Any) -> list[str]:
            first, *rest = super().format_ticks(values) or [""]
            return [first if not first or first.isdigit() else f"{first}\n{num2date(values[0]).year}", *rest]

    locator = AutoDateLocator(minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(Dates(locator, show_offset=False))
    return ax


def mark_area(params: float | None) -> float:
    """Return the area of a model's mark in square points: it grows with the square root of the size."""
    return 22.0 if not params else float(np.clip(7 * (params / 1e9) ** 0.5, 10, 140))


def shades(count: int) -> list[tuple[float, float, float]]:
    """Return colours from light to dark for ordered groups, which stay distinct in grey."""
    from matplotlib import colormaps

    return [(red, green, blue) for red, green, blue, _ in colormaps["viridis_r"](np.linspace(0, 1, count + 3)[2:-1])]
