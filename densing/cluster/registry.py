"""What a sweep has measured as a registry, so that trends, comparisons and reports read it like any other.

The sweep's own folder is that registry: `densing report --registry results/sweeps/monthly`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from densing.cluster.records import UnitRecord
from densing.cluster.sweep import SweepConfig, Unit
from densing.core.artifacts import ArtifactError, typed, understanding
from densing.core.errors import InputError
from densing.measure.measurement import Measurement, TaskResult
from densing.measure.weights import USUAL_BITS
from densing.models import changes
from densing.models.benchmarks import load_benchmarks
from densing.models.registry import ModelEntry, ScoreEntry, load_registry
from densing.models.size import Size


def enter_in_registry(config: SweepConfig, units: Sequence[Unit], folder: Path) -> list[str]:
    """Enter the checkpoints of a sweep and their scores into models.csv and scores.csv of its folder.

    A checkpoint becomes a model if the sweep's file says when it was released; one that is in the registry already,
    by its name, gets scores only. Under several settings each is a model of its own, "name (settings)".

    Parameters
    ----------
    config : SweepConfig
    units : sequence of Unit
        All of the sweep; those that are not finished are left out.
    folder : Path
        The sweep's.

    Returns
    -------
    list of str
        Sentences for the user: what was entered, and what was left out.
    """
    try:
        return _entered(config, units, folder)
    except InputError as error:
        return [f"the sweep's registry stays as it was: {error}"]


def _entered(config: SweepConfig, units: Sequence[Unit], folder: Path) -> list[str]:
    known = load_registry(folder).models
    entries: dict[str, ModelEntry] = {}
    scores: list[ScoreEntry] = []
    undated: set[str] = set()
    for unit in units:
        record = UnitRecord.read(folder, unit)
        if record is None or record.state != "done":
            continue
        try:
            found = Measurement.read(folder / unit.place)
        except ArtifactError:
            continue  # damaged since; the next run measures it again
        checkpoint = unit.load.checkpoint
        name = checkpoint.result_name
        if len(config.settings) > 1:
            name = f"{name} ({unit.load.settings_name})"
        with understanding(folder / unit.place, "measurement"):
            rows = [
                _score(name, config, benchmark, task, unit.suite.limit)
                for benchmark, task in found.tasks.items()
                if task.score is not None and benchmark in load_benchmarks()
            ]
        if not rows:
            continue
        if checkpoint.released and record.size:
            entries[name] = _model(name, unit, record.size)
        elif name not in known:
            undated.add(name)
            continue
        scores += rows
    lines = []
    if undated:
        lines.append(
            f"{len(undated)} checkpoints are left out of the sweep's registry, because the sweep does not say when "
            f"they were released (released: 2026-01-31 beside their model): {', '.join(sorted(undated)[:3])}"
            f"{', ...' if len(undated) > 3 else ''}"
        )
    if scores and changes.put(list(entries.values()), scores, folder, f"sweep {config.name}"):
        lines.append(f"{len(entries)} models and {len(scores)} scores are in its registry: --registry {folder}")
    return lines


def _model(name: str, unit: Unit, size: Size) -> ModelEntry:
    counts = {"total": size.total, "non_embedding": size.non_embedding, "active": size.active}
    entry, _ = changes.described(
        name,
        release_date=str(unit.load.checkpoint.released),
        counts={kind: value for kind, value in counts.items() if value},
        scores={},
        source="",
        fields={
            "family": unit.load.checkpoint.family,
            "weight_bits": None if size.weight_bits == USUAL_BITS else size.weight_bits,
        },
    )
    return entry


def _score(name: str, config: SweepConfig, benchmark: str, task: TaskResult, limit: int | None) -> ScoreEntry:
    shots = typed(task.settings["shots"], dict[str, Any])
    asked = {str(shots[one]) for one in shots if one != task.settings.get("loss")}
    return ScoreEntry(
        model=name,
        benchmark=benchmark,
        shots=", ".join(sorted(asked)),
        score=round(float(task.score or 0), 10),
        source=f"densing sweep {config.name}",
        note=f"the first {limit} items of each task" if limit else "",
        protocol_matches="no" if limit else "",
        priority=1,
    )
