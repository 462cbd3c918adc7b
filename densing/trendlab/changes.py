"""What changed since a trend was last written: which models came, went or were read anew, and what each moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from densing.errors import InputError
from densing.frontier import Dates, days_since, frontier_slopes

_SAME = 1e-6
"""Relative difference under which a density counts as unchanged."""
Models = dict[str, tuple[float, float]]
"""Day of release and ρ, by name."""


@dataclass(frozen=True)
class Change:
    """One model that differs from the earlier trend.

    Attributes
    ----------
    model : str
    kind : {"new", "gone", "read anew"}
    without : float
        Doubling time of today's models with this change undone, days.
    alone : float
        Doubling time of the earlier models with this change alone, days.
    """

    model: str
    kind: str
    without: float
    alone: float


@dataclass(frozen=True)
class Changes:
    """Difference of two trends of the records.

    Attributes
    ----------
    before, after : float
        Doubling times, days.
    changes : tuple of Change
        Those that move the trend first, the largest mover at the head.
    """

    before: float
    after: float
    changes: tuple[Change, ...]

    @property
    def movers(self) -> tuple[Change, ...]:
        """Changes without which the trend would be another."""
        return tuple(c for c in self.changes if c.without != self.after or c.alone != self.before)

    def __str__(self) -> str:
        counts = {kind: sum(c.kind == kind for c in self.changes) for kind in ("new", "gone", "read anew")}
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no model changed"
        lines = [f"doubling time {self.before:.1f} days before, {self.after:.1f} now; {told}"]
        lines += [f"  {c.model} ({c.kind}): {c.without:.1f} days without it" for c in self.movers]
        if len(self.changes) > len(self.movers):
            lines.append(f"  the other {len(self.changes) - len(self.movers)} move nothing")
        return "\n".join(lines)


def what_changed(previous: Mapping[str, Any], names: Sequence[str], dates: ArrayLike, densities: ArrayLike) -> Changes:
    """Compare today's models with those of a trend that was written before.

    Parameters
    ----------
    previous : mapping
        The trend's JSON; its ``densities`` list model, release_date and density.
    names, dates, densities : sequences, shape (M,)
        Today's models.

    Raises
    ------
    InputError
        If the previous trend lists no densities, or is one of another frontier than the records.
    """
    listed = previous.get("densities")
    if not listed:
        raise InputError("the previous trend lists no densities; write it again with this version")
    if previous.get("frontier", "records") != "records":
        raise InputError(f"the previous trend is one of {previous['frontier']}; changes are told for records")
    before: Models = {
        str(row["model"]): (float(days_since([row["release_date"]])[0]), float(row["density"])) for row in listed
    }
    days, values = days_since(dates), np.asarray(densities, float)
    after: Models = {
        str(name): (float(day), float(value))
        for name, day, value in zip(names, days, values, strict=True)
        if np.isfinite(value) and value > 0 and np.isfinite(day)
    }
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and _same(old, new):
            continue
        kind = "new" if old is None else "gone" if new is None else "read anew"
        found.append(Change(name, kind, _doubling(_put(after, name, old)), _doubling(_put(before, name, new))))
    first, last = _doubling(before), _doubling(after)
    found.sort(key=lambda c: abs(1 / c.without - 1 / last), reverse=True)
    return Changes(first, last, tuple(found))


def _same(old: tuple[float, float], new: tuple[float, float]) -> bool:
    return old[0] == new[0] and abs(old[1] / new[1] - 1) < _SAME


def _put(models: Models, name: str, entry: tuple[float, float] | None) -> Models:
    """The models with one of them as it was elsewhere, or without it."""
    rest = {other: value for other, value in models.items() if other != name}
    return rest if entry is None else rest | {name: entry}


def _doubling(models: Models) -> float:
    if len(models) < 2:
        return float("nan")
    days, values = np.array(list(models.values())).T
    # Sorted, so that the same models give the same number to the last digit.
    order = np.lexsort((values, days))
    slope = frontier_slopes(Dates.of(days[order]), np.log(values[order])[None], "records")[0]
    return float(np.log(2) / slope)
