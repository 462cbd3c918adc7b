"""Changing a registry: every change is one transaction that can be undone.

    <folder>/models.csv, scores.csv     the registry
    <folder>/.pending/                  a change that is being written; worth nothing if it was interrupted
    <folder>/.commit/                   a change that is decided and being put in place
    <folder>/.history/0007/             a change that is done, with the files as they were before

A change is written whole into `.pending`, beside copies of the files as they were; renaming that folder to `.commit`
decides it. What follows needs no space on the disk: the new files are renamed into place, the folder into the history.
Whoever comes next finishes a decided change and discards an undecided one.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from densing.core.config import validate
from densing.core.errors import InputError
from densing.core.files import parse_mapping, read_bytes
from densing.core.paths import file_name
from densing.models.benchmarks import benchmark_name, load_benchmarks
from densing.models.checks import Problem, find_problems
from densing.models.registry import (
    FILES,
    SHIPPED,
    ModelEntry,
    Registry,
    ScoreEntry,
    load_registry,
    overlay,
    own_folder,
    read_folder,
)
from densing.models.size import read_config, refuse_contradictions, without_embeddings
from densing.models.tables import Table

_KEPT = 50
"""Changes that can be undone."""
_NUMBER = re.compile(r"[0-9]{4,9}")
"""Name of a change's folder."""


@dataclass
class Draft:
    """The tables of a folder in the middle of a change, and the registry that they make with the snapshot."""

    models: Table
    scores: Table

    def registry(self) -> Registry:
        """The registry as it would be."""
        return overlay(read_folder(SHIPPED), (self.models, self.scores))


def described(
    name: str,
    *,
    release_date: str,
    counts: Mapping[str, float],
    scores: Mapping[str, float],
    source: str,
    shots: str = "",
    config: Path | None = None,
    fields: Mapping[str, Any] | None = None,
) -> tuple[ModelEntry, list[ScoreEntry]]:
    """A model and its scores as rows, from what somebody says of it.

    Parameters
    ----------
    counts : mapping
        Parameters by kind: total, non_embedding, active.
    scores : mapping
        Percent, by benchmark; of one that could be taken for a fraction the note says that it is percent.
    source, shots : str
        Where the scores stand, and the worked examples they were measured with; the article's where not given.
    config : Path, optional
        The model's config.json, which gives the size without embeddings.
    fields : mapping, optional
        Further columns of models.csv.

    Raises
    ------
    InputError
        For a value that its column does not take.
    """
    refuse_contradictions(counts)
    sizes = dict(counts)
    if config is not None and "total" in sizes and "non_embedding" not in sizes:
        sizes["non_embedding"] = without_embeddings(sizes["total"], read_config(config))
    columns = {"total": "total_params_B", "non_embedding": "params_non_embedding_B", "active": "active_params_B"}
    row = {columns[kind]: value / 1e9 for kind, value in sizes.items()} | {
        "model": name,
        "release_date": release_date,
        "architecture": "moe" if "active" in sizes else "dense",
        "config": str(config or ""),
    }
    entry = validate(row | dict(fields or {}), ModelEntry, "densing models add")
    entries = []
    for benchmark, score in scores.items():
        known = benchmark_name(benchmark)
        protocol = shots or load_benchmarks()[known].shots[-1]
        note = "given as percent" if 0 < score <= 1 else ""
        given = {"model": name, "benchmark": known, "score": score, "source": source, "shots": protocol, "note": note}
        entries.append(validate(given, ScoreEntry, "densing models add"))
    return entry, entries


def add(entry: ModelEntry | None, scores: Sequence[ScoreEntry], folder: Path | None = None) -> list[str]:
    """Add a model with its scores, or scores alone; what is there already is left out.

    Returns
    -------
    list of str
        A sentence for everything that was added.

    Raises
    ------
    InputError
        If the registry has another model of that name, or `find_problems` finds something in what would be added.
    """

    def change(draft: Draft) -> list[str]:
        done = []
        if entry is not None:
            known = {row.model: row for row in draft.models.entries(ModelEntry)}
            if entry.model in load_registry(folder).models and known.get(entry.model) != entry:
                raise InputError(f"{entry.model} is in the registry already; change it with `densing models edit`")
            if entry.model not in known:
                draft.models.append(entry)
                done.append(f"added the model {entry.model}")
        present = set(draft.scores.entries(ScoreEntry))
        for score in dict.fromkeys(scores):
            if score not in present:
                draft.scores.append(score)
                done.append(f"added {score.model} {score.benchmark} = {score.score:g}")
        return done

    return _transaction(folder or own_folder(), "add", change)


