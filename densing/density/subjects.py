"""Models whose density is asked for: from a measured checkpoint, a results file, the registry, or bare scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from densing.core.errors import InputError
from densing.core.hub import HUB_NAME
from densing.core.paths import MEASUREMENTS
from densing.core.progress import console
from densing.core.units import short_count
from densing.frame.frame import AVERAGE, ReferenceFrame
from densing.measure.engines.table import DEFAULT
from densing.models.size import Size
from densing.models.subject import Answers, Subject

_SAME_SIZE = 0.03
"""Relative difference that rounding makes of a size."""
_KINDS = {
    "total": "parameters",
    "non_embedding": "parameters without embeddings",
    "active": "active parameters",
}

if TYPE_CHECKING:
    from densing.measure.engines.settings import EngineSettings
    from densing.measure.measurement import Measurement


def find_subject(
    name: str | None,
    frame: ReferenceFrame,
    *,
    size: Size | None = None,
    scores: Mapping[str, float] | None = None,
    registry: Path | None = None,
) -> Subject:
    """A model by its name, with what is known of it.

    Parameters
    ----------
    name : str or None
        A model of the registry, a results file of another harness, or a folder of measurements; None for a
        model of which only `size` and `scores` are known.
    frame : ReferenceFrame
        Whose benchmarks are looked for.
    size : Size, optional
        Takes the place of the registry's; a file does not say one.
    scores : mapping, optional
        Percent, by benchmark; they take the place of those that are known.
    registry : Path, optional
        Folder of the user's registry, see `densing.models.registry.load_registry`.

    Raises
    ------
    InputError
        If there is nothing of that name, or no size.
    """
    scores = dict(scores or {})
    if name is None:
        if size is None:
            raise InputError("no size given: say --params 8B, or name a model of the registry")
        return Subject("", size, scores)
    if Path(name).suffix in (".json", ".csv") or Path(name).exists():
        found = subject_of_results(Path(name), frame, size)
    else:
        from densing.models.registry import load_registry

        found = load_registry(registry).subject(name)
        if size is not None:
            _refuse_other_size(found, size)
        known = {key: value for key, value in found.scores.items() if key in frame.benchmarks}
        found = replace(found, scores=known)
    return replace(found, size=size or found.size, scores={**found.scores, **scores})


def is_checkpoint(name: str | None) -> bool:
    """Whether a name is a folder of weights or a model's name on the hub, so that it must be measured first."""
    return name is not None and (
        (Path(name) / "config.json").is_file() or (HUB_NAME.fullmatch(name) is not None and not Path(name).exists())
    )


def suite_of(frame: ReferenceFrame) -> str:
    """Name of the suite that measures every benchmark of a frame.

    Raises
    ------
    InputError
        If none that comes with densing does.
    """
    from densing.core import config
    from densing.measure.suites import SuiteConfig

    wanted = set(frame.benchmarks) - {AVERAGE}
    for name in config.config_names("suite"):
        if wanted <= config.load(config.find_config("suite", name), SuiteConfig).benchmarks.keys():
            return name
    raise InputError(
        f"no suite of densing measures all that frame {frame.name} reads ({', '.join(sorted(wanted))}); "
        "name one with --suite"
    )


def _refuse_other_size(known: Subject, given: Size) -> None:
    """A size that is not the registry's is a mistake, or of another model under the same name."""
    for kind in ("total", "non_embedding", "active"):
        stated, said = getattr(known.size, kind), getattr(given, kind)
        if stated and said and abs(said / stated - 1) > _SAME_SIZE:
            raise InputError(
                f"{known.name} has {short_count(stated)} {_KINDS[kind]} in the registry, not {short_count(said)}; "
                "leave the size out, correct it with `densing models edit`, or give the scores without the name"
            )


