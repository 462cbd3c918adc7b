"""Any exponential in time, read from a CSV file: a date, a value, and optionally a name and a group."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from densing.core.errors import InputError, unknown
from densing.core.files import parse_csv
from densing.core.units import YEARS, day_of
from densing.density.sets import DensitySet

COLUMNS = ("date", "value", "name", "group")


def read_series(path: Path, columns: Mapping[str, str] | None = None) -> tuple[DensitySet, list[str]]:
    """Read a CSV file with a header as a set that a trend can be fitted to, and the groups of its rows.

    Parameters
    ----------
    path : Path
    columns : mapping, optional
        What the file calls its date, value, name and group, where it does not call them that. A file need not have
        the last two: a row is then named by its line, and is a group of its own.

    Raises
    ------
    InputError
        If a column is missing, a date is none or can be read in two ways, a value is not a positive number, a name
        occurs twice, or all rows have one date. The message names the line.
    """
    called = dict(columns or {})
    if wrong := [key for key in called if key not in COLUMNS]:
        raise unknown("column", wrong[0], COLUMNS)
    date, value, name, group = (called.get(key, key) for key in COLUMNS)
    rows = parse_csv(path, [date, value, *(called[key] for key in ("name", "group") if key in called)])
    names: dict[str, int] = {}
    for line, row in enumerate(rows, 2):
        own = row.get(name, "").strip() or f"line {line}"
        if names.setdefault(own, line) != line:
            raise InputError(f"{path}, line {line}: {own!r} occurs twice; give each row a name of its own")
    dates = [_date(row[date], f"{path}, line {line}") for line, row in enumerate(rows, 2)]
    values = [_value(row[value], value, f"{path}, line {line}") for line, row in enumerate(rows, 2)]
    if len(set(dates)) < 2:
        told = f"all rows have one date, {dates[0]}" if dates else "it has no rows"
        raise InputError(f"{path}: {told}; a trend needs several")
    groups = [row.get(group, "").strip() or own for row, own in zip(rows, names, strict=True)]
    series = DensitySet(
        path.stem, f"{value} of {path.name}", tuple(names), np.array(dates, dtype="datetime64[D]"), np.array(values)
    )
    return series, groups


def _date(text: str, where: str) -> dt.date:
    given = text.strip()
    if re.fullmatch(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}", given):
        raise InputError(f"{where}: the date {given} can be read in two ways; write year-month-day, as in 2024-02-01")
    try:
        return day_of(given)
    except ValueError:
        raise InputError(
            f"{where}: {given!r} is not a date from {YEARS[0]} to {YEARS[1]}; write year-month-day, as in 2024-02-01"
        ) from None


def _value(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where}: {column}={text!r} is not a number") from None
    if not 0 < value < np.inf:
        raise InputError(
            f"{where}: {column}={value:g} is not positive and finite, so it has no place on an exponential"
        )
    return value
