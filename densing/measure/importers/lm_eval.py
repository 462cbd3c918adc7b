"""JSON results of lm-evaluation-harness 0.3 to 0.4.13."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError
from densing.core.files import json_lines, open_regular, parse_json, reading
from densing.measure.importers.file import ResultsFile
from densing.measure.importers.json_results import numbers_of, settings_of, stderr_of, tasks_of
from densing.measure.importers.values import SHARE, Imported, ImportedValue, name_benchmarks

if TYPE_CHECKING:
    import pandas as pd

_as_json = json.JSONEncoder(ensure_ascii=False).encode
LOG_ONE = 1e-5
"""The logarithm of a probability of one, up to rounding in single precision."""


def recognises(file: ResultsFile) -> bool:
    """Whether it has results by task, and nothing that another harness writes beside them."""
    data = file.json
    return isinstance(data, dict) and isinstance(data.get("results"), dict) and "config_general" not in data


def read(file: ResultsFile) -> Imported:
    """Results of lm-eval: `metric` with a standard error beside it in 0.3, `metric,filter` since."""
    path, data = file.path, file.json
    config = data.get("config") or {}
    model = _lm_eval_model(path, data, config)
    departures = _departures(data, config)
    values = []
    for task, entry in tasks_of(path, data).items():
        for key, value in numbers_of(entry):
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
                    is_fraction=True if SHARE.fullmatch(metric) else None,
                    stderr=stderr_of(entry.get(f"{metric}_stderr" + (f",{answer_filter}" if answer_filter else ""))),
                    shots=_shots(task, data, config),
                    samples=_samples(task, data),
                    departures=(*departures, *_left_out(task, data)),
                )
            )
    version = data.get("lm_eval_version")
    harness = f"lm-eval {version}" if version else "lm-eval 0.4" if "configs" in data else "lm-eval 0.3"
    return Imported(path, harness, settings_of(data), name_benchmarks(values), _lm_eval_samples(path, data))


def _lm_eval_model(path: Path, data: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if data.get("model_name"):
        return str(data["model_name"])
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    name = arguments.get("pretrained") or arguments.get("model") or config.get("model_name") or path.stem
    revision = arguments.get("revision")
    return f"{name}@{revision}" if revision and revision != "main" else str(name)


def _departures(data: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What the run did otherwise than a plain one: a chat, fewer items, an instruction before every question."""
    found = []
    if config.get("limit") not in (None, "None"):
        found.append(f"limit {config['limit']:g} items a task")
    if any(s.get(key) for s in (data, config) for key in ("chat_template", "chat_template_sha", "apply_chat_template")):
        found.append("chat template")
    elif data.get("fewshot_as_multiturn") and "lm_eval_version" not in data:
        # The early versions demanded a template for this, and did not write down that of every engine.
        found.append("examples as turns of a chat")
    if data.get("system_instruction"):
        found.append("system instruction")
    if config.get("gen_kwargs"):
        found.append(f"generation options {config['gen_kwargs']}")
    return found


def _parts(task: str, data: Mapping[str, Any]) -> set[str]:
    """The tasks that a group is made of, without the groups among them; empty for a task."""
    subtasks = data.get("group_subtasks") or {}
    found: set[str] = set()
    waiting = list(subtasks.get(task) or [])
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting += subtasks.get(part) or []
    parts = {part for part in found if not subtasks.get(part)}
    if not parts and task not in (data.get("configs") or {}):  # no list: a group has no configuration of its own
        parts = {part for part in data.get("configs") or {} if part.startswith(f"{task}_")}
    return parts


