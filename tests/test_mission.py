"""pytest tests/test_mission.py

The whole way with the installed package, by the commands of docs/howto/checkpoint.md: a released ladder is measured on
the article's benchmarks with lm-eval's own tasks, becomes a frame, and gives a new checkpoint its density, which is
compared and ranked; the model joins the registry, the trend and the report.

Models, items and data sets are small imitations in the layouts of openbmb/DensingLaw-ScalingModels,
openbmb/DensingLaw-ScalingBench and of the data sets on the hub. The ladder follows a law that is known, and the new
checkpoint does what a model of the ladder with twice its parameters does: its density is 2.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from densing.core.artifacts import read_json
from densing.core.config import find_config, read_yaml
from densing.measure.measurement import Measurement
from densing.measure.suites import load_suite
from tests.conftest import ROOT, installed
from tests.measure.data_root import write_densing_law
from tests.planted import Law, Planter, size_of

pytestmark = pytest.mark.slow

SHAPES = {"s1": (1, 32), "s2": (2, 64), "s3": (4, 128), "s4": (6, 256)}
"""Layers and inner width."""
TOKENS_PER_PARAMETER = (10, 60)
LONGEST = TOKENS_PER_PARAMETER[-1] * size_of(*SHAPES["s4"])
LAWS = {
    "mmlu": Law(0.5, 0.3, 0.62, chance=0.25),
    "bbh": Law(0.4, 0.25, 0.5),
    "math": Law(0.7, 0.4, 0.87),
    "humaneval": Law(0.35, 0.2, 0.43),
    "mbpp": Law(0.45, 0.3, 0.56),
}
TRUE_DENSITY = 2.0
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
STORY = (
    *("ladder load", "frames build", "frames validate", "measure", "score", "compare", "models add", "trend"),
    "report",
)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
Run = Callable[..., Any]


def test_its_story_is_told_to_users() -> None:
    told = (ROOT / "docs" / "howto" / "checkpoint.md").read_text(encoding="utf-8")
    assert [name for name in STORY if f"densing {name} " not in told] == []
    assert "docs/howto/checkpoint.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def command_of(python: Path, folder: Path, **more: str) -> Run:
    """A command of the installed package: what it prints as JSON, or as text."""

    def run(*arguments: str | int | Path, as_json: bool = True) -> Any:
        assert {f"{arguments[0]} {arguments[1]}", arguments[0]} & set(STORY)
        command = [python, "-I", "-m", "densing", *map(str, arguments), *(["--json"] if as_json else [])]
        environment = os.environ | OFFLINE | more
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout) if as_json else done.stdout

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was released: data sets in `hub`, a ladder in `Scaling-Models`, a new checkpoint in `new`."""
    folder = tmp_path_factory.mktemp("home")
    root = write_densing_law(folder / "hub", programs=4)
    planter = Planter(load_suite("densing-law", data_root=root), LAWS)
    for rung, shape in SHAPES.items():
        for tokens in (per_parameter * size_of(*shape) for per_parameter in TOKENS_PER_PARAMETER):
            planter.write(folder / "Scaling-Models" / rung / str(tokens), *shape, tokens)
    new = SHAPES["s3"]
    planter.write(folder / "new", *new, LONGEST, as_large_as=TRUE_DENSITY * size_of(*new))
    return folder


@pytest.fixture(scope="module")
def measured(home: Path, python: Path) -> Measurement:
    """The new checkpoint, by the torch engine."""
    suite = ("--suite", "densing-law", "--data-root", "hub", "--run-unsafe-code")
    return Measurement.read(home / command_of(python, home)("measure", "new", *suite)["folder"])


