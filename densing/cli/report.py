"""`densing report`: figures, tables, the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from densing.cli._output import JsonFlag, print_json


def report(
    out: Annotated[Path, typer.Option(help="Folder of the report; an earlier report in it is replaced.")] = Path(
        "report"
    ),
    frame: Annotated[str, typer.Option(help="Reference frame of the headline.")] = "densing-law-2025",
    highlight: Annotated[str | None, typer.Option(help="A model of the registry to point out.")] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
    json: JsonFlag = False,
) -> None:
    r"""Make every figure, table and the page from the registry and the published data.

    \b
    Examples:
      densing report
      densing report --highlight Qwen2.5-7B --out my-report
    """
    from densing.report.build import build_report

    files = build_report(out, frame, highlight=highlight, seed=seed)
    if json:
        print_json({"folder": str(out), "files": [str(path) for path in files]})
        return
    typer.echo(f"{len(files)} files in {out}; open {out / 'index.html'}")
