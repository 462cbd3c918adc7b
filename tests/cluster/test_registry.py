"""pytest tests/cluster/test_registry.py

What a sweep has measured, read by whatever reads a registry.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from densing.cluster.run import run_share
from densing.cluster.sweep import load_sweep
from densing.core.artifacts import sha256_of_data
from densing.models.registry import load_registry
from tests.cluster.bench import Bench

pytestmark = pytest.mark.slow

SUITE = {
    "suite": "choices",
    "description": "Choices of two, under the name of a benchmark of the registry.",
    "documents": "a file of items",
    "benchmarks": {"mmlu": {"score": "densing_jsonl_choice", "metric": "acc,none"}},
}


@pytest.fixture(scope="module")
def folder(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two dated checkpoints and one without a date, on a suite whose benchmark the registry knows."""
    root = tmp_path_factory.mktemp("dated")
    rows = [{"id": str(n), "instruction": f"{n}:", "answer": " a", "choices": [" a", " b"]} for n in range(8)]
    (root / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    sweep = {
        "name": "dated",
        "checkpoints": [
            {"model": str(bench.folder / "m0"), "name": "early", "released": "2024-03-01", "family": "tiny"},
            {"model": str(bench.folder / "m1"), "name": "late", "released": "2025-03-01", "family": "tiny"},
            str(bench.folder / "m2"),
        ],
        "suites": [{"suite": str(root / "suite.yaml"), "documents": str(root / "choices.jsonl")}],
        "settings": {"default": {"dtype": "float32", "device": "cpu"}},
    }
    (root / "dated.yaml").write_text(yaml.safe_dump(sweep))
    config = load_sweep(root / "dated.yaml")
    result = run_share(config, root / "out", (0, 1), scratch=root / "scratch")
    assert not result.set_aside
    return root / "out"


def test_dated_checkpoints_are_models_of_the_sweeps_registry(folder: Path) -> None:
    registry = load_registry(folder)
    early, late = registry.entry("early"), registry.entry("late")
    assert (str(early.release_date), str(late.release_date), early.family) == ("2024-03-01", "2025-03-01", "tiny")
    assert early.size.total is not None
    assert 0 < early.size.non_embedding < early.size.total  # type: ignore[operator]
    (score,) = registry.values("early")["mmlu"]
    assert (score.source, score.shots, score.protocol) == ("densing sweep dated", "0", "no")
    assert "m2" not in registry.models


def test_commands_that_take_a_registry_take_the_sweeps_folder(folder: Path) -> None:
    command = [sys.executable, "-m", "densing", "compare", "early", "late", "--registry", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"early", "late"} <= set(json.dumps(json.loads(done.stdout)).split('"'))


def test_a_finished_sweep_changes_its_registry_no_more(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.csv")}
    run_share(load_sweep(folder.parent / "dated.yaml"), folder, (0, 1), scratch=folder.parent / "scratch")
    assert before
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_date_replaces_the_models_row(folder: Path) -> None:
    file = folder.parent / "dated.yaml"
    file.write_text(file.read_text().replace("2025-03-01", "2025-04-01"))
    run_share(load_sweep(file), folder, (0, 1), scratch=folder.parent / "scratch")
    registry = load_registry(folder)
    assert str(registry.entry("late").release_date) == "2025-04-01"
    assert len(registry.values("late")["mmlu"]) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [("scores.csv", "a,b\n1\n"), (".history/0001/change.json", "{"), ("default/early/choices/mmlu.json", None)],
)
def test_a_registry_that_cannot_be_kept_does_not_fail_the_sweep(
    folder: Path, tmp_path: Path, file: str, content: str | None
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    if content is None:  # the shots that it was measured with
        data = json.loads((copy / file).read_text())
        data["payload"]["result"]["settings"]["shots"] = 5
        content = json.dumps(data | {"checksum": sha256_of_data(data["payload"])})
    (copy / file).write_text(content)
    result = run_share(load_sweep(folder.parent / "dated.yaml"), copy, (0, 1), scratch=tmp_path / "scratch")
    assert not result.set_aside
