"""How much a headline depends on what the registry holds: each kind of training, family and source of scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from densing.core.arrays import FloatArray
from densing.density.sets import DensitySet, compute_registry_set
from densing.frame.frame import AVERAGE, ReferenceFrame
from densing.models.registry import TRAINING, Registry
from densing.trend.frontier import Dates, days_since, frontier_slopes


@dataclass(frozen=True)
class Without:
    """The doubling time of what stays when something is left out.

    Attributes
    ----------
    kind : str
        ``all models``, ``training``, ``family`` or ``source``.
    name : str
        What is left out.
    models : int
        Models that stay, with a finite size.
    doubling_days : float
        By least squares over the records; NaN where fewer than three records stay, or a model that stays has no
        finite size in the frame.
    """

    kind: str
    name: str
    models: int
    doubling_days: float


def headline_sensitivity(
    frame: ReferenceFrame,
    registry: Registry,
    *,
    since: dt.date | None = None,
    until: dt.date | None = None,
    benchmark: str = AVERAGE,
) -> list[Without]:
    """The doubling time of all models, and without each kind of training, family and source in turn.

    A source that is left out takes its scores along; the next best score of a model then counts, and a model
    that has none left is gone.
    """
    chosen = compute_registry_set(frame, registry, benchmark=benchmark).between(since, until)
    rows = [Without("all models", "", *_doubling(chosen))]
    entries = [registry.models[name] for name in chosen.names]
    for flag in TRAINING:
        rows += _left_out("training", flag, chosen, np.array([flag in entry.flags for entry in entries]))
    for family in sorted({entry.family for entry in entries if entry.family}):
        rows += _left_out("family", family, chosen, np.array([entry.family == family for entry in entries]))
    wanted = set(frame.spec.average) if benchmark == AVERAGE else {benchmark}
    used = (score for name in chosen.names for score in registry.preferred(name).values())
    for source in sorted({publisher(score.source) for score in used if score.benchmark in wanted}):
        rest = tuple(score for score in registry.scores if publisher(score.source) != source)
        reduced = replace(registry, scores=rest, score_lines=())
        without = compute_registry_set(frame, reduced, benchmark=benchmark).between(since, until)
        rows.append(Without("source", source, *_doubling(without)))
    return rows


def publisher(source: str) -> str:
    """Who a score's source is from: a repository, a preprint, or the first words of anything else."""
    first, *rest = source.split() or [""]
    return first if "/" in first or not rest else f"{first} {rest[0].rstrip(',;')}"


def _left_out(kind: str, name: str, chosen: DensitySet, out: np.ndarray) -> Iterator[Without]:
    if out.any() and not out.all():
        yield Without(kind, name, *_doubling(chosen.take(np.flatnonzero(~out))))


def _doubling(chosen: DensitySet) -> tuple[int, float]:
    usable = np.isfinite(chosen.values) & (chosen.values > 0) & ~np.isnat(chosen.dates)
    if np.isposinf(chosen.values).any() or usable.sum() < 3:
        return int(usable.sum()), float("nan")
    logs: FloatArray = np.log(chosen.values[usable])[None]
    slope = float(frontier_slopes(Dates.of(days_since(chosen.dates[usable])), logs, "records")[0])
    return int(usable.sum()), float(np.log(2) / slope)
