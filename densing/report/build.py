"""A report in one folder: figures, tables, the page, and the artifacts that every number stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from densing.core.errors import InputError
from densing.core.files import atomic_folder
from densing.core.progress import progress_bar
from densing.frame.names import RECOMMENDED_FRAME
from densing.report.contents import FIGURES, TABLES, Needs, chosen_parts, made_of
from densing.report.data import ReportData, gather, write_artifacts
from densing.report.figures.style import DOUBLE, FORMATS, save_all
from densing.report.page.build import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from densing.report.tables import Table

MARK = ".densing-report"
"""A file of this name marks a folder as a report, which a newer report may replace."""


def build_report(
    out: Path,
    frame: str = RECOMMENDED_FRAME,
    *,
    highlight: str | None = None,
    only: Sequence[str] = (),
    width: float = DOUBLE,
    formats: Sequence[str] = FORMATS,
    registry: Path | None = None,
    seed: int = 0,
) -> list[Path]:
    """Make every figure, table and the page, and put them in place together; or some figures and tables alone.

    Parameters
    ----------
    out : Path
        A new folder, an empty one, or an earlier report, which is replaced when the new one is whole.
    frame : str
        Name of the headline's reference frame.
    highlight : str, optional
        A model of the registry to point out.
    only : sequence of str
        Names of figures and tables. What else an earlier report in the folder holds stays as it is.
    width : float
        Of the figures, inches.
    formats : sequence of str
        Endings of the figures' files.
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.
    seed : int
        Seed of the intervals.

    Returns
    -------
    list of Path
        The files that were written, relative to `out`.

    Raises
    ------
    InputError
        If `out` holds something else, or a name is unknown.
    """
    check_replaceable(out)
    figures, tables = chosen_parts(only)
    every_frame = any(part.needs is Needs.FRAMES for part in (*figures.values(), *tables.values()))
    data = gather(frame, highlight=highlight, registry=registry, seed=seed, every_frame=every_frame)
    if only:
        made = made_of(figures, data, width=width), made_of(tables, data)
        if not any(made):
            raise InputError(f"there are no data for {', '.join(only)}; a card needs --highlight")
        with writable(out):
            out.mkdir(parents=True, exist_ok=True)
            (out / MARK).touch()  # so that the same command may add to it, also after a kill
            return _write(out, *made, formats=formats)
    with replacing(out) as folder:
        fill(folder, data, width=width, formats=formats)
    return sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name != MARK)


def fill(folder: Path, data: ReportData, *, width: float = DOUBLE, formats: Sequence[str] = FORMATS) -> None:
    """Write every artifact, figure and table of a report, and its page, into a folder."""
    data = replace(data, artifacts=write_artifacts(data, folder))
    _write(folder, made_of(FIGURES, data, width=width), made_of(TABLES, data), formats=formats)
    write_page(folder / "index.html", data)


def _write(
    folder: Path,
    figures: Mapping[str, Callable[[], Figure]],
    tables: Mapping[str, Callable[[], Table]],
    *,
    formats: Sequence[str],
) -> list[Path]:
    """Draw and tabulate, and return the files that were written, relative to the folder."""
    written = []
    with progress_bar("drawing the report", total=len(figures) + len(tables)) as bar:
        for name, draw in figures.items():
            written += save_all(draw(), folder / "figures" / name, formats)
            bar.advance()
        for name, tabulate in tables.items():
            written += tabulate().write(folder / "tables", name)
            bar.advance()
    return [path.relative_to(folder) for path in written]


def check_replaceable(out: Path) -> None:
    """Refuse a folder that holds something other than a report, and a file.

    Raises
    ------
    InputError
        If the report may not be put there.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: there is a file of that name; choose another folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise InputError(f"{out}: the folder holds something that is not a report; choose another with --out")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Make a new folder beside `out`, which takes its place when the block ends without an error."""
    check_replaceable(out)
    with writable(out), atomic_folder(out) as folder:
        yield folder
        (folder / MARK).touch()


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Say which folder it is that cannot be written to, if it cannot."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder with --out") from error
