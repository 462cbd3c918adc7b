"""YAML files, each validated on load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from densing.core.errors import InputError, unknown

Model = TypeVar("Model", bound="Config")


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
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of keys to values")
    return data


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
        given = "" if first["type"] == "missing" else f" (got {first['input']!r})"
        raise InputError(f"{source}: {where}: {first['msg'].removeprefix('Value error, ')}{given}") from error


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
