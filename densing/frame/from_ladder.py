"""From a measured ladder to a frame: its checkpoints are the points of the laws, score models those of the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from densing.core.errors import InputError
from densing.frame.frame import ReferenceFrame, build_frame
from densing.frame.spec import FrameSpec
from densing.models.size import Size
from densing.models.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

    from densing.measure.measurement import Measurement


@dataclass(frozen=True)
class MeasuredCheckpoint:
    """A reference model and what was measured on it.

    Attributes
    ----------
    name : str
    params, tokens : float
        N as the frame counts it, and D.
    measurement : Measurement
    """

    name: str
    params: float
    tokens: float
    measurement: Measurement


def spec_of_suite(spec: FrameSpec, measured: Sequence[Measurement]) -> FrameSpec:
    """A frame's settings with what the measurements say: chance floors, item counts, the average, the tokeniser.

    Benchmarks weigh equally in the average unless the settings say otherwise. A benchmark's chance score is its
    curve's floor, held fixed: no model of the family has less to say than a coin.
    """
    tasks = measured[0].tasks
    scored = [name for name, task in tasks.items() if task.score is not None and task.conditional_loss is not None]
    if not scored:
        raise InputError(f"suite {measured[0].suite} measures no benchmark's loss and score together")
    update: dict[str, object] = {"tokenizer": measured[0].made_from.get("tokenizer", "")}
    if not spec.average:
        update["average"] = {name: 1 / len(scored) for name in scored}
    if not spec.items:
        update["items"] = {name: tasks[name].score_items for name in scored}
    if not spec.curves:
        chances = {name: tasks[name].chance for name in scored}
        floors = {name: chance for name, chance in chances.items() if chance is not None}
        update["curves"] = {name: spec.curve.model_copy(update={"floor": floor}) for name, floor in floors.items()}
        if len(floors) == len(scored):
            average = spec.average or update["average"]
            assert isinstance(average, dict)
            floor = sum(weight * floors[name] for name, weight in average.items() if name in floors)
            update["curves"]["average"] = spec.curve.model_copy(update={"floor": floor})  # type: ignore[index]
    return spec.model_copy(update=update)


def frame_of_ladder(
    spec: FrameSpec,
    ladder: Sequence[MeasuredCheckpoint],
    score_models: Mapping[str, Measurement] | None = None,
    *,
    made_from: Mapping[str, str] | None = None,
) -> ReferenceFrame:
    """A frame from a ladder's measurements.

    Parameters
    ----------
    spec : FrameSpec
        What the measurements say is filled in, see `spec_of_suite`.
    ladder : sequence of MeasuredCheckpoint
    score_models : mapping from name to Measurement, optional
        Well-trained models for the score curves; the ladder's own checkpoints where none are given, which
        does where they leave chance.
    """
    import pandas as pd

    measurements = [checkpoint.measurement for checkpoint in ladder]
    spec = spec_of_suite(spec, measurements)
    names = [name for name in measurements[0].tasks if measurements[0].tasks[name].conditional_loss is not None]
    losses = [
        {
            "benchmark": name,
            "params": c.params,
            "tokens": c.tokens,
            "conditional_loss": c.measurement.tasks[name].conditional_loss,
        }
        for name in names
        for c in ladder
    ]
    models = score_models or {checkpoint.name: checkpoint.measurement for checkpoint in ladder}
    scores = [
        {"benchmark": name, "checkpoint": model, "conditional_loss": task.conditional_loss, "score": task.score}
        for name in names
        for model, measurement in models.items()
        if (task := measurement.tasks[name]).score is not None
    ]
    return build_frame(spec, pd.DataFrame(losses), pd.DataFrame(scores), made_from=made_from)


def measured_subject(name: str, size: Size, measurement: Measurement, frame: ReferenceFrame) -> Subject:
    """A measured checkpoint as a subject: its scores, and its losses where the vocabulary is the ladder's.

    Raises
    ------
    InputError
        If the measurement shares no benchmark with the frame.
    """
    tasks = {task: result for task, result in measurement.tasks.items() if task in frame.benchmarks}
    if not tasks:
        raise InputError(
            f"{name} was measured on {', '.join(measurement.tasks)}; "
            f"frame {frame.name} has {', '.join(frame.benchmarks)}"
        )
    scores = {task: result.score for task, result in tasks.items() if result.score is not None}
    items = {task: result.score_items for task, result in tasks.items()}
    return Subject(name, size, scores, items)


def loss_subject(name: str, size: Size, measurement: Measurement, frame: ReferenceFrame) -> Subject:
    """The same by its measured losses, which skip the score curve.

    Raises
    ------
    InputError
        If its tokeniser is not the ladder's: losses per token of other tokenisers do not compare.
    """
    if measurement.made_from.get("tokenizer", "") != frame.spec.tokenizer or not frame.spec.tokenizer:
        raise InputError(
            f"{name} has another tokeniser than the ladder of frame {frame.name}: its losses do not compare"
        )
    losses, errors = {}, {}
    for task, result in measurement.tasks.items():
        if task in frame.benchmarks and result.conditional_loss is not None:
            losses[task] = result.conditional_loss
            errors[task] = loss_error(measurement.items(task))
    weights = frame.spec.average
    if weights and set(weights) <= set(losses):
        losses["average"] = sum(weight * losses[task] for task, weight in weights.items())
        errors["average"] = float(np.sqrt(sum((weight * errors[task]) ** 2 for task, weight in weights.items())))
    return Subject(name, size, losses=losses, loss_errors=errors)


def loss_error(items: pd.DataFrame) -> float:
    """Standard error of a conditional loss, which is a ratio of sums over items: nats per token."""
    rows = items[items["answer_logprob"].notna()]
    nats, tokens = -rows["answer_logprob"].to_numpy(float), rows["tokens"].to_numpy(float)
    residual = nats - nats.sum() / tokens.sum() * tokens
    return float(np.sqrt(len(rows) / max(len(rows) - 1, 1) * (residual**2).sum()) / tokens.sum())
