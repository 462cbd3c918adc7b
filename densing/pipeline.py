"""The whole chain in one run: ladder → measure → frame → three checkpoints → report.

Every stage finds what it finished before, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from densing.core.artifacts import sha256_of, write_csv
from densing.core.config import Config, FileName, find_config, load
from densing.core.paths import MEASUREMENTS
from densing.core.progress import console
from densing.core.text import markdown_text
from densing.core.units import short_count
from densing.density.densities import Density, compute_densities
from densing.density.subjects import loss_subject, measured_subject
from densing.frame.frame import ReferenceFrame
from densing.frame.from_ladder import frame_of_measurements, measure_models
from densing.frame.names import ARTICLE_FRAME
from densing.frame.spec import CurveOptions, FrameSpec
from densing.frame.store import write_frame
from densing.ladder.config import LadderConfig, Shape
from densing.measure.engines.table import DEFAULT, checked_engine
from densing.models.size import Size

if TYPE_CHECKING:
    import pandas as pd

    from densing.ladder.manifest import Checkpoint, Ladder
    from densing.ladder.training.run import ExtraModel
    from densing.measure.measurement import Measurement


class FreshModel(Config):
    """A model of the ladder's recipe that takes no part in the fit."""

    shape: Shape
    """As a size of the ladder's configuration."""
    seed: int = Field(1, ge=0)
    """Seed of its weights and of its order of text; another than the ladder's."""
    longer: float = Field(1.5, gt=1, le=1e6)
    """Tokens of its longer training, in units of D₀."""


class PipelineConfig(Config):
    """What `densing run` runs."""

    name: FileName
    """Name of the frame that the run builds."""
    ladder: str
    """Name of a ladder that comes with densing, or the YAML file of one."""
    folder: Path
    """Where the ladder is trained."""
    suite: str = "local"
    engine: Annotated[str, AfterValidator(checked_engine)] = DEFAULT
    tokens_per_parameter: float = Field(60, gt=0, le=1e9)
    """D₀, in tokens per parameter of the largest rung."""
    form: Literal["two-term", "irreducible", "params-only"] = "two-term"
    objective: Literal["least-squares", "log-least-squares", "huber-log"] = "log-least-squares"
    optimum: Literal["best", "lowest-floor"] = "best"
    curve: CurveOptions = CurveOptions()
    fresh: FreshModel
    bits: int = Field(4, ge=2, le=8)
    """Bits that the compressed copy's weights are rounded to."""
    report: Path = Path("report")
    seed: int = Field(2025, ge=0)
    """Seed of the frame's bootstrap draws."""


