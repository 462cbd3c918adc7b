"""A figure with a panel per benchmark, and a legend below a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from densing.frame.frame import AVERAGE, JOINT
from densing.models.benchmarks import load_benchmarks
from densing.report.figures.style import DOUBLE, is_narrow, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {
    AVERAGE: "Average", JOINT: "Joint", "mmlu_cloze": "MMLU (cloze)", "hellaswag": "HellaSwag",
    "arc_challenge": "ARC-Challenge", "piqa": "PIQA",
}  # fmt: skip
"""Names of what the registry has no scores on."""


def panels(count: int, height: float, width: float = DOUBLE) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, each row of a height in inches: three in a row, two in a narrow figure."""
    columns = min(3 if width >= DOUBLE else 2, count)
    rows = -(-count // columns)
    figure, axes = new_figure(width, height * rows + 0.4, rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for unused in flat[count:]:
        unused.remove()
    return figure, flat[:count]


def label_edges(axes: Sequence[Axes]) -> None:
    """Leave the titles of the axes, which all panels share, to the first column and the lowest panels."""
    narrow = is_narrow(axes[0].figure)
    columns = axes[0].get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    for i, ax in enumerate(axes):
        if narrow:
            ax.xaxis.label.set_fontsize(6)
        if i % columns:
            ax.set_ylabel("")
        if i + columns < len(axes):
            ax.set_xlabel("")


def benchmark_title(name: str) -> str:
    """Return a benchmark's name as people write it."""
    known = load_benchmarks()
    return known[name].title if name in known else _TITLES.get(name, name)


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    """Put one legend for all panels below a figure; a narrow figure has half as many columns."""
    if is_narrow(figure):
        columns = max(1, columns // 2)
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), columnspacing=1.4)
