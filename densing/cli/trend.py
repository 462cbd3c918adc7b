"""`densing trend` and `densing corollaries`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from densing.cli._options import RegistryFolder
from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError, unknown


class TrendCommand(TyperCommand):
    """Completes the help of --frontier from the table of rules, which `densing --help` need not import."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into the formatter."""
        from densing.trend.frontier import describe_frontiers

        for option in self.params:
            if isinstance(option, TyperOption) and option.name == "frontier":
                option.help = f"{option.help} {describe_frontiers()}"
        super().format_help(ctx, formatter)


def trend(
    frame: Annotated[
        str | None,
        typer.Option(
            help="Reference frame in which densities are read, a name from `densing frames list`; if not given, the "
            "article's for its own models, and for those of the registry the one tied to size."
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Models to take: published, the article's main panel, or registry, every model that has all scores."
        ),
    ] = "published",
    panel: Annotated[
        str | None,
        typer.Option(
            help="Take the densities that the article printed for one of its panels: mmlu_cf, mmlu, five_benchmarks."
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Read one benchmark of --models registry, or average or joint; by default what the frame reads of all "
            "scores together. The method panel takes one benchmark, average or rare_facts."
        ),
    ] = None,
    whose: Annotated[
        str,
        typer.Option(
            "--scores",
            help="Take these scores of --models registry: vendors, or harness:NAME for what one harness measured "
            "(observational, leaderboard-v1, leaderboard-v2).",
        ),
    ] = "vendors",
    registry: RegistryFolder = None,
    frontier: Annotated[str, typer.Option(help="Which models the line is drawn through.")] = "records",
    quantile: Annotated[
        float, typer.Option(help="Let --frontier quantile leave this share of the models under its line.")
    ] = 0.9,
    since: Annotated[
        str | None, typer.Option(help="Take only models released on or after this date, as in 2024-01-31.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Take only models released before this date.")] = None,
    forecast: Annotated[
        str | None, typer.Option(help="Say what density the line has for the densest model of this date.")
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--score",
            help="Say what size reaches this score, benchmark=value in percent, at the date of --forecast; repeat it.",
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Say on what date a model of this size, as in 1B, reaches the scores of --score.")
    ] = None,
    change_at: Annotated[str | None, typer.Option(help="Test whether the slope changed at this date.")] = None,
    find_change: Annotated[
        bool, typer.Option("--find-change", help="Search the frontier for the date where a change of slope fits best.")
    ] = False,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Give the slope without each model of the frontier in turn.")
    ] = False,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Give the doubling time of --models registry without each kind of training, family and source.",
        ),
    ] = False,
    method: Annotated[
        str,
        typer.Option(
            help="frontier: a line through the densest models. panel: without any ladder, scores of all models of the "
            "registry on size and date, for each benchmark."
        ),
    ] = "frontier",
    rulers: Annotated[
        bool,
        typer.Option(
            "--rulers", help="Show which capabilities get denser, by the article's ruler, the tied one and the panel."
        ),
    ] = False,
    denominator: Annotated[
        str | None,
        typer.Option(help="Which parameters count as a model's size: total, active or non_embedding."),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(help="Leave out models trained in these ways, as in distilled,synthetic,instruct."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Fit the trend of a CSV file instead: columns date, value and, if you like, name and group."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Say what the file of --csv calls its columns, as in date=release_date,value=p50_min."),
    ] = None,
    backtest: Annotated[
        bool,
        typer.Option("--backtest", help="Show how forecasts from every quarter since September 2023 held."),
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(help="Say which models moved the trend since this file, which --out or --json wrote."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the trend as JSON into this folder, as in results/trends.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the resampled test items and of the frontiers behind the intervals.")
    ] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name every model that was left out.")] = False,
    json: JsonFlag = False,
) -> None:
    r"""Fit the trend of the densest models over time: its slope, its doubling time and what it forecasts.

    \b
    Examples:
      densing trend
      densing trend --panel mmlu_cf
      densing trend --models registry --since 2023-02-24 --leave-one-out
      densing trend --models registry --since 2023-02-24 --sensitivity
      densing trend --models registry --benchmark mmlu --scores harness:observational
      densing trend --models registry --denominator active --without distilled,synthetic
      densing trend --method panel --since 2023-02-24
      densing trend --method panel --benchmark rare_facts
      densing trend --rulers --since 2023-02-24
      densing trend --models registry --since 2023-02-24 --backtest
      densing trend --models registry --forecast 2027-01-01 --score mmlu=60 --params 1B
      densing trend --models registry --out results/trends
      densing trend --models registry --against results/trends/densing-law-2025-tied-registry.json
      densing trend --csv horizons.csv --columns date=release_date,value=p50_min,name=model
    """
    from densing.core.units import parse_count, parse_date, parse_scores
    from densing.density.sets import INCOMPLETE, compute_density_set, write_trend
    from densing.frame.names import ARTICLE_FRAME, RECOMMENDED_FRAME
    from densing.models.registry import load_registry
    from densing.trend import choice
    from densing.trend.exponential import fit_density_trend, left_out_lines
    from densing.trend.questions import Questions, answer_questions
    from densing.trend.series import read_series

    asked = Questions(
        parse_date(forecast, "--forecast"),
        parse_scores(scores or []),
        None if params is None else parse_count(params, "a size for --params"),
        parse_date(change_at, "--change-at"),
        find_change,
        leave_one_out,
        backtest,
        against,
    )
    if frame is None:
        frame = RECOMMENDED_FRAME if models == "registry" and panel is None else ARTICLE_FRAME
    first, last = parse_date(since, "--since"), parse_date(until, "--until")
    flags = () if without is None else choice.training_flags(without)
    if sensitivity:
        _print_sensitivity(frame, models, whose, registry, benchmark or "average", first, last, json)
        return
    if rulers:
        _print_rulers(registry, first, last, seed, json)
        return
    if method == "panel":
        _print_panel(
            registry, whose, benchmark, first, last, denominator or "total", flags, quantile, seed, verbose, json
        )
        return
    if method != "frontier":
        raise unknown("method", method, ["frontier", "panel"])
    options: dict[str, Any] = {}
    excluded: list[str] = []
    if csv is not None:
        if denominator or flags or asked.scores or panel is not None:
            raise InputError("--csv has values of its own: leave out --panel, --score, --denominator and --without")
        series, groups = read_series(csv, _columns(columns))
        group_of = dict(zip(series.names, groups, strict=True))
        chosen = series.between(first, last)
        options["groups"] = [[group_of[name] for name in chosen.names]]
    else:
        chosen = compute_density_set(
            frame, models, panel=panel, benchmark=benchmark, scores=whose, registry=registry
        ).between(first, last)
        if flags:
            chosen, excluded = choice.without_training(chosen, load_registry(registry), flags)
        if denominator is not None:
            chosen = choice.over_parameters(chosen, load_registry(registry), denominator)
    fitted = fit_density_trend(chosen, frontier=frontier, quantile=quantile, seed=seed, **options)
    answers = answer_questions(fitted, chosen, asked, frame=frame, seed=seed)
    if out is not None:
        write_trend(out / f"{chosen.label}.json", fitted, chosen)
    if json:
        print_json(
            fitted.to_dict()
            | {"incomplete": list(chosen.incomplete), "excluded": excluded}
            | {"members": fitted.members_table().to_dict("records"), "densities": fitted.models_list()}
            | {name: answer.data for name, answer in answers.items()}
        )
        return
    head = f"{chosen.title}: {len(fitted.models)} models in range"
    typer.echo(head if fitted.censored else f"{head}, {len(fitted.members)} on the frontier ({frontier})")
    incomplete = {INCOMPLETE: tuple(chosen.incomplete)} if chosen.incomplete else {}
    trained = {f"trained as {' or '.join(flags)}": excluded} if excluded else {}
    typer.echo(fitted.text(name_all=verbose))
    left_out = left_out_lines({**trained, **incomplete}, name_all=verbose)
    for line in [*left_out, *(answer.text for answer in answers.values())]:
        typer.echo(line)


