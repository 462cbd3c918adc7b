"""A report in one folder: figures, tables, the page, and the artifacts that every number stands in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from densing.core.errors import InputError
from densing.core.files import atomic_folder
from densing.core.progress import progress_bar
from densing.report.data import ReportData, gather, write_artifacts
from densing.report.figures.compose import all_figures
from densing.report.figures.style import save_all
from densing.report.page.build import write_page
from densing.report.tables import all_tables

MARK = ".densing-report"
"""A file that says a folder is a report, and may be replaced by one."""


def build_report(
    out: Path, frame: str = "densing-law-2025", *, highlight: str | None = None, seed: int = 0
) -> list[Path]:
    """Make every figure, table and the page, and put them in place together.

    Parameters
    ----------
    out : Path
        A new folder, an empty one, or an earlier report, which is replaced when the new one is whole.
    frame : str
        Of the headline.
    highlight : str, optional
        A model of the registry to point out.

    Returns
    -------
    list of Path
        The files, relative to `out`.

    Raises
    ------
    InputError
        If `out` holds something else, or a name is unknown.
    """
    check_replaceable(out)
    data = gather(frame, highlight=highlight, seed=seed)
    with replacing(out) as folder:
        fill(folder, data)
    return sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name != MARK)


def fill(folder: Path, data: ReportData) -> None:
    """Write a report into a folder."""
    data = replace(data, artifacts=write_artifacts(data, folder))
    figures, tables = all_figures(data), all_tables(data)
    with progress_bar("drawing the report", total=len(figures) + len(tables) + 1) as bar:
        for name, draw in figures.items():
            save_all(draw(), folder / "figures" / name)
            bar.advance()
        for table in tables:
            table.write(folder / "tables")
            bar.advance()
        write_page(folder / "index.html", data)
        bar.advance()


def check_replaceable(out: Path) -> None:
    """Refuse a folder that holds something other than a report.

    Raises
    ------
    InputError
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: there is a file of that name; choose another folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise InputError(f"{out}: the folder holds something that is not a report; choose another with --out")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place when the block ends without an error."""
    check_replaceable(out)
    try:
        with atomic_folder(out) as folder:
            yield folder
            (folder / MARK).touch()
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder with --out") from error
