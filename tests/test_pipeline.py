"""The whole chain on a ladder of thousands of parameters: killed, continued, repeated."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
import yaml

from densing.core.artifacts import read_csv
from densing.frame.store import read_frame

pytestmark = pytest.mark.slow


def shape(name, layers, width):
    return {"name": name, "layers": layers, "width": width, "ffn_width": 2 * width, "heads": width // 8,
            "kv_heads": 1, "head_dim": 8, "batch": 2}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the configurations of a small pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    documents = [json.dumps({"text": module.read_text(encoding="utf-8")[:20000]}) for module in modules]
    (folder / "modules.jsonl").write_text("\n".join(documents), encoding="utf-8")
    ladder = {
        "name": "small",
        "sizes": [shape("p1", 1, 8), shape("p2", 1, 16), shape("p3", 1, 24), shape("p4", 1, 32)],
        "budgets": [5, 10, 20],
        "corpus": {"source": "jsonl", "path": "modules.jsonl", "held_out": 0.3},
        "tokenizer": {"vocabulary": 400},
        "context": 256,
        "learning_rate": 0.02,
    }
    pipeline = {
        "name": "small",
        "ladder": "ladder.yaml",
        "folder": "reference_models/small",
        "tokens_per_parameter": 20,
        "fresh": {"shape": shape("fresh", 1, 24)},
    }
    (folder / "ladder.yaml").write_text(yaml.safe_dump(ladder))
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))
    return folder


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "densing", "run", "pipeline.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(folder):
    """What the run printed, after it was killed at three stages."""
    for landmark in ("reference_models/small/p2", "reference_models/small/fresh", "results/measurements/small/*p2*"):
        process = start(folder)
        while process.poll() is None and not list(folder.glob(landmark)):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / "report").exists()
    process = start(folder)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def checkpoints(folder):
    return read_csv(folder / "report" / "checkpoints.csv", "densities")[0]


def test_the_run_prints_three_densities_with_their_statuses(folder, finished):
    table = checkpoints(folder)
    assert list(table["checkpoint"].unique()) == ["fresh", "longer", "4-bit"]
    for _, row in table.iterrows():
        assert row["status"] in finished
    assert "where the method says 1" in finished


def test_the_report_holds_figures_and_table(folder, finished):
    names = {path.name for path in (folder / "report").iterdir()}
    for figure in ("loss_against_compute", "loss_to_score", "density_over_time"):
        assert {f"{figure}.pdf", f"{figure}.png"} <= names
    assert {"checkpoints.csv", "checkpoints.md"} <= names


def test_the_frame_is_read_at_the_stated_tokens(folder, finished):
    frame = read_frame(folder / "results" / "frames" / "small.json")
    assert frame.spec.tokens == 20 * frame.losses["params"].max()
    assert len(frame.losses) == 3 * 12 + (12 if "average" in set(frame.losses["benchmark"]) else 0)


def test_a_second_run_changes_nothing(folder, finished):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".csv", ".json", ".pdf", ".png")}
    process = start(folder)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == finished
    assert {path: path.read_bytes() for path in before} == before


def test_a_key_that_no_pipeline_has_is_named(folder):
    (folder / "wrong.yaml").write_text((folder / "pipeline.yaml").read_text() + "optimizer: adam\n")
    done = subprocess.run(
        [sys.executable, "-m", "densing", "run", "wrong.yaml"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "optimizer" in done.stderr
