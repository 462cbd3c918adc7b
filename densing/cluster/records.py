"""What happened to each unit of a sweep, and whether its measurement still is what the sweep asks for.

`<sweep>/units/<settings>/<model>/<suite>.json` holds what the measurement cannot, because it must be the same whoever
made it: when and by whom the unit was measured, how long it took, and why it failed where it did.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from densing import __version__
from densing.cluster.sweep import Unit
from densing.core.artifacts import ArtifactError, read_json, sha256_of_data, typed, understanding, write_json
from densing.core.ranges import Finite
from densing.measure.checkpoint import Checkpoint
from densing.measure.engines.answer_scope import named_files
from densing.measure.engines.table import ENGINES
from densing.measure.measurement import KIND as MEASUREMENT
from densing.measure.measurement import Measurement
from densing.measure.run import asked_settings
from densing.measure.suites import Suite
from densing.models.size import Size

KIND = "unit"


@dataclass(frozen=True)
class Failure:
    """One try that failed.

    Attributes
    ----------
    worker : str
        Process and machine.
    reason : str
    """

    worker: str
    reason: str


@dataclass(frozen=True)
class UnitRecord:
    """What happened to a unit.

    Attributes
    ----------
    state : {"done", "set aside"}
    worker : str
        The process and machine that ended it.
    ended : str
        When, in ISO form, UTC.
    seconds : float
        How long it took, loading included; 0 where the measurement was there already.
    load_seconds : float
        How long its model took to load; 0 where the engine had it already.
    stamp : str or None
        Names, sizes and times of the checkpoint's files, while which the checkpoint is the one that was measured.
    failures : tuple of Failure
        The tries that failed.
    size : Size or None
        The checkpoint's parameters; None where its configuration does not tell them.
    """

    state: Literal["done", "set aside"]
    worker: str
    ended: str
    seconds: Finite = 0.0
    load_seconds: Finite = 0.0
    stamp: str | None = None
    failures: tuple[Failure, ...] = ()
    size: Size | None = None

    def write(self, folder: Path, unit: Unit) -> None:
        """Write the record of a unit into a sweep's folder."""
        write_json(_path(folder, unit), KIND, asdict(self))

    @classmethod
    def read(cls, folder: Path, unit: Unit) -> UnitRecord | None:
        """The record of a unit, if there is one that can be read."""
        path = _path(folder, unit)
        try:
            with understanding(path, KIND):
                record = typed(read_json(path, KIND).payload, cls)
                if record.began.tzinfo is None:
                    raise ValueError("ended: a time without its zone")
                return record
        except ArtifactError:
            return None

    @property
    def began(self) -> dt.datetime:
        """When the worker began with the unit."""
        return dt.datetime.fromisoformat(self.ended) - dt.timedelta(seconds=self.seconds)


def _path(folder: Path, unit: Unit) -> Path:
    return folder / "units" / f"{unit.place}.json"


def now() -> str:
    """The time, in ISO form, UTC."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")


def file_stamp(folder: Path) -> str | None:
    """Digest of the names, sizes and times of a folder's files; None where there is no such folder."""
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return sha256_of_data([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])


def changes_since(found: Measurement, suite: Suite, unit: Unit) -> list[str]:
    """What the sweep asks for otherwise than the measurement was made; the checkpoint's own contents apart.

    Returns
    -------
    list of str
        In words: "suite", "settings", "torch 2.4.0"; empty where the measurement is what is asked for.
    """
    load = unit.load
    settings = load.engine_settings
    changed = []
    if found.made_from.get("suite") != suite.digest or found.tasks.keys() != suite.benchmarks.keys():
        changed.append("suite")
    folder = Path(load.checkpoint.model)
    files = {f"option {name}": digest for name, digest in _option_files(settings.arguments, folder).items()}
    kept = {name: digest for name, digest in found.made_from.items() if name.startswith("option ")}
    asked = asked_settings(ENGINES.find(load.settings.engine), settings, unit.suite.limit)
    if found.settings.get("asked") != asked or kept != files:
        changed.append("settings")
    return changed + changed_versions(found)


def _option_files(options: dict[str, Any], folder: Path) -> dict[str, str]:
    return named_files(options, Checkpoint(folder.name, str(folder), folder)) if options else {}


def changed_versions(found: Measurement) -> list[str]:
    """The packages that made a measurement in another version than the one that is installed here.

    A measurement that does not say is one of versions that are not known.
    """
    assert found.folder is not None
    try:
        file = min(found.folder.glob("*.json"))
        with understanding(file, MEASUREMENT):
            densing = read_json(file, MEASUREMENT).made_with["densing"]
            others = found.settings.get("versions", {})
            then = typed({"densing": densing, "lm_eval": found.settings["lm_eval"], **others}, dict[str, str])
    except ArtifactError:
        return ["versions that are not known"]
    return [f"{name} {then[name]}" for name in then if then[name] != installed_version(name)]


@cache
def installed_version(package: str) -> str:
    """The version of a package that is installed; "none" without it."""
    if package == "densing":  # which a clone's own folder may stand for
        return __version__
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):  # not installed, or no name of a package
        return "none"
