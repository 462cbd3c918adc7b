"""What all commands have in common."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from densing import __version__
from densing.cli import app


def commands():
    """Every command with its path."""
    found = []

    def walk(group, path):
        for name, command in group.commands.items():
            if command.hidden:
                continue
            if hasattr(command, "commands"):
                walk(command, [*path, name])
            else:
                found.append([*path, name])

    walk(typer.main.get_command(app), [])
    return found


def test_the_version_is_the_package_s():
    assert CliRunner().invoke(app, ["--version"]).output == f"densing {__version__}\n"


@pytest.mark.parametrize("path", [path for path in commands() if path != ["lm-eval"]], ids=" ".join)
def test_every_help_has_an_example_of_its_command(path):
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    typed = path[:-1] if path == ["sweep", "run"] else path  # the name of the sweep stands in its place
    assert f"densing {' '.join(typed)}" in shown.output.partition("Example")[2]


def test_an_unknown_model_gets_three_suggestions_and_not_the_whole_registry():
    shown = CliRunner().invoke(app, ["score", "lama 3 8b"])
    assert shown.exit_code == 2
    assert "did you mean 'Llama-3-8B', " in shown.output
    assert len(shown.output) < 200


def test_a_library_that_is_not_installed_is_named_with_what_installs_it(tmp_path):
    script = "import sys; sys.modules['torch'] = None; from densing.cli import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", script, "ladder", "train", "quickstart", "--out", str(tmp_path / "out")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 1
    assert shown.stderr.strip().splitlines()[-1] == (
        "densing: this needs torch, which is not installed; pip install 'densing[models]'"
    )


def test_a_letter_stands_for_one_option_in_all_commands():
    def letters(path):
        command = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        return [
            (name, option.opts[0])
            for option in command.params
            for name in option.opts
            if name.startswith("-") and not name.startswith("--")
        ]

    meant = {}
    for path in commands():
        for letter, option in letters(path):
            meant.setdefault(letter, set()).add(option)
    assert meant == {"-o": {"--out"}}
