"""CSV results: OpenCompass's summary, and a plain table of models, benchmarks and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from densing.core.errors import InputError
from densing.measure.importers.values import KNOWN, Imported, ImportedValue, name_benchmarks


def read_opencompass(path: Path, rows: Sequence[Mapping[str, str]], models: Sequence[str]) -> Imported:
    """`summary_*.csv`: a row per dataset, a column per model, percent; "-" where there is none."""
    values = []
    for number, row in enumerate(rows, 2):
        dataset = row["dataset"].strip()
        for model in models:
            cell = (row.get(model) or "").strip()
            if cell in ("", "-"):  # not run, or a heading
                continue
            values.append(
                ImportedValue(
                    model=model,
                    task=dataset,
                    metric=row["metric"].strip(),
                    filter=row["mode"].strip() or None,
                    value=_number(path, number, model, cell),
                    is_fraction=False,
                    note=f"version {row['version'].strip()}",
                )
            )
    return Imported(path, "OpenCompass", {"models": list(models)}, name_benchmarks(values))


def read_plain_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> Imported:
    """Columns model, benchmark, score (percent), and optionally shots and metric."""
    values = []
    for number, row in enumerate(rows, 2):
        benchmark = (row["benchmark"] or "").strip().lower()
        shots = (row.get("shots") or "").strip()
        values.append(
            ImportedValue(
                model=(row["model"] or "").strip(),
                task=benchmark,
                metric=(row.get("metric") or "score").strip(),
                filter=None,
                value=_number(path, number, "score", row["score"] or ""),
                is_fraction=False,
                shots=int(shots) if shots.isdigit() else None,
                benchmark=benchmark if benchmark in KNOWN else None,
            )
        )
    if values and max(value.value for value in values) <= 1:
        raise InputError(f"{path}: every score is 1 or less, so they look like fractions; give percent")
    return Imported(path, "CSV", {}, tuple(values))


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise InputError(f"{path}, line {line}, column {column}: {cell!r} is not a number") from error