def test_the_whole_way(home: Path, python: Path, measured: Measurement) -> None:
    densing = command_of(python, home)
    suite = ("--suite", "densing-law", "--data-root", "hub", "--run-unsafe-code")

    # A released ladder is understood.
    ladder = densing("ladder", "load", "Scaling-Models", "--tokens", "in-name")
    assert {(one["params_non_embedding"], one["tokens"]) for one in ladder["checkpoints"]} == {
        (size_of(*shape), ratio * size_of(*shape)) for shape in SHAPES.values() for ratio in TOKENS_PER_PARAMETER
    }

    # It becomes a frame: what was planted is what is measured, and what is fitted.
    built = densing("frames", "build", "Scaling-Models", "--training-tokens", "in-name", *suite, "--name", "released")
    payload = read_json(home / built["file"], "frame").payload
    points = [dict(zip(payload["losses"], row, strict=True)) for row in zip(*payload["losses"].values(), strict=True)]
    for point in points:
        if point["benchmark"] in LAWS:
            planted = LAWS[point["benchmark"]].loss(point["params"], point["tokens"])
            assert point["conditional_loss"] == pytest.approx(planted, abs=1e-4)
    by_size = sorted((point for point in points if point["benchmark"] == "mmlu"), key=lambda one: one["params"])
    for rung, next_rung in zip(by_size[1::2], by_size[3::2], strict=False):
        assert next_rung["conditional_loss"] < rung["conditional_loss"]
    for row in built["benchmarks"]:
        assert (row["law_status"], round(row["alpha"], 3), round(row["beta"], 3)) == ("converged", 0.35, 0.3)

    # A size that it did not see: how far off is it?
    validation = densing("frames", "validate", "released")
    assert max(row["loss_error_pct"] for row in validation["predictions"]) < 0.1

    # A new checkpoint has the density that was planted: by its losses, and by its scores as far as they tell.
    assert {name: task.conditional_loss for name, task in measured.tasks.items()} == pytest.approx(
        {name: law.loss(TRUE_DENSITY * size_of(*SHAPES["s3"]), LONGEST) for name, law in LAWS.items()}, abs=1e-4
    )
    by_loss = densing("score", "new", "--frame", "released", *suite, "--by-loss")
    assert {row["benchmark"] for row in by_loss} == {*LAWS, "average", "joint"}
    for row in by_loss:
        assert row["status"] == "in range"
        assert row["density"] == pytest.approx(TRUE_DENSITY, rel=1e-3)
    folder = "results/measurements/new/densing-law"
    size = size_of(*SHAPES["s3"])
    by_score = densing("score", folder, "--params", size, "--frame", "released")
    assert {row["benchmark"]: row["score"] for row in by_score[:-1]} == {
        name: pytest.approx(task.score) for name, task in measured.tasks.items()
    }
    joint = by_score[-1]
    assert (joint["benchmark"], joint["status"]) == ("joint", "in range")
    assert joint["density_low"] < TRUE_DENSITY < joint["density_high"]
    assert joint["density_high"] / joint["density_low"] < 100

    # A rung of the ladder, trained as long as the frame is read at, has the density 1.
    largest = f"results/measurements/Scaling-Models--s4--{LONGEST}/densing-law"
    rung = densing("score", largest, "--params", size_of(*SHAPES["s4"]), "--frame", "released")[-1]
    assert rung["density_low"] < 1 < rung["density_high"]

    # Compared with that rung, and with itself.
    sizes = ("--size", f"{folder}={size}", "--size", f"{largest}={size_of(*SHAPES['s4'])}")
    rows = densing("compare", largest, folder, *sizes, "--frame", "released")
    assert {row["model"] for row in rows} == {"new"}
    assert rows[-1]["ratio_low"] < TRUE_DENSITY < rows[-1]["ratio_high"]
    itself = densing("compare", folder, folder, "--size", f"{folder}={size}", "--frame", "released")
    assert {(row["ratio"], row["ratio_low"], row["ratio_high"]) for row in itself} == {(1, 1, 1)}

    # Ranked among the models of the registry, as one of 3B with these scores; it joins them, the trend, and the report.
    scores = [word for name, task in measured.tasks.items() for word in ("--score", f"{name}={task.score}")]
    ranked = densing("score", "--name", "New-3B", "--date", "2026-10-01", "--params", "3B", *scores)
    place = ranked[-1]["placement"]["overall"]
    assert 1 <= place["low"] <= place["place"] <= place["high"] <= place["of"]
    before = densing("trend", "--models", "registry")
    sized = ("--total-params", "3.1B", "--non-embedding-params", "3B")
    source = ("--source", "https://example.org/new", "--release-date", "2026-10-01")
    densing("models", "add", "New-3B", *sized, *scores, *source)
    after = densing("trend", "--models", "registry")
    assert after["models"] == before["models"] + 1
    densing("report", "--highlight", "New-3B", "--format", "png", as_json=False)
    assert "New-3B" in (home / "report" / "index.html").read_text(encoding="utf-8")


def test_vllm_measures_the_same(home: Path, wheel: Path, measured: Measurement, tmp_path: Path) -> None:
    """MMLU and BBH of the same suite: likelihoods of choices and of worked answers, and continued texts."""
    if not VLLM_PYTHON.exists():
        pytest.skip("there is no environment with vLLM beside the clone: `make vllm-environment` builds it")
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    densing = command_of(installed(wheel, VLLM_PYTHON, tmp_path / "environment"), home, **small)
    suite = read_yaml(find_config("suite", "densing-law"))
    suite["benchmarks"] = {name: suite["benchmarks"][name] for name in ("mmlu", "bbh")}
    (tmp_path / "part.yaml").write_text(yaml.safe_dump(suite))
    how = ("--engine", "vllm", "--dtype", "float32", "--out", tmp_path / "out", "--data-root", "hub")
    by_vllm = Measurement.read(Path(densing("measure", "new", "--suite", tmp_path / "part.yaml", *how)["folder"]))
    assert by_vllm.settings["engine"] == "vllm"
    for name, task in by_vllm.tasks.items():
        assert task.conditional_loss == pytest.approx(measured.tasks[name].conditional_loss, abs=1e-3)
        assert (task.score, task.tokens) == (measured.tasks[name].score, measured.tasks[name].tokens)
