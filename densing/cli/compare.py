"""`densing compare`: which of several models is denser, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    from densing.density.ratios import Comparison
    from densing.frame.frame import ReferenceFrame
    from densing.measure.engines.settings import EngineSettings
    from densing.models.size import Size
    from densing.models.subject import Subject


@_engine_options.with_engine_options
def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models of the registry, results files of another harness, folders of measurements, or checkpoints: "
            "folders or names on the hub, which are measured. The others are compared with the first. With --name, "
            "one is enough."
        ),
    ],
    frame: Annotated[
        str, typer.Option(help="Reference frame in which densities are read, a name from `densing frames list`.")
    ] = RECOMMENDED_FRAME,
    name: Annotated[
        str | None, typer.Option(help="Compare a model of your own too, called this; --params and --score describe it.")
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(help="The model of --name has so many parameters as the frame counts them; write 3B or 3e9."),
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--score", help="The model of --name has this score, benchmark=value in percent; repeat it for more."
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size", help="Parameters of the model in a file or folder, as in results.json=3B; repeat it for each."
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Measure checkpoints on this suite; the one that the frame needs where not given."),
    ] = None,
    engine: _engine_options.EngineName = DEFAULT,
    data_root: _engine_options.DataRoot = None,
    registry: RegistryFolder = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the resampled test items, which the intervals allow for.")
    ] = 0,
    json: JsonFlag = False,
    *,
    settings: EngineSettings,
) -> None:
    r"""Compare models: the ratio of their densities, and how probable it is that one is denser.

    A ratio is known far better than a density, because what is wrong with the frame is wrong with both models. The
    row "joint" is about all scores of a model together, also where the two were not measured on the same benchmarks.

    \b
    Examples:
      densing compare Llama-3-8B Qwen2.5-7B Gemma2-9B
      densing compare Qwen2.5-3B --name mine --params 3B --score mmlu=58 --score math=30
      densing compare Qwen2.5-3B results.json --size results.json=3B
      densing compare ./parent ./checkpoint --run-unsafe-code
    """
    from densing.core.units import parse_count, parse_scores
    from densing.density.ratios import compare as compare_densities
    from densing.density.subjects import measure_subject
    from densing.frame.store import load_frame
    from densing.models.size import Size
    from densing.models.subject import Subject

    reference = load_frame(frame)
    own = []
    if name is not None:
        if params is None or not scores:
            raise InputError(f"--name {name}: describe the model with --params 3B and --score mmlu=58")
        size = Size(**{reference.spec.params: parse_count(params, "a size for --params")})
        own = [Subject(name, size, parse_scores(scores))]
    elif params is not None or scores:
        raise InputError("--params and --score describe a model of your own; give it a --name")

    def measured(model: str, size: Size | None) -> Subject:
        return measure_subject(
            model, suite, reference, size=size, engine=engine, settings=settings, data_root=data_root
        )

    chosen = _with_sizes(models, sizes or [], reference, registry, measured)
    found = compare_densities([*chosen, *own], reference, registry=registry, seed=seed)
    if json:
        print_json([comparison.to_dict() for comparison in found])
        return
    first = found[0].reference.model
    typer.echo(f"densities over that of {first}, in frame {reference.name}, {reference.spec.read_at}")
    typer.echo(reference.spec.meaning)
    header = ["model", "benchmark", reference.spec.symbol, "ratio", "95%", "denser", "undecided"]
    typer.echo(table([_row(comparison) for comparison in found], header))
    typer.echo("denser: probability that the model is denser than the first; both read in the same draws of the frame")
    if any(comparison.ratio.undecided for comparison in found):
        typer.echo(
            "undecided: share of draws with both at chance or beyond the frame's reach; the interval leaves them out"
        )
    if any(comparison.density.model == first for comparison in found):
        typer.echo(f"note: {first} is compared with itself, so its ratio is 1")
    for comparison in found:
        if comparison.paired_items:
            typer.echo(
                f"note: {comparison.density.model}: {comparison.density.benchmark} is paired: both models answered the "
                f"same {comparison.paired_items} items"
            )
    densities = [density for comparison in found for density in (comparison.reference, comparison.density)]
    print_notes(f"{density.model}: {note}" for density in densities for note in density.notes)


def _with_sizes(
    models: list[str],
    sizes: list[str],
    frame: ReferenceFrame,
    registry: Path | None,
    measured: Callable[[str, Size | None], Subject],
) -> list[str | Subject]:
    """The models, those of files and folders with the sizes that were given for them, checkpoints as measured."""
    from densing.core.units import parse_count
    from densing.density.subjects import find_subject, is_checkpoint
    from densing.models.registry import load_registry
    from densing.models.size import Size

    given = dict(text.rpartition("=")[::2] for text in sizes)
    if wrong := [name for name in given if name not in models]:
        raise InputError(f"--size {wrong[0]}={given[wrong[0]]}: no such file among the models; write --size FILE=3B")
    known = {
        model: Size(**{frame.spec.params: parse_count(text, "a size for --size")}) for model, text in given.items()
    }
    # Checkpoints come last: whatever is wrong with the other models is said before anything is measured.
    chosen: list[str | Subject] = []
    for model in models:
        size = known.get(model)
        if is_checkpoint(model):
            chosen.append(model)
        elif size is not None:
            chosen.append(find_subject(model, frame, size=size))
        elif Path(model).exists():
            raise InputError(f"{model} does not say how large the model is: give --size {model}=3B")
        else:
            load_registry(registry).subject(model)
            chosen.append(model)
    return [measured(one, known.get(one)) if isinstance(one, str) and is_checkpoint(one) else one for one in chosen]


def _row(comparison: Comparison) -> list[str]:
    ratio, low, high = comparison.ratio, comparison.ratio.interval.low, comparison.ratio.interval.high
    return [
        comparison.density.model,
        comparison.density.benchmark,
        comparison.density.text,
        _two_digits(ratio.value) if math.isfinite(ratio.value) else "",
        "not known" if math.isnan(low) else f"{_two_digits(low)} to {_two_digits(high)}",
        _percent(ratio.denser),
        f"{ratio.undecided:.1%}",
    ]


def _two_digits(value: float) -> str:
    """Two significant digits, which is as much as an interval from a thousand draws knows."""
    return "∞" if math.isinf(value) else f"{float(f'{value:.2g}'):g}"


def _percent(probability: float) -> str:
    """A probability from finitely many draws, which is never certainty."""
    if probability > 0.99:
        return "> 99%"
    return "< 1%" if probability < 0.01 else f"{probability:.0%}"
