"""Names beside points: each at the free place nearest to its own point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.core.arrays import FloatArray
from densing.report.figures.style import FAINT, PALETTE, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_CLEAR = 5.0
"""Points (1/72 inch) about a mark or a line in which no name begins."""
_APART = 1.0
_DISTANCES = (6, 8, 11, 15, 20, 27, 36, 48, 64, 85)
"""How far a name may stand from its mark, points."""
_LEADER = 12.0
"""Distance, in points, from which a name has a line to its mark."""
_ANGLES = np.deg2rad([135, 45, 90, 0, 180, 225, 315, 270, 112, 68, 158, 22, 202, 338, 248, 292])
"""Where a name may stand about its mark, the first best: up and to the left, where those before it are less dense."""


def label_points(
    ax: Axes,
    x: Sequence[Any],
    y: Sequence[float],
    names: Sequence[str],
    *,
    avoid: Sequence[tuple[Any, float]] = (),
    strong: str | None = None,
) -> list[Text]:
    """Write names beside points where they cover no other name, point or line, with a line to those far away.

    The axes must have their final limits, and the figure its legend, title and source.

    Parameters
    ----------
    avoid : sequence of (x, y)
        Other points, and points along lines, that no name may cover.
    strong : str, optional
        The name to point out; its place is chosen first.
    """
    from matplotlib.patheffects import withStroke

    if not names:
        return []
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    unit = figure.dpi / 72
    points = _pixels(ax, x, y)
    others = np.concatenate([points, _pixels(ax, *zip(*avoid, strict=True))]) if avoid else points
    written = [*(text for text in ax.texts if text.get_text()), *filter(None, [ax.get_legend()])]
    boxes = [np.array(one.get_window_extent().extents) for one in written]
    room = np.array(ax.get_window_extent().extents)
    halo = [withStroke(linewidth=1.6, foreground="white", alpha=0.85)]
    texts: dict[int, Text] = {}
    for i in sorted(range(len(names)), key=lambda i: names[i] != strong):
        text = ax.text(
            x[i], y[i], shortened(names[i]), fontsize=6.5, path_effects=halo, zorder=7, ha="center", va="center"
        )
        if names[i] == strong:
            text.set(color=PALETTE[1], fontsize=7.5, fontweight="bold")
        extent = text.get_window_extent()
        tried = list(_places(points[i], extent.width, extent.height, unit))
        costs = [_cost(box, room, others, boxes, unit) for box, _ in tried]
        box, distance = tried[int(np.argmin(costs))]
        boxes.append(box)
        centre = ax.transData.inverted().transform((box[:2] + box[2:]) / 2)
        text.set_position(tuple(centre))
        texts[i] = text
        if distance > _LEADER:
            nearest = ax.transData.inverted().transform(np.clip(points[i], box[:2], box[2:]))
            at = ax.transData.inverted().transform(points[i])
            colour = PALETTE[1] if names[i] == strong else FAINT
            ax.plot(*zip(at, nearest, strict=True), color=colour, lw=0.5, zorder=2.9, scalex=False, scaley=False)
    return [texts[i] for i in range(len(names))]


def _pixels(ax: Axes, x: Sequence[Any], y: Sequence[float]) -> FloatArray:
    """Where points stand on the figure, (K, 2)."""
    return np.asarray(ax.transData.transform([(ax.convert_xunits(a), b) for a, b in zip(x, y, strict=True)]), float)


def _places(point: FloatArray, width: float, height: float, unit: float) -> Iterator[tuple[FloatArray, float]]:
    """Boxes (left, bottom, right, top) for a name about its point, with their distances from it in points."""
    half = np.array([width, height]) / 2
    for distance in _DISTANCES:
        for angle in _ANGLES:
            towards = np.array([np.cos(angle), np.sin(angle)])
            # The box touches a circle about the point, whatever its own shape.
            reach = min(half[k] / abs(towards[k]) for k in (0, 1) if abs(towards[k]) > 1e-9)
            centre = point + towards * (reach + distance * unit)
            yield np.concatenate([centre - half, centre + half]), distance


def _cost(box: FloatArray, room: FloatArray, others: FloatArray, boxes: Sequence[FloatArray], unit: float) -> float:
    """How much a box covers: what sticks out of the room, names, and marks; nothing in a free place."""
    low, high = box[:2], box[2:]
    outside = (low < room[:2]).any() or (high > room[2:]).any()
    apart = _APART * unit
    names = sum(bool(((low < other[2:] + apart) & (high > other[:2] - apart)).all()) for other in boxes)
    near = np.hypot(*(np.clip(others, low, high) - others).T) < _CLEAR * unit
    return 100.0 * outside + 10.0 * names + float(near.sum())
