"""A report in one folder: figures, tables, the page, and the artifacts that every number stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from densing.core.errors import InputError
from densing.core.files import atomic_folder
from densing.core.progress import Bar, progress_bars
from densing.frame.names import RECOMMENDED_FRAME
from densing.report.beside import beside
from densing.report.contents import FIGURES, TABLES, Needs, Part, chosen_parts, made_of
from densing.report.data import SETS, ReportData, gather, write_artifacts
from densing.report.figures.style import DOUBLE, USUAL_FORMATS, save_all
from densing.report.page.build import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = ".densing-report"
"""A file of this name marks a folder as a report, which a newer report may replace."""


def build_report(
    out: Path,
    frame: str = RECOMMENDED_FRAME,
    *,
    highlight: str | None = None,
    only: Sequence[str] = (),
    width: float = DOUBLE,
    formats: Sequence[str] = USUAL_FORMATS,
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
    if not only:
        with replacing(out) as folder:
            fill(folder, data, width=width, formats=formats)
        return sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name != MARK)
    with writable(out):
        written = _write(out, data, figures, tables, width=width, formats=formats)
        if written:
            (out / MARK).touch()
    if not written:
        raise InputError(f"there are no data for {', '.join(only)}; a card needs --highlight")
    return written


def fill(folder: Path, data: ReportData, *, width: float = DOUBLE, formats: Sequence[str] = USUAL_FORMATS) -> None:
    """Write every artifact, figure and table of a report, and its page, into a folder."""
    _write(folder, data, FIGURES, TABLES, width=width, formats=formats, whole=True)


def _write(
    folder: Path,
    data: ReportData,
    figures: Mapping[str, Part],
    tables: Mapping[str, Part],
    *,
    width: float,
    formats: Sequence[str],
    whole: bool = False,
) -> list[Path]:
    """Draw and tabulate, with artifacts and page for a whole report; return the files of figures and tables.

    What needs no densities is drawn while they are computed, and one set's figures beside the other's. What a table
    shows too is drawn where the table is made, so that it is computed once.
    """
    apart = {name: part for name, part in figures.items() if not part.needs.densities and name not in tables}
    early = made_of(apart, data, width=width)
    with progress_bars() as add:
        with beside(partial(_draw, early, folder, formats)) if early else nullcontext():
            if whole:
                data = replace(data, artifacts=write_artifacts(data, folder))
            drawn = made_of({name: part for name, part in figures.items() if name not in apart}, data, width=width)
            tabulated = made_of(tables, data)
            bar = add("drawing the report", len(early) + len(drawn) + len(tabulated))
            second = {name: draw for name, draw in drawn.items() if name.endswith(f"_{SETS[-1]}")}
            with beside(partial(_draw, second, folder, formats)) if second else nullcontext():
                _draw({name: draw for name, draw in drawn.items() if name not in second}, folder, formats, bar)
                written = []
                for name, tabulate in tabulated.items():
                    written += tabulate().write(folder / "tables", name)
                    bar.advance()
                if whole:
                    write_page(folder / "index.html", data)
            bar.advance(len(second))
        bar.advance(len(early))
    named = [folder / "figures" / f"{name}.{kind}" for name in (*early, *drawn) for kind in formats]
    return [path.relative_to(folder) for path in (*named, *written)]


def _draw(
    figures: Mapping[str, Callable[[], Figure]], folder: Path, formats: Sequence[str], bar: Bar | None = None
) -> None:
    for name, draw in figures.items():
        save_all(draw(), folder / "figures" / name, formats)
        if bar is not None:
            bar.advance()


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
