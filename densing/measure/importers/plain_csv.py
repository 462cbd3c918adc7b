"""A plain table of models, benchmarks and scores."""

from __future__ import annotations

import re
from functools import lru_cache

from densing.core.errors import InputError
from densing.core.units import parse_percent
from densing.measure.importers.file import ResultsFile
from densing.measure.importers.values import UNSTATED, Imported, ImportedValue
from densing.models.benchmarks import load_benchmarks

SHOTS = re.compile(r"([0-9]+)(?:\.0+)?(?:[ -]?shots?)?(\s*\(.+\))?", re.IGNORECASE)


def recognises(file: ResultsFile) -> bool:
    """Whether it has a column each for models, benchmarks and scores."""
    return {"model", "benchmark", "score"} <= set(file.columns)


def read(file: ResultsFile) -> Imported:
    """Columns model, benchmark, score (percent), and optionally shots and metric."""
    path, known = file.path, load_benchmarks()
    values = []
    for line, row in enumerate(file.rows, 2):
        benchmark = row["benchmark"].strip().lower()
        column = "score"
        try:
            value, items = parse_percent(row[column])
            column = "shots"
            shots, words = _shots(row.get(column, "").strip())
        except ValueError as error:
            raise InputError(f"{path}, line {line}, column {column}: {error}") from None
        values.append(
            ImportedValue(
                model=row["model"].strip(),
                task=benchmark,
                metric=(row.get("metric") or "score").strip(),
                filter=None,
                value=value,
                is_fraction=False,
                shots=shots,
                shots_in_words=words,
                samples=items,
                benchmark=benchmark if benchmark in known else None,
                departures=(UNSTATED,),
            )
        )
    return Imported(path, "CSV", {}, tuple(values))


@lru_cache
def _shots(cell: str) -> tuple[int | None, str]:
    """The number, and the registry's words where the cell says more than the number, as `3 (CoT)` does."""
    if cell in ("", "-", "not stated"):
        return None, ""
    match = SHOTS.fullmatch(cell)
    if not match:
        raise ValueError(f"{cell!r} is no number of shots; write 5, '5-shot', '3 (CoT)', or nothing")
    return int(match[1]), f"{match[1]} {match[2].strip()}" if match[2] else ""
