"""A figure comes into the report by one file and one row of the table of contents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from densing.report.contents import FIGURES, TABLES

ROOT = Path(__file__).resolve().parents[2]
TABLE = "FIGURES: Mapping[str, Part] = {\n"
SENTENCE = "How many models of the registry have which size."
ROW = f'    "sizes": Part("figures.sizes:sizes_figure", Needs.REPORT, "{SENTENCE}"),\n'
FILE = '''
from densing.report.figures.style import DOUBLE, new_figure, style


def sizes_figure(data, *, width=DOUBLE):
    """Draw a histogram of sizes."""
    with style():
        figure, ax = new_figure(width, 2.4)
        ax.hist([entry.total_params_B for entry in data.registry.models.values()])
        ax.set(xlabel="parameters (billions)", ylabel="models")
        return figure
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The folder of a copy of the package that has the new file and the new row."""
    folder = tmp_path_factory.mktemp("copy")
    package = shutil.copytree(ROOT / "densing", folder / "densing", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "report" / "figures" / "sizes.py").write_text(FILE)
    contents = package / "report" / "contents.py"
    text = contents.read_text(encoding="utf-8")
    assert text.count(TABLE) == 1
    contents.write_text(text.replace(TABLE, TABLE + ROW), encoding="utf-8")
    return folder


def densing(folder, *arguments):
    """What the command line of a package in a folder prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "7", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "densing", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_help_names_every_figure_and_every_table_and_the_new_one(copy):
    shown = densing(copy, "report", "--help")
    for name, part in [*FIGURES.items(), *TABLES.items()]:
        assert f"  {name} " in shown
        assert part.shows in shown
    assert SENTENCE in shown


@pytest.mark.slow
def test_the_command_draws_the_new_figure_and_makes_every_other_file_with_the_same_bytes(copy, built):
    """All figures, tables, artifacts and the page, gathered and drawn anew in another process."""
    densing(copy, "report", "--highlight", "Qwen2.5-7B", "--out", "again")
    again = copy / "again"
    made = {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    known = {path.relative_to(built): path for path in built.rglob("*") if path.is_file()}
    assert made - set(known) == {Path("figures", f"sizes.{kind}") for kind in ("pdf", "png")}
    assert set(known) <= made
    for path, first in known.items():
        assert (again / path).read_bytes() == first.read_bytes(), path
