"""The CSV summary of OpenCompass."""

from __future__ import annotations

import re

from densing.core.errors import InputError
from densing.core.units import parse_percent
from densing.measure.importers.file import ResultsFile
from densing.measure.importers.values import UNSTATED, Imported, ImportedValue, name_benchmarks

HEADING = ["dataset", "version", "metric", "mode"]
COUNT_COLUMN = re.compile(
    r"(?:(?:total|num|n|correct|sample|item|example|question)[_ ])?"
    r"(?:counts?|totals?|samples?|items?|examples?|questions?|correct)",
    re.IGNORECASE,
)
"""Columns beside the models that count items, such as the `total_count` of newer OpenCompass summaries."""

NO_SHARE = re.compile(r".*(?:ppl|perplexity|bpb|bpc|loss).*", re.IGNORECASE)


def recognises(file: ResultsFile) -> bool:
    """Whether its first columns are those of a summary."""
    return file.columns[: len(HEADING)] == HEADING


def read(file: ResultsFile) -> Imported:
    """`summary_*.csv`: a row per dataset, a column per model, percent; "-" where there is none."""
    path, columns = file.path, file.columns[len(HEADING) :]
    counts = [column for column in columns if COUNT_COLUMN.fullmatch(column)]
    models = [column for column in columns if column not in counts]
    if not models:
        raise InputError(
            f"{path}: it has no column of a model; beside the dataset there are {', '.join(columns) or 'none'}"
        )
    totals = [column for column in counts if "correct" not in column.lower()]
    values = []
    for line, row in enumerate(file.rows, 2):
        dataset, metric, mode, version = (row[key].strip() for key in ("dataset", "metric", "mode", "version"))
        for model in models:
            cell = row[model].strip()
            if cell in ("", "-"):  # not run, or a heading
                continue
            is_share = not NO_SHARE.fullmatch(metric)
            try:
                value, items = parse_percent(cell) if is_share else (_number(cell), None)
            except ValueError as error:
                raise InputError(f"{path}, line {line}, column {model}: {error}") from None
            for column in totals if items is None else ():
                items = _count(row[column].strip(), f"{path}, line {line}, column {column}")
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


def _count(cell: str, where: str) -> int | None:
    if cell in ("", "-"):
        return None
    if not (cell.isascii() and cell.isdigit()):
        raise InputError(f"{where}: {cell!r} is no number of items; write a whole number, or nothing")
    return int(cell)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{cell!r} is not a number") from None
