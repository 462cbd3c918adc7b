"""Configurations: YAML files, each validated on load, and found by the names of those that come with densing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from densing.core.errors import InputError, unknown
from densing.core.files import DEEPEST, LARGEST_CONFIGURATION, LONGEST_NUMBER, read_text, reading
from densing.core.paths import CONFIGS, file_name
from densing.core.text import shortened

Model = TypeVar("Model", bound="Config")
Kind = Literal["ladder", "suite", "pipeline", "sweep"]
FileName = Annotated[str, AfterValidator(file_name)]
"""A field that becomes the name of a file or folder."""
MOST_NODES = 20_000
"""Values, lists and mappings of a YAML file, those counted again that an alias repeats."""


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
    data = data_of_yaml(read_text(path, "YAML", LARGEST_CONFIGURATION), path)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise InputError(f"{path}: expected a mapping of names to values; write it as in the examples of docs/")
    return data


def data_of_yaml(text: str, where: Path | str) -> Any:
    """The data of a YAML text that came from `where`.

    Raises
    ------
    InputError
        If it is not YAML, or is deeper or has more values than any that is meant.
    """
    with reading(where, "YAML", "correct it"):
        _refuse_depth(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _refuse_bombs(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Knows plain values, lists, mappings and dates, and nothing that would run code."""


def _refuse_depth(text: str) -> None:
    """Refuse what a parser that calls itself would run out of memory on."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")


def _refuse_bombs(root: yaml.Node) -> None:
    """Refuse aliases that repeat one another into millions of values or hold themselves, and numbers without end."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, finished = waiting.pop()
        children = _children(node)
        if finished:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
            if sizes[id(node)] > MOST_NODES:
                raise ValueError(f"more than {MOST_NODES:,} values, aliases counted out")
        elif id(node) in open_nodes:
            raise ValueError("an alias stands inside of what it repeats")
        elif node.tag == "tag:yaml.org,2002:int" and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"a number of more than {LONGEST_NUMBER} digits")
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            waiting.append((node, True))
            waiting += [(child, False) for child in children]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


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
    if str(name_or_path).endswith((".yaml", ".yml")):
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
        first = error.errors(include_url=False)[0]
        where = ".".join(shortened(str(part), 60) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            wrong = unknown("key", str(first["loc"][-1]), _fields_at(model, first["loc"]))
            raise InputError(f"{source}: {where}: {wrong}") from error
        given = (
            "" if first["type"] == "missing" or not where else f" (got {shortened(repr(first['input'])[:1000], 80)})"
        )
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
