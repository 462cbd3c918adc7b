"""JSON results: lm-evaluation-harness 0.3 to 0.4.13, and lighteval."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError
from densing.measure.importers.values import Imported, ImportedValue, name_benchmarks

if TYPE_CHECKING:
    import pandas as pd

NOT_VALUES = ("alias", "name", "sample_len", "sample_count")
TIMES_AND_TABLES = ("results", "groups", "configs", "versions", "n-shot", "n-samples", "group_subtasks", "samples",
                    "higher_is_better", "task_hashes", "pretty_env_info", "config_tasks", "summary_tasks",
                    "summary_general")  # fmt: skip


def read_lm_eval(path: Path, data: Mapping[str, Any]) -> Imported:
    """Results of lm-eval: `metric` with a standard error beside it in 0.3, `metric,filter` since."""
    config = data.get("config") or {}
    model = _lm_eval_model(path, data, config)
    values = []
    for task, entry in data["results"].items():
        for key, value in _numbers(path, task, entry):
            metric, _, answer_filter = key.partition(",")
            if metric.endswith("_stderr"):
                continue
            values.append(
                ImportedValue(
                    model=model,
                    task=task,
                    metric=metric,
                    filter=answer_filter or None,
                    value=value,
                    is_fraction=True,
                    stderr=_number(entry.get(f"{metric}_stderr" + (f",{answer_filter}" if answer_filter else ""))),
                    shots=_shots(task, data, config),
                    samples=_samples(task, data),
                )
            )
    version = data.get("lm_eval_version")
    harness = f"lm-eval {version}" if version else "lm-eval 0.4" if "configs" in data else "lm-eval 0.3"
    return Imported(path, harness, _settings(data), name_benchmarks(values), _lm_eval_samples(path, data))


def _lm_eval_model(path: Path, data: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if data.get("model_name"):
        return str(data["model_name"])
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    name = arguments.get("pretrained") or arguments.get("model") or config.get("model_name") or path.stem
    revision = arguments.get("revision")
    return f"{name}@{revision}" if revision and revision != "main" else str(name)


def _shots(task: str, data: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    """From the table of shots, the task's own configuration, or, in 0.3, the run's."""
    for found in (
        (data.get("n-shot") or {}).get(task),
        ((data.get("configs") or {}).get(task) or {}).get("num_fewshot"),
        config.get("num_fewshot"),
    ):
        if isinstance(found, int | float):
            return int(found)
    return None


def _samples(task: str, data: Mapping[str, Any]) -> int | None:
    count = (data.get("n-samples") or {}).get(task)
    return int(count["effective"]) if isinstance(count, Mapping) and count.get("effective") is not None else None


def _lm_eval_samples(path: Path, data: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Rows of the tasks whose samples lm-eval wrote beside the results, or inside them."""
    stamp = re.sub(r"^results_?", "", path.stem)
    found = {task: rows for task, rows in (data.get("samples") or {}).items() if isinstance(rows, list)}
    for task in data["results"]:
        for beside in (f"samples_{task}_{stamp}.jsonl", f"samples_{task}_{stamp}.json"):
            if (path.parent / beside).is_file():
                found[task] = _read_samples(path.parent / beside)
    return {task: _sample_rows(task, rows) for task, rows in found.items()}


def _read_samples(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            return list(json.loads(text))
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not readable as JSON, truncated perhaps ({error})") from error


def _sample_rows(task: str, samples: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per item, in the columns of a measurement; the first filter's where there are several."""
    import pandas as pd

    first_filter = samples[0].get("filter") if samples else None
    rows = []
    for sample in samples:
        if sample.get("filter") != first_filter:
            continue
        metrics = sample.get("metrics") or [name for name in ("acc", "exact_match", "acc_norm") if name in sample]
        scores = [sample[name] for name in metrics if isinstance(sample.get(name), int | float)]
        name = sample["doc"].get("id") if isinstance(sample.get("doc"), Mapping) else None
        rows.append(
            {
                "item": str(name if name is not None else f"{task}/{sample['doc_id']}"),
                "correct": float(scores[0]) if scores else None,
                "response": json.dumps(sample.get("filtered_resps"), ensure_ascii=False),
            }
        )
    return pd.DataFrame(rows)


def read_lighteval(path: Path, data: Mapping[str, Any]) -> Imported:
    """Results of lighteval: tasks named `task|shots`, or `suite|task|shots|cut` in older versions."""
    general = data["config_general"]
    model_config = general.get("model_config") or {}
    model = str(general.get("model_name") or model_config.get("model_name") or path.stem)
    values = []
    for key, entry in data["results"].items():
        task, shots = _lighteval_task(key)
        described = (data.get("config_tasks") or {}).get(key) or {}
        for metric, value in _numbers(path, key, entry):
            if metric.endswith("_stderr"):
                continue
            values.append(
                ImportedValue(
                    model=model,
                    task=task,
                    metric=metric,
                    filter=None,
                    value=value,
                    is_fraction=True,
                    stderr=_number(entry.get(f"{metric}_stderr")),
                    shots=shots,
                    samples=described.get("effective_num_docs"),
                )
            )
    version = general.get("lighteval_sha") or ""
    return Imported(path, f"lighteval {version[:8]}".strip(), _settings(data), name_benchmarks(values))


def _lighteval_task(key: str) -> tuple[str, int | None]:
    """`mmlu|5`, `leaderboard|mmlu:anatomy|5|0`, `all`; a suite in front of the task is dropped."""
    parts = key.split("|")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    if not numbers:
        return key, None
    task = parts[numbers[0] - 1].removesuffix(":_average")
    return task, int(parts[numbers[0]])


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in TIMES_AND_TABLES}


def _numbers(path: Path, task: str, entry: Any) -> Iterator[tuple[str, float]]:
    if not isinstance(entry, Mapping):
        raise InputError(f"{path}: results of {task!r} are no mapping of metrics to values")
    for key, value in entry.items():
        if key not in NOT_VALUES and (number := _number(value)) is not None:
            yield key, number


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
