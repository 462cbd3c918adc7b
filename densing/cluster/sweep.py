"""The sweep: a file that names checkpoints, suites and settings, and the units of work that follow from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator, model_validator

from densing.core.artifacts import sha256_of_data
from densing.core.config import Config, FileName, find_config, load
from densing.core.errors import InputError
from densing.core.paths import file_name
from densing.measure.checkpoint import result_name
from densing.measure.engines.settings import EngineSettings
from densing.measure.engines.table import DEFAULT, checked_engine
from densing.measure.suites import Suite, SuiteConfig, load_suite

DEFAULT_SETTINGS = "default"
TENSOR_PARALLEL = "tensor_parallel_size"
"""The option of engines that says over how many devices of one machine a model is spread."""


def _spelled_out(key: str) -> BeforeValidator:
    """A bare name stands for a mapping with that name alone."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class SweepCheckpoint(Config):
    """A model of a sweep.

    Attributes
    ----------
    model : str
        Local folder, hub name, or a ladder's rung.
    revision : str, optional
        Branch, tag or commit on the hub.
    name : str, optional
        The model's name in results, where that of its folder would not tell it from others.
    released : date, optional
        The day of its release, with which it becomes a model of the sweep's registry.
    family : str
        The family of models that it belongs to, for that registry.
    """

    model: str
    revision: str | None = None
    name: Annotated[FileName, Field(pattern=r"^[\w.@-]+$")] | None = None
    released: dt.date | None = None
    family: str = ""

    @property
    def result_name(self) -> str:
        """The model's name in results."""
        return self.name or result_name(self.model, self.revision)


class SweepSuite(Config):
    """A suite of a sweep.

    Attributes
    ----------
    suite : str
        The name of a suite that comes with densing, or a YAML file of one.
    documents : str, optional
        The file, folder or hub name that the suite is made from, if it needs one.
    limit : int, optional
        Ask only so many items of each task, the first ones.
    shards : int
        Cut the requests of each checkpoint into so many parts, which several workers compute at once; for suites
        that take hours.
    """

    suite: str
    documents: str | None = None
    limit: PositiveInt | None = None
    shards: PositiveInt = 1

    @property
    def result_name(self) -> str:
        """The suite's name in results."""
        return load(find_config("suite", self.suite), SuiteConfig).suite

    def load(self) -> Suite:
        """The suite with its documents; see `load_suite`."""
        return load_suite(self.suite, documents=self.documents)


class SweepSettings(Config):
    """How a sweep measures: `EngineSettings` without revision and consent, and the engine.

    Code that a model brings or writes is run only if the command says so, never because a file does.
    """

    engine: Annotated[str, AfterValidator(checked_engine)] = DEFAULT
    dtype: str = "auto"
    device: str | None = None
    allow_truncated: bool = False
    options: dict[str, Any] = {}

    @field_validator("options")
    @classmethod
    def _fit_the_engine(cls, options: dict[str, Any]) -> dict[str, Any]:
        devices = options.get(TENSOR_PARALLEL, 1)
        if type(devices) is not int or devices < 1:
            raise ValueError(f"{TENSOR_PARALLEL} counts devices; write a number from 1")
        return EngineSettings(options=options).options

    @property
    def devices(self) -> int:
        """Over how many devices a model is spread."""
        return int(self.options.get(TENSOR_PARALLEL, 1))


class SweepConfig(Config):
    """A sweep file: every checkpoint is measured on every suite under every one of the settings.

    Attributes
    ----------
    name : str
        The sweep's name, and that of its folder.
    checkpoints : list of SweepCheckpoint
        A bare name stands for `{model: name}`.
    suites : list of SweepSuite
        A bare name stands for `{suite: name}`.
    settings : dict of str to SweepSettings
        Ways to measure, by the names of the folders that their results are in.
    threads : int
        Threads that a worker computes with on a CPU. Results are those of `densing measure` with as many.
    """

    name: Annotated[FileName, Field(pattern=r"^[\w.-]+$")]
    checkpoints: Annotated[list[Annotated[SweepCheckpoint, _spelled_out("model")]], Field(min_length=1)]
    suites: Annotated[list[Annotated[SweepSuite, _spelled_out("suite")]], Field(min_length=1)]
    settings: Annotated[dict[Annotated[FileName, Field(pattern=r"^[\w.-]+$")], SweepSettings], Field(min_length=1)] = {
        DEFAULT_SETTINGS: SweepSettings()
    }
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _only_batches_that_are_planned_can_be_cut(self) -> SweepConfig:
        other = [settings.engine for settings in self.settings.values() if settings.engine != DEFAULT]
        if other and any(suite.shards > 1 for suite in self.suites):
            raise ValueError(
                f"shards are parts of the {DEFAULT} engine's batches, and the {other[0]} engine forms its own as it "
                f"goes; leave shards out, or measure with engine: {DEFAULT}"
            )
        return self


