"""What an import gives, and which of its values belong to a benchmark that densing knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import sha256_of

if TYPE_CHECKING:
    import pandas as pd

KNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "mmlu": {"mmlu": ("acc", "accuracy", "naive_average", "weighted_average")},
    "bbh": {"bbh": ("exact_match", "naive_average", "score"), "bbh_cot_fewshot": ("exact_match",)},
    "math": {
        "minerva_math": ("exact_match", "math_verify"),
        "hendrycks_math": ("exact_match",),
        "math": ("accuracy", "extractive_match", "qem"),
    },
    "humaneval": {
        "humaneval": ("pass@1", "pass_at_1"),
        "openai_humaneval": ("humaneval_pass@1", "pass@1"),
    },
    "mbpp": {"mbpp": ("pass_at_1", "pass@1", "score", "mbpp_pass@1")},
}
"""Benchmark: the tasks that are it in some harness, and the metrics that are its score, the preferred first."""

STANDARD_FILTERS = {"bbh": {"get-answer"}, "humaneval": {"create_test"}}
"""Answer filters of lm-eval's own tasks, beside `none`."""

SHARE = re.compile(
    r"(?:.*_)?acc(?:uracy)?(?:_.*)?|exact(?:_str)?_match|em|qem|(?:.*_)?pass(?:@|_at_)\d+|mc[12]|multiple_choice_grade"
    r"|extractive_match|math_verify|pct_stereotype"
)
"""Metrics of lm-eval and lighteval that are a share of right answers, from 0 to 1."""

CHAIN_OF_THOUGHT = {"bbh_cot_fewshot", "bbh", "minerva_math"}
MMLU_SUBJECTS = 57
MMLU_SUBJECT = re.compile(r"(?:hendrycksTest-|mmlu[_:-])(?!stem$|other$|humanities$|social_sciences$|_average$)(.+)")


@dataclass(frozen=True)
class ImportedValue:
    """One number of a results file.

    Attributes
    ----------
    model, task, metric : str
        As the file names them.
    filter : str or None
        lm-eval's answer filter.
    value : float
        As it stands in the file.
    is_fraction : bool or None
        Whether 1 means all right (as in lm-eval), and not 100; None for a metric that is no share of
        right answers, such as a perplexity.
    stderr : float or None
        In the unit of the value.
    shots, samples : int or None
        As the file states them; of a group, the shots that its parts have in common.
    shots_in_words : str
        As the registry writes them, such as `3 (CoT)`, where the file does.
    benchmark : str or None
        densing's name for it; None for a task it does not know, or for a second metric of one it does.
    note : str
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
        With its version where the file states it.
    settings : dict
        Everything else it states about how it was made.
    values : tuple of ImportedValue
    samples : dict of str to DataFrame
        Rows per task where the harness kept them.
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
        parts = {"mmlu"} & {value.benchmark for value in self.known}
        tasks = dict.fromkeys(value.task for value in self.values if value.task not in named)
        return [task for task in tasks if not (parts and (MMLU_SUBJECT.fullmatch(task) or task.startswith("mmlu_")))]


def name_benchmarks(values: Sequence[ImportedValue]) -> tuple[ImportedValue, ...]:
    """Mark the values that are a benchmark's score; MMLU by subject gets the mean of its subjects added."""
    named = list(values)
    for model in dict.fromkeys(value.model for value in values):
        own = [place for place, value in enumerate(named) if value.model == model]
        for benchmark, tasks in KNOWN.items():
            candidates = [place for place in own if _rank(named[place], tasks) is not None]
            if candidates:
                best = min(
                    candidates, key=lambda place: (_rank(named[place], tasks), _unusual(named[place], benchmark))
                )
                value, unusual = named[best], _unusual(named[best], benchmark)
                thought = "chain of thought" if value.task in CHAIN_OF_THOUGHT else ""
                named[best] = replace(
                    value,
                    benchmark=benchmark,
                    note="; ".join(filter(None, (thought, value.note))),
                    departures=(*value.departures, *([f"answer filter {value.filter}"] if unusual else [])),
                )
            elif benchmark == "mmlu" and (mean := _mean_of_subjects([named[place] for place in own])):
                named.append(mean)
    return tuple(named)


def _rank(value: ImportedValue, tasks: dict[str, tuple[str, ...]]) -> tuple[int, int] | None:
    """Preference of a value for a benchmark; None if it is not its score."""
    task = value.task.lower()
    if value.score is None or task not in tasks or value.metric.lower() not in tasks[task]:
        return None
    return list(tasks).index(task), tasks[task].index(value.metric.lower())


def _unusual(value: ImportedValue, benchmark: str) -> bool:
    """Whether lm-eval took the answers by another filter than the benchmark's own; other harnesses name a mode."""
    own = {None, "none", "gen", "ppl"} | STANDARD_FILTERS.get(benchmark, set())
    return value.filter not in own


def _mean_of_subjects(values: Iterable[ImportedValue]) -> ImportedValue | None:
    """MMLU from its 57 subjects, each counting the same, as it was published before harnesses had groups."""
    subjects = {v.task: v for v in values if v.metric == "acc" and MMLU_SUBJECT.fullmatch(v.task)}
    if len(subjects) != MMLU_SUBJECTS:
        return None
    first = next(iter(subjects.values()))
    shots = {value.shots for value in subjects.values()}
    return replace(
        first,
        task="mmlu",
        value=sum(value.value for value in subjects.values()) / MMLU_SUBJECTS,
        stderr=None,
        samples=None,
        shots=shots.pop() if len(shots) == 1 else None,
        benchmark="mmlu",
        note="mean of the 57 subjects",
        departures=tuple(dict.fromkeys(part for value in subjects.values() for part in value.departures)),
    )