def _columns(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part]
    if wrong := [key for key, equals, name in pairs if not equals or not name]:
        raise InputError(f"--columns {wrong[0]}: write each column as date=release_date, with commas between them")
    return {key.strip(): name.strip() for key, _, name in pairs}


def _print_panel(
    folder: Path | None,
    whose: str,
    benchmark: str | None,
    since: dt.date | None,
    until: dt.date | None,
    denominator: str,
    flags: Sequence[str],
    quantile: float,
    seed: int,
    verbose: bool,
    json: bool,
) -> None:
    from densing.models.benchmarks import benchmark_name
    from densing.models.harness import choose_scores
    from densing.models.registry import load_registry
    from densing.trend.exponential import left_out_lines
    from densing.trend.panel import AVERAGE_OF_ALL, HEADER, RARE_FACTS, rare_facts, registry_panels

    panels = []
    if benchmark != RARE_FACTS:
        registry = choose_scores(load_registry(folder), whose)
        average = [AVERAGE_OF_ALL] if benchmark else []
        wanted = average if benchmark in (None, AVERAGE_OF_ALL) else [benchmark_name(benchmark)]
        panels = registry_panels(
            registry, wanted, denominator=denominator, since=since, until=until, without=flags, quantile=quantile,
            seed=seed,
        )  # fmt: skip
    facts = rare_facts(denominator) if benchmark in (RARE_FACTS, None) and denominator != "non_embedding" else None
    if json:
        print_json({"panels": [panel.to_dict() for panel in panels], "rare_facts": facts and facts.to_dict()})
        return
    if panels:
        typer.echo(f"logit of scores above chance on ln N ({denominator.replace('_', '-')}) and date: no ladder enters")
        typer.echo(table([panel.cells for panel in panels], HEADER))
        typer.echo(f"upper quantile: {quantile:g}. 95%: families and labs as clusters")
    for panel in panels:
        for line in left_out_lines(
            {f"{panel.benchmark} too near to chance or to 100": panel.omitted} if panel.omitted else {},
            name_all=verbose,
        ):
            typer.echo(line)
    if facts is not None:
        typer.echo(f"rare facts ({facts.models} models, arXiv 2604.24827): {facts.verdict}")


