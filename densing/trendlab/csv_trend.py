"""Any exponential in time, read from a CSV file: a date, a value, and optionally a name and a group."""

from __future__ import annotations

import csv
import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from densing.errors import InputError

_FEWEST = 3
_FEWEST_DATES = 2


@dataclass(frozen=True)
class Series:
    """Values over time.

    Attributes
    ----------
    names, groups : tuple of str
        The line's number where the file has no name; the name where it has no group.
    dates : array of datetime64[D], shape (M,)
    values : array, shape (M,)
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    dates: NDArray[np.datetime64]
    values: NDArray[np.float64]


def read_series(
    path: Path, *, date: str = "date", value: str = "value", name: str = "name", group: str = "group", only: str = ""
) -> Series:
    """Read a CSV file with a header.

    Parameters
    ----------
    path : Path
    date, value, name, group : str
        Its columns. The last two need not be there.
    only : str
        ``column=text`` keeps the rows that have that text there.

    Raises
    ------
    InputError
        If a column is missing, a date is none or can be read in two ways, a value is not a positive number, a
        name occurs twice, or fewer than three rows on at least two dates are left. The message names the line.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    column, _, wanted = only.partition("=")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        for needed in (date, value, *([column] if column else [])):
            if needed not in header:
                raise InputError(f"{path}: no column {needed!r}; it has {', '.join(header) or 'no header'}")
        rows = [(reader.line_num, row) for row in reader if not column or (row[column] or "").strip() == wanted]
    names: list[str] = []
    dates: list[dt.date] = []
    values: list[float] = []
    for line, row in rows:
        where = f"{path}, line {line}"
        names.append((row.get(name) or f"line {line}").strip())
        if names[-1] in names[:-1]:
            raise InputError(f"{where}: {names[-1]!r} occurs twice; give each row a name of its own")
        dates.append(_date(row[date], where))
        values.append(_value(row[value], value, where))
    if len(rows) < _FEWEST:
        raise InputError(f"{path}: {len(rows)} rows{f' with {only}' if only else ''}; a trend needs at least {_FEWEST}")
    if len(set(dates)) < _FEWEST_DATES:
        raise InputError(f"{path}: all rows have one date, {dates[0]}; a trend needs at least two")
    groups = [(row.get(group) or own).strip() for (_, row), own in zip(rows, names, strict=True)]
    return Series(tuple(names), tuple(groups), np.array(dates, dtype="datetime64[D]"), np.array(values))


def doubling_days(dates: NDArray[np.datetime64], values: NDArray[np.float64]) -> float:
    """Doubling time of the least-squares line through ln(values), days; negative where they fall."""
    slope = np.polyfit((dates - dates.min()).astype(float), np.log(values), 1)[0]
    return float(np.log(2) / slope)


def _date(text: str | None, where: str) -> dt.date:
    given = (text or "").strip()
    if re.fullmatch(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}", given):
        raise InputError(f"{where}: the date {given} can be read in two ways; write year-month-day, as in 2024-02-01")
    try:
        return dt.date.fromisoformat(given)
    except ValueError:
        raise InputError(f"{where}: {given!r} is not a date; write year-month-day, as in 2024-02-01") from None


def _value(text: str | None, column: str, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        raise InputError(f"{where}: {column}={text!r} is not a number") from None
    if not 0 < value < np.inf:
        raise InputError(f"{where}: {column}={value:g} is not positive, so it has no place on an exponential")
    return value
