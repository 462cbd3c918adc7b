"""The README's commands print what it shows."""

from __future__ import annotations

import re

import pytest

from densing import load_frame
from densing.frame.validation import HELD_OUT, JOINT, validate_frame
from tools.readme import README, examples, output

pytestmark = pytest.mark.slow

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
    assert "beyond the curve" in capsys.readouterr().out


def printed(command):
    return next(shown for asked, shown in examples() if asked.startswith(command))


def test_the_first_lines_quote_what_the_commands_print():
    text = README.read_text(encoding="utf-8")
    low, high, rank, of = re.search(r"\(95%: ([\d.]+) to ([\d.]+)\), rank (\d+) of (\d+)", text).groups()
    joint = next(line for line in printed("densing compare").splitlines() if "joint" in line)
    assert f"{low} to {high}" in joint
    assert f"rank {rank} of {of} " in printed("densing score")


def test_how_far_to_trust_it_is_what_the_validation_says():
    text = README.read_text(encoding="utf-8")
    said = [float(number) for number in re.search(r"7B and 13B are: ([\d.]+) and ([\d.]+)", text).groups()]
    sizes = validate_frame(load_frame("olmo-ladder")).sizes
    held_out = sizes[(sizes["left_out"] == HELD_OUT) & (sizes["path"] == "score")]
    joint = held_out[held_out["benchmark"] == JOINT].sort_values("params")["over_true"]
    assert list(joint) == pytest.approx(said, abs=0.01)
    assert held_out["holds"].all()