@dataclass(frozen=True)
class Scored:
    """A checkpoint that took no part in the fit, and its densities.

    Attributes
    ----------
    name, what : str
    by_score, by_loss : Density
        Through the score curves, and from the measured loss without them.
    """

    name: str
    what: str
    by_score: Density
    by_loss: Density


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind."""

    frame: ReferenceFrame
    scored: tuple[Scored, ...]
    files: tuple[Path, ...]


def run(config: PipelineConfig, source: Path) -> Outcome:
    """Run the chain, or what is left of it.

    Parameters
    ----------
    config : PipelineConfig
    source : Path
        The configuration's file, whose hash goes into the frame.
    """
    from densing.ladder.shapes import params_non_embedding
    from densing.ladder.training.run import ExtraModel, train_ladder
    from densing.measure.suites import load_suite
    from densing.report.build import check_replaceable

    check_replaceable(config.report)
    settings = load(find_config("ladder", config.ladder), LadderConfig)
    tokens = config.tokens_per_parameter * max(params_non_embedding(shape) for shape in settings.sizes)
    model = ExtraModel(config.fresh.shape, (tokens, config.fresh.longer * tokens), config.fresh.seed)
    console.print(f"1 of 6: ladder {settings.name} in {config.folder}, and beside it a fresh model")
    ladder = train_ladder(settings, config.folder, extra=[model], processes=None)
    console.print(f"2 of 6: the fresh model at D₀ = {short_count(tokens)} tokens, the same longer, and compressed")
    extra = _held_out_models(config, settings, model)
    console.print(f"3 of 6: measuring {len(ladder.checkpoints)} + {len(extra)} checkpoints on suite {config.suite}")
    suite = load_suite(config.suite, documents=config.folder / "corpus" / "held_out.jsonl")
    checkpoints = [*ladder.checkpoints, *(checkpoint for _, _, checkpoint in extra)]
    folders = {checkpoint.name: checkpoint.path for checkpoint in checkpoints}
    measured = measure_models(folders, suite, engine=config.engine, out=MEASUREMENTS / config.folder.name)
    console.print("4 of 6: fitting laws and curves")
    manifest = config.folder / "manifest.json"
    made_from = {str(manifest): sha256_of(manifest), source.name: sha256_of(source)}
    frame = frame_of_measurements(_spec(config, ladder, tokens), ladder, measured, made_from=made_from)
    path = write_frame(frame)
    console.print("5 of 6: densities of the checkpoints that were not fitted")
    scored = tuple(_score(frame, name, what, checkpoint, measured[checkpoint.name]) for name, what, checkpoint in extra)
    console.print(f"6 of 6: report in {config.report}")
    files = write_report(config.report, frame, scored, made_from={str(path): sha256_of(path)})
    return Outcome(frame, scored, tuple(files))


def _held_out_models(
    config: PipelineConfig, settings: LadderConfig, model: ExtraModel
) -> list[tuple[str, str, Checkpoint]]:
    """Name, description and checkpoint of the three models that the fit does not see."""
    from densing.ladder.compress import quantise
    from densing.ladder.training.run import train_model

    fresh, longer = train_model(settings, model.shape, model.budgets, config.folder, model.seed)
    out = config.folder / f"{model.shape.name}-{config.bits}bit"
    shutil.rmtree(out, ignore_errors=True)  # made in a second, and so never stale
    compressed = replace(fresh, name=out.name, path=quantise(fresh.path, out, config.bits))
    return [
        ("fresh", "the ladder's recipe to D₀: near 1 if the method agrees with itself", fresh),
        ("longer", f"the same model trained {config.fresh.longer:g} times as long", longer),
        (f"{config.bits}-bit", f"the fresh model with its weights rounded to {config.bits} bits", compressed),
    ]


def _spec(config: PipelineConfig, ladder: Ladder, tokens: float) -> FrameSpec:
    return FrameSpec(
        name=config.name,
        title=f"ladder {ladder.name} on suite {config.suite}",
        tokens=tokens,
        form=config.form,
        objective=config.objective,
        optimum=config.optimum,
        reason="the smallest objective" if config.optimum == "best" else "",
        curve=config.curve,
        resampling={"seed": config.seed},
    )


def _score(frame: ReferenceFrame, name: str, what: str, checkpoint: Checkpoint, measurement: Measurement) -> Scored:
    """Sizes count parameters, whatever the bits they are stored in: a rounded copy is judged as a model."""
    size = Size(total=checkpoint.params, non_embedding=checkpoint.params_non_embedding)
    by_score = compute_densities(frame, [measured_subject(name, size, measurement, frame)])[0]
    by_loss = compute_densities(frame, [loss_subject(name, size, measurement, frame)])[0]
    return Scored(name, what, by_score, by_loss)


def write_report(
    out: Path, frame: ReferenceFrame, scored: Sequence[Scored], *, made_from: dict[str, str]
) -> list[Path]:
    """Figures of the frame, the published density-over-time figure, and the table of the checkpoints."""
    from densing.density.sets import compute_density_set
    from densing.report.build import replacing
    from densing.report.figures.density_over_time import density_figure
    from densing.report.figures.loss_law import ladder_figure
    from densing.report.figures.score_curve import curves_figure
    from densing.report.figures.style import save_all
    from densing.trend.exponential import fit_density_trend

    published = compute_density_set(ARTICLE_FRAME, "published")
    trend = fit_density_trend(published)
    with replacing(out) as folder:
        save_all(ladder_figure(frame), folder / "loss_against_compute")
        save_all(curves_figure(frame), folder / "loss_to_score")
        save_all(density_figure(published, trend), folder / "density_over_time")
        table = checkpoint_table(scored)
        write_csv(folder / "checkpoints.csv", "densities", table, made_from=made_from)
        (folder / "checkpoints.md").write_text(markdown_table(scored), encoding="utf-8")
    return sorted(out.glob("*.*"))


def checkpoint_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Densities of the checkpoints, by score and by loss, one row each."""
    import pandas as pd

    rows = []
    for one in scored:
        for route, density in (("score", one.by_score), ("loss", one.by_loss)):
            rows.append({"checkpoint": one.name, "what": one.what, "by": route} | density.to_dict())
    return pd.DataFrame(rows)


def rows_for_people(scored: Sequence[Scored]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table of checkpoints, for a terminal or a page."""
    header = ["checkpoint", "density by loss", "95% full", "status", "density by score", "95% full", "status", "what"]
    rows = [
        [
            one.name,
            one.by_loss.text,
            str(one.by_loss.interval),
            str(one.by_loss.status),
            one.by_score.text,
            str(one.by_score.interval),
            str(one.by_score.status),
            one.what,
        ]
        for one in scored
    ]
    return header, rows


def markdown_table(scored: Sequence[Scored]) -> str:
    """Densities of the checkpoints as a table in Markdown."""
    header, rows = rows_for_people(scored)
    lines = [
        f"| {' | '.join(header)} |",
        f"|{' --- |' * len(header)}",
        *(f"| {' | '.join(map(markdown_text, row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
