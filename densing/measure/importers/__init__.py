"""Results of other evaluations: lm-evaluation-harness, lighteval, OpenCompass, and plain CSV.

Every value of a file is imported as it stands there, with the settings the file states. Values of benchmarks
that densing knows carry their name; the others are kept and listed, not dropped.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from densing.core.errors import InputError
from densing.measure.importers.harnesses import read_lighteval, read_lm_eval
from densing.measure.importers.tables import read_opencompass, read_plain_csv
from densing.measure.importers.values import Imported, ImportedValue

__all__ = ["Imported", "ImportedValue", "read_results"]


def read_results(path: Path) -> Imported:
    """Read a results file, whichever of the known formats it is in.

    Raises
    ------
    InputError
        If it is missing, broken, in none of the formats, has no value, or a score that is out of range.
    """
    if path.is_dir():
        found = sorted(path.glob("**/results*.json"))
        if len(found) != 1:
            raise InputError(f"{path}: {len(found)} results*.json files in this folder; name the one to import")
        path = found[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    imported = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    if not imported.values:
        raise InputError(f"{path}: there is no value in it, of no task and for no model; nothing to import")
    for value in imported.values:
        highest = 1 if value.is_fraction else 100
        if value.is_fraction is not None and not (math.isfinite(value.value) and 0 <= value.value <= highest):
            raise InputError(
                f"{path}: {value.task}, {value.metric} = {value.value:g}: this score must lie between 0 and {highest}"
            )
    return imported


def _read_json(path: Path) -> Imported:
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as JSON, truncated perhaps ({error})") from error
    if not isinstance(data, dict) or not isinstance(data.get("results"), dict):
        raise InputError(f"{path}: no 'results'; known are results of lm-eval, lighteval, OpenCompass (CSV), and CSV")
    return read_lighteval(path, data) if "config_general" in data else read_lm_eval(path, data)


def _read_csv(path: Path) -> Imported:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames = [column.strip() for column in reader.fieldnames or []]
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not readable as CSV ({error})") from error
    if columns[:4] == ["dataset", "version", "metric", "mode"]:
        return read_opencompass(path, rows, columns[4:])
    if {"model", "benchmark", "score"} <= set(columns):
        return read_plain_csv(path, rows)
    raise InputError(
        f"{path}: neither an OpenCompass summary (dataset,version,metric,mode,MODEL...) nor a table with the columns "
        f"model, benchmark, score; its columns are {', '.join(columns) or 'none'}"
    )
