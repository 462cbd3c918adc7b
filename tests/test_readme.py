"""The README's commands print what it shows."""

from __future__ import annotations

import re

import pytest

from tools.readme import README, examples, output

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def test_the_readme_shows_commands_of_all_three_users():
    commands = [command.split()[1] for command, _ in examples()]
    assert {"score", "trend", "frames", "ladder"} <= set(commands)


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_output_is_as_shown(command, shown):
    printed = output(command)
    # Words and columns exactly; numbers to the last digit or two, which other processors round otherwise.
    assert re.sub(r" +", " ", NUMBER.sub("#", printed)) == re.sub(r" +", " ", NUMBER.sub("#", shown))
    assert [float(n) for n in NUMBER.findall(printed)] == pytest.approx(
        [float(n) for n in NUMBER.findall(shown)], rel=0.02
    )


def test_the_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "in range" in capsys.readouterr().out
