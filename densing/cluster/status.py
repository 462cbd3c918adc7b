"""How far a sweep is, from the files that it has written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densing.cluster.records import UnitRecord
from densing.cluster.sweep import SweepConfig, units_of

RECENT = 100
"""Units that were measured last, from which the rate is taken."""


@dataclass(frozen=True)
class SweepStatus:
    """How far a sweep is.

    Attributes
    ----------
    units, done : int
    per_hour : float or None
        Units measured per hour, over the last `RECENT`; None before the first.
    loads : int
        How often a model was loaded for a unit that is done.
    set_aside : dict of str to UnitRecord
        The units that were given up, and why.
    """

    units: int
    done: int
    per_hour: float | None
    loads: int
    set_aside: dict[str, UnitRecord]

    @property
    def left(self) -> int:
        """Units that are neither done nor set aside."""
        return self.units - self.done - len(self.set_aside)

    @property
    def hours_left(self) -> float | None:
        """Time for what is left, at the rate so far."""
        return self.left / self.per_hour if self.per_hour else None

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        aside = {
            place: [{"worker": failure.worker, "reason": failure.reason} for failure in record.failures]
            for place, record in self.set_aside.items()
        }
        return {
            "units": self.units,
            "done": self.done,
            "left": self.left,
            "loads": self.loads,
            "units_per_hour": self.per_hour,
            "hours_left": self.hours_left,
            "set_aside": aside,
        }


def sweep_status(config: SweepConfig, folder: Path) -> SweepStatus:
    """Read the records of a sweep; nothing needs to run.

    A unit counts as done once a worker has said so; whether it still is what the sweep asks for, the next run sees.
    """
    units = units_of(config)
    records = {unit.place: record for unit in units if (record := UnitRecord.read(folder, unit))}
    done = [record for record in records.values() if record.state == "done"]
    return SweepStatus(
        len(units),
        len(done),
        _per_hour([record for record in done if record.seconds]),
        sum(record.load_seconds > 0 for record in done),
        {place: record for place, record in records.items() if record.state == "set aside"},
    )


def _per_hour(measured: list[UnitRecord]) -> float | None:
    if not measured:
        return None
    last = sorted(measured, key=lambda record: dt.datetime.fromisoformat(record.ended))[-RECENT:]
    ended = dt.datetime.fromisoformat(last[-1].ended)
    hours = (ended - min(record.began for record in last)).total_seconds() / 3600
    return len(last) / hours if hours > 0 else None
