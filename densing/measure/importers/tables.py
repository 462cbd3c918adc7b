"""CSV results: OpenCompass's summary, and a plain table of models, benchmarks and scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from densing.core.errors import InputError
from densing.core.units import parse_percent
from densing.measure.importers.values import Imported, ImportedValue, name_benchmarks
from densing.models.benchmarks import load_benchmarks

COUNT_COLUMN = re.compile(
    r"(?:(?:total|num|n|correct|sample|item|example|question)[_ ])?"
    r"(?:counts?|totals?|samples?|items?|examples?|questions?|correct)",
    re.IGNORECASE,
)
"""Columns beside the models that count items, such as the `total_count` of newer OpenCompass summaries."""

NO_SHARE = re.compile(r".*(?:ppl|perplexity|bpb|bpc|loss).*", re.IGNORECASE)
SHOTS = re.compile(r"([0-9]+)(?:\.0+)?(?:[ -]?shots?)?(\s*\(.+\))?", re.IGNORECASE)
UNSTATED = "the file does not state a limit of items or a chat template"


def read_opencompass(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Imported:
    """`summary_*.csv`: a row per dataset, a column per model, percent; "-" where there is none."""
    counts = [column for column in columns if COUNT_COLUMN.fullmatch(column)]
    models = [column for column in columns if column not in counts]
    if not models:
        raise InputError(f"{path}: no column of a model; beside the dataset there are {', '.join(columns) or 'none'}")
    totals = [column for column in counts if "correct" not in column.lower()]
    values = []
    for line, row in enumerate(rows, 2):
        dataset, metric, mode, version = ((row[key] or "").strip() for key in ("dataset", "metric", "mode", "version"))
        for model in models:
            cell = (row[model] or "").strip()
            if cell in ("", "-"):  # not run, or a heading
                continue
            where = f"{path}, line {line}, column {model}"
            is_share = not NO_SHARE.fullmatch(metric)
            value, items = parse_percent(cell, where) if is_share else (_number(cell, where), None)
            for column in totals if items is None else ():
                items = _count((row[column] or "").strip(), f"{path}, line {line}, column {column}")
            values.append(
                ImportedValue(
                    model=model,
                    task=dataset,
                    metric=metric,
                    filter=mode or None,
                    value=value,
                    is_fraction=False if is_share else None,
                    samples=items,
                    note=f"version {version}",
                    departures=(UNSTATED,),
                )
            )
    return Imported(path, "OpenCompass", {"models": models}, name_benchmarks(values))


def read_plain_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> Imported:
    """Columns model, benchmark, score (percent), and optionally shots and metric."""
    values = []
    for line, row in enumerate(rows, 2):
        benchmark = (row["benchmark"] or "").strip().lower()
        shots, words = _shots((row.get("shots") or "").strip(), f"{path}, line {line}, column shots")
        value, items = parse_percent(row["score"] or "", f"{path}, line {line}, column score")
        values.append(
            ImportedValue(
                model=(row["model"] or "").strip(),
                task=benchmark,
                metric=(row.get("metric") or "score").strip(),
                filter=None,
                value=value,
                is_fraction=False,
                shots=shots,
                shots_in_words=words,
                samples=items,
                benchmark=benchmark if benchmark in load_benchmarks() else None,
                departures=(UNSTATED,),
            )
        )
    return Imported(path, "CSV", {}, tuple(values))


def _shots(cell: str, where: str) -> tuple[int | None, str]:
    """The number, and the registry's words where the cell says more than the number, as `3 (CoT)` does."""
    if cell in ("", "-", "not stated"):
        return None, ""
    match = SHOTS.fullmatch(cell)
    if not match:
        raise InputError(f"{where}: {cell!r} is no number of shots; write 5, '5-shot', '3 (CoT)', or nothing")
    return int(match[1]), f"{match[1]} {match[2].strip()}" if match[2] else ""


def _count(cell: str, where: str) -> int | None:
    if cell in ("", "-"):
        return None
    if not cell.isdigit():
        raise InputError(f"{where}: {cell!r} is no number of items")
    return int(cell)


def _number(cell: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise InputError(f"{where}: {cell!r} is not a number") from error
