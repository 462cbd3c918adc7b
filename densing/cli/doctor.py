"""`densing doctor`: is what this machine computes right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import DensingError


def doctor(
    parity: Annotated[
        str | None, typer.Option(help="Compare the engines on this model: a folder or a hub name.")
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(help="Items to compare on, as for the suite jsonl; some that come along if not given."),
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="How many items.")] = 50,
    json: JsonFlag = False,
) -> None:
    r"""Show what is installed and, with --parity, how far the engines' log-probabilities are apart.

    \b
    Examples:
      densing doctor
      densing doctor --parity ./checkpoint
    """
    from densing.measure.engines.parity import compare, installed

    versions = installed()
    if parity is None:
        print_json(versions) if json else typer.echo(
            "\n".join(f"{n}: {v or 'not installed'}" for n, v in versions.items())
        )
        return
    report = compare(parity, items=items, documents=documents)
    if json:
        print_json(report.to_dict())
    else:
        for name, reason in report.absent.items():
            typer.echo(f"{name}: {reason}", err=True)
        header = ["item", "tokens", *report.names, "largest difference (nats/token)"]
        typer.echo(table(report.rows(), header))
        typer.echo(f"largest difference of {report.items} items: {report.largest:.2e} nats per token")
    if not report.agrees:
        raise DensingError(f"the engines differ by {report.largest:.2e} nats per token, more than {report.tolerance:g}")
