"""`densing models`: the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models, release dates and published scores.")


@app.command("list")
def list_models(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="Only models with all five scores.")] = False,
    json: JsonFlag = False,
) -> None:
    r"""List the registry with each model's preferred scores.

    \b
    Examples:
      densing models list
      densing models list --family Qwen2.5 --json
    """
    from densing.models.registry import PROTOCOL, load_registry

    registry = load_registry()
    names = registry.complete(PROTOCOL) if complete else list(registry.models)
    rows: list[dict[str, Any]] = []
    for name in names:
        entry = registry.models[name]
        if family is None or entry.family.lower() == family.lower():
            preferred = registry.preferred(name)
            rows.append(
                entry.model_dump(mode="json")
                | {b: preferred[b].score if b in preferred else None for b in PROTOCOL}
                | {"sources": sorted({value.source for value in preferred.values()})}
            )
    if not rows:
        raise InputError(
            f"no model of family {family!r}; known: {', '.join(sorted({e.family for e in registry.models.values()}))}"
        )
    if json:
        print_json(rows)
        return
    header = ["model", "released", "total", "architecture", *PROTOCOL, "source of the scores"]
    typer.echo(table([_cells(row, PROTOCOL) for row in rows], header))
    typer.echo(f"{len(rows)} models; `densing models show NAME` lists every value with its source", err=True)


def _cells(row: dict[str, Any], benchmarks: Any) -> list[str]:
    total = f"{row['total_params_B']:g}B" if row["total_params_B"] else ""
    values = [f"{row[b]:.1f}" if row[b] is not None else "" for b in benchmarks]
    first = (
        row["sources"][0][:48] + (f" and {len(row['sources']) - 1} more" if len(row["sources"]) > 1 else "")
        if row["sources"]
        else ""
    )
    return [row["model"], row["release_date"] or "", total, row["architecture"], *values, first]


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="A model of the registry.")], json: JsonFlag = False) -> None:
    r"""Every value of a model, with source and protocol; the preferred one is marked.

    \b
    Example:
      densing models show Llama-3-8B
    """
    from densing.models.registry import load_registry

    registry = load_registry()
    entry = registry.entry(name)
    values = registry.values(entry.model)
    if json:
        print_json(
            entry.model_dump(mode="json") | {"scores": {b: [v.model_dump() for v in vs] for b, vs in values.items()}}
        )
        return
    for key, value in entry.model_dump(mode="json").items():
        if value not in (None, "", False):
            typer.echo(f"{key:24} {value}")
    rows = []
    for benchmark, found in values.items():
        for i, value in enumerate(found):
            checked = "checked" if value.verified else ""
            protocol = "" if value.in_protocol else "other protocol"
            rows.append(
                [
                    benchmark if i == 0 else "",
                    "→" if i == 0 else "",
                    f"{value.score:.2f}",
                    value.shots,
                    protocol,
                    checked,
                    value.source[:60],
                    value.note[:60],
                ]
            )
    typer.echo(table(rows, ["benchmark", "", "score", "shots", "", "", "source", "note"]))
    spread = {b: max(v.score for v in vs) - min(v.score for v in vs) for b, vs in values.items() if len(vs) > 1}
    if spread:
        typer.echo("spread between sources: " + ", ".join(f"{b} {s:.1f} points" for b, s in spread.items()))


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    release_date: Annotated[str | None, typer.Option(help="2026-01-31")] = None,
    total_params: Annotated[str | None, typer.Option(help="With embeddings: 8B, 8e9, 8.03b.")] = None,
    non_embedding_params: Annotated[str | None, typer.Option(help="Without embeddings.")] = None,
    active_params: Annotated[str | None, typer.Option(help="For mixtures of experts.")] = None,
    scores: Annotated[list[str] | None, typer.Option("--score", help="benchmark=value in percent; repeat it.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the scores stand: a link, a paper and table.")] = None,
    shots: Annotated[
        str, typer.Option(help="Shots of the scores, as in the registry; the article's where not given.")
    ] = "",
    family: Annotated[str, typer.Option(help="Family of models.")] = "",
    parent: Annotated[str, typer.Option(help="Model it was compressed or distilled from.")] = "",
    weight_bits: Annotated[float | None, typer.Option(help="Bits per weight in memory, where not 16.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Its config.json: for the size without embeddings, and checked.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    r"""Add a model and its scores to your registry; asks for what is missing.

    \b
    Example:
      densing models add MyModel-3B --release-date 2026-05-01 --total-params 3.1B \\
        --score mmlu=61.2 --score bbh=52.0 --source "my report, table 2"
    """
    from densing.cli.score import parse_scores, read_config
    from densing.core.config import validate
    from densing.core.units import parse_count
    from densing.models.registry import PROTOCOL, ModelEntry, Registry, ScoreEntry, add_model, add_scores, load_registry
    from densing.models.size import without_embeddings

    release_date = release_date or _ask("release date (2026-01-31)", "--release-date")
    if total_params is None and non_embedding_params is None:
        total_params = _ask("parameters with embeddings (8B)", "--total-params")
    values = parse_scores(scores or [], fraction=False)
    if values and source is None:
        source = _ask("source of the scores", "--source")
    total = None if total_params is None else parse_count(total_params, "a size for --total-params")
    bare = (
        None if non_embedding_params is None else parse_count(non_embedding_params, "a size for --non-embedding-params")
    )
    active = None if active_params is None else parse_count(active_params, "a size for --active-params")
    if bare is None and total is not None and config is not None:
        bare = without_embeddings(total, read_config(config))
    billions = {"total_params_B": total, "params_non_embedding_B": bare, "active_params_B": active}
    entry = validate(
        {
            "model": name,
            "family": family,
            "release_date": release_date,
            "parent": parent,
            "weight_bits": weight_bits,
            "architecture": "moe" if active else "dense",
            "config": str(config or ""),
            **{key: None if value is None else value / 1e9 for key, value in billions.items()},
        },
        ModelEntry,
        "densing models add",
    )
    entries = [
        validate(
            {
                "model": name,
                "benchmark": b,
                "score": v,
                "source": source,
                "shots": shots or sorted(PROTOCOL.get(b, {"not stated"}))[0],
            },
            ScoreEntry,
            "densing models add",
        )
        for b, v in values.items()
    ]
    registry = load_registry()
    problems = [p for p in Registry({**registry.models, name: entry}, ()).check() if p.where.endswith(f": {name}")]
    if problems:
        raise InputError("; ".join(f"{name}: {problem.what}" for problem in problems))
    path = add_model(entry)
    add_scores(entries)
    if json:
        print_json(
            {"model": entry.model_dump(mode="json"), "scores": [e.model_dump() for e in entries], "file": str(path)}
        )
    else:
        typer.echo(f"added {name} with {len(entries)} scores to {path.parent}")


def _ask(what: str, option: str) -> str:
    import sys

    if not sys.stdin.isatty():
        raise InputError(f"missing: {what}; give {option}")
    return str(typer.prompt(what))


@app.command("check")
def check(json: JsonFlag = False) -> None:
    r"""Look for duplicates, dates in the future, impossible scores, sizes that disagree. Exit code 1 if any.

    \b
    Example:
      densing models check
    """
    from densing.models.registry import load_registry

    problems = load_registry().check()
    if json:
        print_json([vars(problem) for problem in problems])
    else:
        for problem in problems:
            typer.echo(f"{problem.where}: {problem.what}")
        typer.echo(f"{len(problems)} problems", err=True)
    if problems:
        raise typer.Exit(1)


@app.command("import")
def import_scores(
    file: Annotated[Path, typer.Argument(help="CSV with model, benchmark, score, source, and optionally shots, note.")],
    json: JsonFlag = False,
) -> None:
    r"""Append scores from a CSV file to your registry.

    \b
    Example:
      densing models import scores.csv
    """
    from densing.models.registry import add_scores, read_scores

    scores = read_scores(file)
    path = add_scores(scores)
    if json:
        print_json({"rows": len(scores), "file": str(path)})
    else:
        typer.echo(f"{len(scores)} scores into {path}")
