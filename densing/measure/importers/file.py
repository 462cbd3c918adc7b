"""A results file, parsed once for all the importers that are asked whether they know it."""

from __future__ import annotations

import csv
import io
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from densing.core.errors import InputError, listed
from densing.core.files import parse_json, read_text, reading
from densing.measure.importers.values import Imported


class ResultsFile:
    """A file to be imported.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    problem : str or None
        Why it could not be parsed as what its name says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None

    @cached_property
    def json(self) -> Any:
        """The data in it, whatever its name ends in but .csv; None if it is not JSON."""
        if self._is_csv:
            return None
        try:
            return parse_json(self.path)
        except InputError as error:
            self.problem = str(error)
            return None

    @property
    def columns(self) -> list[str]:
        """The columns of a .csv file; none if it is no CSV."""
        return self._table[0]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of a .csv file, each by its columns' names; none if it is no CSV."""
        return self._table[1]

    @cached_property
    def _table(self) -> tuple[list[str], list[dict[str, str]]]:
        if not self._is_csv:
            return [], []
        try:
            text = read_text(self.path, "CSV")
            with reading(self.path, "CSV"):
                reader = csv.reader(io.StringIO(text, newline=""))
                columns = [column.strip() for column in next(reader, [])]
                absent = [""] * len(columns)
                return columns, [dict(zip(columns, row + absent[len(row) :], strict=False)) for row in reader if row]
        except InputError as error:
            self.problem = str(error)
            return [], []

    @property
    def _is_csv(self) -> bool:
        return self.path.suffix.lower() == ".csv"

    def describe(self) -> str:
        """What is in it, for a person whose file no importer knows."""
        if self._is_csv:
            return f"its columns are {listed(self.columns) or 'none'}"
        if isinstance(self.json, dict):
            return f"it is JSON with the keys {listed(map(str, self.json)) or 'none'}"
        return "it is JSON without keys"


class Importer(Protocol):
    """What the home of an importer must have; a module with these two functions will do."""

    def recognises(self, file: ResultsFile) -> bool:
        """Whether the file is in the form that this importer reads."""

    def read(self, file: ResultsFile) -> Imported:
        """Every value of the file, as it stands there."""
