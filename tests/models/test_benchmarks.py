"""A benchmark is a row of one table; names, imports and the registry follow from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import densing
from densing.core.errors import InputError
from densing.models.benchmarks import benchmark_name, load_benchmarks

ROW = """
gsm8k:
  title: GSM8K
  aliases: [grade-school-math]
  chance: 0
  items: 1319
  shots: ["8 (CoT)", "8"]
  tasks:
    gsm8k: [exact_match]
"""


@pytest.mark.parametrize("spelling", ["humaneval", "HumanEval", " human_eval ", "Human-Eval"])
def test_a_name_is_known_however_it_is_written(spelling):
    assert benchmark_name(spelling) == "humaneval"


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown benchmark 'mlmu'; did you mean 'mmlu'"):
        benchmark_name("mlmu")


def test_rows_make_sense():
    for name, row in load_benchmarks().items():
        assert benchmark_name(row.title) == name
        assert row.tasks


def test_a_sixth_benchmark_is_one_row(tmp_path):
    package = tmp_path / "densing"
    shutil.copytree(Path(densing.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "data" / "benchmarks.yaml").open("a", encoding="utf-8") as file:
        file.write(ROW)
    results = tmp_path / "results.json"
    results.write_text(
        json.dumps({
            "results": {"gsm8k": {"exact_match,none": 0.5}},
            "configs": {"gsm8k": {"num_fewshot": 8}},
            "model_name": "org/model",
        })
    )  # fmt: skip

    def run(*command):
        return subprocess.run(
            [sys.executable, "-m", "densing", *map(str, command)],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    (value,) = json.loads(run("import", results, "--json"))["values"]
    assert (value["benchmark"], value["score"], value["shots"]) == ("gsm8k", 50.0, 8)
    run("models", "add", "Own-1B", "--release-date", "2026-01-31", "--total-params", "1B", "--score",
        "Grade-School-Math=50", "--source", "its report")  # fmt: skip
    assert "gsm8k" in run("models", "show", "Own-1B")