@dataclass(frozen=True)
class Consent:
    """What the user allows to be run: code that models bring, and code that they write."""

    trust_remote_code: bool = False
    run_unsafe_code: bool = False


@dataclass(frozen=True)
class Load:
    """A checkpoint in an engine: what is loaded once for all its suites.

    Attributes
    ----------
    checkpoint : SweepCheckpoint
    settings : SweepSettings
    settings_name : str
    consent : Consent
    """

    checkpoint: SweepCheckpoint
    settings: SweepSettings
    settings_name: str
    consent: Consent

    @property
    def engine_settings(self) -> EngineSettings:
        """As `measure` takes them."""
        chosen = self.settings.model_dump(exclude={"engine"})
        return EngineSettings(revision=self.checkpoint.revision, **chosen, **vars(self.consent))


@dataclass(frozen=True)
class Unit:
    """One checkpoint on one suite under one of the settings: one measurement.

    Attributes
    ----------
    load : Load
    suite : SweepSuite
    place : str
        Where its measurement is below the sweep's folder: settings/model/suite.
    part : (int, int) or None
        Which part of its requests, counted from 0, of how many; None for the measurement itself.
    """

    load: Load
    suite: SweepSuite
    place: str
    part: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return self.place if self.part is None else f"{self.place} part {self.part[0] + 1} of {self.part[1]}"

    @property
    def parts(self) -> list[Unit]:
        """The parts that are computed before it; none where its suite is not cut."""
        count = self.suite.shards
        return [replace(self, part=(index, count)) for index in range(count)] if count > 1 else []

    @property
    def whole(self) -> Unit:
        """The measurement that it is a part of, or is."""
        return replace(self, part=None)

    @property
    def head(self) -> str:
        """What the units of one load have in common: settings/model."""
        return self.place.rpartition("/")[0]

    def out(self, folder: Path) -> Path:
        """The folder of all measurements under the unit's settings, as `measure` takes it."""
        return folder / self.load.settings_name

    @property
    def digest(self) -> str:
        """A short name for files that belong to the unit alone."""
        return sha256_of_data(self.name)[:16]


def load_sweep(name_or_path: str | Path) -> SweepConfig:
    """Read a sweep file.

    Raises
    ------
    InputError
        Names the file, the key, the value, and what is allowed.
    """
    return load(find_config("sweep", name_or_path), SweepConfig)


def units_of(config: SweepConfig, consent: Consent | None = None) -> list[Unit]:
    """Every unit, those of one load behind one another, in the order of the file.

    Raises
    ------
    InputError
        If two would have the same place, or a model has a name that no folder can have.
    """
    suites = [(suite, suite.result_name) for suite in config.suites]
    units: dict[str, Unit] = {}
    for settings_name, settings in config.settings.items():
        for checkpoint in config.checkpoints:
            load = Load(checkpoint, settings, settings_name, consent or Consent())
            model = checkpoint.result_name
            for suite, suite_name in suites:
                place = f"{settings_name}/{file_name(model)}/{suite_name}"
                if place in units:
                    raise InputError(
                        f"sweep {config.name!r}: two of its results would be in {place}; give one of the checkpoints "
                        "a name of its own ({model: ..., name: ...}), or one of the suites a file with another name"
                    )
                units[place] = Unit(load, suite, place)
    return list(units.values())


def loads_of(units: Iterable[Unit]) -> list[list[Unit]]:
    """The units of each load together, in their order."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.head, []).append(unit)
    return list(groups.values())
