"""pytest tests/test_wheel.py

The installed package, away from the clone.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def run(python: Path, folder: Path, *arguments: str) -> str:
    """Output of the interpreter, isolated (-I) from the environment and the folder that the tests run in."""
    done = subprocess.run([python, "-I", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_configurations_and_the_data_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {name.removeprefix("densing/") for name in names if name.startswith("densing/configs/")} == shipped
    tracked = subprocess.run(["git", "ls-files", "densing"], cwd=ROOT, capture_output=True, text=True)
    assert set(tracked.stdout.splitlines()) <= set(names)
    assert len(names) == len(set(names))
    assert {name.split("/")[0].split("-")[0] for name in names} == {"densing"}


def test_the_source_archive_holds_what_build_and_tests_need(tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder

    (archive,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(archive) as files:
        inside = {name.partition("/")[2] for name in files.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "Makefile", "configs/ladders/quickstart.yaml"} <= inside
    assert {"densing/py.typed", "tests/test_wheel.py", "tests/published/data/olmo_ladder.csv"} <= inside


def test_everything_on_published_scores_works_away_from_the_clone(python: Path, tmp_path: Path) -> None:
    def densing(*arguments: str) -> str:
        return run(python, tmp_path, "-m", "densing", *arguments)

    assert str(python.parents[1]) in run(python, tmp_path, "-c", "import densing; print(densing.__file__)")
    suites = json.loads(densing("suites", "list", "--json"))
    assert {"densing-law", "local"} <= {suite["suite"] for suite in suites}
    plan = json.loads(densing("ladder", "plan", "densing-law", "--json"))
    assert [rung["params_non_embedding"] for rung in plan["rungs"]][::5] == [5_247_232, 828_225_024]
    assert "Llama-3-8B" in densing("score", "Llama-3-8B")
    assert "doubling" in densing("trend")
    densing("report", "--out", "report")
    assert (tmp_path / "report" / "index.html").is_file()
