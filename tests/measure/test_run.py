"""pytest tests/measure/test_run.py

A measurement from end to end: the same numbers however it came about, and told apart where it must be.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from densing.core.artifacts import ArtifactError
from densing.core.errors import DensingError, InputError
from densing.measure.checkpoint import find_checkpoint
from densing.measure.measurement import ITEM_COLUMNS, Measurement
from densing.measure.run import measure
from densing.measure.suites import load_suite
from tests.measure.models import CONTEXT, byte_level, save_llama

pytestmark = pytest.mark.slow

OPTIONS = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def measured(checkpoint: Path, held_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    out = tmp_path_factory.mktemp("measurements")
    return measure(checkpoint, load_suite("local", documents=held_out), out=out, limit=40, **OPTIONS)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name[0] != "."}


def test_totals_are_sums_over_the_items(measured: Measurement) -> None:
    assert list(measured.tasks) == ["continuation", "line", "name"]
    for name, task in measured.tasks.items():
        items = measured.items(name)
        assert tuple(items.columns) == ITEM_COLUMNS
        assert task.items == task.score_items == len(items) == 40
        assert task.tokens == items["tokens"].sum()
        assert task.bytes == items["bytes"].sum()
        nats = -math.fsum(items["answer_logprob"])
        assert task.conditional_loss == nats / task.tokens
        assert task.bits_per_byte == pytest.approx(nats / math.log(2) / task.bytes, rel=1e-12)
        assert task.score == pytest.approx(100 * items["correct"].mean())
        assert (items["tokens"] <= items["bytes"]).all()
        assert task.score_error == pytest.approx(100 * items["correct"].sem())
        assert task.loss_error is not None
        spread = (-items["answer_logprob"] - task.conditional_loss * items["tokens"]).std()
        assert task.loss_error == pytest.approx(spread * math.sqrt(40) / task.tokens, rel=1e-6)


def test_what_the_numbers_depend_on_is_recorded(measured: Measurement, checkpoint: Path) -> None:
    settings = measured.settings
    assert settings["fewshot_seed"] == 1234
    assert settings["chat_template"] is False
    assert settings["thinks"] is False
    assert settings["asked"]["limit"] == 40
    assert settings["boundary"] == "one-text/longest-common-token-prefix/1"
    assert settings["start_tokens"] == []
    assert settings["dtype"] == "float32"
    assert settings["max_length"] == CONTEXT
    assert set(settings["versions"]) == {"torch", "transformers"}
    found = find_checkpoint(checkpoint)
    assert measured.made_from["weights"] == found.weights
    assert measured.made_from["tokenizer"] == found.tokenizer
    assert measured.tasks["name"].settings["shots"] == {"densing_local_name": 0, "densing_local_name_loss": 0}


def test_read_again_as_written(measured: Measurement, checkpoint: Path, held_out: Path) -> None:
    assert measured.folder is not None
    before = {path: path.stat().st_mtime_ns for path in measured.folder.iterdir()}
    suite = load_suite("local", documents=held_out)
    again = measure(checkpoint, suite, out=measured.folder.parents[1], limit=40, **OPTIONS)
    assert again == measured == Measurement.read(measured.folder)
    assert {path: path.stat().st_mtime_ns for path in measured.folder.iterdir()} == before


def test_fresh_measures_again_with_the_same_result(
    measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    """From a cache full of wrong answers."""
    import sqlite3

    assert measured.folder is not None
    root = Path(shutil.copytree(measured.folder.parents[1], tmp_path / "root"))
    with sqlite3.connect(root / "requests.sqlite") as cache:
        cache.execute("UPDATE answers SET answer = '[-1.0, true]' WHERE answer LIKE '[%'")
    cache.close()
    suite = load_suite("local", documents=held_out)
    fresh = measure(checkpoint, suite, out=root, limit=40, fresh=True, **OPTIONS)
    assert fresh.folder is not None
    assert files_of(fresh.folder) == files_of(measured.folder)


def test_other_weights_and_settings_are_never_taken_for_these(
    measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    assert measured.folder is not None
    root = Path(shutil.copytree(measured.folder.parents[1], tmp_path / "root"))
    suite = load_suite("local", documents=held_out)
    rougher = measure(checkpoint, suite, out=root, limit=40, device="cpu", dtype="bfloat16")
    assert rougher.settings["dtype"] == "bfloat16"
    assert rougher.tasks["line"].conditional_loss != measured.tasks["line"].conditional_loss
    # The same folder, trained on: measured again, without a word.
    trained = Path(shutil.copytree(checkpoint, tmp_path / checkpoint.name))
    first = measure(trained, suite, out=tmp_path / "own", limit=40, **OPTIONS)
    assert first.tasks == measured.tasks
    save_llama(trained, byte_level(["def"], 512), seed=1, vocab_size=512)
    shutil.copytree(checkpoint, trained, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    second = measure(trained, suite, out=tmp_path / "own", limit=40, **OPTIONS)
    assert second.made_from["weights"] != first.made_from["weights"]
    assert second.tasks["line"].conditional_loss != first.tasks["line"].conditional_loss
    # Another folder of the same name: not overwritten.
    with pytest.raises(InputError, match="holds the measurement of another model of that name"):
        measure(checkpoint, suite, out=tmp_path / "own", limit=40, **OPTIONS)


def test_a_damaged_measurement_is_measured_again(
    measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    assert measured.folder is not None
    root = Path(shutil.copytree(measured.folder.parents[1], tmp_path / "root"))
    folder = root / checkpoint.name / "local"
    rows = folder / "line.parquet"
    rows.write_bytes(rows.read_bytes()[:-7])
    with pytest.raises(ArtifactError, match=r"line\.parquet: these are not the items that line\.json was made from"):
        Measurement.read(folder).items("line")
    file = folder / "name.json"
    file.write_text(file.read_text().replace('"items": 40', '"items": 41'))
    with pytest.raises(ArtifactError, match=r"name\.json: checksum does not match"):
        Measurement.read(folder)
    again = measure(checkpoint, load_suite("local", documents=held_out), out=root, limit=40, **OPTIONS)
    assert again.folder is not None
    assert files_of(again.folder) == files_of(measured.folder)


@pytest.mark.parametrize("truncated", [None, 3, "a", [1]])
def test_an_earlier_measurement_whose_settings_are_of_other_kinds_is_measured_again(
    truncated: Any, measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    """Its checksum is right."""
    tasks = {name: replace(one, settings={"truncated": truncated}) for name, one in measured.tasks.items()}
    written = replace(measured, tasks=tasks).write(tmp_path)
    assert written.folder is not None
    with pytest.raises(ArtifactError, match="not readable as a measurement of densing"):
        Measurement.read(written.folder)
    again = measure(checkpoint, load_suite("local", documents=held_out), out=tmp_path, limit=40, **OPTIONS)
    assert again.tasks == measured.tasks


def test_an_earlier_measurement_of_other_settings_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    """Its checksum is right, and it states nothing of what it was measured with."""
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"instruction": "import", "answer": " os"}))
    suite = load_suite("jsonl", documents=items)
    made = measure(checkpoint, suite, out=tmp_path / "out", **OPTIONS)
    replace(made, settings={"source": str(checkpoint)}, made_from={}).write(tmp_path / "out")
    assert measure(checkpoint, suite, out=tmp_path / "out", **OPTIONS).settings == made.settings
    replace(made, settings={}, made_from={}).write(tmp_path / "out")
    with pytest.raises(InputError, match="holds the measurement of another model of that name, None"):
        measure(checkpoint, suite, out=tmp_path / "out", **OPTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="correct"), "no column correct"),
        (lambda rows: rows.assign(correct="right"), "could not convert string to float"),
        (lambda rows: rows.assign(tokens=[[1]] * len(rows)), "not readable as a table of items"),
    ],
)
def test_items_with_other_columns_are_refused(change: Any, message: str, measured: Measurement, tmp_path: Path) -> None:
    """Their hash is right."""
    names = ("line",)
    rows = {name: change(measured.items(name)) for name in names}
    written = replace(measured, tasks={name: measured.tasks[name] for name in names}).write(tmp_path, rows)
    with pytest.raises(ArtifactError, match=message):
        written.items("line")


def test_half_a_measurement_is_finished_and_an_earlier_suites_tasks_are_gone(
    measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    assert measured.folder is not None
    root = Path(shutil.copytree(measured.folder.parents[1], tmp_path / "root"))
    folder = root / checkpoint.name / "local"
    for task in ("line.json", "name.json"):
        (folder / task).unlink()
    (folder / "dropped.json").write_bytes((folder / "continuation.json").read_bytes())
    again = measure(checkpoint, load_suite("local", documents=held_out), out=root, limit=40, **OPTIONS)
    assert again.tasks == measured.tasks
    assert files_of(folder) == files_of(measured.folder)


# killed at any moment


def _measure_and_log(checkpoint: Path, held_out: Path, out: Path, log: Path) -> None:
    """One measurement in a process; each batch is written down before it is computed."""
    import torch

    from densing.measure.engines.torch_forward import TreeModel

    torch.set_num_threads(1)
    score = TreeModel.score

    def logged(model: Any, batch: Any, requests: Any) -> Any:
        if len(requests) > 60:  # not the trial of what may be shared
            answers = sorted((requests[index].context, requests[index].answer) for index in batch.requests)
            with log.open("a") as file:
                file.write(json.dumps([os.getpid(), hash(str(answers)) % 2**32]) + "\n")
        return score(model, batch, requests)

    TreeModel.score = logged  # type: ignore[method-assign]
    suite = load_suite("local", documents=held_out)
    measure(checkpoint, suite, out=out, limit=120, batch_tokens=400, **OPTIONS)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.kills)])
def test_killed_at_random_moments(
    checkpoint: Path, held_out: Path, tmp_path: Path, monkeypatch: Any, kills: int
) -> None:
    """Identical files, and each kill costs at most one batch. Killed runs follow one another until one finishes."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    context = multiprocessing.get_context("forkserver")  # imports once for all processes
    context.set_forkserver_preload(
        [
            "densing.measure.run",
            "densing.measure.engines.torch_engine",
            "lm_eval.evaluator",
            "lm_eval.tasks",
            "datasets",
        ]
    )

    def start(out: Path, log: Path) -> Any:
        process = context.Process(target=_measure_and_log, args=(checkpoint, held_out, out, log))
        process.start()
        return process

    def undisturbed(name: str) -> float:
        since = time.monotonic()
        process = start(tmp_path / name, tmp_path / f"{name}.log")
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - since

    undisturbed("warm")
    whole = undisturbed("whole")
    expected = files_of(tmp_path / "whole" / checkpoint.name / "local")
    batches = sorted(batch for _, batch in read_log(tmp_path / "whole.log"))
    assert len(batches) > 20
    draw = random.Random(20)
    done, finished, interrupted = 0, 0, 0

    def wait_for_a_moment(process: Any, log: Path) -> None:
        """Anywhere in the run; three times of four within its scoring and writing, which is short beside loading."""
        if draw.random() < 0.25:
            process.join(draw.uniform(0, whole))
            return
        before = len(read_log(log))
        awaited = before + draw.randint(1, max(1, len(batches) - before))
        while process.exitcode is None and len(read_log(log)) < awaited:
            process.join(0.001)
        process.join(draw.uniform(0, 0.05))

    while done < kills:
        out, log, own = tmp_path / f"run{finished}", tmp_path / f"run{finished}.log", 0
        process = start(out, log)
        wait_for_a_moment(process, log)
        while process.exitcode is None and done < kills:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            done, own = done + 1, own + 1
            interrupted += 0 < len({batch for _, batch in read_log(log)}) < len(batches)
            process = start(out, log)
            wait_for_a_moment(process, log)
        process.join()
        assert process.exitcode == 0
        assert files_of(out / checkpoint.name / "local") == expected
        computed = [batch for _, batch in read_log(log)]
        assert set(computed) == set(batches)
        assert len(computed) - len(batches) <= own
        finished += 1
    assert interrupted >= kills // 4  # with some answers known and some not