def measure_subject(
    model: str | None,
    suite: str | None,
    frame: ReferenceFrame,
    *,
    size: Size | None = None,
    engine: str = DEFAULT,
    settings: EngineSettings | None = None,
    documents: Path | None = None,
    data_root: Path | None = None,
    by_loss: bool = False,
    out: Path = MEASUREMENTS,
) -> Subject:
    """Measure a checkpoint on a suite and make a subject of it.

    Parameters
    ----------
    model : str or None
        Folder or hub name.
    suite : str or None
        Name of a suite, or its YAML file; the one that the frame needs if not given.
    frame : ReferenceFrame
    size : Size, optional
        Read from the checkpoint where not given, with the bits of its weights; see `size_of_checkpoint`.
    engine : str
        Name of an engine, see `densing.measure.engines.table`.
    settings : EngineSettings, optional
        How the engine computes, and what the user consents to.
    documents : Path, optional
        What the suite is made from, where it needs something.
    data_root : Path, optional
        A folder of data sets in place of the hub.
    by_loss : bool
        Take the measured losses, which needs the ladder's tokeniser, instead of the scores.
    out : Path
        Root of all measurements.

    Raises
    ------
    InputError
        If no model is given, or it or the suite cannot be used.
    """
    from densing.measure.checkpoint import find_checkpoint
    from densing.measure.engines.settings import EngineSettings
    from densing.measure.run import measure
    from densing.measure.suites import load_suite
    from densing.measure.weights import size_of_checkpoint

    if model is None:
        raise InputError("--suite needs a checkpoint to measure: a folder or a hub name")
    used = load_suite(suite or suite_of(frame), documents=documents, data_root=data_root)
    read = {name: one for name, one in used.benchmarks.items() if (one.loss if by_loss else one.score)}
    if not read.keys() & set(frame.benchmarks):
        of = "" if read.keys() == used.benchmarks.keys() else f"the {'loss' if by_loss else 'score'} of "
        raise InputError(
            f"suite {used.name!r} measures {of}{', '.join(read) or 'nothing'}, and frame {frame.name} reads "
            f"{', '.join(frame.benchmarks)}; name a frame that reads the suite with --frame, or leave --suite out to "
            "measure what the frame needs"
        )
    settings = settings or EngineSettings()
    checkpoint = find_checkpoint(model, revision=settings.revision, trust_remote_code=settings.trust_remote_code)
    if by_loss:
        _refuse_other_tokeniser(checkpoint.name, checkpoint.tokenizer, frame)
    size = size or size_of_checkpoint(checkpoint, settings.options)
    measurement = measure(model, used, engine=engine, out=out, settings=settings)
    make = loss_subject if by_loss else measured_subject
    return make(measurement.model, size, measurement, frame)


def subject_of_results(path: Path, frame: ReferenceFrame, size: Size | None) -> Subject:
    """Scores from a results file of another harness, or from a folder of measurements.

    Raises
    ------
    InputError
        If the file is none of those that can be imported, no size is given, or it has no score of the frame.
    """
    from densing.measure.importers.convert import departures_from_protocol
    from densing.measure.importers.read import read_results
    from densing.measure.measurement import Measurement

    if not path.exists():
        raise InputError(f"{path}: no such file, and no model of that name in the registry")
    if size is None:
        raise InputError(f"{path} does not say how large the model is: give its parameters")
    if path.is_dir():
        measurement = Measurement.read(path)
        return measured_subject(measurement.model, size, measurement, frame)
    known = [value for value in read_results(path).known if value.benchmark in frame.benchmarks]
    models = sorted({value.model for value in known})
    if len(models) != 1:
        what = f"scores of {len(models)} models; keep one of them" if models else "no score of the frame's benchmarks"
        raise InputError(f"{path}: {what} ({', '.join(models or frame.benchmarks)})")
    for value in known:
        if departures := departures_from_protocol(value):
            console.print(
                f"note: {path}: {value.benchmark} is not by the usual protocol: {', '.join(departures)}",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
    items = {str(value.benchmark): value.samples for value in known if value.samples}
    return Subject(models[0], size, {str(v.benchmark): v.score for v in known if v.score is not None}, items)


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
    answers = {task: known for task in scores if (known := _answers(measurement, task)) is not None}
    return Subject(name, size, scores, items, answers=answers)


def _answers(measurement: Measurement, task: str) -> Answers | None:
    """The items of a score, ordered by name; None where they were not kept, or cannot be read here."""
    try:
        rows = measurement.items(task)
    except (InputError, ImportError):  # imported, or without pyarrow: the score alone then counts
        return None
    rows = rows[rows["correct"].notna()].sort_values("item", kind="stable")
    return Answers(tuple(rows["item"].astype(str)), tuple(rows["correct"].astype(float)))


def loss_subject(name: str, size: Size, measurement: Measurement, frame: ReferenceFrame) -> Subject:
    """A measured checkpoint as a subject of its measured losses, which skip the score curve.

    Raises
    ------
    InputError
        If its tokeniser is not the ladder's: losses per token of other tokenisers do not compare.
    """
    _refuse_other_tokeniser(name, measurement.made_from.get("tokenizer", ""), frame)
    from densing.measure.measurement import loss_error

    losses, errors = {}, {}
    for task, result in measurement.tasks.items():
        if task in frame.benchmarks and result.conditional_loss is not None:
            losses[task] = result.conditional_loss
            errors[task] = loss_error(measurement.items(task))
    weights = frame.spec.average
    if weights and set(weights) <= set(losses):
        losses[AVERAGE] = sum(weight * losses[task] for task, weight in weights.items())
        errors[AVERAGE] = float(np.sqrt(sum((weight * errors[task]) ** 2 for task, weight in weights.items())))
    return Subject(name, size, losses=losses, loss_errors=errors)


def _refuse_other_tokeniser(name: str, tokenizer: str, frame: ReferenceFrame) -> None:
    if tokenizer != frame.spec.tokenizer or not frame.spec.tokenizer:
        raise InputError(
            f"{name} has another tokeniser than the ladder of frame {frame.name}: its losses do not compare"
        )
