"""Which unit which worker measures next: the units of a load stay with one worker, and failed ones go to another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from densing.cluster.records import Failure
from densing.cluster.sweep import Unit

TRIES = 2
"""Workers that a unit fails on before it is set aside."""
DEATHS = 3
"""Workers that die in a unit before it is set aside; most of them die of something else."""


@dataclass
class _Group:
    """Units of one load that wait together."""

    units: deque[Unit]
    tried_by: set[int] = field(default_factory=set)
    head: str = field(init=False)

    def __post_init__(self) -> None:
        self.head = self.units[0].head


class UnitQueue:
    """The units of a sweep that are not finished.

    A unit whose suite is cut waits for its parts, each of which any worker may take.

    Parameters
    ----------
    loads : iterable of list of Unit
        The units of each load, in the order in which they are wanted.
    """

    def __init__(self, loads: Iterable[list[Unit]]) -> None:
        self._waiting: deque[_Group] = deque()
        self._parts_left: dict[str, int] = {}
        self._held: dict[int, _Group] = {}
        self._running: dict[int, Unit] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._errors: dict[str, int] = {}
        self._deaths: dict[str, int] = {}
        for units in loads:
            parts = {unit.place: unit.parts for unit in units if unit.parts}
            self._parts_left |= {place: len(some) for place, some in parts.items()}
            self._waiting += [_Group(deque([part])) for some in parts.values() for part in some]
            if together := deque(unit for unit in units if unit.place not in parts):
                self._waiting.append(_Group(together))

    @property
    def is_empty(self) -> bool:
        """Whether no unit waits or is being measured."""
        return not (self._waiting or self._running or any(group.units for group in self._held.values()))

    def failures(self, unit: Unit) -> tuple[Failure, ...]:
        """The tries at a unit that failed so far."""
        return tuple(self._failures.get(unit.name, ()))

    def next(self, worker: int) -> Unit | None:
        """The next unit for a worker, of the model that it has loaded if there is one; None where it tried them all."""
        held = self._held.get(worker)
        if not (held and held.units):
            loaded = held.head if held else None
            untried = [group for group in self._waiting if worker not in group.tried_by]
            if not untried:
                return None
            held = min(untried, key=lambda group: group.head != loaded)
            self._waiting.remove(held)
            self._held[worker] = held
        unit = held.units.popleft()
        self._running[worker] = unit
        return unit

    def done(self, worker: int) -> Unit:
        """The worker has finished its unit, which is returned."""
        unit = self._running.pop(worker)
        self._failures.pop(unit.name, None)
        self._part_ended(unit)
        return unit

    def failed(self, worker: int, failure: Failure, *, whole_load: bool = False) -> list[Unit]:
        """The worker's unit failed, or every unit of its load.

        Returns
        -------
        list of Unit
            Those that are set aside: they failed on enough workers.
        """
        units = [self._running.pop(worker)]
        if whole_load:
            units = self._all_of_load(units[0], self._held.pop(worker))
        again: list[Unit] = []
        aside: list[Unit] = []
        for unit in units:
            self._failures.setdefault(unit.name, []).append(failure)
            self._errors[unit.name] = self._errors.get(unit.name, 0) + 1
            (aside if self._errors[unit.name] >= TRIES else again).append(unit)
        self._wait_again(again, worker)
        return self._set_aside(aside)

    def died(self, worker: int, failure: Failure) -> list[Unit]:
        """The worker is gone: its unit is tried again, and the others of its load wait as before.

        Returns
        -------
        list of Unit
            The unit, if enough workers died in it.
        """
        rest = self._held.pop(worker)
        unit = self._running.pop(worker)
        self._failures.setdefault(unit.name, []).append(failure)
        self._deaths[unit.name] = self._deaths.get(unit.name, 0) + 1
        aside = self._deaths[unit.name] >= DEATHS
        if not aside:
            rest.units.appendleft(unit)
        if rest.units:
            self._waiting.appendleft(rest)
        return self._set_aside([unit]) if aside else []

    def give_back(self, worker: int) -> None:
        """The worker leaves through no fault of its unit: that, if it had one, and the rest of its load wait again."""
        unit = self._running.pop(worker, None)
        rest = self._held.pop(worker, None)
        if rest is None:
            return
        if unit is not None:
            rest.units.appendleft(unit)
        if rest.units:
            self._waiting.appendleft(rest)

    def _all_of_load(self, unit: Unit, held: _Group) -> list[Unit]:
        """Every unit of a load that cannot be loaded, cut into parts no longer, so that it costs few loads."""
        waiting = [group for group in self._waiting if group.head == unit.head]
        for group in waiting:
            self._waiting.remove(group)
        together = [unit, *held.units, *(one for group in waiting for one in group.units)]
        whole = {one.place: one.whole for one in together}
        for place in whole:
            self._parts_left.pop(place, None)
        return list(whole.values())

    def _part_ended(self, unit: Unit) -> None:
        """After the last part, the unit itself is what its load's workers do next."""
        if unit.part is None or unit.place not in self._parts_left:
            return
        self._parts_left[unit.place] -= 1
        if not self._parts_left[unit.place]:
            self._waiting.appendleft(_Group(deque([unit.whole])))

    def _set_aside(self, units: list[Unit]) -> list[Unit]:
        """The units that are given up; what a part failed to compute is left to the unit itself."""
        for unit in units:
            self._part_ended(unit)
        return [unit for unit in units if unit.part is None]

    def _wait_again(self, units: list[Unit], worker: int) -> None:
        if not units:
            return
        for group in self._waiting:  # beside others of their load that failed here, so that it is loaded once for all
            if group.tried_by == {worker} and group.head == units[0].head:
                group.units.extend(units)
                return
        self._waiting.append(_Group(deque(units), {worker}))