def put(entries: Sequence[ModelEntry], scores: Sequence[ScoreEntry], folder: Path, what: str) -> list[str]:
    """Make a folder hold models and scores; its other rows for these models, and from these sources, give way.

    Parameters
    ----------
    entries : sequence of ModelEntry
    scores : sequence of ScoreEntry
    folder : Path
    what : str
        What changes the registry, for its history.

    Returns
    -------
    list of str
        A sentence for everything that is new or was changed.

    Raises
    ------
    InputError
        If `find_problems` finds something in what would be there.
    """

    def change(draft: Draft) -> list[str]:
        done = []
        present = {row.model: (place, row) for place, row in enumerate(draft.models.entries(ModelEntry))}
        for entry in entries:
            place, row = present.get(entry.model, (None, None))
            if row == entry:
                continue
            if place is None:
                draft.models.append(entry)
            else:
                draft.models.replace(place, entry)
            done.append(f"entered the model {entry.model}")
        wanted, sources = set(scores), {score.source for score in scores}
        there = draft.scores.entries(ScoreEntry)
        keep = [row in wanted or row.source not in sources for row in there]
        draft.scores.remove(keep)
        known = set(there)
        for score in scores:
            if score not in known:
                draft.scores.append(score)
                done.append(f"entered {score.model} {score.benchmark} = {score.score:g}")
        return done + ["left out scores that are no longer measured"] * (not all(keep) and not done)

    return _transaction(folder, what, change)


def edit(model: str, fields: Mapping[str, Any], folder: Path | None = None) -> list[str]:
    """Change columns of a model; a model of the snapshot is copied into the user's folder first.

    Raises
    ------
    InputError
        For an unknown model or column, a value that the column does not take, or a problem that the change makes.
    """

    def change(draft: Draft) -> list[str]:
        before = draft.registry().entry(model)
        after = validate(before.model_dump(mode="json") | dict(fields), ModelEntry, f"densing models edit {model}")
        own = [row.model for row in draft.models.entries(ModelEntry)]
        if after.model != before.model:
            raise InputError(f"{model}: a model keeps its name; remove it and add it under the new one")
        if after.model in own:
            draft.models.replace(own.index(after.model), after)
        elif after != before:
            draft.models.append(after)
        return [
            f"{after.model}: {name} is now {getattr(after, name)}, it was {getattr(before, name)}"
            for name in fields
            if getattr(after, name) != getattr(before, name)
        ]

    return _transaction(folder or own_folder(), f"edit {model}", change)


def remove(model: str, folder: Path | None = None) -> list[str]:
    """Remove a model and the user's scores of it; a model of the snapshot is hidden.

    Raises
    ------
    InputError
        For an unknown model.
    """

    def change(draft: Draft) -> list[str]:
        name = draft.registry().entry(model).model
        draft.models.remove([row.model != name for row in draft.models.entries(ModelEntry)])
        kept = [row.model != name for row in draft.scores.entries(ScoreEntry)]
        draft.scores.remove(kept)
        shipped = overlay(read_folder(SHIPPED)).models
        if name in shipped:
            draft.models.append(shipped[name].model_copy(update={"removed": True}))
        return [f"removed {name}" + (f" and {kept.count(False)} scores" if not all(kept) else "")]

    return _transaction(folder or own_folder(), f"remove {model}", change)


def undo(folder: Path | None = None) -> str:
    """Put the files back as they were before the last change, byte for byte.

    Raises
    ------
    InputError
        If nothing was changed yet, or a file was edited by hand since.
    """
    folder = folder or own_folder()
    if not (folder / ".commit").is_dir():
        _undoable(folder)  # refused before anything is written, the lock's file included
    with _locked(folder):
        last, record = _undoable(folder)
        _commit(folder, {name: _content(last / "before" / name) for name in FILES}, f"undo {record['what']}", last.name)
        return str(record["what"])


