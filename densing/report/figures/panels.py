"""A figure with a panel per benchmark, and a legend below a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from densing.report.figures.style import DOUBLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
"""Panels beside each other."""


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of two columns' width with so many panels, each row of a height in inches."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, axes = new_figure(DOUBLE, height * rows + 0.4, rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for unused in flat[count:]:
        unused.remove()
    return figure, flat[:count]


def label_edges(axes: Sequence[Axes]) -> None:
    """Leave the titles of the axes, which all panels share, to the first column and the lowest panels."""
    for i, ax in enumerate(axes):
        if i % COLUMNS:
            ax.set_ylabel("")
        if i + COLUMNS < len(axes):
            ax.set_xlabel("")


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    """Put one legend for all panels below a figure."""
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), columnspacing=1.4)
