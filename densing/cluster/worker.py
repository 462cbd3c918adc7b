"""The worker: measures units one after the other, and loads a model once for all suites in a row that need it.

It is the same whether Ray runs it or a process of its own.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from densing.cluster.caches import PARTS, merge, publish
from densing.cluster.records import Failure, UnitRecord, changed_versions, file_stamp, installed_version, now
from densing.cluster.sweep import Load, SweepSuite, Unit
from densing.core.errors import DensingError, InputError
from densing.core.lock import hold_in_turn
from densing.measure.engines.base import Engine
from densing.measure.run import Run, loaded_engine, prepare
from densing.measure.suites import Suite
from densing.measure.weights import size_of_checkpoint
from densing.models.size import Size

PACKAGES = ("densing", "lm_eval", "torch", "transformers", "tokenizers", "vllm")
"""Packages that must be the same everywhere, since they decide results."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Outcome:
    """How a worker's try at a unit ended.

    Attributes
    ----------
    worker : str
        Process and machine.
    reason : str or None
        Why it failed; None where it did not.
    in_loading : bool
        The model could not be loaded, so that no unit of its load can be measured here.
    disk_full : bool
        The fault is the worker's machine's.
    by_input : bool
        What was given cannot be used. After any other error the worker's process may be unsound.
    measured : bool
        Something was computed: the measurement was not there already.
    """

    worker: str
    reason: str | None = None
    in_loading: bool = False
    disk_full: bool = False
    by_input: bool = False
    measured: bool = False


class LoadingError(Exception):
    """A model could not be found or loaded; the cause says why."""


class Worker:
    """Measures units, with at most one model loaded.

    Parameters
    ----------
    folder : Path
        The sweep's, on a disk that all workers and the driver see.
    scratch : Path
        A folder on this machine's own disk.
    threads : int
        Threads to compute with on a CPU.
    start : Path
        The folder that relative paths of the sweep begin at.
    """

    def __init__(self, folder: Path, scratch: Path, threads: int, start: Path) -> None:
        os.chdir(start)
        for name in [name for name in os.environ if name.startswith("VLLM_DP_")]:
            del os.environ[name]  # of another process's data parallelism, which vLLM would take for this one's
        self.folder = folder
        self.scratch = scratch
        self.threads = threads
        self.name = f"process {os.getpid()} on {socket.gethostname()}"
        self._held: tuple[Load, Engine] | None = None
        self._counted: tuple[str, Size | None] | None = None
        self._stack = ExitStack()

    def introduce(self) -> tuple[str, dict[str, str]]:
        """Process and machine, and the versions of everything that must be the same on all machines."""
        return self.name, versions()

    def measure(self, unit: Unit, failures: tuple[Failure, ...] = ()) -> Outcome:
        """Measure a unit, or find its measurement, and record that; of a part, its answers alone are kept.

        Parameters
        ----------
        unit : Unit
        failures : tuple of Failure
            Of earlier tries, for the record.
        """
        began, loading = time.monotonic(), 0.0
        local = self.scratch / f"{unit.digest}.sqlite"
        try:
            run = self._prepared(unit)
            existing = run.existing()
            stale = existing is not None and bool(changed_versions(existing))
            if existing is None or stale:
                self._begin_with_parts(unit, local)
                lm, loading = self._engine(run, unit.load)
                if unit.part:
                    run.compute_part(lm, local, unit.part)
                else:
                    run.compute(lm, local)
                self._leave(unit, local)
            measured = existing is None or stale
            if unit.part:
                return Outcome(self.name, measured=measured)
            UnitRecord(
                "done",
                self.name,
                now(),
                seconds=round(time.monotonic() - began, 3) if measured else 0.0,
                load_seconds=round(loading, 3),
                stamp=file_stamp(Path(unit.load.checkpoint.model)),
                failures=failures,
                size=self._size(run),
            ).write(self.folder, unit)
        except Exception as error:  # whatever it is, it ends this try and not the sweep
            with suppress(OSError):
                self._leave(unit, local)
            cause = error.__cause__ if isinstance(error, LoadingError) and error.__cause__ else error
            reason = str(cause) if isinstance(cause, DensingError) else f"{type(cause).__name__}: {cause}"
            return Outcome(
                self.name,
                reason,
                in_loading=isinstance(error, LoadingError),
                disk_full=is_disk_full(cause),
                by_input=isinstance(cause, InputError),
            )
        return Outcome(self.name, measured=measured)

    def release(self) -> None:
        """Free the memory of the model that is loaded, if there is one."""
        self._held = None
        self._stack.close()

    def _prepared(self, unit: Unit) -> Run:
        load, checkpoint = unit.load, unit.load.checkpoint
        suite = loaded_suite(unit.suite)
        # Weights come from the hub once, whoever of this machine's workers needs them first.
        with hold_in_turn(self.scratch / f"fetch-{checkpoint.result_name}.lock"):
            try:
                return prepare(
                    checkpoint.model,
                    suite,
                    engine=load.settings.engine,
                    out=unit.out(self.folder),
                    name=checkpoint.name,
                    limit=unit.suite.limit,
                    settings=load.engine_settings,
                )
            except Exception as error:
                raise LoadingError from error

    def _engine(self, run: Run, load: Load) -> tuple[Engine, float]:
        """The engine with the model in it, and the seconds that loading took."""
        if self._held and self._held[0] == load:
            return self._held[1], 0.0
        began = time.monotonic()
        self.release()
        try:
            import torch

            torch.set_num_threads(self.threads)
            engine = self._stack.enter_context(loaded_engine(load.settings.engine, run.checkpoint, run.options))
        except Exception as error:
            raise LoadingError from error
        self._held = load, engine
        return engine, time.monotonic() - began

    def _size(self, run: Run) -> Size | None:
        """The parameters of a checkpoint, counted once for all its suites."""
        place = str(run.checkpoint.folder)
        if self._counted is None or self._counted[0] != place:
            try:
                self._counted = place, size_of_checkpoint(run.checkpoint, run.options)
            except InputError:  # the engine knows its architecture, and transformers does not
                self._counted = place, None
        return self._counted[1]

    def _parts(self, unit: Unit) -> Path:
        return self.folder / PARTS / unit.place

    def _begin_with_parts(self, unit: Unit, local: Path) -> None:
        """What other workers have computed of the unit need not be computed again."""
        parts = sorted(self._parts(unit).glob("*.sqlite"))
        if parts:
            merge(parts, local)

    def _leave(self, unit: Unit, local: Path) -> None:
        publish(local, self._parts(unit))


@cache
def loaded_suite(suite: SweepSuite) -> Suite:
    """The suite with its tasks, which take longer to make than a small model to measure."""
    return suite.load()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results, where they are installed."""
    found = {name: installed_version(name) for name in PACKAGES}
    return {"Python": platform.python_version()} | {name: is_ for name, is_ in found.items() if is_ != "none"}


def other_versions(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """What differs between two machines, in words."""
    return [
        f"{name} {there.get(name, 'none')} (here {here.get(name, 'none')})"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that a disk is full."""
    return any(
        (isinstance(one, OSError) and one.errno in FULL)
        or (isinstance(one, sqlite3.OperationalError) and "disk is full" in str(one))
        for one in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
