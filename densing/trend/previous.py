"""What changed since a trend was last written: which models came, went or were read anew, and what each moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from densing.core.artifacts import read_json
from densing.core.errors import InputError
from densing.core.files import parse_json
from densing.core.units import day_of
from densing.trend.exponential import Trend
from densing.trend.frontier import Dates, days_since, frontier_slopes

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
    without_days : float
        Doubling time of today's models with this change undone.
    alone_days : float
        Doubling time of the earlier models with this change alone.
    """

    model: str
    kind: str
    without_days: float
    alone_days: float


@dataclass(frozen=True)
class Changes:
    """Difference of two trends of the records.

    Attributes
    ----------
    before_days, after_days : float
        Doubling times.
    changes : tuple of Change
        The largest mover first.
    """

    before_days: float
    after_days: float
    changes: tuple[Change, ...]

    @property
    def movers(self) -> tuple[Change, ...]:
        """Changes without which the trend would be another."""
        return tuple(c for c in self.changes if c.without_days != self.after_days or c.alone_days != self.before_days)

    def to_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        counts = {kind: sum(c.kind == kind for c in self.changes) for kind in ("new", "gone", "read anew")}
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no model changed"
        lines = [f"doubling time {self.before_days:.1f} days before, {self.after_days:.1f} now; models: {told}"]
        lines += [f"  {c.model} ({c.kind}): {c.without_days:.1f} days without that" for c in self.movers]
        if rest := len(self.changes) - len(self.movers):
            lines.append(f"  the other {rest} move nothing")
        return "\n".join(lines)


def what_changed(path: Path, trend: Trend) -> Changes:
    """Compare a trend with one that was written before.

    Parameters
    ----------
    path : Path
        The earlier trend: what ``densing trend --out`` wrote, or what ``--json`` printed.
    trend : Trend
        Today's.

    Raises
    ------
    InputError
        If the file is no trend, lists no densities, or one of the trends does not go through the records or is
        censored.
    """
    payload = parse_json(path)
    if isinstance(payload, dict) and "payload" in payload:
        payload = read_json(path, "trend").payload
    listed = payload.get("densities") if isinstance(payload, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path}: it lists no densities; give what densing trend --out or --json wrote")
    if payload.get("identified") is False:
        raise InputError(f"{path}: {payload.get('reason')}, so nothing can be held against it")
    trend.refuse_if_censored()
    for told in (str(payload.get("frontier")), trend.frontier):
        if told != "records":
            raise InputError(f"changes are told for the frontier records, not for {told}")
    try:
        before: Models = {str(row["model"]): _entry(row["release_date"], row["density"]) for row in listed}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: a density there lacks its model, release_date or value ({error})") from None
    after: Models = {
        name: (float(day), float(value))
        for name, day, value in zip(trend.models, trend.days, trend.densities, strict=True)
    }
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old[0] == new[0] and abs(old[1] / new[1] - 1) < _SAME:
            continue
        kind = "new" if old is None else "gone" if new is None else "read anew"
        found.append(Change(name, kind, _doubling(_put(after, name, old)), _doubling(_put(before, name, new))))
    first, last = _doubling(before), _doubling(after)
    found.sort(key=lambda change: abs(1 / change.without_days - 1 / last), reverse=True)
    return Changes(first, last, tuple(found))


def _entry(date: str, density: float) -> tuple[float, float]:
    """Day and ρ of a row; a ValueError or TypeError for what is no date, or no positive number."""
    value = float(density)
    if not 0 < value < np.inf:
        raise ValueError(f"{value:g} is no density")
    return float(days_since([day_of(date)])[0]), value


def _put(models: Models, name: str, entry: tuple[float, float] | None) -> Models:
    """The models with one of them as it was elsewhere, or without it."""
    rest = {other: value for other, value in models.items() if other != name}
    return rest if entry is None else rest | {name: entry}


def _doubling(models: Models) -> float:
    days, values = np.array(list(models.values())).T
    # Sorted, so that the same models give the same number to the last digit.
    order = np.lexsort((values, days))
    slope = frontier_slopes(Dates.of(days[order]), np.log(values[order])[None], "records")[0]
    return float(np.log(2) / slope)
