"""Committed results are what their commands make."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from densing.cli import app
from densing.core.artifacts import read_json

RESULTS = Path(__file__).parents[1] / "results"
ROW = re.compile(r"\| (trends/\S+\.json) \| `densing (.*) --out results/trends` \|")
TRENDS = ROW.findall((RESULTS / "README.md").read_text(encoding="utf-8"))


def alike(first: object, second: object) -> bool:
    """Whether two payloads agree, numbers to nine digits."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(alike(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return first == pytest.approx(second, rel=1e-9)
    return first == second


def test_every_trend_has_its_command():
    assert {name for name, _ in TRENDS} == {f"trends/{path.name}" for path in (RESULTS / "trends").glob("*.json")}


@pytest.mark.parametrize(("name", "command"), TRENDS)
def test_the_command_makes_the_trend_again(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*shlex.split(command), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    made = read_json(tmp_path / Path(name).name, "trend").payload
    assert alike(made, read_json(RESULTS / name, "trend").payload)
