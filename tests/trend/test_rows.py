"""A new rule for the frontier is one function and one row of the table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import densing
from densing.trend.frontier import FRONTIERS

FUNCTION = """
def pick_yearly(dates: Dates, logs: FloatArray) -> Picked:
    best = dates.best(logs)
    years = np.floor(dates.days / 365)
    chosen = np.zeros(best.shape, bool)
    for year in np.unique(years):
        inside = np.where(years == year, best, -np.inf)
        chosen |= np.isfinite(inside) & (inside == inside.max(1, keepdims=True))
    return Picked(dates.days, best, chosen)


FRONTIERS = {
"""
ROW = """
        FrontierRule("yearly", "The densest model of each year since the origin.", pick_yearly),
        FrontierRule("quantile","""


@pytest.fixture(scope="module")
def trend(tmp_path_factory):
    """Run `densing trend` from a copy of the package that has one more rule."""
    folder = tmp_path_factory.mktemp("copy")
    package = Path(densing.__file__).parent
    for name in ("densing", "configs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "densing" / "trend" / "frontier.py"
    text = module.read_text(encoding="utf-8")
    for before, after in (("\nFRONTIERS = {\n", FUNCTION), ('\n        FrontierRule("quantile",', ROW)):
        assert text.count(before) == 1
        text = text.replace(before, after)
    module.write_text(text, encoding="utf-8")

    def run(*arguments):
        command = [sys.executable, "-m", "densing", "trend", *arguments]
        environment = os.environ | {"PYTHONPATH": str(folder)}
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)

    return run


def test_the_rule_draws_a_trend(trend):
    done = trend("--panel", "mmlu_cf", "--frontier", "yearly")
    assert done.returncode == 0, done.stderr
    assert "on the frontier (yearly)" in done.stdout
    assert "doubling time" in done.stdout


def test_help_and_messages_know_it(trend):
    assert "yearly: The densest model of each year since the origin." in " ".join(trend("--help").stdout.split())
    refused = trend("--frontier", "yearling")
    assert refused.returncode == 2
    assert "unknown frontier 'yearling'; did you mean 'yearly'? Known: all, quantile, records, yearly" in refused.stderr


def test_every_rule_is_a_function_and_a_sentence():
    for name, rule in FRONTIERS.items():
        assert name == rule.name
        assert (rule.pick is None) != (rule.draw is None)
        assert rule.sentence.endswith(".")
