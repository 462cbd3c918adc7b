"""`densing run`: the whole chain."""

from __future__ import annotations

from typing import Annotated

import typer

from densing.cli._output import JsonFlag, print_json, table


def run(
    config: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE", help="Name of a pipeline that comes with densing, or the YAML file of your own."
        ),
    ],
    json: JsonFlag = False,
) -> None:
    r"""Train a ladder, measure it, build a frame, score checkpoints and draw the report.

    Interrupted at any point, the same command goes on where it stopped.

    \b
    Example:
      densing run quickstart
    """
    from densing.core.config import find_config, load
    from densing.pipeline import PipelineConfig, checkpoint_table, rows_for_people
    from densing.pipeline import run as run_pipeline

    path = find_config("pipeline", config)
    outcome = run_pipeline(load(path, PipelineConfig), path)
    if json:
        print_json(
            {
                "frame": outcome.frame.describe().to_dict("records"),
                "checkpoints": checkpoint_table(outcome.scored).to_dict("records"),
                "files": [str(path) for path in outcome.files],
            }
        )
        return
    typer.echo(str(outcome.frame))
    header, rows = rows_for_people(outcome.scored)
    typer.echo("\n" + table(rows, header))
    fresh = outcome.scored[0]
    typer.echo(
        f"\nconsistency: a model of the ladder's own recipe has density {fresh.by_loss.text} by loss and "
        f"{fresh.by_score.text} by score, where the method says 1"
    )
    typer.echo("\n".join(str(path) for path in outcome.files))