def read_log(path: Path) -> list[tuple[int, int]]:
    """Process and batch, by whole lines: one that is being written does not count yet."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def _fill_disk(checkpoint: Path, held_out: Path, out: Path, limit: int, answer: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails as it does on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        measure(checkpoint, load_suite("local", documents=held_out), out=out, limit=40, **OPTIONS)
    except (DensingError, OSError) as error:
        answer.put(f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("limit", [60_000, 1_000])
def test_a_full_disk_is_named_and_leaves_the_rest_usable(
    limit: int, measured: Measurement, checkpoint: Path, held_out: Path, tmp_path: Path
) -> None:
    """Files may not grow beyond a limit: in the middle of the run, or from its start."""
    context = multiprocessing.get_context("forkserver")
    answer = context.Queue()
    process = context.Process(target=_fill_disk, args=(checkpoint, held_out, tmp_path, limit, answer))
    process.start()
    message = answer.get(timeout=120)
    process.join()
    assert message.startswith("DensingError")
    assert "requests.sqlite" in message
    assert "free space" in message
    assert not (tmp_path / checkpoint.name).exists()
    whole = measure(checkpoint, load_suite("local", documents=held_out), out=tmp_path, limit=40, **OPTIONS)
    assert measured.folder is not None
    assert whole.folder is not None
    assert files_of(whole.folder) == files_of(measured.folder)


# suites


def test_shots_and_seeds_are_honoured(checkpoint: Path, tmp_path: Path) -> None:
    """Drawn examples: the same for the same seed, others for another, and recorded."""
    task = {
        "task": "densing_shots",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"train": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "test.jsonl")}
        },
        "training_split": "train",
        "test_split": "test",
        "fewshot_split": "train",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}} =",
        "doc_to_target": "gold",
        "doc_to_choice": ["yes", "no"],
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    for name, count in (("train", 30), ("test", 4)):
        rows = [{"q": f"{name} {number}", "gold": number % 2} for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    from lm_eval.api.task import ConfigurableTask

    from densing.measure.suites import Suite, SuiteConfig

    def prompts(seed: int, name: str) -> tuple[list[str], Measurement]:
        benchmark = {"score": "densing_shots", "metric": "acc,none", "shots": 3, "chance": 50}
        config = {"suite": f"shots-{name}", "description": "", "benchmarks": {"b": benchmark}, "fewshot_seed": seed}
        suite = Suite(SuiteConfig.model_validate(config))
        loaded = {"tasks": {"densing_shots": ConfigurableTask(config=dict(task))}}
        suite.__dict__["tasks"] = loaded  # as TaskManager would have loaded them
        suite._set_shots(loaded)
        measurement = measure(checkpoint, suite, out=tmp_path / "out", **OPTIONS)
        return [request.args[0] for request in loaded["tasks"]["densing_shots"].instances], measurement

    first, measurement = prompts(7, "a")
    again, _ = prompts(7, "b")
    other, _ = prompts(8, "c")
    assert first == again != other
    assert all(prompt.count("train") == 3 for prompt in first)
    assert measurement.settings["fewshot_seed"] == 7
    assert measurement.tasks["b"].settings["shots"] == {"densing_shots": 3}


def test_nothing_is_cut_unless_allowed(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    rows = [{"id": str(n), "instruction": "x = 1\n" * count, "answer": " y"} for n, count in enumerate((1, 900, 800))]
    path.write_text("\n".join(map(json.dumps, rows)))
    suite = load_suite("jsonl", documents=path)
    with pytest.raises(InputError, match=r"2 of 3 requests are longer than the model's context of 512"):
        measure(checkpoint, suite, out=tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out" / checkpoint.name).exists()
    cut = measure(checkpoint, suite, out=tmp_path / "out", allow_truncated=True, **OPTIONS)
    assert cut.tasks["items"].settings["truncated"] == ["densing_jsonl_loss item 1", "densing_jsonl_loss item 2"]
    assert cut.tasks["items"].items == 3


def test_a_users_file_with_choices_has_loss_and_score(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    rows = [
        {"instruction": "import", "answer": " os", "choices": [" os", " if"]},
        {"instruction": "def main(", "answer": "self):"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    measurement = measure(checkpoint, load_suite("jsonl", documents=path), out=tmp_path / "out", **OPTIONS)
    task = measurement.tasks["items"]
    assert (task.items, task.score_items) == (2, 1)
    items = measurement.items("items")
    assert list(items["item"]) == ["1", "2"]
    assert task.score == 100 * items["correct"][0]
    assert pd.isna(items["correct"][1])
    assert items["response"][0] == str(int(not items["correct"][0]))
