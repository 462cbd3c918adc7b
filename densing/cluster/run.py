"""Running a sweep: on Ray, or one share of it in this process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from densing.cluster.caches import merge_all
from densing.cluster.plan import Plan, checked_units, make_plan
from densing.cluster.queue import UnitQueue
from densing.cluster.ray_session import ray_session
from densing.cluster.records import Failure, UnitRecord, now
from densing.cluster.registry import enter_in_registry
from densing.cluster.sweep import Consent, SweepConfig, Unit, loads_of
from densing.cluster.worker import Outcome, Worker, other_versions, versions
from densing.core.errors import DensingError, InputError
from densing.core.lock import hold, hold_in_turn
from densing.core.progress import Bar, console, progress_bar
from densing.measure.run import CACHE


@dataclass
class SweepResult:
    """What a run of a sweep, or of a share of it, left behind.

    Attributes
    ----------
    plan : Plan
        As it was before.
    done : list of Unit
        Finished by this run.
    set_aside : dict of str to str
        Why a unit was given up, by unit.
    """

    plan: Plan
    done: list[Unit] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)

    def give_up(self, folder: Path, unit: Unit, failures: tuple[Failure, ...]) -> None:
        """Set a unit aside, with its reason on record."""
        self.set_aside[unit.place] = failures[-1].reason
        UnitRecord("set aside", failures[-1].worker, now(), failures=failures).write(folder, unit)
        console.print(f"set aside: {unit.place}: {failures[-1].reason}", markup=False, soft_wrap=True)


def run_sweep(
    config: SweepConfig,
    folder: Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    scratch: Path | None = None,
    consent: Consent | None = None,
) -> SweepResult:
    """Run what is left of a sweep on Ray.

    Parameters
    ----------
    config : SweepConfig
    folder : Path
        The sweep's, on a disk that all workers see.
    address : str, optional
        host:port of a Ray cluster; see `ray_session`.
    workers : int, optional
        As many as have room, if not given.
    scratch : Path, optional
        A folder on each machine's own disk, for caches.
    consent : Consent, optional

    Raises
    ------
    InputError
        If the sweep, a suite, or the address cannot be used.
    DensingError
        If another driver runs the sweep, Ray is missing or does not answer, or no worker is left.
    """
    units = checked_units(config, consent or Consent())
    with hold(folder, "running the sweep"):
        result = SweepResult(make_plan(units, folder))
        _say(result.plan)
        if result.plan.loads:
            cpus = config.threads * (workers or max(1, _cores() // config.threads))
            with ray_session(address, cpus):
                crew = _Crew(config, folder, _scratch(scratch, folder), workers, result)
                try:
                    crew.work()
                finally:
                    crew.dismiss()
        _bring_together(config, units, folder, _scratch(scratch, folder))
    return result


def run_share(
    config: SweepConfig,
    folder: Path,
    share: tuple[int, int],
    *,
    scratch: Path | None = None,
    consent: Consent | None = None,
) -> SweepResult:
    """Run one share of a sweep in this process, without Ray.

    Shares hold different checkpoints. What has failed is set aside at once, since there is no other worker.

    Parameters
    ----------
    config : SweepConfig
    folder : Path
    share : (int, int)
        Which share, counted from 0, of how many.
    scratch : Path, optional
    consent : Consent, optional

    Raises
    ------
    InputError
        If the sweep or a suite cannot be used.
    DensingError
        If another process runs the same share, or this machine's disk is full.
    """
    index, count = share
    units = checked_units(config, consent or Consent())
    with hold(folder / "shares" / f"{index}-of-{count}", "running this share of the sweep"):
        result = SweepResult(make_plan(units, folder))
        _say(result.plan)
        # Shares are of all loads and not of those that are left, which are others for whoever starts later.
        numbers = {load[0].head: number for number, load in enumerate(loads_of(result.plan.units))}
        mine = [load for load in result.plan.loads if numbers[load[0].head] % count == index]
        worker = Worker(folder, _scratch(scratch, folder), config.threads, Path.cwd())
        with progress_bar(config.name, total=sum(map(len, mine))) as bar:
            for load in mine:
                _measure_load(worker, load, folder, result, bar)
        worker.release()
        _bring_together(config, units, folder, _scratch(scratch, folder))
    return result


def _measure_load(worker: Worker, load: list[Unit], folder: Path, result: SweepResult, bar: Bar) -> None:
    for place, unit in enumerate(load):
        outcome = worker.measure(unit)
        bar.advance()
        if outcome.reason is None:
            result.done.append(unit)
            continue
        failure = Failure(outcome.worker, outcome.reason)
        if outcome.disk_full:
            raise _disk_full(failure)
        worker.release()
        for failed in load[place:] if outcome.in_loading else [unit]:
            result.give_up(folder, failed, (failure,))
        if outcome.in_loading:
            return


def _say(plan: Plan) -> None:
    for line in plan.lines():
        console.print(line, markup=False, soft_wrap=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scratch(given: Path | None, folder: Path) -> Path:
    """A folder of the sweep's own on this machine's disk, the same each time so that a new driver finds its caches."""
    if given is not None:
        return given.absolute()
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"densing-sweeps-{user}" / name


def _bring_together(config: SweepConfig, units: Sequence[Unit], folder: Path, scratch: Path) -> None:
    with hold_in_turn(folder / ".merge.lock"):
        for settings_name in config.settings:
            merge_all(folder, settings_name, scratch, CACHE)
        for line in enter_in_registry(config, units, folder):
            console.print(line, markup=False, soft_wrap=True)


def _disk_full(failure: Failure) -> DensingError:
    return DensingError(
        f"{failure.worker}: {failure.reason}. Free space on its disk, and run the same command: it goes on from here"
    )


class _Crew:
    """The workers on Ray, each an actor that lives as long as it is sound.

    Parameters
    ----------
    config : SweepConfig
    folder, scratch : Path
    workers : int or None
        How many; as many as have room, if None.
    result : SweepResult
        What is left to do by its plan; how it went is entered there.

    Raises
    ------
    InputError
        If no machine has room for a worker.
    """

    def __init__(
        self, config: SweepConfig, folder: Path, scratch: Path, workers: int | None, result: SweepResult
    ) -> None:
        import ray

        self._ray = ray
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        settings = config.settings.values()
        has_gpus = any(machine.get("GPU") for machine in machines) and any(one.device != "cpu" for one in settings)
        gpus = max(one.devices for one in settings) if has_gpus else 0
        needs = {"CPU": config.threads} | ({"GPU": gpus} if gpus else {})
        room = sum(int(min(machine.get(kind, 0) // count for kind, count in needs.items())) for machine in machines)
        if not room:
            raise InputError(
                f"no machine of the cluster has {' and '.join(f'{count} {kind}' for kind, count in needs.items())}, "
                "which a worker of the sweep needs; give it fewer threads, or a smaller tensor_parallel_size"
            )
        # An actor's devices are all on one machine, so tensor parallelism stays inside it.
        self._actor = ray.remote(Worker).options(num_cpus=config.threads, num_gpus=gpus, max_restarts=0)
        self._arguments = (folder.absolute(), scratch, config.threads, Path.cwd())
        self._size = min(workers or room, room)
        self._folder = folder
        self._queue, self._result = UnitQueue(result.plan.loads), result
        self._actors: dict[int, Any] = {}
        self._new: set[int] = set()
        self._idle: set[int] = set()
        self._calls: dict[Any, int] = {}
        self._hired = 0
        self._gone: list[str] = []

    def work(self) -> None:
        """Measure until nothing is left in the queue.

        Raises
        ------
        DensingError
            If no worker is left.
        """
        ray = self._ray
        loads = self._result.plan.loads
        for _ in range(min(self._size, len(loads))):
            self._hire()
        with progress_bar("measuring", total=sum(map(len, loads))) as bar:
            while not self._queue.is_empty:
                self._hand_out()
                if not self._calls:
                    raise DensingError("no worker is left. " + "\n".join(dict.fromkeys(self._gone)))
                (call,), _ = ray.wait(list(self._calls), num_returns=1)
                worker = self._calls.pop(call)
                try:
                    answer = ray.get(call)
                except ray.exceptions.RayError as error:
                    self._bury(worker, error, bar)
                    continue
                if worker in self._new:
                    self._admit(worker, *answer)
                else:
                    self._take(worker, answer, bar)

    def _hand_out(self) -> None:
        """Give each idle worker a unit."""
        for worker in sorted(self._idle):
            if unit := self._queue.next(worker):
                self._idle.remove(worker)
                self._calls[self._actors[worker].measure.remote(unit, self._queue.failures(unit))] = worker
        if not self._calls and self._idle:  # each has tried what is left, so a new one does
            self._dismiss(self._idle.pop())
            self._hire()

    def _hire(self) -> None:
        """Start a worker, and ask it who it is."""
        self._hired += 1
        actor = self._actors[self._hired] = self._actor.remote(*self._arguments)
        self._new.add(self._hired)
        self._calls[actor.introduce.remote()] = self._hired

    def _admit(self, worker: int, name: str, its_versions: dict[str, str]) -> None:
        """Take a new worker in, unless it would give other results."""
        self._new.remove(worker)
        if different := other_versions(versions(), its_versions):
            self._dismiss(worker)
            self._lose(f"{name} is refused as a worker: it has other versions: {', '.join(different)}")
        else:
            self._idle.add(worker)

    def _bury(self, worker: int, error: Exception, bar: Bar) -> None:
        """A worker has died; another takes its place if it had begun to work."""
        del self._actors[worker]
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if worker in self._new:
            self._new.remove(worker)
            self._lose(f"worker {worker} could not start: {lines[-1]}")
            return
        self._set_aside(self._queue.died(worker, Failure(f"worker {worker}", lines[0])), bar)
        self._hire()

    def _take(self, worker: int, outcome: Outcome, bar: Bar) -> None:
        """Enter how a unit ended, and decide whether the worker goes on."""
        if outcome.reason is None:
            unit = self._queue.done(worker)
            if unit.part is None:
                self._result.done.append(unit)
                bar.advance()
            self._idle.add(worker)
            return
        failure = Failure(outcome.worker, outcome.reason)
        if outcome.disk_full:
            self._queue.give_back(worker)
            self._dismiss(worker)
            self._lose(str(_disk_full(failure)))
            return
        self._set_aside(self._queue.failed(worker, failure, whole_load=outcome.in_loading), bar)
        if outcome.by_input:
            self._idle.add(worker)
            return
        self._queue.give_back(worker)
        self._dismiss(worker)
        self._hire()

    def _set_aside(self, units: list[Unit], bar: Bar) -> None:
        for unit in units:
            self._result.give_up(self._folder, unit, self._queue.failures(unit))
            bar.advance()

    def _lose(self, why: str) -> None:
        self._gone.append(why)
        console.print(why, markup=False, soft_wrap=True)

    def _dismiss(self, worker: int) -> None:
        self._ray.kill(self._actors.pop(worker))

    def dismiss(self) -> None:
        """End all workers."""
        for worker in list(self._actors):
            self._dismiss(worker)
