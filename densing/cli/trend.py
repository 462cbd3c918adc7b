"""`densing trend` and `densing corollaries`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError

if TYPE_CHECKING:
    from densing.trend.exponential import Trend


def trend(
    frame: Annotated[str, typer.Option(help="Reference frame the densities are read in.")] = "densing-law-2025",
    models: Annotated[
        str, typer.Option(help="published: the article's main panel; registry: every model with all scores.")
    ] = "published",
    panel: Annotated[
        str | None, typer.Option(help="Densities as the article printed them: mmlu_cf, mmlu, five_benchmarks.")
    ] = None,
    frontier: Annotated[str, typer.Option(help="records, quantile or all.")] = "records",
    quantile: Annotated[float, typer.Option(help="For --frontier quantile.")] = 0.9,
    since: Annotated[str | None, typer.Option(help="Only models released on or after this date.")] = None,
    until: Annotated[str | None, typer.Option(help="Only models released before this date.")] = None,
    forecast: Annotated[str | None, typer.Option(help="ρ_max at this date.")] = None,
    scores: Annotated[
        list[str] | None, typer.Option("--score", help="With --forecast: size needed for these scores then.")
    ] = None,
    params: Annotated[str | None, typer.Option(help="With --score: the date when this size suffices.")] = None,
    change_at: Annotated[str | None, typer.Option(help="Test a change of slope at this date.")] = None,
    find_change: Annotated[bool, typer.Option("--find-change", help="Search the frontier for a bend.")] = False,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="The slope without each frontier model.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the trend as an artifact into this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the trend's intervals.")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name every model that was left out.")] = False,
    json: JsonFlag = False,
) -> None:
    r"""The densest models over time: slope, doubling time, what it forecasts.

    \b
    Examples:
      densing trend
      densing trend --panel mmlu_cf
      densing trend --models registry --since 2023-02-24 --leave-one-out
      densing trend --forecast 2026-01-01 --score average=60 --params 1B
    """
    from densing.density.sets import INCOMPLETE, density_set
    from densing.trend.exponential import left_out_lines, trend_of

    chosen = density_set(frame, models, panel=panel).between(_date(since, "--since"), _date(until, "--until"))
    fitted = trend_of(chosen, frontier=_frontier(frontier), quantile=quantile, seed=seed)
    extras = _extras(fitted, frame, forecast, scores or [], params, change_at, find_change, leave_one_out, chosen, seed)
    if out is not None:
        from densing.density.sets import write_trend

        write_trend(out / f"{chosen.label}.json", fitted, chosen)
    if json:
        print_json(
            fitted.to_dict()
            | {"incomplete": list(chosen.incomplete)}
            | {"members": fitted.members_table().to_dict("records")}
            | {k: v[1] for k, v in extras.items()}
        )
        return
    head = f"{chosen.title}: {len(fitted.models)} models in range"
    typer.echo(head if fitted.censored else f"{head}, {len(fitted.members)} on the frontier ({frontier})")
    incomplete = {INCOMPLETE: tuple(chosen.incomplete)} if chosen.incomplete else {}
    typer.echo(fitted.text(name_all=verbose))
    for line in left_out_lines(incomplete, name_all=verbose):
        typer.echo(line)
    for text, _ in extras.values():
        typer.echo(text)


def _frontier(name: str) -> Any:
    if name not in ("records", "quantile", "all"):
        from densing.core.errors import unknown

        raise unknown("frontier", name, ["records", "quantile", "all"])
    return name


def _date(text: str | None, option: str) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text}: not a date; write it as 2026-01-31") from None


def _extras(
    fitted: Trend,
    frame: str,
    forecast: str | None,
    scores: list[str],
    params: str | None,
    change_at: str | None,
    find_change: bool,
    leave_one_out: bool,
    chosen: Any,
    seed: int,
) -> dict[str, tuple[str, Any]]:
    """What was asked for beside the trend: its text and its data."""
    from dataclasses import asdict

    from densing.core.units import parse_count
    from densing.trend.change import find_breakpoint, slope_change
    from densing.trend.forecast import describe_size, forecast_date, forecast_density, forecast_size

    found: dict[str, tuple[str, Any]] = {}
    date = _date(forecast, "--forecast")
    if date is not None:
        density = forecast_density(fitted, date)
        found["forecast"] = (f"ρ_max on {density}", asdict(density))
    if scores:
        wanted = _effective_size(frame, scores)
        if date is not None:
            size = forecast_size(fitted, wanted, date)
            found["size_needed"] = (f"parameters needed on {describe_size(size)}", asdict(size))
        if params is not None:
            when = forecast_date(fitted, wanted, parse_count(params, "a size for --params"))
            found["date_reached"] = (f"{params} suffices from {when}", {k: str(v) for k, v in vars(when).items()})
    elif params is not None:
        raise InputError("--params needs --score: the scores that the size is to reach")
    if change_at is not None:
        at = _date(change_at, "--change-at")
        assert at is not None
        change = slope_change(chosen.dates, chosen.values, at, models=chosen.names, seed=seed)
        found["slope_change"] = (
            f"change at {change}",
            {
                "date": change.date.isoformat(),
                "difference": change.difference,
                "p_value": change.p_value,
                "before": change.before.to_dict(),
                "after": change.after.to_dict(),
            },
        )
    if find_change:
        bend = find_breakpoint(fitted, seed=seed)
        found["breakpoint"] = (
            str(bend),
            {k: str(v) if k in ("date", "interval") else v for k, v in vars(bend).items()},
        )
    if leave_one_out:
        rows = fitted.leave_one_out()
        found["leave_one_out"] = (
            rows.to_string(index=False, float_format=lambda v: f"{v:.6f}"),
            rows.to_dict("records"),
        )
    return found


def _effective_size(frame: str, given: list[str]) -> float:
    from densing.cli.score import parse_scores
    from densing.frame.frame import AVERAGE, Range, load_frame

    reference = load_frame(frame)
    scores = parse_scores(given, fraction=False)
    average = reference.average_score(scores)
    if average is None:
        raise InputError(f"--score: give average=…, or all of {', '.join(reference.spec.average)}")
    inverted = reference.invert(average, AVERAGE)
    if inverted.status is not Range.IN_RANGE:
        raise InputError(f"--score: an average of {average:.4g} is {inverted.status} in frame {frame}: it has no size")
    return inverted.effective_size


def corollaries(json: JsonFlag = False) -> None:
    r"""What follows from the trend, each number beside the article's.

    \b
    Example:
      densing corollaries
    """
    from densing.article.corollaries import compression_table, registry_compression
    from densing.article.corollaries import corollaries as compute

    rows = compute()
    if json:
        print_json([vars(row) for row in rows])
        return
    typer.echo(
        table(
            [
                [r.name, _number(r.ours) or "not identified", _number(r.article), r.unit, _range(r.low, r.high)]
                for r in rows
            ],
            ["corollary", "here", "article", "unit", "95%"],
        )
    )
    for row in rows:
        typer.echo(f"  {row.name}: {row.reason}")
    for title, pairs in (("the article's panel", compression_table()), ("the registry", registry_compression())):
        typer.echo(f"\ncompressed models and their parents, {title}")
        typer.echo(pairs.to_string(index=False, float_format=lambda v: f"{v:.3g}"))


def _number(value: float) -> str:
    return "" if value != value else f"{value:.4g}"


def _range(low: float, high: float) -> str:
    from densing.core.intervals import Interval

    return "" if low != low else str(Interval(low, high))