def _undoable(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The last change and what is written down of it."""
    done = _history(folder)
    if not done:
        raise InputError(f"{folder}: no change to undo")
    record = _record(done[-1])
    for name in FILES:
        if _content(folder / name) != _content(done[-1] / "after" / name):
            raise InputError(f"{folder / name} was edited since the last change; undoing that would lose the edit")
    return done[-1], record


def difference(folder: Path | None = None) -> list[str]:
    """What the user's folder changes in the snapshot that comes with the package, a sentence each."""
    shipped = overlay(read_folder(SHIPPED))
    models, scores = read_folder(folder or own_folder())
    lines = []
    for entry in models.entries(ModelEntry):
        known = shipped.models.get(entry.model)
        if known is None:
            lines.append(f"{entry.model} is new")
        elif entry.removed:
            lines.append(f"{entry.model} is removed")
        else:
            changed = [name for name in ModelEntry.model_fields if getattr(entry, name) != getattr(known, name)]
            lines += [
                f"{entry.model}: {name} is {getattr(entry, name)}, not {getattr(known, name)}" for name in changed
            ]
    lines += [f"{score.model} {score.benchmark} = {score.score:g} is new" for score in scores.entries(ScoreEntry)]
    return lines


def _transaction(folder: Path, what: str, change: Callable[[Draft], list[str]]) -> list[str]:
    """Run a change on a draft, check what it makes, and put it in place."""
    _tried(folder, change)  # refused before anything is written, the lock's file included
    with _locked(folder):
        done, draft = _tried(folder, change)
        if done:
            texts = zip(FILES, (draft.models, draft.scores), strict=True)
            after = {name: table.to_text().encode() if table.rows else None for name, table in texts}
            _commit(folder, after, what, None)
        return done


def _tried(folder: Path, change: Callable[[Draft], list[str]]) -> tuple[list[str], Draft]:
    """What a change does, and the tables as it would leave them; an InputError for a problem that it makes."""
    draft = Draft(*read_folder(folder))
    before = set(_texts(find_problems(draft.registry())))
    done = change(draft)
    if found := [text for text in _texts(find_problems(draft.registry())) if text not in before]:
        raise InputError("nothing was changed: " + "; ".join(found))
    return done, draft


def _texts(problems: Sequence[Problem]) -> list[str]:
    """Problems without their lines, which move when rows do."""
    return [f"{problem.model}: {problem.what}" for problem in problems]


def _record(change: Path) -> dict[str, Any]:
    """What is written down of a change."""
    path = change / "change.json"
    record = parse_mapping(path, "a change of the registry")
    undoes, absent = record.get("undoes"), record.get("absent")
    if not isinstance(record.get("what"), str) or not isinstance(absent, list):
        raise InputError(f"{path}: not a change of the registry; move {change} away, and look at the two CSV files")
    return record | {"undoes": None if undoes is None else file_name(str(undoes))}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    decided = folder / ".commit"
    if decided.is_dir() and not (folder / ".lock").exists():
        _record(decided)  # one that is damaged is refused before the lock's file is made
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        _finish(folder)
        yield


def _commit(folder: Path, after: Mapping[str, bytes | None], what: str, undoes: str | None) -> None:
    pending = folder / ".pending"
    try:
        for name, content in after.items():
            _write(pending / "before" / name, _content(folder / name))
            _write(pending / "after" / name, content)
            _write(pending / name, content)
        record = {
            "what": what,
            "when": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "undoes": undoes,
            "absent": [name for name, content in after.items() if content is None],
        }
        _write(pending / "change.json", json.dumps(record).encode())
        os.replace(pending, folder / ".commit")
    except BaseException:
        shutil.rmtree(pending, ignore_errors=True)
        raise
    _finish(folder)


def _finish(folder: Path) -> None:
    """Put a decided change in place, discard an undecided one."""
    decided = folder / ".commit"
    record = _record(decided) if decided.is_dir() else None
    shutil.rmtree(folder / ".pending", ignore_errors=True)
    if record is None:
        return
    for name in FILES:
        if (decided / name).exists():
            os.replace(decided / name, folder / name)
        elif name in record["absent"]:
            (folder / name).unlink(missing_ok=True)
    done = _history(folder)
    if record["undoes"] is not None:
        shutil.rmtree(folder / ".history" / record["undoes"], ignore_errors=True)
        os.replace(decided, folder / ".pending")  # killed while deleting, half a decided change would be left
        shutil.rmtree(folder / ".pending")
        return
    (folder / ".history").mkdir(exist_ok=True)
    os.replace(decided, folder / ".history" / f"{int(done[-1].name) + 1 if done else 1:04d}")
    for old in done[: max(0, len(done) + 1 - _KEPT)]:
        shutil.rmtree(old, ignore_errors=True)


def _history(folder: Path) -> list[Path]:
    numbered = [path for path in (folder / ".history").glob("[0-9]*") if path.is_dir() and _NUMBER.fullmatch(path.name)]
    return sorted(numbered, key=lambda path: int(path.name))


def _content(path: Path) -> bytes | None:
    return read_bytes(path, "CSV") if path.exists() else None


def _write(path: Path, content: bytes | None) -> None:
    """Write a file through to the disk; nothing for a file that is to be absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        return
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
