"""`densing score`: the density of one model."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densing.cli import _engine_options
from densing.cli._options import RegistryFolder
from densing.cli._output import JsonFlag, print_json, print_notes, table
from densing.core.errors import InputError
from densing.frame.names import RECOMMENDED_FRAME
from densing.measure.engines.table import DEFAULT

if TYPE_CHECKING:
    import datetime as dt

    from densing.density.densities import Density
    from densing.frame.frame import ReferenceFrame
    from densing.measure.engines.settings import EngineSettings
    from densing.trend.rank import Placement

_WORTH_SAYING = 0.005
"""Share of draws without a value from which on the shares are printed."""


@_engine_options.with_engine_options
def score(
    subject: Annotated[
        str | None,
        typer.Argument(
            help="A model of the registry, a results file of another harness, a folder of measurements, or a "
            "checkpoint: a folder or a name on the hub. Left out, --params and --score describe the model."
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(help="Reference frame in which densities are read, a name from `densing frames list`.")
    ] = RECOMMENDED_FRAME,
    scores: Annotated[
        list[str] | None, typer.Option("--score", help="A score as benchmark=value in percent; repeat it.")
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Parameters as the frame counts them, written as 8B, 8e9 or 8.03b.")
    ] = None,
    total_params: Annotated[str | None, typer.Option(help="Parameters with embeddings.")] = None,
    active_params: Annotated[
        str | None, typer.Option(help="Parameters that one token uses, for a mixture of experts.")
    ] = None,
    weight_bits: Annotated[float, typer.Option(min=1, max=32, help="Bits that one weight takes in memory.")] = 16,
    config: Annotated[
        Path | None, typer.Option(help="The model's config.json, by which embeddings are taken off --total-params.")
    ] = None,
    fraction: Annotated[
        bool, typer.Option("--fraction", help="The scores are fractions between 0 and 1, not percent.")
    ] = False,
    hardware: Annotated[
        str,
        typer.Option(
            help="Accelerator whose speeds weigh sparse and quantised models: the name of a preset, or a YAML file."
        ),
    ] = "rtx-4090-article",
    scale: Annotated[
        str | None, typer.Option(help="Multiply effective sizes by a factor that the frame keeps under this name.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="Measure the checkpoint on this suite, a name from `densing suites list`; the one that the frame "
            "needs where not given."
        ),
    ] = None,
    engine: _engine_options.EngineName = DEFAULT,
    data_root: _engine_options.DataRoot = None,
    documents: Annotated[
        Path | None, typer.Option(help="Make the suite of --suite from these documents or items.")
    ] = None,
    by_loss: Annotated[
        bool,
        typer.Option(
            "--by-loss",
            help="Read the losses measured on --suite instead of the scores; the model must have the tokeniser of "
            "the frame's ladder.",
        ),
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the model, where the command does not say one.")] = None,
    date: Annotated[
        str | None,
        typer.Option(
            help="Day of its release, as in 2026-10-01: say where it ranks among the models of the registry and of "
            "that quarter, and how it compares with the frontier of that day."
        ),
    ] = None,
    registry: RegistryFolder = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the resampled test items, which the intervals allow for.")
    ] = 0,
    card: Annotated[
        bool, typer.Option("--card", help="Print the metadata block for a model card of the Hugging Face hub.")
    ] = False,
    json: JsonFlag = False,
    *,
    settings: EngineSettings,
) -> None:
    r"""Compute the density of a model: its effective size over its size, with an interval.

    All scores of the model together give one size, in the row "joint"; each benchmark's own stands above it. The
    article's densities are those of its average: --frame densing-law-2025.

    \b
    Examples:
      densing score Llama-3-8B
      densing score --params 6.979e9 --score mmlu=66.6 --score bbh=61.1
      densing score --name mine --date 2026-10-01 --params 3B --score mmlu=58 --score bbh=50
      densing score results.json --params 8B
      densing score Qwen2.5-7B --card
      densing score ./checkpoint --suite local --frame quickstart --documents held_out.jsonl
    """
    from densing.core.units import parse_count, parse_date, parse_scores
    from densing.density.densities import compute_every_density, scale_factor
    from densing.density.subjects import find_subject, is_checkpoint, measure_subject
    from densing.density.weighing import load_hardware
    from densing.frame.store import load_frame
    from densing.models.size import size_of_counts

    reference = load_frame(frame)
    given = [
        ("total", "--total-params", total_params),
        (reference.spec.params, "--params", params),
        ("active", "--active-params", active_params),
    ]
    counts = {kind: parse_count(text, f"a size for {option}") for kind, option, text in given if text is not None}
    size = size_of_counts(counts, weight_bits=weight_bits, config=config)
    # Whatever is wrong with an option is said before anything is measured.
    accelerator, released = load_hardware(hardware), parse_date(date, "--date")
    scale_factor(reference, scale)
    if released is not None:
        _refuse_known_name(name, registry)
    if suite is not None or (is_checkpoint(subject) and not scores):
        found = measure_subject(
            subject,
            suite,
            reference,
            size=size,
            engine=engine,
            settings=settings,
            documents=documents,
            data_root=data_root,
            by_loss=by_loss,
        )
    else:
        known = parse_scores(scores or [], fraction=fraction)
        found = find_subject(subject, reference, size=size, scores=known, registry=registry)
    if size is None and weight_bits != 16:
        found = replace(found, size=replace(found.size, weight_bits=weight_bits))
    if name is not None:
        found = replace(found, name=name)
    results = compute_every_density(reference, found, hardware=accelerator, scale=scale, seed=seed)
    placed = None if released is None else _place(reference, results[-1], released, registry)
    if card:
        from densing.density.card import model_card

        typer.echo(model_card(results[-1], reference.spec.symbol))
        if placed is not None:
            typer.echo("\n".join(["", placed.sentence, *(f"Note: {note}." for note in placed.notes)]))
        return
    if json:
        rows = [result.to_dict() for result in results]
        if placed is not None:
            rows[-1]["placement"] = placed.to_dict()
        print_json(rows)
        return
    typer.echo(f"{found.name or 'model'} in frame {reference.name}, {reference.spec.read_at}")
    typer.echo(reference.spec.meaning)
    for warning in reference.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(_density_table(results, reference.spec.symbol))
    optima = ("optima", "optimum that the frame reads")
    other = ("forms", "form of the law in their middle") if reference.spec.drawn else optima
    typer.echo(f"95% full: over all {other[0]} of the frame's laws; conditional: at the {other[1]}")
    typer.echo("× ladder: effective size over the ladder's largest model; past that a law is extrapolated")
    for line in _joint_lines(results[-1], reference.spec.symbol):
        typer.echo(line)
    shares = [
        share for one in results for kind in (one.shares, one.shares_conditional) for share in vars(kind).values()
    ]
    if max(shares) >= _WORTH_SAYING:
        typer.echo(f"\n{_shares_table(results)}")
        typer.echo("missing: the replicate lacks that optimum; out of range: its density is zero or infinite")
    print_notes((note for result in results for note in result.notes), indent="  ")
    if placed is not None:
        typer.echo(f"\n{placed.sentence}")
        for note in placed.notes:
            typer.echo(f"  note: {note}")


def _place(frame: ReferenceFrame, density: Density, date: dt.date, folder: Path | None) -> Placement:
    """Where the model stands among those of the registry, on what its last density is of."""
    from densing.density.sets import compute_registry_set
    from densing.models.registry import load_registry
    from densing.trend.rank import rank_model

    registry = load_registry(folder)
    return rank_model(density, date, compute_registry_set(frame, registry, benchmark=density.benchmark))


def _refuse_known_name(named: str | None, folder: Path | None) -> None:
    from densing.models.registry import load_registry

    if named is not None and named.lower() in {name.lower() for name in load_registry(folder).models}:
        raise InputError(f"--name {named}: the registry has a model of that name; give yours another one")


def _joint_lines(result: Density, symbol: str) -> list[str]:
    """What the two intervals of a joint density mean."""
    if result.interval_like_these is None:
        return []
    if not result.status.has_size:
        return [
            f"joint: {symbol} {result.text if math.isfinite(result.bound) else result.status}, from all of these scores"
        ]
    return [
        f"joint: {symbol} = {result.text}, one size that explains all of these scores",
        f"  95% for these benchmarks: {result.interval}; the errors of laws, curves, test items and missing scores",
        f"  95% for benchmarks like these: {result.interval_like_these}; what other benchmarks would say is in it too",
    ]


def _density_table(results: list[Density], symbol: str) -> str:
    """Densities as an aligned table."""
    from densing.core.units import short_count

    rows = []
    for result in results:
        rows.append(
            [
                result.benchmark,
                f"{result.score:.2f}" if math.isfinite(result.score) else "",
                f"{result.loss:.4f}" if math.isfinite(result.loss) else "",
                short_count(result.effective_size) if math.isfinite(result.effective_size) else "",
                f"{result.extrapolation:.3g}" if math.isfinite(result.extrapolation) else "",
                short_count(result.size),
                result.text,
                str(result.interval),
                str(result.interval_conditional),
                str(result.status),
            ]
        )
    header = ["benchmark", "score", "loss", "N̂", "× ladder", "size", symbol, "95% full", "95% conditional", "status"]
    return table(rows, header)


def _shares_table(results: list[Density]) -> str:
    """Shares of the draws behind each interval that have no value, as an aligned table."""
    rows = [
        [
            result.benchmark,
            *(
                f"{share:.1%}"
                for shares in (result.shares, result.shares_conditional)
                for share in (shares.missing, shares.out_of_range)
            ),
        ]
        for result in results
    ]
    header = ["draws", "full: missing", "out of range", "conditional: missing", "out of range"]
    return table(rows, header)
