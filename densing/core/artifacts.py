"""Reading and writing every artifact: named schema, checksum, provenance, atomic replacement.

An artifact is a JSON file with an envelope

    {"schema": "densing/frame/1", "checksum": "<sha256 of the payload>", "made_with": {...},
     "made_from": {"<input>": "<sha256>"}, "payload": {...}}

or a CSV file whose first lines carry the same envelope as comments. A writer writes beside and renames,
so a reader sees the old file or the new one, never half of either.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from densing.core.errors import InputError
from densing.core.files import atomic, json_of, open_regular, parse_json, read_text, reading
from densing.core.text import harmless

if TYPE_CHECKING:
    import pandas as pd

Value = TypeVar("Value")

SCHEMA_VERSION = {
    "frame": 2,
    "measurement": 1,
    "ladder": 1,
    "losses": 1,
    "densities": 2,
    "trend": 2,
    "validation": 1,
    "corpus": 1,
    "checkpoint": 1,
    "unit": 1,
}


class ArtifactError(InputError):
    """A file is not the artifact it should be: wrong kind, newer schema, truncated or altered."""


@dataclass(frozen=True)
class Artifact:
    """What was read.

    Attributes
    ----------
    payload : dict
    made_from : dict
        SHA-256 of each input, by name.
    made_with : dict
        Version of densing, and the seed where there was one.
    """

    payload: dict[str, Any]
    made_from: dict[str, str] = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open_regular(path, largest=1 << 50) as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
        return digest.hexdigest()


def sha256_of_data(data: Any) -> str:
    """SHA-256 of JSON-able data in canonical form."""
    return hashlib.sha256(_canonical(data)).hexdigest()


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _envelope(kind: str, payload: Any, made_from: Mapping[str, str], seed: int | None) -> dict[str, Any]:
    from densing import __version__

    made_with: dict[str, Any] = {"densing": __version__}
    if seed is not None:
        made_with["seed"] = seed
    return {
        "schema": f"densing/{kind}/{SCHEMA_VERSION[kind]}",
        "checksum": sha256_of_data(payload),
        "made_with": made_with,
        "made_from": dict(made_from),
    }


def write_json(
    path: Path,
    kind: str,
    payload: dict[str, Any],
    *,
    made_from: Mapping[str, str] | None = None,
    seed: int | None = None,
) -> None:
    """Write an artifact; numbers that are not finite become null.

    Parameters
    ----------
    kind : str
        A key of `SCHEMA_VERSION`.
    payload : dict
        JSON-able data.
    made_from : mapping, optional
        SHA-256 of each input, by name.
    seed : int, optional
        Of the generator that was used.
    """
    payload = finite(payload)
    envelope = _envelope(kind, payload, made_from or {}, seed)
    with atomic(path) as file:
        json.dump(envelope | {"payload": payload}, file, indent=1, allow_nan=False, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path, kind: str) -> Artifact:
    """Read an artifact of a kind.

    Raises
    ------
    ArtifactError
        If the file is missing, truncated, altered, of another kind, or of an unknown schema version.
    """
    with understanding(path, kind):
        data = parse_json(path)
        if not isinstance(data, dict) or not isinstance(data.get("payload"), dict):
            raise ArtifactError(f"{path}: not an artifact of densing (no payload)")
        _check(path, kind, data, data["payload"])
        return Artifact(data["payload"], *_provenance(path, data))


@contextmanager
def understanding(path: Path, kind: str) -> Iterator[None]:
    """Turn what goes wrong with the payload of an artifact into an `ArtifactError` that names its file.

    A right checksum says that a file is as it was written, not by whom: its payload is checked like any other input.
    """
    try:
        with reading(path, f"a {kind} of densing", "make it again"):
            yield
    except ArtifactError:
        raise
    except InputError as error:
        raise ArtifactError(str(error)) from error


def typed(value: Any, kind: type[Value]) -> Value:
    """A part of a payload as the type that is declared for it, a dataclass or what pydantic knows.

    Raises
    ------
    ValueError
        If it is none; names the place in it. To be used inside `understanding`.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@cache
def _adapter(kind: Any) -> Any:
    """What checks values of a type, which takes longer to make than to use."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _provenance(path: Path, envelope: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    made_from, made_with = envelope.get("made_from", {}), envelope.get("made_with", {})
    if not isinstance(made_with, dict) or not isinstance(made_from, dict):
        raise ArtifactError(f"{path}: made_from and made_with are no mappings; make it again")
    if not all(isinstance(value, str) for value in made_from.values()):
        raise ArtifactError(f"{path}: made_from holds something else than hashes; make it again")
    return made_from, made_with


def _check(path: Path, kind: str, envelope: Mapping[str, Any], payload: Any) -> None:
    expected = f"densing/{kind}/{SCHEMA_VERSION[kind]}"
    if envelope.get("schema") != expected:
        raise ArtifactError(
            f"{path}: schema {envelope.get('schema')!r}, but this version reads {expected!r}; make it again"
        )
    try:
        checksum = sha256_of_data(payload)
    except ValueError as error:  # not a number, or half of a letter
        raise ArtifactError(f"{path}: its payload is no JSON that densing writes ({error}); make it again") from error
    if envelope.get("checksum") != checksum:
        raise ArtifactError(f"{path}: checksum does not match, the file was cut short or edited; make it again")


def finite(data: Any) -> Any:
    """The same data as JSON wants it: None for numbers that are not finite, dates in ISO form."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    if isinstance(data, dt.date):
        return data.isoformat()
    if hasattr(data, "tolist"):  # NumPy scalars and arrays
        return finite(data.tolist())
    return data


def write_csv(
    path: Path, kind: str, table: pd.DataFrame, *, made_from: Mapping[str, str] | None = None, seed: int | None = None
) -> None:
    """Write a table as CSV under a commented envelope; cells that a spreadsheet would run are quoted."""
    text = csv_text(kind, table, made_from=made_from, seed=seed)
    with atomic(path) as file:
        file.write(text)


def csv_text(
    kind: str, table: pd.DataFrame, *, made_from: Mapping[str, str] | None = None, seed: int | None = None
) -> str:
    """What `write_csv` writes, for one who writes other files with it."""
    body = table.map(harmless).to_csv(index=False, lineterminator="\n")
    envelope = _envelope(kind, body, made_from or {}, seed)
    head = [f"# {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in envelope.items()]
    return "".join([*head, body])


def read_csv(path: Path, kind: str) -> tuple[pd.DataFrame, Artifact]:
    """Read a table written by `write_csv`.

    Raises
    ------
    ArtifactError
        As `read_json`.
    """
    import pandas as pd

    envelope: dict[str, Any] = {}
    with understanding(path, kind):
        lines = read_text(path, "a table of densing").splitlines(keepends=True)
        while lines and lines[0].startswith("# "):
            key, _, value = lines.pop(0)[2:].partition(": ")
            envelope[key] = json_of(value, path)
        body = "".join(lines)
        _check(path, kind, envelope, body)
        return pd.read_csv(io.StringIO(body)), Artifact({}, *_provenance(path, envelope))
