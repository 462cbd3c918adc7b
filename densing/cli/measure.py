"""`densing measure`: a checkpoint on a suite; `densing lm-eval`: lm-eval with densing's engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError

OUT = Path("results") / "measurements"


def measure(
    model: Annotated[str, typer.Argument(help="A local folder (a ladder's rung is one), or a hub name.")],
    suite: Annotated[str, typer.Option(help="A suite from `densing suites list`, or a YAML file.")],
    documents: Annotated[
        str | None, typer.Option(help="File, folder or hub name that the suite is made from, where it needs one.")
    ] = None,
    engine: Annotated[str, typer.Option(help="torch or vllm.")] = "torch",
    out: Annotated[Path, typer.Option(help="Root of all measurements.")] = OUT,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of each task.")] = None,
    dtype: Annotated[str, typer.Option(help="Precision of the computation, or auto: the checkpoint's.")] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision on the hub.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the code that the model brings.")
    ] = False,
    run_unsafe_code: Annotated[
        bool, typer.Option("--run-unsafe-code", help="Run the code that the model writes, as HumanEval and MBPP do.")
    ] = False,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Cut items that are longer than the context on their left.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again, whatever exists.")] = False,
    option: Annotated[list[str] | None, typer.Option(help="name=value for the engine; repeat it.")] = None,
    json: JsonFlag = False,
) -> None:
    r"""Measure conditional loss and score of a checkpoint on a suite.

    Interrupted at any point, the same command goes on where it stopped.

    \b
    Examples:
      densing measure reference_models/quickstart/q3/60 --suite local \
        --documents reference_models/quickstart/corpus/held_out.jsonl
      densing measure meta-llama/Llama-3.2-1B --suite densing-law --engine vllm --run-unsafe-code
      densing measure ./checkpoint --suite jsonl --documents my_items.jsonl --option tensor_parallel_size=2
    """
    from densing.measure.run import measure as run
    from densing.measure.suites import load_suite

    options: dict[str, Any] = {"dtype": dtype} | _parse(option or [])
    flags = {"trust_remote_code": trust_remote_code, "allow_truncated": allow_truncated}
    options |= {name: True for name, given in flags.items() if given}
    options |= {name: value for name, value in (("device", device), ("revision", revision)) if value is not None}
    measurement = run(
        model,
        load_suite(suite, documents=documents),
        engine=engine,
        out=out,
        limit=limit,
        fresh=fresh,
        run_unsafe_code=run_unsafe_code,
        **options,
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
    truncated = sum(len(t.settings["truncated"]) for t in measurement.tasks.values())
    if truncated:
        typer.echo(f"{truncated} items were longer than the context and cut", err=True)
    typer.echo(f"written to {measurement.folder}", err=True)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _parse(options: list[str]) -> dict[str, Any]:
    """`name=value`, the value as JSON where it is JSON: numbers, true, false."""
    import json

    parsed: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise InputError(f"--option {option}: expected name=value")
        try:
            parsed[name] = json.loads(value)
        except json.JSONDecodeError:
            parsed[name] = value
    return parsed


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
