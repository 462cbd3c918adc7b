"""`densing frames`: the reference families that densities are read against."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densing.cli import _engine_options
from densing.cli._output import JsonFlag, print_json, table
from densing.core.errors import InputError, unknown
from densing.core.units import short_count
from densing.measure.engines.table import DEFAULT

if TYPE_CHECKING:
    from densing.frame.frame import ReferenceFrame
    from densing.frame.validation import Validation
    from densing.ladder.manifest import Ladder
    from densing.measure.engines.settings import EngineSettings

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, show, compare, validate and build reference frames."
)


def hint_new_name() -> None:
    """Say how `densing frame` is called now; the old name works for one more version."""
    typer.echo("densing: `densing frame` is now `densing frames`; the old name will go", err=True)


@app.command("list")
def list_frames(json: JsonFlag = False) -> None:
    r"""List the frames that come with the package and those built here.

    \b
    Example:
      densing frames list
    """
    from densing.frame.store import built_frames, load_frames

    built, frames = built_frames(), load_frames()
    rows: list[dict[str, Any]] = [
        {
            "frame": frame.name,
            "tokens": frame.spec.tokens,
            "tokens_per_param": frame.spec.tokens_per_param,
            "read_at": frame.spec.read_at,
            "form": frame.spec.form,
            "optimum": frame.spec.optimum,
            "benchmarks": list(frame.benchmarks),
            "title": frame.spec.title,
            "file": str(built.get(frame.name, "")),
        }
        for frame in frames
    ]
    if json:
        print_json(rows)
        return
    cells = [[r["frame"], r["read_at"], r["form"], r["optimum"], str(len(r["benchmarks"])), r["title"]] for r in rows]
    typer.echo(
        table([[str(c) for c in row] for row in cells], ["frame", "read at", "law", "optimum", "benchmarks", "what"])
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a frame from `densing frames list`, or its JSON file.")],
    json: JsonFlag = False,
) -> None:
    r"""Show the constants of a frame, every optimum of its laws, and how far each fit can be trusted.

    \b
    Example:
      densing frames show densing-law-2025
    """
    from densing.frame.store import FRAMES, load_frame
    from densing.frame.validation import read_validation

    frame = load_frame(name)
    kept = read_validation(frame, FRAMES)
    if json:
        laws = {b: frame.law_fit(b).to_frame().to_dict("records") for b in frame.benchmarks}
        described = {"benchmarks": frame.describe().to_dict("records"), "optima": laws}
        print_json({"spec": frame.spec.model_dump(), **described, "validation": kept.to_dict() if kept else None})
        return
    typer.echo(str(frame))
    for benchmark in frame.benchmarks:
        typer.echo(f"\n{benchmark}, reading optimum {frame.optimum(benchmark) + 1}")
        typer.echo(str(frame.law_fit(benchmark)))
        typer.echo(str(frame.curve_fit(benchmark)))
    typer.echo(f"\n{_validation_text(kept) if kept else _NOT_VALIDATED.format(name=name)}")
    if frame.spec.credit:
        typer.echo(f"\n{frame.spec.credit}")


_NOT_VALIDATED = "Not validated yet: `densing frames validate {name}` leaves out each size and recovers known sizes."


def _validation_text(validation: Validation) -> str:
    """How many sizes were recovered, and how far off."""
    rows = [
        [row["models"], row["path"], row["of"], *(str(row[key]) for key in ("sizes", "identified", "holds")),
         _number(row["median_fold"])]
        for row in validation.summary().to_dict("records")
    ]  # fmt: skip
    header = ["models", "by", "of", "sizes", "identified", "95% holds the truth", "median fold error"]
    return f"Sizes recovered of models that the fits never saw\n{table(rows, header)}"


@app.command("validate")
def validate(
    name: Annotated[str, typer.Argument(help="Name of a frame from `densing frames list`, or its JSON file.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampled test items.")] = 0,
    json: JsonFlag = False,
) -> None:
    r"""Test a frame on models that it was not fitted to, and keep the result for `densing frames show`.

    Each size of its ladder is left out in turn: its losses and scores are predicted, and its size is recovered from
    them. Held-out scores of models of known size (columns params and tokens) are carried back too. The last table
    says how the size of the largest known model moves with the reading, the form and the optimum.

    \b
    Example:
      densing frames validate olmo-ladder
    """
    from densing.frame.store import FRAMES, load_frame
    from densing.frame.validation import HELD_OUT, keep_validation, validate_frame

    frame = load_frame(name)
    found = validate_frame(frame, seed=seed)
    path = keep_validation(frame, found, FRAMES)
    if json:
        print_json({"file": str(path), **found.to_dict()})
        return
    typer.echo("Each size left out, predicted from the others: mean absolute errors")
    rows = [
        [short_count(row["left_out"]), row["benchmark"], str(row["points"]), _number(row.get("loss_error_pct"), "%"),
         _number(row.get("score_error_points"), " points"), row["note"]]
        for row in found.predictions.to_dict("records")
    ]  # fmt: skip
    typer.echo(table(rows, ["left out", "benchmark", "models", "loss", "score", "note"]))
    typer.echo(f"\n{_validation_text(found)}")
    held_out = found.sizes[found.sizes["left_out"] == HELD_OUT]
    if len(held_out):
        cells = [
            [short_count(row["params"]), short_count(row["tokens"]), row["path"], row["benchmark"],
             _number(row["over_true"]), f"{row['low']:.2f} to {row['high']:.3g}", row["status"]]
            for row in held_out.to_dict("records")
        ]  # fmt: skip
        header = ["params", "tokens", "by", "benchmark", "size over true", "95%", "status"]
        typer.echo(f"\nHeld-out models\n{table(cells, header)}")
    typer.echo("\nThe size of the largest known model by its loss, over that in this frame, under other choices")
    moved = found.sensitivity.pivot_table(index="change", columns="benchmark", values="times", sort=False)
    moved_rows = [[str(change), *(_number(value) for value in values)] for change, values in moved.iterrows()]
    typer.echo(table(moved_rows, ["choice", *map(str, moved.columns)]))
    typer.echo(f"\nwritten to {path}")


def _number(value: float | None, unit: str = "") -> str:
    """A number of three digits, or a dash where there is none."""
    return "–" if value is None or value != value else f"{value:.3g}{unit}"


@app.command("compare")
def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of frames; those on the article's benchmarks where none is given.")
    ] = None,
    models: Annotated[
        str, typer.Option(help="Models to read: published, the article's main panel, or registry.")
    ] = "published",
    model: Annotated[
        list[str] | None, typer.Option(help="Show the density of this model in every frame; repeat it.")
    ] = None,
    tokens_per_param: Annotated[
        str | None,
        typer.Option(
            help="Show instead how the doubling time of the registry's models moves when the frames' laws are all tied "
            "to size at each of these numbers of tokens per parameter, as in 20,60,200,1000."
        ),
    ] = None,
    benchmark: Annotated[
        str, typer.Option(help="Let --tokens-per-param read this: joint, average, or the name of one benchmark.")
    ] = "joint",
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Let --tokens-per-param take only models released on or after this date."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name every model that was left out.")] = False,
    json: JsonFlag = False,
) -> None:
    r"""Compare densities and doubling time of one set of models under several frames.

    \b
    Examples:
      densing frames compare
      densing frames compare --tokens-per-param 20,60,200,1000 --since 2023-02-24
      densing frames compare densing-law-2025 densing-law-2025-best --model Gemma2-9B
    """
    from densing.core.progress import console
    from densing.frame.frame import AVERAGE
    from densing.frame.store import frame_names, load_frame
    from densing.trend.exponential import AT_CHANCE, TOO_DENSE, left_out_lines
    from densing.trend.rulers import compare_frames, densities_side_by_side

    frames = [load_frame(name) for name in names or ()]
    called = [frame.name for frame in frames]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise InputError(f"two of these frames are called {twice}; give each once, and another name to one of your own")
    if tokens_per_param is not None:
        frames = frames or [load_frame(name) for name in _distinct_laws(frame_names())]
        _compare_readings(frames, tokens_per_param, benchmark, since, json)
        return
    with console.status("refitting the frames' replicates"):
        frames = frames or [load_frame(name) for name in frame_names()]
        rows = compare_frames([frame for frame in frames if names or AVERAGE in frame.benchmarks], models)
    frontier = rows[0].identified.frontier_names if rows[0].identified else ()
    shown = model or [name for name in rows[0].densities.names if name in frontier]
    for name in shown:
        if name not in rows[0].densities.names:
            raise unknown("model of this set", name, rows[0].densities.names)
    side_by_side = densities_side_by_side(rows, shown)
    if json:
        print_json({"frames": [row.to_dict() for row in rows], "densities": side_by_side.to_dict("records")})
        return
    cells = []
    for row in rows:
        data = row.to_dict()
        cells.append(
            [
                row.frame.name,
                f"{data['alpha']:.3f}",
                f"{data['beta']:.3f}",
                f"{data['E']:.3f}",
                f"{data['data_floor']:.3f}",
                f"{data['in_range']}/{data['models']}",
                *row.texts,
            ]
        )
    header = ["frame", "α", "β", "E", "floor at D₀", "in range", "doubling", "95% full", "95% conditional"]
    typer.echo(table(cells, header))
    typer.echo("95% full: over all optima of the frame's law; conditional: at the optimum that the frame reads\n")
    draws = [[row.frame.name, *row.shares_texts] for row in rows]
    typer.echo(table(draws, ["draws", "behind full", "behind conditional"]))
    typer.echo("missing: the replicate lacks that optimum; out of range: some model has no finite size in the draw;")
    typer.echo("an interval holds for the draws that are left, and is open where those are fewer than half")
    for row in rows:
        out_of_range = {reason: row.left_out[reason] for reason in (TOO_DENSE, AT_CHANCE) if reason in row.left_out}
        for line in [row.reason] * bool(row.reason) + left_out_lines(out_of_range, name_all=verbose):
            typer.echo(f"{row.frame.name}: {line}")
    in_every_frame = {why: who for why, who in rows[0].left_out.items() if why not in (TOO_DENSE, AT_CHANCE)}
    for line in left_out_lines(in_every_frame, name_all=verbose):
        typer.echo(line)
    if shown:
        typer.echo("\ndensity (95% full)")
        rows_of_text = [[str(v) for v in values] for values in side_by_side.to_numpy().tolist()]
        typer.echo(table(rows_of_text, [str(column) for column in side_by_side]))


def _distinct_laws(names: list[str]) -> list[str]:
    """Frames on the article's points without those that differ from another by their tokens alone."""
    return [name for name in names if name.startswith("densing-law-2025") and not name.endswith("-preprint")]


