"""`densing measure`: a checkpoint on a suite; `densing lm-eval`: lm-eval with densing's engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densing.cli import _engine_options
from densing.cli._output import JsonFlag, print_json, table
from densing.core.text import printable
from densing.measure.engines.table import DEFAULT

if TYPE_CHECKING:
    from densing.measure.engines.settings import EngineSettings

OUT = Path("results") / "measurements"


@_engine_options.with_engine_options
def measure(
    model: Annotated[
        str, typer.Argument(help="The model: a local folder, such as a ladder's checkpoint, or a name on the hub.")
    ],
    suite: Annotated[
        str, typer.Option(help="What to measure on: a suite from `densing suites list`, or a suite's YAML file.")
    ],
    documents: Annotated[
        str | None, typer.Option(help="The file, folder or hub name that the suite is made from, if it needs one.")
    ] = None,
    engine: _engine_options.EngineName = DEFAULT,
    out: Annotated[Path, typer.Option(help="Folder in which all measurements are kept.")] = OUT,
    limit: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Ask only so many items of each task, the first ones.")
    ] = (None),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again, whatever measurement or answers are kept.")
    ] = False,
    data_root: _engine_options.DataRoot = None,
    json: JsonFlag = False,
    *,
    settings: EngineSettings,
) -> None:
    r"""Measure the conditional loss and the score of a model on a suite.

    The measurement is written below --out. If the command is interrupted, the same command goes on from there.

    \b
    Examples:
      densing measure reference_models/quickstart/q3/1854464 --suite local \
        --documents reference_models/quickstart/corpus/held_out.jsonl
      densing measure meta-llama/Llama-3.2-1B --suite densing-law --engine vllm --run-unsafe-code
      densing measure ./checkpoint --suite jsonl --documents my_items.jsonl --option tensor_parallel_size=2
    """
    from densing.measure.run import measure as run
    from densing.measure.suites import load_suite

    measurement = run(
        model,
        load_suite(suite, documents=documents, data_root=data_root),
        engine=engine,
        out=out,
        limit=limit,
        fresh=fresh,
        settings=settings,
    )
    if json:
        print_json(
            {
                "model": measurement.model,
                "suite": measurement.suite,
                "engine": measurement.engine,
                "folder": str(measurement.folder),
                "tasks": measurement.to_frame().drop(columns="model").to_dict("records"),
                "settings": measurement.settings,
            }
        )
        return
    header = ["task", "loss (nats/token)", "bits/byte", "score", "chance", "items", "tokens"]
    rows = [
        [
            t.task,
            _cell(t.conditional_loss, ".4f"),
            _cell(t.bits_per_byte, ".4f"),
            _cell(t.score, ".2f"),
            _cell(t.chance, "g"),
            str(t.items or t.score_items),
            str(t.tokens or ""),
        ]
        for t in measurement.tasks.values()
    ]
    typer.echo(f"{measurement.model} on {measurement.suite}, {measurement.engine} engine")
    typer.echo(table(rows, header))
    truncated = sum(len(t.settings.get("truncated", [])) for t in measurement.tasks.values())
    if truncated:
        typer.echo(f"{truncated} items were longer than the context and cut", err=True)
    typer.echo(printable(f"written to {measurement.folder}"), err=True)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def lm_eval(context: typer.Context) -> None:
    r"""Run lm-eval itself, with densing's engines among its models.

    Releases of lm-eval up to 0.4.13 find no models outside their own package, so that `lm_eval --model
    densing-torch` needs a later one; this works with all of them.

    \b
    Example:
      densing lm-eval --model densing-torch --model_args pretrained=./checkpoint --tasks hellaswag
    """
    import sys

    from lm_eval.__main__ import cli_evaluate

    from densing.measure.engines.lm_eval_models import register

    register()
    sys.argv = ["lm-eval", *context.args]
    cli_evaluate()
