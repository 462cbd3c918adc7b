"""What commands need from measurements: subjects and frames made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from densing.core.errors import InputError

if TYPE_CHECKING:
    from densing.frame.frame import ReferenceFrame
    from densing.frame.spec import FrameSpec
    from densing.ladder.manifest import Checkpoint, Ladder
    from densing.measure.measurement import Measurement
    from densing.models.size import Size
    from densing.models.subject import Subject

MEASUREMENTS = Path("results") / "measurements"


def measure_subject(
    model: str | None,
    suite: str,
    engine: str,
    documents: Path | None,
    size: Size | None,
    frame: ReferenceFrame,
    by_loss: bool,
) -> Subject:
    """Measure a checkpoint on a suite and make a subject of it.

    Parameters
    ----------
    size : Size, optional
        As the user gave it; counted from the checkpoint's configuration where not given.
    by_loss : bool
        From the measured losses, which needs the ladder's tokeniser, instead of the scores.
    """
    from densing.frame.from_ladder import loss_subject, measured_subject
    from densing.measure.run import measure
    from densing.measure.suites import load_suite

    if model is None:
        raise InputError("--suite needs a checkpoint to measure: a folder or a hub name")
    measurement = measure(model, load_suite(suite, documents=documents), engine=engine, out=MEASUREMENTS)
    make = loss_subject if by_loss else measured_subject
    return make(measurement.model, size or size_of_checkpoint(model), measurement, frame)


def size_of_checkpoint(model: str) -> Size:
    """Parameters of a checkpoint, counted from its configuration."""
    from densing.measure.checkpoint import find_checkpoint
    from densing.models.size import Size, count_params

    total, bare = count_params(find_checkpoint(model).folder)
    return Size(total=total, non_embedding=bare)


def subject_of_results(path: Path, size: Size | None, frame: ReferenceFrame) -> Subject:
    """Scores from a results file of another harness, or from a folder of measurements.

    Raises
    ------
    InputError
        If the file is none of those that can be imported, no size is given, or it has no score of the frame.
    """
    from densing.frame.from_ladder import measured_subject
    from densing.measure.importers import read_results
    from densing.measure.importers.convert import departures_from_protocol
    from densing.measure.measurement import Measurement
    from densing.models.subject import Subject

    if not path.exists():
        raise InputError(f"{path}: no such file, and no model of that name in the registry")
    if size is None:
        raise InputError(f"{path} does not say how large the model is: give --params")
    if path.is_dir():
        measurement = Measurement.read(path)
        return measured_subject(measurement.model, size, measurement, frame)
    known = [value for value in read_results(path).known if value.benchmark in frame.benchmarks]
    models = sorted({value.model for value in known})
    if len(models) != 1:
        what = f"scores of {len(models)} models; keep one of them" if models else "no score of the frame's benchmarks"
        raise InputError(f"{path}: {what} ({', '.join(models or frame.benchmarks)})")
    items = {str(value.benchmark): value.samples for value in known if value.samples}
    for value in known:
        if departures := departures_from_protocol(value):
            typer.echo(
                f"note: {path}: {value.benchmark} is not by the usual protocol: {', '.join(departures)}", err=True
            )
    return Subject(models[0], size, {str(v.benchmark): v.score for v in known if v.score is not None}, items)


def frame_from_csv(name: str, losses: Path, scores: Path, tokens: str, options: dict[str, Any]) -> ReferenceFrame:
    """A frame from two CSV files of points."""
    import pandas as pd

    from densing.core.artifacts import sha256_of
    from densing.core.units import parse_count
    from densing.fit.hold_out import with_held_out
    from densing.frame.frame import build_frame

    for path in (losses, scores):
        if not path.exists():
            raise InputError(f"{path}: no such file")
    spec = frame_spec(name, parse_count(tokens, "a token count for --tokens"), options)
    sources = {str(path): sha256_of(path) for path in (losses, scores)}
    tables = []
    for path in (losses, scores):
        table = pd.read_csv(path)
        tables.append(with_held_out(table, str(path), range(2, len(table) + 2)))
    return build_frame(spec, *tables, made_from=sources)


def frame_from_ladder(
    name: str,
    sources: list[str],
    suite_name: str,
    score_models: list[str],
    tokens: str | None,
    rule: str | None,
    documents: Path | None,
    engine: str,
    options: dict[str, Any],
) -> ReferenceFrame:
    """A frame from a ladder: shows what it understood of it, measures it and its score models, fits.

    Parameters
    ----------
    sources : list of str
        Of the ladder, see `densing.ladder.load.load_ladder`.
    tokens : str, optional
        D₀; the most tokens that a model of the largest size saw, where not given.
    rule : str, optional
        For the training tokens of a released ladder.
    """
    from densing.core.progress import track
    from densing.core.units import parse_count
    from densing.frame.from_ladder import MeasuredCheckpoint, frame_of_ladder
    from densing.ladder.load import load_ladder
    from densing.measure.run import measure
    from densing.measure.suites import load_suite

    ladder = load_ladder(sources, rule, show=lambda found: typer.echo(str(found), err=True))
    held_out = Path(sources[0]) / "corpus" / "held_out.jsonl"
    if documents is None and held_out.exists():
        documents = held_out
    suite = load_suite(suite_name, documents=documents)
    models: dict[str, Measurement] = {}
    everything: list[tuple[str, str | Path, str | None]] = [
        (c.name, c.path, _name_in_results(ladder, c)) for c in ladder.checkpoints
    ]
    everything += [(model, model, None) for model in score_models]
    for label, model, shown in track(everything, "measuring"):
        models[label] = measure(model, suite, engine=engine, out=MEASUREMENTS, name=shown)
    points = [MeasuredCheckpoint(c.name, c.params_non_embedding, c.tokens, models[c.name]) for c in ladder.checkpoints]
    largest = max(c.params_non_embedding for c in ladder.checkpoints)
    longest = max(c.tokens for c in ladder.checkpoints if c.params_non_embedding == largest)
    at = parse_count(tokens, "a token count for --tokens") if tokens else float(longest)
    spec = frame_spec(name, at, options | {"title": f"ladder {ladder.name} on suite {suite.name}"})
    chosen = {model: models[model] for model in score_models} or None
    made_from = {label: measurement.made_from["weights"] for label, measurement in models.items()}
    return frame_of_ladder(spec, points, chosen, made_from=made_from)


def _name_in_results(ladder: Ladder, checkpoint: Checkpoint) -> str | None:
    """Folders of released ladders repeat their names (`s1`, `step1000`); those trained here are told apart already."""
    return None if ladder.training else f"{ladder.name}--{checkpoint.name}".replace("/", "--")


def frame_spec(name: str, tokens: float, options: dict[str, Any]) -> FrameSpec:
    """The settings of a frame that a command builds."""
    from densing.core.config import validate
    from densing.frame.spec import FrameSpec

    chosen = {key: value for key, value in options.items() if key != "seed"}
    return validate(
        {"name": name, "tokens": tokens, "resampling": {"seed": options["seed"]}, **chosen},
        FrameSpec,
        "densing frame build",
    )