def _shots(task: str, data: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    """Shots of a task, or what all parts of a group have in common.

    lm-eval writes 0 into its table where it knows none, as it does for groups; so a number from elsewhere counts
    before that 0. The run's own number is all that 0.3 has.
    """
    if parts := _parts(task, data):
        shots = {_shots(part, data, config) for part in parts}
        return shots.pop() if len(shots) == 1 else None
    own = ((data.get("configs") or {}).get(task) or {}).get("num_fewshot")
    table = (data.get("n-shot") or {}).get(task)
    run = config.get("num_fewshot") if own is None else None
    stated = [int(found) for found in (own, table, run) if isinstance(found, int | float)]
    return next((found for found in stated if found), 0 if stated else None)


def _left_out(task: str, data: Mapping[str, Any]) -> list[str]:
    """Whether a task, or a part of it, was asked on some of its items only."""
    counts = [(data.get("n-samples") or {}).get(part) for part in _parts(task, data) or {task}]
    pairs = [(c.get("effective"), c.get("original")) for c in counts if isinstance(c, dict)]
    asked, every = (sum(pair[i] or 0 for pair in pairs) for i in (0, 1))
    return [f"{asked} of {every} items"] if asked < every else []


def _samples(task: str, data: Mapping[str, Any]) -> int | None:
    count = (data.get("n-samples") or {}).get(task)
    return int(count["effective"]) if isinstance(count, dict) and count.get("effective") is not None else None


def _lm_eval_samples(path: Path, data: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Rows of the tasks whose samples lm-eval wrote beside the results, or inside them."""
    stamp = re.sub(r"^results_?", "", path.stem)
    found: dict[str, tuple[Path, Iterable[dict[str, Any]]]]
    found = {task: (path, rows) for task, rows in (data.get("samples") or {}).items() if isinstance(rows, list)}
    names = set(os.listdir(path.parent))
    for task in tasks_of(path, data):
        for beside in (f"samples_{task}_{stamp}.jsonl", f"samples_{task}_{stamp}.json"):
            if beside in names and (path.parent / beside).is_file():
                found[task] = path.parent / beside, _read_samples(path.parent / beside)
    return {task: _sample_rows(source, task, rows) for task, (source, rows) in found.items()}


def _read_samples(path: Path) -> Iterable[dict[str, Any]]:
    """One JSON value of all samples, or one a line, whichever of the two endings the file has."""
    with reading(path, "JSON"), open_regular(path) as file:
        array = file.read(4096).lstrip().startswith(b"[")
    return list(parse_json(path)) if array else (row for _, row in json_lines(path))


def _sample_rows(path: Path, task: str, samples: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per item, in the columns of a measurement; the first filter's where there are several."""
    import pandas as pd

    first_filter = None
    rows = []
    for number, sample in enumerate(samples, 1):
        if number == 1:
            first_filter = sample.get("filter")
        if sample.get("filter") != first_filter:
            continue
        where = f"{path}, sample {number} of {task}"
        metrics = sample.get("metrics") or [name for name in ("acc", "exact_match", "acc_norm") if name in sample]
        shares = [name for name in metrics if SHARE.fullmatch(name) and isinstance(sample.get(name), int | float)]
        for metric in shares:
            if not 0 <= sample[metric] <= 1:
                raise InputError(f"{where}: {metric} = {sample[metric]}: an item's score must lie between 0 and 1")
        _check_log_probabilities(where, sample.get("filtered_resps"))
        name = sample["doc"].get("id") if isinstance(sample.get("doc"), Mapping) else None
        rows.append(
            {
                "item": str(name if name is not None else f"{task}/{sample['doc_id']}"),
                "correct": float(sample[shares[0]]) if shares else None,
                "response": _as_json(sample.get("filtered_resps")),
            }
        )
    return pd.DataFrame(rows)


def _check_log_probabilities(where: str, responses: Any) -> None:
    """Refuse answers' log-probabilities that are none: lm-eval writes pairs of one and whether it is the likeliest."""
    if not isinstance(responses, list):
        return
    if len(responses) == 2 and responses[1] in (True, False, "True", "False"):
        value = float(responses[0])
        if not -math.inf < value <= LOG_ONE:
            raise InputError(f"{where}: log-probability {value}: it must be a finite number, and 0 at most")
        return
    for response in responses:
        _check_log_probabilities(where, response)
