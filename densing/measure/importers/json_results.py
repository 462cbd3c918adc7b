"""What lm-eval's and lighteval's JSON results have in common: metrics by task under `results`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from densing.core.errors import InputError

NOT_VALUES = ("alias", "name", "sample_len", "sample_count")
TIMES_AND_TABLES = ("results", "groups", "configs", "versions", "n-shot", "n-samples", "group_subtasks", "samples",
                    "higher_is_better", "task_hashes", "pretty_env_info", "config_tasks", "summary_tasks",
                    "summary_general")  # fmt: skip


def tasks_of(path: Path, data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every task's metrics, also of groups that stand apart, and of tasks inside of others (`all`, `leaderboard`)."""
    found: dict[str, Mapping[str, Any]] = {}
    waiting = [*data["results"].items(), *(data.get("groups") or {}).items()]
    while waiting:
        task, entry = waiting.pop(0)
        if not isinstance(entry, dict):
            raise InputError(f"{path}: the results of {task!r} are no mapping of metrics to values")
        waiting += [(inner, metrics) for inner, metrics in entry.items() if isinstance(metrics, dict)]
        known = found.get(task, {})
        if any(value != known.get(key, value) for key, value in numbers_of(entry) if not math.isnan(value)):
            raise InputError(f"{path}: the task {task!r} stands there twice with different values; keep one")
        found[task] = {**entry, **known}
    return found


def settings_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the file states about how it was made, without its values and times."""
    return {key: value for key, value in data.items() if key not in TIMES_AND_TABLES}


def numbers_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The metrics of a task that are numbers, by name."""
    for key, value in entry.items():
        if key not in NOT_VALUES and (number := _number(value)) is not None:
            yield key, number


def stderr_of(value: Any) -> float | None:
    """A standard error; None where it is not a number, as lm-eval gives it for one item."""
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