def _compare_readings(
    frames: list[ReferenceFrame], tokens_per_param: str, benchmark: str, since: dt.datetime | None, json: bool
) -> None:
    from densing.core.progress import console
    from densing.models.registry import load_registry
    from densing.trend.readings import doublings_by_reading

    try:
        ratios = [float(text) for text in tokens_per_param.split(",")]
    except ValueError:
        ratios = []
    if not ratios or not all(0 < ratio < math.inf for ratio in ratios):
        raise InputError(f"--tokens-per-param {tokens_per_param}: write positive numbers with commas, as in 20,60,200")
    first = None if since is None else since.date()
    with console.status("reading the registry by every law and every number of tokens per parameter"):
        found = doublings_by_reading(frames, ratios, load_registry(), benchmark=benchmark, since=first)
    if json:
        print_json([reading.to_dict() for reading in found])
        return
    rows = [[frame.name, *(reading.text for reading in found if reading.frame == frame.name)] for frame in frames]
    typer.echo(table(rows, ["laws", *(f"κ = {ratio:g}" for ratio in ratios)]))
    typer.echo(
        f"median-unbiased doubling time by {benchmark} in days (95% full), with all laws read at κ tokens per parameter"
    )


@app.command("build")
@_engine_options.with_engine_options
def build(
    ladder: Annotated[
        list[str],
        typer.Argument(
            metavar="LADDER...",
            help="A ladder: its folder, its hub repositories (one per size if need be), or a CSV file of losses.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the frame; it is written to results/frames/NAME.json.")],
    suite: Annotated[
        str | None, typer.Option(help="Suite to measure the ladder on, a name from `densing suites list`.")
    ] = None,
    score_models: Annotated[
        list[str] | None,
        typer.Option(help="A well-trained model for the score curve; repeat it. The ladder's own where none is given."),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Take the scores from this CSV file, for losses from a CSV file; both files' columns are listed above."
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            help="D₀, the training tokens at which sizes are read, as in 1e12; the most that a model of the largest "
            "size was trained on where not given."
        ),
    ] = None,
    tokens_per_param: Annotated[
        float | None,
        typer.Option(
            help="κ, in place of --tokens: the frame is tied to size, a reference model of N parameters is read at "
            "κ·N tokens; choose one that the ladder was trained at."
        ),
    ] = None,
    training_tokens: Annotated[
        str | None,
        typer.Option(help="Rule for the training tokens of a released ladder; see `densing ladder load --help`."),
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            help="Documents or items that the suite is made from; a ladder's own held-out text where it has some."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option(help="Form of the loss law: two-term, irreducible (with E) or params-only.")
    ] = "two-term",
    objective: Annotated[
        str, typer.Option(help="What the fit minimises: least-squares, log-least-squares or huber-log.")
    ] = "least-squares",
    optimum: Annotated[
        str, typer.Option(help="Optimum of each law that the frame reads: best, or lowest-floor.")
    ] = "best",
    engine: _engine_options.EngineName = DEFAULT,
    data_root: _engine_options.DataRoot = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap draws of laws and curves.")] = 2025,
    json: JsonFlag = False,
    *,
    settings: EngineSettings,
) -> None:
    r"""Build a frame: measure a ladder and its score models, fit laws and curves, keep draws.

    \b
    Examples:
      densing frames build reference_models/quickstart --suite local --name quickstart
      densing frames build openbmb/DensingLaw-ScalingModels --training-tokens per-parameter:60 \
        --suite densing-law --name released
      densing frames build losses.csv --scores scores.csv --tokens-per-param 60 --name mine

    \b
    Columns of the CSV file of losses, one line per benchmark and model of the ladder:
      benchmark, params, tokens, conditional_loss
      rung      optional: lines of one rung share a training run, and so errors; those of one size if absent
      unit      optional: nats, bits per token (converted to nats), bits per byte, nats per byte (converted to bits)
      held_out  optional: yes keeps a line out of the fit
    Columns of the CSV file of scores, one line per benchmark and well-trained model:
      benchmark, checkpoint, conditional_loss, score (percent)
      chance    optional: the score of guessing, percent, which the curve never falls under
      params, tokens  optional: a model of known size, which `densing frames validate` asks for its size
      rung, unit, held_out  as above

    \b
    Example of both:
      benchmark,rung,params,tokens,conditional_loss,unit
      arc,s1,190000000,3800000000,1.48,bits per byte
      benchmark,checkpoint,conditional_loss,score,chance,unit,held_out
      arc,s1-last,1.48,25.7,25,bits per byte,no
    """
    from densing.core.units import parse_count
    from densing.frame.from_ladder import floor_warning, frame_from_csv, frame_from_ladder
    from densing.frame.store import write_frame

    spec: dict[str, Any] = {"form": form, "objective": objective, "optimum": optimum, "resampling": {"seed": seed}}
    at = None if tokens is None else parse_count(tokens, "a token count for --tokens")
    if Path(ladder[0]).suffix == ".csv":
        if scores is None or (at is None and tokens_per_param is None):
            raise InputError("a frame from CSV files of points needs --scores, and --tokens or --tokens-per-param")
        frame = frame_from_csv(name, Path(ladder[0]), scores, tokens=at, tokens_per_param=tokens_per_param, **spec)
    else:
        if suite is None:
            raise InputError("a frame from a ladder needs --suite: what to measure it on")

        def show_ladder(found: Ladder) -> None:
            typer.echo(str(found), err=True)

        frame = frame_from_ladder(
            name,
            ladder,
            suite,
            tokens=at,
            tokens_per_param=tokens_per_param,
            training_tokens=training_tokens,
            score_models=score_models or [],
            documents=documents,
            data_root=data_root,
            engine=engine,
            engine_settings=settings,
            show=show_ladder,
            **spec,
        )
    path = write_frame(frame)
    if warning := floor_warning(frame):
        typer.echo(f"densing: {warning}", err=True)
    if json:
        print_json({"file": str(path), "benchmarks": frame.describe().to_dict("records")})
        return
    typer.echo(str(frame))
    typer.echo(f"written to {path}")
