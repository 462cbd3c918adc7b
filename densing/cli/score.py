"""`densing score`: the density of one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError

if TYPE_CHECKING:
    from densing.density.densities import Density
    from densing.frame.frame import ReferenceFrame
    from densing.models.size import Size
    from densing.models.subject import Subject


def score(
    subject: Annotated[
        str | None, typer.Argument(help="A model of the registry, a results file, or (with --suite) a checkpoint.")
    ] = None,
    frame: Annotated[
        str, typer.Option(help="Reference frame: a name from `densing frames list`.")
    ] = "densing-law-2025",
    scores: Annotated[list[str] | None, typer.Option("--score", help="benchmark=value in percent; repeat it.")] = None,
    params: Annotated[str | None, typer.Option(help="Parameters as the frame counts them: 8B, 8e9, 8.03b.")] = None,
    total_params: Annotated[str | None, typer.Option(help="Parameters with embeddings.")] = None,
    active_params: Annotated[str | None, typer.Option(help="Parameters a token uses (mixture of experts).")] = None,
    weight_bits: Annotated[float, typer.Option(min=1, max=32, help="Bits per weight in memory.")] = 16,
    config: Annotated[
        Path | None, typer.Option(help="The model's config.json: takes embeddings off --total-params.")
    ] = None,
    fraction: Annotated[bool, typer.Option("--fraction", help="Scores are fractions, 0 to 1.")] = False,
    hardware: Annotated[
        str, typer.Option(help="Weighs sparse and quantised models: a preset or a YAML file.")
    ] = "rtx-4090-article",
    scale: Annotated[str | None, typer.Option(help="A named factor of the frame on effective sizes.")] = None,
    suite: Annotated[str | None, typer.Option(help="Measure the checkpoint SUBJECT on this suite first.")] = None,
    engine: Annotated[str, typer.Option(help="Engine for --suite: torch or vllm.")] = "torch",
    documents: Annotated[Path | None, typer.Option(help="Held-out documents, for the suite local.")] = None,
    by_loss: Annotated[
        bool, typer.Option("--by-loss", help="With --suite: from the measured losses; needs the ladder's tokeniser.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the resampled test items.")] = 0,
    card: Annotated[bool, typer.Option("--card", help="Print the block for a Hugging Face model card.")] = False,
    json: JsonFlag = False,
) -> None:
    r"""Density of a model: effective size over size, with its interval.

    \b
    Examples:
      densing score Llama-3-8B
      densing score --params 6.979e9 --score mmlu=66.6 --score bbh=61.1
      densing score results.json --params 8B
      densing score Qwen2.5-7B --card
      densing score ./checkpoint --suite local --frame quickstart --documents held_out.jsonl
    """
    from densing.frame.frame import load_frame

    reference = load_frame(frame)
    sized = _size(reference, params, total_params, active_params, weight_bits, config)
    if suite is not None:
        from densing.cli._measured import measure_subject

        given = measure_subject(subject, suite, engine, documents, sized, reference, by_loss)
    else:
        given = _subject(reference, subject, parse_scores(scores or [], fraction), sized)
    results = score_subject(reference, given, hardware=hardware, scale=scale, seed=seed)
    if card:
        from densing.density.card import model_card

        typer.echo(model_card(results[-1]))
        return
    if json:
        print_json([result.to_dict() for result in results])
        return
    typer.echo(f"{given.name or 'model'} in frame {reference.name}, D₀ = {reference.spec.tokens:.3g} tokens")
    typer.echo(density_table(results))
    typer.echo("95% full: over all optima of the frame's law; conditional: at the optimum that the frame reads")
    typer.echo(f"\n{shares_table(results)}")
    typer.echo("missing: the replicate lacks that optimum; out of range: its density is zero or infinite")
    for note in dict.fromkeys(note for result in results for note in result.notes):
        typer.echo(f"  note: {note}")


def parse_scores(given: list[str], fraction: bool) -> dict[str, float]:
    """``mmlu=66.6`` and the like as percent; ``math=0.9%`` where a small one might be taken for a fraction.

    Raises
    ------
    InputError
        For what is not name=number, is out of range, or looks like a fraction without being called one.
    """
    scores: dict[str, float] = {}
    doubtful = []
    for text in given:
        name, _, number = text.partition("=")
        try:
            value = float(number.removesuffix("%"))
        except ValueError:
            raise InputError(f"--score {text}: expected benchmark=value, as in mmlu=66.6") from None
        if fraction and not 0 <= value <= 1:
            raise InputError(f"--score {text}: with --fraction a score lies between 0 and 1")
        percent = 100 * value if fraction else value
        if not 0 <= percent <= 100:
            raise InputError(f"--score {text}: a score in percent lies between 0 and 100")
        if 0 < value <= 1 and not fraction and not number.endswith("%"):
            doubtful.append((text, value))
        scores[name.strip().lower()] = percent
    if doubtful and len(doubtful) == len(given):
        raise InputError(f"--score {', '.join(given)}: these look like fractions; give percent, or say --fraction")
    if doubtful:
        text, value = doubtful[0]
        raise InputError(f"--score {text}: a fraction beside percent? Write {100 * value:g}, or {value:g}% if it is")
    return scores


def score_subject(reference: ReferenceFrame, subject: Subject, **options: Any) -> list[Density]:
    """Densities on every benchmark that can be formed, the average last.

    Raises
    ------
    InputError
        If none can.
    """
    from densing.core.errors import unknown
    from densing.density.densities import densities
    from densing.frame.frame import AVERAGE

    for name in (*subject.scores, *subject.losses):
        if name not in reference.benchmarks:
            raise unknown(f"benchmark of frame {reference.name}", name, reference.benchmarks)
    formed = [name for name in reference.benchmarks if name in subject.scores or name in subject.losses]
    if AVERAGE not in formed and reference.average_score(subject.scores) is not None:
        formed.append(AVERAGE)
    if not formed:
        raise InputError(f"no scores: give --score benchmark=value for {', '.join(reference.benchmarks)}")
    return [densities(reference, [subject], name, **options)[0] for name in formed]


def density_table(results: list[Density]) -> str:
    """Densities as an aligned table."""
    import math

    from densing.core.units import short_count

    rows = []
    for result in results:
        rows.append(
            [
                result.benchmark,
                f"{result.score:.2f}" if math.isfinite(result.score) else "",
                f"{result.loss:.4f}" if math.isfinite(result.loss) else "",
                short_count(result.effective_size) if math.isfinite(result.effective_size) else "",
                short_count(result.size),
                result.text,
                str(result.interval),
                str(result.interval_conditional),
                str(result.status),
            ]
        )
    header = ["benchmark", "score", "loss", "N̂", "size", "density", "95% full", "95% conditional", "status"]
    return table(rows, header)


def shares_table(results: list[Density]) -> str:
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


def _size(
    reference: ReferenceFrame,
    params: str | None,
    total: str | None,
    active: str | None,
    bits: float,
    config: Path | None,
) -> Size | None:
    from densing.core.units import parse_count
    from densing.models.size import Size, read_config, without_embeddings

    if params is None and total is None:
        if config is not None:
            raise InputError("--config needs --total-params: it says how many of them are embeddings")
        return None
    counts: dict[str, float] = {}
    if total is not None:
        counts["total"] = parse_count(total, "a size for --total-params")
    if config is not None:
        if total is None:
            raise InputError("--config needs --total-params: it says how many of them are embeddings")
        counts["non_embedding"] = without_embeddings(counts["total"], read_config(config))
    if params is not None:
        counts[reference.spec.params] = parse_count(params, "a size for --params")
    if active is not None:
        counts["active"] = parse_count(active, "a size for --active-params")
    return Size(**counts, weight_bits=bits)


def _subject(reference: ReferenceFrame, name: str | None, scores: dict[str, float], size: Size | None) -> Subject:
    from dataclasses import replace

    from densing.models.subject import Subject

    if name is None:
        if size is None:
            raise InputError("no size given: say --params 8B, or name a model of the registry")
        return Subject("", size, scores)
    if Path(name).suffix in (".json", ".csv") or Path(name).exists():
        from densing.cli._measured import subject_of_results

        found = subject_of_results(Path(name), size, reference)
    else:
        from densing.models.registry import load_registry

        found = load_registry().subject(name)
        known = {key: value for key, value in found.scores.items() if key in reference.benchmarks}
        found = replace(found, scores=known)
    return replace(found, size=size or found.size, scores={**found.scores, **scores})
