"""pytest tests/measure/test_plugins.py

Another package adds an engine and an importer by entry points; nothing in densing changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from densing.core.errors import InputError
from densing.measure import plugins
from tests.measure.test_commands import densing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CODE = '''
from densing.measure.engines.torch_engine import TorchEngine
from densing.measure.importers.values import Imported, ImportedValue


class Doubling(TorchEngine):
    """Every log-probability twice, so that its answers are told from those of torch."""

    def _answer_stream(self, requests, known):
        for piece in super()._answer_stream(requests, known):
            yield {index: (2 * logprob, greedy) for index, (logprob, greedy) in piece.items()}


class lines:
    """Lines of a benchmark and a score in percent."""

    def recognises(file):
        return file.path.suffix == ".lines"

    def read(file):
        rows = [line.split() for line in file.path.read_text().splitlines()]
        values = [
            ImportedValue("Own-1B", name, "acc", None, float(score), False, benchmark=name) for name, score in rows
        ]
        return Imported(file.path, "own harness", {}, tuple(values))
'''


def add_package(site: Path, name: str, entry_points: str, summary: str = "An engine of our own.") -> None:
    """What pip leaves behind of a package."""
    described = site / f"{name}-1.5.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nSummary: {summary}\n")
    (described / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with one that adds an engine and an importer."""
    site = tmp_path / "site"
    points = "[densing.engines]\ndoubling = own_code:Doubling\n\n[densing.importers]\nlines = own_code:lines\n"
    add_package(site, "own-package", points)
    (site / "own_code.py").write_text(CODE)
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same folder, among those that this process looks for packages in."""
    monkeypatch.syspath_prepend(site)
    plugins.installed.cache_clear()
    yield site
    plugins.installed.cache_clear()


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text('{"instruction": "import", "answer": " os"}\n{"instruction": "x", "answer": " = 1"}\n')
    return path


def run(site: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "densing", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_an_engine_of_another_package(checkpoint: Path, site: Path, items: Path, tmp_path: Path) -> None:
    """It measures beside the one that it extends, and neither meets the other's answers."""
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--device", "cpu", "--json"]
    code, out, err = densing(*command, "--out", tmp_path / "out")
    assert code == 0, err
    done = run(site, *command, "--out", tmp_path / "out", "--engine", "doubling")
    assert done.returncode == 0, done.stderr
    extended, own = json.loads(out), json.loads(done.stdout)
    assert own["tasks"][0]["conditional_loss"] == pytest.approx(2 * extended["tasks"][0]["conditional_loss"], rel=1e-12)
    assert own["engine"] == "doubling"
    assert own["settings"]["engine"] == "doubling (own-package 1.5)"


def test_an_importer_of_another_package(site: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.lines"
    results.write_text("mmlu 61.5\nbbh 40\n")
    done = run(site, "import", results, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["harness"] == "own harness"
    assert [(v["model"], v["benchmark"], v["score"]) for v in report["values"]] == [
        ("Own-1B", "mmlu", 61.5),
        ("Own-1B", "bbh", 40.0),
    ]
    code, _, err = densing("import", results)
    assert code == 2
    assert "not readable as JSON" in err


def test_they_are_listed_where_the_own_ones_are(checkpoint: Path, installed: Path, items: Path, tmp_path: Path) -> None:
    listed = json.loads(densing("doctor", "--json")[1])
    for kind, name in (("engines", "doubling"), ("importers", "lines")):
        (row,) = [row for row in listed[kind] if row["name"] == name]
        assert row["what"] == "An engine of our own."
        assert row["package"] == "own-package 1.5"
    code, _, err = densing("measure", checkpoint, "--suite", "jsonl", "--documents", items, "--engine", "dubling")
    assert code == 2
    assert "unknown engine 'dubling'; did you mean 'doubling'? Known: doubling, torch, vllm" in err
    (tmp_path / "results.json").write_text("{}")
    code, _, err = densing("import", tmp_path / "results.json")
    assert code == 2
    assert "lines (own-package 1.5): An engine of our own." in err
    assert "CSV: A CSV table" in err


def test_a_pipeline_may_name_one(installed: Path) -> None:
    from densing.core.config import find_config, read_yaml, validate
    from densing.pipeline import PipelineConfig

    config = read_yaml(find_config("pipeline", "quickstart"))
    assert validate(config | {"engine": "doubling"}, PipelineConfig, "own.yaml").engine == "doubling"
    with pytest.raises(InputError, match=r"own\.yaml: engine: unknown engine 'dubling'; did you mean 'doubling'"):
        validate(config | {"engine": "dubling"}, PipelineConfig, "own.yaml")


@pytest.mark.parametrize(
    ("home", "message"),
    [
        ("gone_module:Engine", "mine (broken 1.5) cannot be used without gone_module; install broken"),
        ("own_code:Gone", "mine (broken 1.5) is not at own_code:Gone"),
        ("own_code:lines", "is no subclass of densing.measure.engines.base.Engine"),
    ],
)
def test_one_that_cannot_be_used_is_named(
    home: str, message: str, checkpoint: Path, installed: Path, items: Path, tmp_path: Path
) -> None:
    add_package(installed, "broken", f"[densing.engines]\nmine = {home}\n")
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--out", tmp_path / "out"]
    code, _, err = densing(*command, "--engine", "mine")
    assert code == 1
    assert message in err


def test_two_packages_with_one_name_are_named(checkpoint: Path, installed: Path, items: Path, tmp_path: Path) -> None:
    """Also where one of them is densing: nothing is replaced in silence."""
    add_package(installed, "replacing", "[densing.engines]\ntorch = own_code:Doubling\n")
    command = ["measure", checkpoint, "--suite", "jsonl", "--documents", items, "--out", tmp_path / "out"]
    code, _, err = densing(*command)
    assert code == 2
    assert "the engine 'torch' comes from densing and from replacing 1.5; uninstall" in err
