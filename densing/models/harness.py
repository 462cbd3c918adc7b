"""Scores that one harness gave to many models, as a registry of its own.

Every vendor measures in a way of its own; a set that one harness measured compares its models under one protocol. Dates
and sizes stay the registry's: a set's own are days of submission and rounded sizes.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median_low
from typing import TYPE_CHECKING

from densing.core.config import Config, read_yaml, validate
from densing.core.errors import unknown
from densing.core.files import parse_csv
from densing.models.registry import SHIPPED, Registry, ScoreEntry

if TYPE_CHECKING:
    import pandas as pd

FOLDER = SHIPPED / "same_harness"
_WEIGHTS = ("same", "copy")
"""Relations to the registry's model under which scores compare."""


class Column(Config):
    """Where a set has the scores on a benchmark, and the worked examples they were measured with."""

    column: str
    shots: str


class HarnessSet(Config):
    """One file of scores."""

    file: str
    source: str
    fractions: bool
    benchmarks: dict[str, Column]


def load_sets() -> dict[str, HarnessSet]:
    """Every set by name."""
    rows = read_yaml(FOLDER / "sets.yaml")
    return {name: validate(row, HarnessSet, f"sets.yaml: {name}") for name, row in rows.items()}


def choose_scores(registry: Registry, scores: str) -> Registry:
    """The registry with the scores that somebody asked for.

    Parameters
    ----------
    scores : str
        ``vendors`` for the registry's own, ``harness:NAME`` for those of one set.

    Raises
    ------
    InputError
        For another word, with those there are.
    """
    if scores == "vendors":
        return registry
    choices = {f"harness:{name}": name for name in load_sets()}
    if scores not in choices:
        raise unknown("kind of scores", scores, ["vendors", *choices])
    return replace(registry, scores=tuple(harness_scores(registry, choices[scores])), score_lines=())


def harness_scores(registry: Registry, name: str) -> list[ScoreEntry]:
    """A set's scores of the registry's models; the median where a model was submitted in several precisions."""
    chosen = load_sets()[name]
    joins = {
        row["set_model"]: row["model"]
        for row in parse_csv(FOLDER / "joins.csv", ["set", "set_model", "model", "relation"])
        if f"{row['set']}.csv" == chosen.file and row["relation"] in _WEIGHTS and row["model"] in registry.models
    }
    found: dict[tuple[str, str], list[float]] = {}
    for row in parse_csv(FOLDER / chosen.file, ["model"]):
        for benchmark, where in chosen.benchmarks.items():
            if row["model"] in joins and row[where.column]:
                percent = float(row[where.column]) * (100 if chosen.fractions else 1)
                found.setdefault((joins[row["model"]], benchmark), []).append(percent)
    return [
        ScoreEntry(
            model=model,
            benchmark=benchmark,
            shots=chosen.benchmarks[benchmark].shots,
            score=median_low(values),
            source=chosen.source,
            verified=True,
        )
        for (model, benchmark), values in found.items()
    ]


def vendor_differences(registry: Registry) -> pd.DataFrame:
    """How far the vendors' scores lie over those of a harness, in points.

    Returns
    -------
    DataFrame
        Columns set, benchmark, models, median, spread (standard deviation), largest (in size) and its model.
    """
    import pandas as pd

    rows = []
    for name, chosen in load_sets().items():
        measured = harness_scores(registry, name)
        for benchmark in chosen.benchmarks:
            gaps = pd.Series(
                {
                    score.model: own[benchmark].score - score.score
                    for score in measured
                    if score.benchmark == benchmark and benchmark in (own := registry.preferred(score.model))
                },
                dtype=float,
            )
            if gaps.empty:
                continue
            largest = str(gaps.abs().idxmax())
            rows.append(
                {
                    "set": name,
                    "benchmark": benchmark,
                    "models": len(gaps),
                    "median": gaps.median(),
                    "spread": gaps.std(),
                    "largest": gaps[largest],
                    "model": largest,
                }
            )
    return pd.DataFrame(rows)
