"""Configurations: YAML files, each validated on load, and found by the names of those that come with densing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from densing.core.errors import InputError, unknown
from densing.core.files import reading
from densing.core.paths import CONFIGS

Model = TypeVar("Model", bound="Config")
Kind = Literal["ladder", "suite", "pipeline", "sweep"]


class Config(BaseModel):
    """Base of every configuration: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or holds no mapping.
    """
    with reading(path, "YAML"):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of keys to values")
    return data


def config_names(kind: Kind) -> list[str]:
    """Names of the configurations of a kind that come with densing."""
    return sorted(path.stem for path in _folder(kind).glob("*.yaml"))


def find_config(kind: Kind, name_or_path: str | Path) -> Path:
    """File of a configuration, from the name of one that comes with densing or from a path.

    What ends in .yaml or .yml is a path, anything else a name.

    Parameters
    ----------
    kind : {"ladder", "suite", "pipeline", "sweep"}
    name_or_path : str or Path

    Raises
    ------
    InputError
        If no configuration of that kind has the name; lists those there are.

    Examples
    --------
    >>> find_config("ladder", "densing-law").name
    'densing-law.yaml'
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return Path(name_or_path)
    path = _folder(kind) / f"{name_or_path}.yaml"
    if str(name_or_path) not in config_names(kind):
        raise unknown(kind, str(name_or_path), config_names(kind))
    return path


def _folder(kind: Kind) -> Path:
    return CONFIGS / f"{kind}s"


def load(path: Path, model: type[Model]) -> Model:
    """Read and validate a configuration.

    Raises
    ------
    InputError
        Names the file, the key, the value, and what is allowed.
    """
    return validate(read_yaml(path), model, str(path))


def validate(data: dict[str, Any], model: type[Model], source: str) -> Model:
    """Validate data that came from `source`; see `load`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            wrong = unknown("key", str(first["loc"][-1]), _fields_at(model, first["loc"]))
            raise InputError(f"{source}: {where}: {wrong}") from error
        given = "" if first["type"] == "missing" or not where else f" (got {first['input']!r})"
        place = f"{source}: {where}" if where else source
        raise InputError(f"{place}: {first['msg'].removeprefix('Value error, ')}{given}") from error


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed where an unknown one was found."""
    fields = model.model_fields
    for part in location[:-1]:
        annotation = fields[part].annotation if part in fields else None
        nested = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        inner = [a for a in nested if issubclass(a, BaseModel)]
        if inner:
            fields = inner[0].model_fields
    return list(fields)
