"""What an import gives, and which of its values belong to a benchmark that densing knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import sha256_of
from densing.core.errors import InputError
from densing.core.text import shortened
from densing.measure.measurement import MOST_ITEMS
from densing.models.benchmarks import Benchmark, load_benchmarks

if TYPE_CHECKING:
    import pandas as pd

SHARE = re.compile(
    r"(?:.*_)?acc(?:uracy)?(?:_.*)?|exact(?:_str)?_match|em|qem|(?:.*_)?pass(?:@|_at_)\d+|mc[12]|multiple_choice_grade"
    r"|extractive_match|math_verify|pct_stereotype"
)
"""Metrics of lm-eval and lighteval that are a share of right answers, from 0 to 1."""
UNSTATED = "the file does not state a limit of items or a chat template"
"""What is said of every value of a table, which has no room for it."""


@dataclass(slots=True)
class ImportedValue:
    """One number of a results file.

    Attributes
    ----------
    model, task, metric : str
        As the file names them.
    filter : str or None
        lm-eval's answer filter.
    value : float
        The number as it stands in the file.
    is_fraction : bool or None
        Whether 1 means all right (as in lm-eval), and not 100; None for a metric that is no share of
        right answers, such as a perplexity.
    stderr : float or None
        The standard error, in the unit of the value.
    shots, samples : int or None
        How many the file states; for a group, the shots that its parts have in common.
    shots_in_words : str
        The shots as the registry writes them, such as `3 (CoT)`, where the file does so.
    benchmark : str or None
        densing's name for it; None for a task it does not know, or for a second metric of one it does.
    note : str
        What else a reader should know.
    departures : tuple of str
        What is known to differ from a plain run on every item, or what the file leaves open.
    """

    model: str
    task: str
    metric: str
    filter: str | None
    value: float
    is_fraction: bool | None
    stderr: float | None = None
    shots: int | None = None
    samples: int | None = None
    benchmark: str | None = None
    note: str = ""
    shots_in_words: str = ""
    departures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.samples is not None and not (type(self.samples) is int and 0 <= self.samples <= MOST_ITEMS):
            raise InputError(f"{self.task}: {shortened(repr(self.samples), 40)} is no count of items; correct the file")

    @property
    def score(self) -> float | None:
        """Percent; None where the metric is no share of right answers."""
        return None if self.is_fraction is None else 100.0 * self.value if self.is_fraction else self.value


@dataclass(frozen=True)
class Imported:
    """A results file.

    Attributes
    ----------
    path : Path
    harness : str
        The harness, with its version where the file states it.
    settings : dict
        Everything else that the file states about how it was made.
    values : tuple of ImportedValue
    samples : dict of str to DataFrame
        One row per item, for the tasks whose items the harness kept.
    """

    path: Path
    harness: str
    settings: dict[str, Any]
    values: tuple[ImportedValue, ...]
    samples: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The file, by name and content."""
        return f"{self.path.name} (sha256 {sha256_of(self.path)[:12]}, {self.harness})"

    @property
    def known(self) -> list[ImportedValue]:
        """Values that are the score of a benchmark; none of them is without one."""
        return [value for value in self.values if value.benchmark]

    @property
    def unknown_tasks(self) -> list[str]:
        """Tasks that are no benchmark of densing, nor a part of one."""
        named = {value.task for value in self.known}
        known = {value.benchmark: load_benchmarks()[value.benchmark] for value in self.known if value.benchmark}
        tasks = dict.fromkeys(value.task for value in self.values if value.task not in named)
        return [
            task
            for task in tasks
            if not any(is_part(task, row) or (row.parts and task.startswith(f"{name}_")) for name, row in known.items())
        ]


def name_benchmarks(values: Sequence[ImportedValue]) -> tuple[ImportedValue, ...]:
    """Mark the values that are a benchmark's score; MMLU by subject gets the mean of its subjects added."""
    named = list(values)
    for model in dict.fromkeys(value.model for value in values):
        own = [place for place, value in enumerate(named) if value.model == model]
        for benchmark, row in load_benchmarks().items():
            ranks = {place: rank for place in own if (rank := _rank(named[place], row.tasks)) is not None}
            if ranks:
                best = min(ranks, key=lambda place: (ranks[place], _unusual(named[place], row)))
                value, unusual = named[best], _unusual(named[best], row)
                thought = "chain of thought" if value.task in row.cot else ""
                named[best] = replace(
                    value,
                    benchmark=benchmark,
                    note="; ".join(filter(None, (thought, value.note))),
                    departures=(*value.departures, *([f"answer filter {value.filter}"] if unusual else [])),
                )
            elif row.parts and (mean := _mean_of_parts([named[place] for place in own], benchmark, row)):
                named.append(mean)
    return tuple(named)


def _rank(value: ImportedValue, tasks: Mapping[str, Sequence[str]]) -> tuple[int, int] | None:
    """Preference of a value for a benchmark; None if it is not its score."""
    task = value.task.lower()
    if value.score is None or task not in tasks or value.metric.lower() not in tasks[task]:
        return None
    return list(tasks).index(task), tasks[task].index(value.metric.lower())


def is_part(task: str, benchmark: Benchmark) -> bool:
    """Whether a task is one of the parts that harnesses list of a benchmark."""
    return benchmark.parts is not None and re.fullmatch(benchmark.parts.pattern, task) is not None


def _unusual(value: ImportedValue, benchmark: Benchmark) -> bool:
    """Whether lm-eval took the answers by another filter than the benchmark's own; other harnesses name a mode."""
    return value.filter not in (None, "none", "gen", "ppl", *benchmark.filters)


def _mean_of_parts(values: Iterable[ImportedValue], name: str, benchmark: Benchmark) -> ImportedValue | None:
    """A benchmark from its parts, each counting the same, as MMLU was published before harnesses had groups."""
    subjects = {v.task: v for v in values if v.metric == "acc" and is_part(v.task, benchmark)}
    if benchmark.parts is None or len(subjects) != benchmark.parts.count:
        return None
    first = next(iter(subjects.values()))
    shots = {value.shots for value in subjects.values()}
    return replace(
        first,
        task=name,
        value=sum(value.value for value in subjects.values()) / len(subjects),
        stderr=None,
        samples=None,
        shots=shots.pop() if len(shots) == 1 else None,
        benchmark=name,
        note=f"mean of the {len(subjects)} subjects",
        departures=tuple(dict.fromkeys(part for value in subjects.values() for part in value.departures)),
    )