def _print_rulers(registry: Path | None, since: dt.date | None, until: dt.date | None, seed: int, json: bool) -> None:
    from densing.core.progress import console
    from densing.models.registry import load_registry
    from densing.trend.capabilities import compute_capabilities

    with console.status("reading every benchmark by every ruler"):
        found = compute_capabilities(load_registry(registry), since=since, until=until, seed=seed)
    if json:
        print_json(found.to_dict())
        return
    typer.echo(table(found.cells, found.header))
    typer.echo("ladders: median-unbiased slope of the frontier, full interval; panels: no ladder enters")
    typer.echo(found.paragraph)


def _print_sensitivity(
    frame: str,
    models: str,
    whose: str,
    registry: Path | None,
    benchmark: str,
    since: dt.date | None,
    until: dt.date | None,
    json: bool,
) -> None:
    from densing.core.progress import console
    from densing.frame.store import load_frame
    from densing.models.harness import choose_scores
    from densing.models.registry import load_registry
    from densing.trend.sensitivity import headline_sensitivity

    if models != "registry":
        raise InputError("--sensitivity leaves models of the registry out; add --models registry")
    with console.status("leaving out one source after the other"):
        known = choose_scores(load_registry(registry), whose)
        rows = headline_sensitivity(load_frame(frame), known, since=since, until=until, benchmark=benchmark)
    if json:
        print_json([vars(row) for row in rows])
        return
    cells = [
        [
            row.kind,
            row.name,
            str(row.models),
            f"{row.doubling_days:.0f}" if row.doubling_days == row.doubling_days else "–",
        ]
        for row in rows
    ]
    typer.echo(table(cells, ["without", "", "models", "doubling, days"]))


def corollaries(json: JsonFlag = False) -> None:
    r"""Print what follows from the trend, each number beside the article's.

    \b
    Example:
      densing corollaries
    """
    from densing.article.corollaries import compression_table, compute_corollaries, registry_compression

    rows = compute_corollaries()
    if json:
        print_json([vars(row) for row in rows])
        return
    typer.echo(
        table(
            [[row.name, row.texts[0], row.texts[1], row.unit, row.texts[2]] for row in rows],
            ["corollary", "here", "article", "unit", "95%"],
        )
    )
    for row in rows:
        typer.echo(f"  {row.name}: {row.reason}")
    for title, pairs in (("the article's panel", compression_table()), ("the registry", registry_compression())):
        typer.echo(f"\ncompressed models and their parents, {title}")
        typer.echo(pairs.to_string(index=False, float_format=lambda v: f"{v:.3g}"))
