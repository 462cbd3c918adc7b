"""`densing report` writes figures, tables and the page."""

from __future__ import annotations

from enum import Enum
from inspect import getdoc
from pathlib import Path
from typing import Annotated

import typer

from densing.cli._options import RegistryFolder
from densing.cli._output import JsonFlag, print_json
from densing.frame.names import RECOMMENDED_FRAME
from densing.report.contents import FIGURES, TABLES


class Width(str, Enum):
    """How wide figures are."""

    SINGLE = "single"
    DOUBLE = "double"


def report(
    out: Annotated[
        Path, typer.Option(help="Folder that the report is written to; an earlier report in it is replaced.")
    ] = Path("report"),
    frame: Annotated[
        str, typer.Option(help="Reference frame that the headline is read in; `densing frames list` names them.")
    ] = RECOMMENDED_FRAME,
    highlight: Annotated[
        str | None, typer.Option(help="A model of the registry to point out in the figures and on the page.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Make this figure or table alone, a name from the lists below; give it again for more."),
    ] = None,
    width: Annotated[
        Width, typer.Option(help="Width of the figures: one column of a journal, 3.5 inches, or two, 7.2 inches.")
    ] = Width.DOUBLE,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the figures, separated by commas: pdf, svg, png.")
    ] = "pdf,png",
    registry: RegistryFolder = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws that the intervals are made from.")] = 0,
    json: JsonFlag = False,
) -> None:
    r"""Make every figure, every table and the page from the registry and the published data.

    \b
    Examples:
      densing report
      densing report --highlight Qwen2.5-7B --out my-report
      densing report --only density --width single --format pdf --highlight Qwen2.5-7B
    """
    from densing.core.errors import unknown
    from densing.report.build import build_report
    from densing.report.figures.style import DOUBLE, FORMATS, SINGLE

    chosen = [ending for ending in (part.strip() for part in formats.split(",")) if ending]
    for ending in chosen or [""]:
        if ending not in FORMATS:
            raise unknown("format", ending, FORMATS)
    files = build_report(
        out,
        frame,
        highlight=highlight,
        registry=registry,
        only=only or (),
        width=SINGLE if width is Width.SINGLE else DOUBLE,
        formats=chosen,
        seed=seed,
    )
    if json:
        print_json({"folder": str(out), "files": [str(path) for path in files]})
        return
    if only:
        typer.echo("\n".join(str(out / path) for path in files))
        return
    typer.echo(f"The report of {len(files)} files is in {out}; open {out / 'index.html'} to read it.")


def _listed() -> str:
    """Return the figures and the tables of a report, for its help."""
    lines = []
    for title, parts in (("Figures:", FIGURES), ("Tables:", TABLES)):
        lines += ["", "\\b", title, *(f"  {name:<21} {part.shows}" for name, part in parts.items())]
    return "\n".join(lines)


report.__doc__ = f"{getdoc(report)}\n{_listed()}"
