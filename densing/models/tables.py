"""The registry's CSV tables: read with every row's line, written without losing a column.

A table keeps its cells as text, so that a row which nobody changed is written back as it was read, columns that densing
does not know included.
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from densing.core.config import Config, validate
from densing.core.errors import InputError
from densing.core.files import read_bytes
from densing.core.text import harmless

Entry = TypeVar("Entry", bound=Config)
_LONGEST_CELL = 20_000
"""Characters; a longer cell is a quote that was never closed."""
csv.field_size_limit(10 * _LONGEST_CELL)


@dataclass
class Table:
    """Rows of a CSV file.

    Attributes
    ----------
    path : Path
        The file they were read from, for messages.
    columns : list of str
        In the file's own order.
    rows : list of dict
        Cells as text, by column.
    lines : list of int
        Line of the file that each row ends on.
    texts : list of str
        The rows as they were read, for writing those back that nobody changed; empty for a new row.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def entries(self, kind: type[Entry]) -> list[Entry]:
        """The rows as validated entries.

        Raises
        ------
        InputError
            Names the file, the line, the column and what is allowed there.
        """
        fields = set(kind.model_fields)  # which pydantic looks up anew each time
        return [
            validate(
                {key: value.removeprefix("'") for key, value in row.items() if value and key in fields},
                kind,
                f"{self.path}, line {line}",
            )
            for row, line in zip(self.rows, self.lines, strict=True)
        ]

    def append(self, entry: Config) -> None:
        """Add an entry as the last row."""
        self.rows.append(self._cells(entry))
        self.lines.append((self.lines[-1] if self.lines else 1) + 1)
        self.texts.append("")

    def replace(self, row: int, entry: Config) -> None:
        """Change a row into an entry; cells of columns that the entry does not know stay."""
        self.rows[row] = {**self.rows[row], **self._cells(entry)}
        self.texts[row] = ""

    def _cells(self, entry: Config) -> dict[str, str]:
        """The entry as text; columns that it needs and the table lacks are added at the table's end."""
        cells = {key: _cell(value) for key, value in entry.model_dump(mode="json").items()}
        told = entry.model_dump(mode="json", exclude_defaults=True)
        if new := [key for key in cells if key not in self.columns and key in told]:
            self.columns += new
            self.texts = [""] * len(self.texts)
        return {key: cell for key, cell in cells.items() if key in self.columns}

    def remove(self, keep: list[bool]) -> None:
        """Drop the rows that are not kept."""
        self.rows = [row for row, stays in zip(self.rows, keep, strict=True) if stays]
        self.lines = [line for line, stays in zip(self.lines, keep, strict=True) if stays]
        self.texts = [text for text, stays in zip(self.texts, keep, strict=True) if stays]

    def to_text(self) -> str:
        """The table as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n", restval="")
        writer.writeheader()
        for row, unchanged in zip(self.rows, self.texts, strict=True):
            text.write(unchanged) if unchanged else writer.writerow(row)
        return text.getvalue()


def read_table(path: Path, kind: type[Config]) -> Table:
    """Read a CSV file of entries; an absent file is an empty table with the entry's columns.

    Raises
    ------
    InputError
        If the file is not text in UTF-8, lacks a column that every entry needs, or has a row of another length.
    """
    if not path.exists():
        return Table(path, list(kind.model_fields))
    if not path.is_file():
        raise InputError(f"{path}: this is not a file; the registry is two CSV files, models.csv and scores.csv")
    content = read_bytes(path, "CSV")
    try:
        content = content.removeprefix(codecs.BOM_UTF8)  # Excel begins a file with it
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not text in UTF-8; save the file as CSV in UTF-8") from error
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, strict=True)
    table, start = Table(path), 0
    try:
        for cells in reader:
            start, first = reader.line_num, start
            if not cells:
                continue
            if long := next((cell for cell in cells if len(cell) > _LONGEST_CELL), None):
                raise InputError(
                    f"{path}, line {reader.line_num}: a cell of {len(long):,} characters; is a quotation mark unclosed?"
                )
            if not table.columns:
                table.columns = _checked_columns(path, [cell.strip() for cell in cells], kind)
                continue
            if len(cells) != len(table.columns):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {len(table.columns)}"
                )
            table.rows.append(dict(zip(table.columns, cells, strict=True)))
            table.lines.append(reader.line_num)
            table.texts.append("".join(lines[first:start]).rstrip("\r\n") + "\n")
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from error
    if not table.columns:
        raise InputError(f"{path}: the file is empty; its first line names the columns {', '.join(kind.model_fields)}")
    return table


def _checked_columns(path: Path, columns: list[str], kind: type[Config]) -> list[str]:
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    if missing := [name for name in required if name not in columns]:
        raise InputError(f"{path}: no column {', '.join(missing)}; the header has {', '.join(columns)[:300]}")
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise InputError(f"{path}: the column {repeated[0]} stands twice in the header; keep one of them")
    return columns


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(harmless(value))
